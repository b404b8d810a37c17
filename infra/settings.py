"""Every setting of every process, in one place.

Each is read from an environment variable `LOSTFOUND_<NAME>`. Without any, everything runs embedded on this machine.
"""

from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.embedded.socket_path import postgres_dsn

ROOT = Path(__file__).resolve().parent.parent


# Absolute, because the processes that share these settings do not share a working folder.
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Driver(StrEnum):
    """What drives the projector."""

    FAUST = "faust"
    PLAIN = "plain"


class Settings(BaseSettings):
    """Where things live and how many there are. Ports are TCP ports on `host`; durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="LOSTFOUND_", frozen=True, extra="ignore")

    data_dir: Folder = Field(ROOT / ".lostfound", description="The folder that holds all data, logs and keys.")
    cache_dir: Folder = Field(
        platformdirs.user_cache_path("lostfound"),
        description="The folder that keeps downloads; may be shared and deleted.",
    )
    host: str = Field("127.0.0.1", description="The address that the embedded services listen on.")

    kafka_port: int = Field(9092, description="Port of the embedded Kafka broker.")
    kafka_controller_port: int = Field(9093, description="Port of the embedded Kafka controller.")
    temporal_port: int = Field(7233, description="Port of the embedded Temporal server.")
    temporal_ui_port: int = Field(8233, description="Port of the embedded Temporal server's web pages.")

    kafka_bootstrap: str | None = Field(None, description="Your own Kafka, `host:port[,host:port]`; unset: embedded.")
    temporal_address: str | None = Field(None, description="Your own Temporal, `host:port`; unset: embedded.")
    temporal_namespace: str = Field("default", description="The Temporal namespace that the cases run in.")
    task_queue: str = Field("lostfound", description="The Temporal task queue that the workers serve.")
    postgres_dsn: str | None = Field(None, description="Your own PostgreSQL, a libpq URI; unset: embedded.")

    log_partitions: int = Field(6, ge=1, le=512, description="Partitions of `lostfound.log`, set when it is created.")
    replication_factor: int = Field(1, ge=1, le=9, description="Copies of each topic, set when it is created.")
    projector: Driver = Field(Driver.FAUST, description="What drives the projector: faust, or a plain consumer.")
    hold_seconds: float = Field(30, ge=0, description="How long an inbox record waits for a fact that it needs.")
    lease_sweep_seconds: float = Field(
        60, ge=1, description="How often leases are looked through for those running out."
    )
    status_base: str = Field(
        "http://127.0.0.1:8080/status-lists", description="Where licence files say that the status lists are published."
    )
    vendor: str = Field("acme", description="The first vendor, added at the first start.")

    @property
    def bootstrap(self) -> str:
        """The Kafka brokers that clients connect to."""
        return self.kafka_bootstrap or f"{self.host}:{self.kafka_port}"

    @property
    def temporal(self) -> str:
        """The Temporal frontend that clients connect to."""
        return self.temporal_address or f"{self.host}:{self.temporal_port}"

    @property
    def dsn(self) -> str:
        """The PostgreSQL database that clients connect to, a libpq URI."""
        return self.postgres_dsn or postgres_dsn(self.data_dir)

    def environment(self) -> dict[str, str]:
        """The variables that give another process exactly these settings."""
        return {f"LOSTFOUND_{name.upper()}": str(value) for name, value in self if value is not None}


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
