"""A jar as the manifest names it: its place in a Maven repository, and its digest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Jar:
    """A file of the manifest; its path is that of every Maven repository: group, artifact, version, file."""

    digest: str
    path: PurePosixPath

    @property
    def coordinates(self) -> tuple[str, str, str]:
        """Group, artifact and version."""
        *group, artifact, version, _file = self.path.parts
        return ".".join(group), artifact, version

    def within(self, folder: Path) -> Path:
        """Where it is in a repository on this machine."""
        return folder / self.path

    def intact(self, file: Path) -> bool:
        """Whether the file is there and is what the manifest says."""
        try:
            with file.open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest() == self.digest
        except OSError:
            return False
