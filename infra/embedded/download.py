"""Downloads from a Maven registry.

Only verified files enter the cache, each by one rename, so a broken or interrupted download is never run. The manifest
pins every jar, so nothing is resolved at run time; jgo fetches, and its configuration file names mirrors.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock

import requests
import truststore
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver

from infra.embedded.jar import Jar
from infra.embedded.service import Fetched
from infra.problem import Problem

STAGING = "incoming-"
STAGING_KEPT_SECONDS = 3600.0
DOWNLOADS_AT_ONCE = 4
TIMEOUT_SECONDS = 20

Count = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

# jgo's warnings would otherwise appear in the middle of a progress bar; what matters becomes a Problem.
logging.getLogger("jgo").addHandler(logging.NullHandler())


def download(missing: list[Jar], cache_dir: Path, target: Path, fetched: Fetched, done: int, total: int) -> None:
    """Fetch jars into `target`. Raises Problem and OSError."""
    with _system_trust(), _staging(cache_dir) as staging:
        _download(missing, staging, target, fetched, done, total)


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
