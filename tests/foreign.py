"""A client that is not ours: confluent-kafka and JSON, nothing of the product. It states, and it reads the record."""

import json
import struct
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Consumer, Producer, TopicPartition

Record = dict[str, Any]


def now() -> str:
    """The time, as CloudEvents writes it."""
    return datetime.now(UTC).isoformat()


class BackOffice:
    """A vendor's back-office system, which sends CloudEvents to its inbox."""

    def __init__(self, bootstrap: str, vendor: str, **more: Any) -> None:
        """`more`: settings of the client, with `_` for `.`, such as `compression_codec`."""
        named = {name.replace("_", "."): value for name, value in more.items()}
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0} | named)
        self._topic = f"lostfound.{vendor}.inbox"

    def state(self, name: str, key: str, **data: Any) -> None:
        """State something; `flush` makes sure of it."""
        self.send(key.encode(), self.event(name, **data))

    def event(self, name: str, **data: Any) -> bytes:
        """A statement as a CloudEvent."""
        event = {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": "/crm",
            "type": f"lostfound.inbox.{name}.v1",
            "datacontenttype": "application/json",
            "data": data,
        }
        return json.dumps(event).encode()

    def send(
        self, key: bytes | None, value: bytes | None, partition: int = -1, more: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Send any bytes, to that partition where one is named, with more headers than the usual one."""
        headers = [("content-type", b"application/cloudevents+json"), *more]
        self._producer.produce(self._topic, key=key, value=value, headers=headers, partition=partition)
        self._producer.poll(0)

    def stock(self, serial: str, holder: str, licences: int = 1, spare: bool = True) -> None:
        """A dongle with licences and, for the same holder, an empty one."""
        self.state("container.registered", serial, serial=serial, kind="dongle", holder=holder)
        for number in range(1, licences + 1):
            self.state(
                "licence.issued",
                serial,
                licence=f"L-{serial}-{number}",
                serial=serial,
                product="cad",
                ticket=f"T-{serial}",
                issued=now(),
                lease={"check_in": {"unit": "month", "count": 1}, "grace_days": 7},
            )
        if spare:
            self.state("container.registered", f"{serial}-s", serial=f"{serial}-s", kind="dongle", holder=holder)

    def report(self, report: str, serial: str, reason: str = "lost") -> None:
        """Report a loss."""
        reporter = {"role": "back_office", "name": "crm"}
        loss = {"report": report, "serial": serial, "kind": "dongle", "reason": reason, "reporter": reporter}
        self.state("loss.reported", serial, **loss, occurred=now())

    def flush(self) -> None:
        """Wait until the broker has everything."""
        left = self._producer.flush(60)
        assert left == 0, f"{left} records did not reach the broker"


class Reader:
    """Reads a topic from its beginning, on and on."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"test-{uuid4()}", "enable.auto.commit": False, "log_level": 0}
        )
        partitions = self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])

    def read(self) -> Iterator[tuple[int, int, bytes | None, dict[str, bytes]]]:
        """Some of what is there and was not read yet: partition, offset, value, headers."""
        for message in self._consumer.consume(500, timeout=0.02):
            if message.error() is None:
                yield message.partition(), message.offset(), message.value(), dict(message.headers() or [])

    def ends(self) -> dict[int, int]:
        """Where each partition ends now."""
        ends = {
            place.partition: self._consumer.get_watermark_offsets(place)[1] for place in self._consumer.assignment()
        }
        return {partition: int(end) for partition, end in ends.items()}

    def at_end(self) -> bool:
        """Whether all that the topic holds now was read."""
        places = self._consumer.position(self._consumer.assignment())
        return all(max(place.offset, 0) >= self._consumer.get_watermark_offsets(place)[1] for place in places)

    def until(self, count: int, seconds: float = 30) -> list[tuple[int, int, bytes | None, dict[str, bytes]]]:
        """The first `count` records, waited for."""
        found: list[tuple[int, int, bytes | None, dict[str, bytes]]] = []
        deadline = time.monotonic() + seconds
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
            found += self.read()
        return found

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def batch(key: bytes, *values: bytes, header: bytes = b"aa", codec: int = 0) -> bytearray:
    """A record batch as a client makes it by hand, each record with one header of that name, which may be any bytes."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 28,
    )
    for offset, value in enumerate(values):
        builder.append(offset=offset, timestamp=1, key=key, value=value, headers=[("a" * len(header), b"1")])
    built = bytearray(builder.build())
    if not codec:
        built[61:] = built[61:].replace(b"a" * len(header), header)
    return sign(built)


def sign(built: bytearray) -> bytearray:
    """A batch with the checksum that goes with its bytes."""
    struct.pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))
    return built


async def send_batch(bootstrap: str, topic: str, partition: int, sent: bytes) -> int:
    """Send a batch as it is; the error code that the broker answers."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(KafkaPartition(topic, partition))
        answer = await client.send(node, ProduceRequest(None, -1, 10_000, [(topic, [(partition, sent)])]))
        code: int = answer.topics[0][1][0][1]
        return code
    finally:
        await client.close()
