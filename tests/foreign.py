"""A client that is not ours: confluent-kafka and JSON, nothing of the product. It states, and it reads the record."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition

Record = dict[str, Any]


def now() -> str:
    """The time, as CloudEvents writes it."""
    return datetime.now(UTC).isoformat()


class BackOffice:
    """A vendor's back-office system, which sends CloudEvents to its inbox."""

    def __init__(self, bootstrap: str, vendor: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
        self._topic = f"lostfound.{vendor}.inbox"

    def state(self, name: str, key: str, **data: Any) -> None:
        """State something; `flush` makes sure of it."""
        event = {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": "/crm",
            "type": f"lostfound.inbox.{name}.v1",
            "datacontenttype": "application/json",
            "data": data,
        }
        self.send(key.encode(), json.dumps(event).encode())

    def send(self, key: bytes | None, value: bytes | None) -> None:
        """Send any bytes."""
        headers = {"content-type": "application/cloudevents+json"}
        self._producer.produce(self._topic, key=key, value=value, headers=headers)
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
