"""Where the embedded PostgreSQL listens: a Unix socket, so that no port is opened and file permissions guard it."""

import hashlib
import tempfile
from pathlib import Path
from urllib.parse import quote

DATABASE = "lostfound"
SUPERUSER = "postgres"
SOCKET_PATH_BYTES = 107  # sun_path of unix(7) holds 108 bytes with the terminating zero
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"


def socket_folder(data_dir: Path) -> Path:
    """The socket's folder: in the data folder, or a short one of its own where that path is too long for a socket."""
    near = data_dir / "postgres" / "socket"
    if fits(near):
        return near
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lostfound-{digest}"


def fits(folder: Path) -> bool:
    """Whether a socket in that folder has a path that the system accepts."""
    return len(bytes(folder / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES


def postgres_dsn(data_dir: Path, database: str = DATABASE) -> str:
    """The libpq URI of the embedded server's database."""
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_folder(data_dir)), safe='')}"
