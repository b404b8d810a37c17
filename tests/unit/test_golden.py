"""Golden records: what any release wrote is read and folded by this one, and no fact changes without a new version."""

import json

import pytest

from audit.invariants import check
from events.backend_facts import ContainerRegistered
from events.catalogue import CATALOGUE, FACTS
from events.codec import FactCodec
from events.envelope import Head
from events.fact import FIRST_RELEASE, RELEASE, Fact, type_of
from events.log_records import LogRecord
from events.upcasters import UPCASTERS
from projections.batch_rows import Rows
from projections.folds import fold_all, read_all
from projections.tables import CONTAINERS, FOLDED, STREAMS
from tests.golden import MANIFEST, files, golden, manifest, record_file, schema, schema_file
from tests.later import LATER
from tests.unit.test_folds import plain
from tests.view_oracle import Tables, expected
from tests.worlds import CODEC

TYPES = sorted({*CATALOGUE, *UPCASTERS})
"""Every fact in each of its versions."""
FACTS_OF_FIRST_RELEASE = 61


def folded(codec: FactCodec, log: list[LogRecord]) -> Rows:
    rows = Rows()
    fold_all(rows, read_all(codec, log, {}), {})
    rows.finish()
    return rows


def tables(rows: Rows) -> Tables:
    return plain({table: rows.fresh[table].values() for table in FOLDED})


def number(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def test_golden_files_are_never_edited() -> None:
    assert MANIFEST.read_text() == manifest(files()), "put the files back as they were"


def test_there_are_a_golden_record_and_a_schema_of_each_version_of_each_fact_and_no_others() -> None:
    wanted = {path(type_) for type_ in TYPES for path in (record_file, schema_file)}

    assert set(files()) == wanted, "write what is missing by `python -m tests.golden`"


@pytest.mark.parametrize("type_", TYPES)
def test_a_golden_record_is_read_as_the_newest_version_and_folded(type_: str) -> None:
    log = golden(type_)

    *_, last = (CODEC.unseal(record.value) for record in log)
    rows = folded(CODEC, log)

    assert json.loads(log[-1].value)["type"] == type_
    assert last.fact.name == type_.removeprefix("lostfound.").rpartition(".")[0]
    assert last.fact.type() in CATALOGUE
    assert rows.fresh[STREAMS][last.vendor, last.stream].sequence == last.sequence == len(log)


@pytest.mark.parametrize("type_", sorted(CATALOGUE))
def test_the_newest_version_is_written_as_its_golden_record_is(type_: str) -> None:
    record = golden(type_)[-1]
    read = CODEC.unseal(record.value)

    head = Head(read.sequence - 1, read.previous_hash.hex())
    assert CODEC.seal(read.vendor, read.stream, record.key, head, read.recorded, read.fact).value == record.value


def newest(type_: str) -> bool:
    """Whether the golden record of a type, and all before it in its stream, are in the newest versions."""
    return all(json.loads(record.value)["type"] not in UPCASTERS for record in golden(type_))


@pytest.mark.parametrize("type_", list(filter(newest, TYPES)))
def test_golden_records_of_the_newest_versions_give_the_rows_that_a_second_opinion_says(type_: str) -> None:
    log = golden(type_)

    assert tables(folded(CODEC, log)) == expected(log)


@pytest.mark.parametrize("type_", TYPES)
def test_the_audit_reads_a_golden_record_and_finds_its_stream_whole(type_: str) -> None:
    breaches = check(CODEC.unseal(record.value) for record in golden(type_))

    assert [b for b in breaches if b.invariant == 8 and not b.sentence.endswith("which is missing")] == []


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_fact_whose_schema_changes_has_a_new_version(fact: type[Fact]) -> None:
    kept = schema_file(fact.type()).read_text()

    assert schema(fact) == kept, f"give {fact.name} version {fact.version + 1}: docs/changing-a-fact.md says how"


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_each_version_says_in_which_release_it_began_and_that_is_no_later_one(fact: type[Fact]) -> None:
    older = [UPCASTERS[type_of(fact.name, version)].since for version in range(1, fact.version)]
    releases = [*map(number, older), number(fact.since)]

    assert releases == sorted(set(releases))
    assert number(FIRST_RELEASE) <= releases[0]
    assert releases[-1] <= number(RELEASE)


def test_no_fact_is_of_the_first_release_that_was_not_in_it() -> None:
    began = [UPCASTERS[type_of(fact.name, 1)].since if fact.version > 1 else fact.since for fact in FACTS]

    assert began.count(FIRST_RELEASE) == FACTS_OF_FIRST_RELEASE, "say in `since` which release brings a new fact"


def test_a_later_release_folds_the_golden_records_of_this_one() -> None:
    log = golden(ContainerRegistered.type())

    assert folded(LATER, log).fresh[CONTAINERS] == folded(CODEC, log).fresh[CONTAINERS]


def test_the_audit_names_a_decision_of_a_vendor_whose_policies_are_all_missing() -> None:
    breaches = check(CODEC.unseal(record.value) for record in golden("lostfound.case.ruled.v1"))

    assert any(b.invariant == 5 and "whom the policy then in force does not list" in b.sentence for b in breaches)
    assert any(b.invariant == 8 and "policy version 1, which is missing" in b.sentence for b in breaches)
