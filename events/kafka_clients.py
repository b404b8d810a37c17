"""Makes every Kafka client of the product: what it takes to reach a cluster is said here only.

Loading it loads aiokafka.
"""

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient


def new_producer(bootstrap: str, **options: Any) -> AIOKafkaProducer:
    """A producer that waits for all replicas; `options` are aiokafka's."""
    return AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **options)


def new_consumer(bootstrap: str, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """A consumer that commits only what it is told to, and where nothing is committed begins with the first record;
    `options` are aiokafka's."""
    return AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", **options
    )


def new_admin(bootstrap: str, **options: Any) -> AIOKafkaAdminClient:
    """A client that looks after topics; `options` are aiokafka's."""
    return AIOKafkaAdminClient(bootstrap_servers=bootstrap, **options)
