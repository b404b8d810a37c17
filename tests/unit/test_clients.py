"""Clients of Kafka and PostgreSQL are made in one place each."""

import re
from pathlib import Path

ROOMS = ("activities", "events", "infra", "portal", "projections", "simulation", "workflows")
MADE = re.compile(r"AIOKafka\w+\(|Connection\.connect\(|ConnectionPool\(")
FACTORIES = {"events/kafka_clients.py", "events/postgres_sessions.py"}


def test_every_client_of_kafka_and_postgresql_comes_from_its_factory() -> None:
    root = Path(__file__).parents[2]
    files = [file for room in ROOMS for file in (root / room).rglob("*.py")]
    assert {str(file.relative_to(root)) for file in files if MADE.search(file.read_text())} == FACTORIES
