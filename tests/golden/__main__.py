"""`python -m tests.golden` writes what is missing of golden records and schemas, and changes nothing that is there."""

from events.catalogue import CATALOGUE
from events.envelope import Sealed
from events.terms import VendorId
from tests.golden import MANIFEST, as_file, files, manifest, record_file, schema, schema_file
from tests.stories import whole
from tests.worlds import CODEC


def shortest(type_: str, streams: list[list[Sealed]]) -> list[Sealed]:
    """The shortest beginning of a stream that ends with a fact of this type."""
    found = [
        stream[: number + 1]
        for stream in streams
        for number, record in enumerate(stream)
        if CODEC.unseal(record.value).fact.type() == type_
    ]
    assert found, f"tests/stories.py tells nothing of {type_}"
    return min(found, key=lambda records: len(as_file(records)))


def main() -> None:
    """Write, and tell what was written."""
    streams = list(whole(VendorId("acme")).streams.values())
    for type_, fact in CATALOGUE.items():
        for path, made in (
            (record_file(type_), lambda type_=type_: as_file(shortest(type_, streams))),
            (schema_file(type_), lambda fact=fact: schema(fact).encode()),
        ):
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(made())
                print(f"written: {path}")
    MANIFEST.write_text(manifest(files()))


if __name__ == "__main__":
    main()
