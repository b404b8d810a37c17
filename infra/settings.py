"""Every setting of every process, in one place.

Each is read from an environment variable `LOSTFOUND_<NAME>`; an empty one counts as unset. Without any, everything runs
embedded on this machine.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.terms import VENDOR_PATTERN
from infra.embedded.socket_path import postgres_dsn
from infra.problem import Problem

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "LOSTFOUND_"
LOOPBACK = "127.0.0.1"
PORTS = range(1, 65_536)
NAME_BYTES = 255
SHOWN_CHARACTERS = 80
NO_SETTINGS = frozenset({"PREPARED_FILE", "READY_FILE", "PROBLEM_FILE", "SEED", "SOAK", "SAVE_HISTORIES"})
"""Variables with which processes of ours, and the tests, tell each other something."""
OF_KUBERNETES = re.compile(
    r"\w+_SERVICE_(HOST|PORT(_\w+)?)=.*|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*|\w+_PORT=\w+://.*"
)
"""What Kubernetes puts into the environment for a service whose name begins as our variables do."""
HOST_PATTERN = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
BUCKET_PATTERN = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]{1,100}){0,5}"
WORD_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


@dataclass(frozen=True)
class Valid:
    """What a setting takes, in words."""

    words: str


def _folder(path: Path) -> Path:
    """Absolute, because the processes that share these settings do not share a working folder."""
    try:
        found = path.expanduser().absolute()
    except RuntimeError as error:  # `~nobody`
        raise ValueError(str(error)) from None
    if any(len(part.encode()) > NAME_BYTES for part in found.parts):
        raise ValueError("a name in it is too long")
    return found


def _host(host: str) -> str:
    """A name, or an address of either kind; that it is one of this machine shows when something listens there."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(HOST_PATTERN, host):
            raise ValueError("this is no host") from None
        return host
    if address.is_unspecified:
        raise ValueError("clients cannot connect to it")
    return host


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses of a host, as this machine knows it; none where it does not."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return []
    return [ipaddress.ip_address(address) for address in sorted(found)]


def _places(places: str | None) -> str | None:
    for place in places.split(",") if places else ():
        _place(place)
    return places


def _place(place: str | None) -> str | None:
    if place is None:
        return None
    host, _, port = place.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) not in PORTS:
        raise ValueError("it has no port")
    if host.startswith("[") and host.endswith("]"):
        ipaddress.IPv6Address(host[1:-1])
    elif not re.fullmatch(HOST_PATTERN, host):
        raise ValueError("it has no host")
    return place


def _dsn(dsn: str | None) -> str | None:
    if dsn is None:
        return None
    from psycopg import ProgrammingError  # here, because most commands have none to read
    from psycopg.conninfo import conninfo_to_dict

    if not dsn.startswith(("postgresql://", "postgres://")):
        raise ValueError("this is no URI")
    try:
        conninfo_to_dict(dsn)
    except (ProgrammingError, UnicodeError):
        raise ValueError("libpq cannot read it") from None
    return dsn


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch(r"[!-~]{1,200}", url):
        raise ValueError("this is no URL")
    if "@" in parts.netloc:
        raise ValueError("everybody reads it, so no password may be in it")
    if parts.port == 0:
        raise ValueError("nothing listens on port 0")
    return url


def _bucket(url: str | None) -> str | None:
    if url is not None and not re.fullmatch(BUCKET_PATTERN, url):
        raise ValueError("this names no bucket")
    return url


def _port(default: int, of: str) -> Any:
    return Field(default, ge=PORTS[0], le=PORTS[-1], description=f"Port of the embedded {of}.")


Port = Annotated[int, Valid(f"a number from {PORTS[0]} to {PORTS[-1]}")]
Folder = Annotated[
    Path, AfterValidator(_folder), Valid("the path of a folder: UTF-8, each name in it at most 255 bytes")
]
Word = Annotated[
    str, Field(pattern=WORD_PATTERN), Valid("1 to 100 letters, digits and `.`, `_`, `-`, the first a letter or digit")
]


class Driver(StrEnum):
    """What drives the projector."""

    FAUST = "faust"
    PLAIN = "plain"


class Settings(BaseSettings):
    """Where things live and how many there are. Ports are TCP ports on `host`; durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    data_dir: Folder = Field(ROOT / ".lostfound", description="The folder that holds all data, logs and keys.")
    cache_dir: Folder = Field(
        platformdirs.user_cache_path("lostfound"),
        description="The folder that keeps downloads; may be shared and deleted.",
    )
    host: Annotated[
        str,
        AfterValidator(_host),
        Valid("one address or name of this machine that clients can connect to, such as `127.0.0.1`"),
    ] = Field(LOOPBACK, description="The address that the embedded services listen on.")
    open_to_network: Annotated[bool, Valid("`yes` or `no`")] = Field(
        False, description="Whether that address may be one that other machines reach; see below what is open then."
    )

    kafka_port: Port = _port(9092, "Kafka broker")
    kafka_controller_port: Port = _port(9093, "Kafka controller")
    temporal_port: Port = _port(7233, "Temporal server")
    temporal_ui_port: Port = _port(8233, "Temporal server's web pages")

    kafka_bootstrap: Annotated[
        str | None, AfterValidator(_places), Valid("`HOST:PORT`, or several with commas between")
    ] = Field(None, description="Your own Kafka; unset: embedded.")
    temporal_address: Annotated[str | None, AfterValidator(_place), Valid("`HOST:PORT`")] = Field(
        None, description="Your own Temporal; unset: embedded."
    )
    temporal_namespace: Word = Field("default", description="The Temporal namespace that the cases run in.")
    task_queue: Word = Field("lostfound", description="The Temporal task queue that the workers serve.")
    postgres_dsn: Annotated[
        str | None, AfterValidator(_dsn), Valid("a libpq URI, such as `postgresql://USER@HOST:5432/DATABASE`")
    ] = Field(None, description="Your own PostgreSQL; unset: embedded.")

    evidence_url: Annotated[str | None, AfterValidator(_bucket), Valid("`s3://BUCKET`, or `s3://BUCKET/PREFIX`")] = (
        Field(None, description="Your own S3-compatible store for evidence files; unset: a folder in the data folder.")
    )

    log_partitions: Annotated[int, Valid("a number from 1 to 512")] = Field(
        6, ge=1, le=512, description="Partitions of `lostfound.log`, set when it is created."
    )
    replication_factor: Annotated[int, Valid("a number from 1 to 9, with the embedded Kafka 1")] = Field(
        1, ge=1, le=9, description="Copies of each topic, set when it is created."
    )
    projector: Annotated[Driver, Valid(" or ".join(f"`{driver}`" for driver in Driver))] = Field(
        Driver.FAUST, description="What drives the projector: faust, or a plain consumer."
    )
    hold_seconds: Annotated[float, Valid("a number from 0 to 86400")] = Field(
        30, ge=0, le=86_400, allow_inf_nan=False, description="How long an inbox record waits for a fact that it needs."
    )
    lease_sweep_seconds: Annotated[float, Valid("a number from 1 to 86400")] = Field(
        60,
        ge=1,
        le=86_400,
        allow_inf_nan=False,
        description="How often leases that run out are looked for.",
    )
    status_base: Annotated[
        str, AfterValidator(_url), Valid("an http or https URL of at most 200 characters, without a user or password")
    ] = Field(
        "http://127.0.0.1:8080/status-lists", description="Where licence files say that the status lists are published."
    )
    vendor: Annotated[str, Valid("2 to 32 small letters, digits and `-`, from a letter to a letter or digit")] = Field(
        "acme", pattern=VENDOR_PATTERN, description="The first vendor, added at the first start."
    )

    @model_validator(mode="after")
    def _relations(self) -> Self:
        if wrong := [*self._alike(), *self._copies(), *self._reached()]:
            raise ValueError("\n".join(wrong))
        return self

    def _alike(self) -> Iterator[str]:
        """Ports that are needed here and are one."""
        names = [] if self.kafka_bootstrap else ["kafka_port", "kafka_controller_port"]
        names += [] if self.temporal_address else ["temporal_port", "temporal_ui_port"]
        for one, other in combinations(names, 2):
            if getattr(self, one) == getattr(self, other):
                both = f"{_variable(one)} and {_variable(other)} are both {getattr(self, one)}"
                yield f"{both}: give one of them another free port."

    def _copies(self) -> Iterator[str]:
        if self.replication_factor > 1 and not self.kafka_bootstrap:
            copies = f"{_variable('replication_factor')} is {self.replication_factor}; the embedded Kafka is one broker"
            yield f"{copies}: leave it at 1, or set {_variable('kafka_bootstrap')} to a Kafka of your own."

    def _reached(self) -> Iterator[str]:
        """A host that other machines reach, where nobody said that this is meant; or one where Temporal cannot work."""
        opened = [] if self.kafka_bootstrap else ["Kafka"]
        opened += [] if self.temporal_address else ["Temporal with its web pages"]
        if not opened:
            return
        given = f"{_variable('host')} is {self.host!r}"
        found = _addresses(self.host)
        if not found:
            yield f"{given}, a name that this machine does not know: give it an address."
        elif not all(address.is_loopback for address in found):
            if not self.open_to_network:
                yield (
                    f"{given}, which other machines can reach, and {' and '.join(opened)} would be open to all of them"
                    f" without any password: leave it at {LOOPBACK}, or set {_variable('open_to_network')}=yes if you"
                    " mean that."
                )
        elif self.temporal_address is None and LOOPBACK not in map(str, found):
            yield (
                f"{given}, but the parts of the embedded Temporal seek each other at {LOOPBACK}: give that, or set"
                f" {_variable('temporal_address')} to a Temporal of your own."
            )

    @property
    def temporal_listens(self) -> str:
        """Where the embedded Temporal listens: on this machine alone, or else at every address, for its parts seek each
        other on loopback."""
        found = _addresses(self.host)
        if all(address.is_loopback for address in found):
            return self.host
        return "0.0.0.0" if any(address.version == 4 for address in found) else "::"

    def at(self, port: int) -> str:
        """A port of an embedded service, as clients are told it."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    @property
    def bootstrap(self) -> str:
        """The Kafka brokers that clients connect to."""
        return self.kafka_bootstrap or self.at(self.kafka_port)

    @property
    def temporal(self) -> str:
        """The Temporal frontend that clients connect to."""
        return self.temporal_address or self.at(self.temporal_port)

    @property
    def evidence(self) -> Path | str:
        """Where evidence files are kept: a folder, or the URL of a bucket."""
        return self.evidence_url or self.data_dir / "evidence"

    @property
    def dsn(self) -> str:
        """The PostgreSQL database that clients connect to, a libpq URI."""
        return self.postgres_dsn or postgres_dsn(self.data_dir)

    def environment(self) -> dict[str, str]:
        """The variables that give another process exactly these settings."""
        return {_variable(name): str(value) for name, value in self if value is not None}


def read_settings() -> Settings:
    """The settings of this process. Raises `Problem`, with a sentence for each setting that cannot be, and for each
    variable of our prefix that is none."""
    wrong = [*_unknown(os.environ)]
    try:
        settings = Settings()
    except ValidationError as error:
        wrong += dict.fromkeys(_sentences(error))
    if wrong:
        raise Problem("bad-setting", "\n".join(wrong))
    return settings


def _unknown(environment: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable that looks like a setting and is none."""
    known = [name.upper() for name in Settings.model_fields]
    for variable, value in sorted(environment.items()):
        prefix, name = variable[: len(PREFIX)].upper(), variable[len(PREFIX) :].upper()
        if prefix != PREFIX or name in (*known, *NO_SETTINGS) or not value:
            continue
        if OF_KUBERNETES.fullmatch(f"{name}={value}"):
            continue
        shown = variable if re.fullmatch(r"\w{1,80}", variable, re.ASCII) else ascii(variable[:SHOWN_CHARACTERS])
        close = get_close_matches(name, known, n=1)
        remedy = f"did you mean {PREFIX}{close[0]}?" if close else "docs/settings.md lists those that there are."
        yield f"{shown} is no setting; {remedy}"


def _sentences(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False):
        if not one["loc"]:
            yield one["msg"].removeprefix("Value error, ")
            continue
        name = str(one["loc"][0])
        takes = valid(name)
        if name == "postgres_dsn" or "@" in str(one["input"]):  # it may hold a password
            yield f"{_variable(name)} cannot be read; it takes {takes}."
        else:
            shown = repr(one["input"] if isinstance(one["input"], str) else str(one["input"]))
            if len(shown) > SHOWN_CHARACTERS:
                shown = f"{shown[:SHOWN_CHARACTERS]}…"
            yield f"{_variable(name)} is {shown}; it takes {takes}."


def valid(name: str) -> str:
    """What a setting takes, in words."""
    return next(one.words for one in Settings.model_fields[name].metadata if isinstance(one, Valid))


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"
