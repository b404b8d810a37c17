"""A parked record is known by its place and what it is made of: a topic that is made anew repeats its offsets."""

from hashlib import sha256

from alembic import op
from sqlalchemy import text

revision = "0019"
down_revision = "0018"

COLUMN = "alter table backend.parked add digest text"
NUMBERS = text("select number from backend.parked")
PARKED = text("select key, value, names, contents from backend.parked where number = :number")
KEEP = text("update backend.parked set digest = :digest where number = :number")
KEY = """
alter table backend.parked
    alter digest set not null,
    drop constraint parked_topic_partition_record_offset_key,
    add unique (topic, partition, record_offset, digest)"""


def upgrade() -> None:
    """Change the table, with the digest of each record that waits."""
    op.execute(COLUMN)
    connection = op.get_bind()
    for (number,) in connection.execute(NUMBERS).fetchall():  # one by one, for each may have a megabyte
        key, value, names, contents = connection.execute(PARKED, {"number": number}).one()
        headers = [part for header in zip(names, contents, strict=True) for part in header]
        connection.execute(KEEP, {"number": number, "digest": _digest([key, value, *headers])})
    op.execute(KEY)


def _digest(parts: list[bytes | None]) -> str:
    hashed = sha256()
    for part in parts:
        hashed.update(b"-1:" if part is None else b"%d:" % len(part) + bytes(part))
    return hashed.hexdigest()
