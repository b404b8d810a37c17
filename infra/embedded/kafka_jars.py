"""Kafka's jars: named with their digests in a manifest, and kept in the shared cache."""

from pathlib import Path, PurePosixPath

from infra.embedded.jar import Jar
from infra.embedded.service import Fetched
from infra.problem import Problem

MANIFEST = Path(__file__).with_name("kafka-jars.sha256")


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
    from infra.embedded.download import download  # here, because it is needed once, and its clients load slowly

    try:
        download(missing, cache_dir, repository(cache_dir), fetched, len(jars) - len(missing), len(jars))
    except OSError as error:
        sentence = (
            f"Downloads cannot be kept in {cache_dir} ({error.strerror}): set LOSTFOUND_CACHE_DIR to another folder."
        )
        raise Problem("cache-not-writable", sentence) from error
