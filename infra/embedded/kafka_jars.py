"""Kafka's jars: named with their digests in a manifest, fetched from a Maven registry, kept in the shared cache.

Only verified files enter the cache, each by one rename, so a broken or interrupted download is never run. The manifest
pins every jar, so nothing is resolved at run time; jgo fetches, and its configuration file names mirrors.
"""

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

import requests
import truststore
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver

from infra.embedded.service import Fetched
from infra.errors import Problem

MANIFEST = Path(__file__).with_name("kafka-jars.sha256")
STAGING = "incoming-"
STAGING_KEPT_SECONDS = 3600.0
DOWNLOADS_AT_ONCE = 4
TIMEOUT_SECONDS = 20

Count = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

# jgo's warnings would otherwise appear in the middle of a progress bar; what matters becomes a Problem.
logging.getLogger("jgo").addHandler(logging.NullHandler())


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


def manifest() -> list[Jar]:
    """The jars, in the order of the class path."""
    lines = MANIFEST.read_text().splitlines()
    return [Jar(digest, PurePosixPath(path)) for digest, path in (line.split() for line in lines)]


def repository(cache_dir: Path) -> Path:
    """The folder of the cache that holds the verified jars."""
    return cache_dir / "maven"


def class_path(cache_dir: Path) -> str:
    """Java's class path over the cached jars."""
    return ":".join(str(jar.within(repository(cache_dir))) for jar in manifest())


def fetch(cache_dir: Path, fetched: Fetched) -> None:
    """Download what is missing or damaged in the cache. Raises Problem: no network, a broken registry, no room."""
    jars = manifest()
    missing = [jar for jar in jars if not jar.intact(jar.within(repository(cache_dir)))]
    if not missing:
        return
    try:
        with _system_trust(), _staging(cache_dir) as staging:
            _download(missing, staging, repository(cache_dir), fetched, len(jars) - len(missing), len(jars))
    except OSError as error:
        sentence = (
            f"Downloads cannot be kept in {cache_dir} ({error.strerror}): set LOSTFOUND_CACHE_DIR to another folder."
        )
        raise Problem("cache-not-writable", sentence) from error


def _download(missing: list[Jar], staging: Path, target: Path, fetched: Fetched, done: int, total: int) -> None:
    lock = Lock()
    received = 0

    @contextmanager
    def count(_file: str, _size: int) -> Iterator[Callable[[int], None]]:
        def add(size: int) -> None:
            nonlocal received
            with lock:
                received += size
                fetched(done, total, received)

        yield add

    fetched(done, total, received)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        try:
            for finished in as_completed([pool.submit(_fetch_one, jar, staging, target, count) for jar in missing]):
                finished.result()
                done += 1
                fetched(done, total, received)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(jar: Jar, staging: Path, target: Path, count: Count) -> None:
    """A file that differs from the manifest is fetched once more, the second time past the user's own repository."""
    config = GlobalSettings.load()
    group, artifact, version = jar.coordinates
    for number, local in enumerate(([Path(config.repo_cache)], [])):
        context = MavenContext(
            resolver=PythonResolver(progress_callback=count),
            repo_cache=staging / str(number),
            local_repos=local,
            remote_repos={"central": MAVEN_CENTRAL_URL, **config.repositories},
            timeout=TIMEOUT_SECONDS,
        )
        try:
            found = Path(context.project(group, artifact).at_version(version).artifact().resolve())
        except requests.RequestException as error:
            if number == 0 and not isinstance(error, requests.ConnectionError):
                continue
            raise Problem(
                "registry-unreachable",
                "Kafka cannot be downloaded, the Maven registry does not answer: connect this machine to the "
                "network, or name a mirror under [repositories] in the file that JGO_CONFIG_FILE points to.",
            ) from error
        except RuntimeError as error:  # jgo's word for "no repository has it"
            raise Problem(
                "download-broken",
                f"The Maven registry does not have {jar.path.name}: correct the mirror in jgo's configuration file.",
            ) from error
        kept = staging / f"{number}.{jar.digest}"
        shutil.copyfile(found, kept)
        if jar.intact(kept):
            place = jar.within(target)
            place.parent.mkdir(parents=True, exist_ok=True)
            kept.replace(place)
            return
    raise Problem(
        "download-broken",
        f"{jar.path.name} arrived twice with another content than the manifest states: it was not kept; "
        "check the mirror or proxy between this machine and the Maven registry, then try again.",
    )


@contextmanager
def _system_trust() -> Iterator[None]:
    """Trust whom the system trusts, as pip does: a company's proxy shows a certificate of that company."""
    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


@contextmanager
def _staging(cache_dir: Path) -> Iterator[Path]:
    """A folder on the cache's own file system, so that a rename publishes a file; ones left by a crash are removed."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    for old in cache_dir.glob(f"{STAGING}*"):
        if time.time() - old.stat().st_mtime > STAGING_KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=STAGING, dir=cache_dir, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
