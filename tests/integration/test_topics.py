"""Topics that exist are put right or refused, and no other signing key is taken than the vendor's."""

import shutil
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from psycopg import AsyncConnection

from events.terms import VendorId
from events.topics import LOG
from infra.problem import Problem
from infra.settings import Settings
from infra.topic_provisioning import compare
from infra.wiring import keys, prepare
from tests.services import Services

pytestmark = pytest.mark.integration

ACME = VendorId("acme")


async def test_topics_and_keys_are_what_they_must_be_or_the_start_says_what_to_do(tmp_path: Path) -> None:
    async with Services(tmp_path / "data", "postgres", "kafka") as services:
        settings = services.settings
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
        await admin.start()
        try:
            own = {"retention.ms": "604800000", "max.message.bytes": "1048588", "segment.bytes": "50000000"}
            await admin.create_topics([NewTopic(LOG, 6, 1, topic_configs=own)])
            said: list[str] = []

            wrong = {one.setting for one in await compare(settings)}
            await prepare(settings, said.append)

            assert {"retention.ms", "max.message.bytes", "flush.ms"} <= wrong
            assert any("retention.ms -1 instead of 604800000" in line for line in said)
            assert await compare(settings) == []

            await admin.create_partitions({LOG: NewPartitions(9)})
            assert await compare(settings) == []
            await prepare(settings, lambda _: None)
        finally:
            await admin.close()
        more = settings.model_copy(update={"log_partitions": 12})
        with pytest.raises(Problem, match="LOSTFOUND_LOG_PARTITIONS=9"):
            await prepare(more, lambda _: None)
        await _keys(settings, tmp_path / "other")


async def _keys(settings: Settings, folder: Path) -> None:
    """Another data folder makes no other key, nor does one that lost it."""
    other = settings.model_copy(update={"data_dir": folder, "postgres_dsn": settings.dsn})
    with pytest.raises(Problem, match="is missing: set LOSTFOUND_DATA_DIR"):
        await prepare(other, lambda _: None)
    assert not (folder / "keys" / "acme.json").exists()

    keys(other).create(VendorId("zeta"))
    shutil.copy(folder / "keys" / "zeta.json", folder / "keys" / "acme.json")
    with pytest.raises(Problem, match="holds another"):
        await prepare(other, lambda _: None)

    async with await AsyncConnection.connect(settings.dsn) as connection:
        cursor = await connection.execute("select key_id from backend.vendors where vendor = 'acme'")
        assert await cursor.fetchone() == (keys(settings).key_id(ACME),)
