"""Golden records: of each version of each fact one that a release wrote, and the schema of its data. Never edited.

`records/TYPE.jsonl` has the records of a stream up to the golden one, which is the last: of each the key, a tab and the
value. `schemas/TYPE.json` is the JSON schema of the data, without words. `MANIFEST` has the SHA-256 of every file.
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from events.envelope import Sealed
from events.fact import Fact
from events.log_records import LogRecord, Position

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "MANIFEST"


def record_file(type_: str) -> Path:
    """Where the golden record of a type is."""
    return FOLDER / "records" / f"{type_}.jsonl"


def schema_file(type_: str) -> Path:
    """Where the schema of a type is."""
    return FOLDER / "schemas" / f"{type_}.json"


def golden(type_: str) -> list[LogRecord]:
    """The golden record of a type, after those before it in its stream, as a log of one partition."""
    lines = record_file(type_).read_bytes().splitlines()
    return [LogRecord(Position(0, offset), *line.split(b"\t", 1)) for offset, line in enumerate(lines)]


def schema(fact: type[Fact]) -> str:
    """The schema of a fact's data, in the order of its fields, without the words in it."""
    return json.dumps(_wordless(fact.model_json_schema()), indent=1) + "\n"


def files() -> Iterator[Path]:
    """All golden files."""
    yield from sorted(FOLDER.glob("*/*.json*"))


def manifest(paths: Iterable[Path]) -> str:
    """The lines of the manifest for these files."""
    return "".join(f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(FOLDER)}\n" for path in paths)


def as_file(records: list[Sealed]) -> bytes:
    """Records as they are kept."""
    return b"".join(record.key + b"\t" + record.value + b"\n" for record in records)


def _wordless(found: Any, names: bool = False) -> Any:
    """A part of a schema; `names`: its keys are names and not the schema's own words."""
    match found:
        case dict():
            kept = found.items() if names else ((k, v) for k, v in found.items() if k not in ("title", "description"))
            return {key: _wordless(value, not names and key in ("properties", "$defs")) for key, value in kept}
        case list():
            return [_wordless(item) for item in found]
        case _:
            return found
