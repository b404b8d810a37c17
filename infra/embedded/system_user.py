"""The system user that PostgreSQL runs as when we are root, since it refuses to be root."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from infra.embedded.process import Account
from infra.problem import Problem

NAME = "lostfound-postgres"
REMEDY = "start as an ordinary user, or set LOSTFOUND_POSTGRES_DSN to a PostgreSQL of your own."


def account() -> Account | None:
    """None for an ordinary user; for root the system user, made if missing."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _made()
    return Account(entry.pw_uid, entry.pw_gid)


def _made() -> pwd.struct_passwd:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise Problem("postgres-failed", f"PostgreSQL cannot run as root and this system has no useradd: {REMEDY}")
    words = [program, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    try:
        return pwd.getpwnam(NAME)  # also when another start made it meanwhile
    except KeyError:
        said = made.stderr.strip()
        raise Problem("postgres-failed", f"The system user {NAME} could not be made ({said}): {REMEDY}") from None


def let_through(path: Path) -> None:
    """Let other users pass the folders above a path, without letting them list or read anything."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def private_folder(folder: Path, owner: Account | None) -> None:
    """A folder that only its owner may enter; one that a stranger made before us is refused."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    user = owner.user if owner else os.geteuid()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (user, os.geteuid()):
        raise Problem(
            "postgres-failed", f"{folder} belongs to someone else: remove it, or set TMPDIR to another folder."
        )
    if owner:
        os.chown(folder, owner.user, owner.group)
    folder.chmod(0o700)
