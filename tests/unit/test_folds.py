"""The folds: any interleaving of the streams, with any copies, gives the same rows, and damage is never folded."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.backend_facts import (
    AccessLapsed,
    AccessSet,
    ContactRefused,
    ContainerActivated,
    ContainerContacted,
    ContainerRegistered,
    ContainerReinstated,
    LeaseOverdue,
    LicenceRenewed,
    LicenceSuperseded,
    MeasureConfirmed,
    MeasureDelivered,
    MeasureLifted,
    MeasureOrdered,
    MeasureUnconfirmable,
    RecoveryFreed,
    SessionsEnded,
)
from events.case_facts import LossReported
from events.catalogue import CATALOGUE
from events.envelope import Head, Sealed, case_stream, container_stream, record_key
from events.fact import Fact
from events.log_errors import Damage, LogDamagedError
from events.log_records import LogRecord, Position
from events.sizes import READING
from events.terms import CaseId, Kind, Measure, Serial, VendorId
from projections.batch_rows import Rows
from projections.chain import REMEMBERED
from projections.folds import fold_all, fold_fact, needs, read, read_all
from projections.tables import CASES, CONTAINERS, FOLDED, STREAMS, Key, Table
from tests.stories import STORIES, whole
from tests.unit.facts import report
from tests.view_oracle import Tables, expected, in_order
from tests.worlds import CODEC, NOW, STEPS, World, as_log, interleaved
from workflows.case import CaseState

ACME, ZETA = VendorId("acme"), VendorId("zeta")
SERIAL = Serial("3-1")


def folded(log: Iterable[LogRecord], rows: Rows | None = None) -> Tables:
    rows = rows or Rows()
    for record in log:
        fold_fact(rows, record.position, read(CODEC, record))
    rows.finish()
    return plain({table: rows.fresh[table].values() for table in FOLDED})


def plain(rows: Mapping[Table[Any], Iterable[tuple[Any, ...]]]) -> Tables:
    return {table.name: in_order(_plain(table.types, row) for row in rows[table]) for table in FOLDED}


def _plain(types: Sequence[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        json.loads(value) if type_ == "jsonb" else (value if value is None or type_ != "text" else str(value))
        for type_, value in zip(types, row, strict=True)
    )


losses = st.lists(
    st.tuples(st.sampled_from([ACME, ZETA]), st.integers(1, STEPS), st.booleans(), st.booleans()),
    min_size=1,
    max_size=4,
)


@st.composite
def logs(draw: st.DrawFn) -> tuple[World, list[Sealed]]:
    """A world, and its records as they may stand in the log: streams interleaved, copies anywhere after the first."""
    world = World()
    for vendor in (ACME, ZETA):
        world.add_vendor(vendor)
    for number, (vendor, steps, waits, again) in enumerate(draw(losses)):
        world.lose(vendor, number, steps, waits, again)
        for tell in draw(st.sets(st.sampled_from(STORIES))):
            tell(world, vendor, number, steps)
    streams = list(world.streams.values())
    count = sum(map(len, streams))
    records = interleaved(streams, draw(st.lists(st.integers(0, 20), min_size=count, max_size=count)))
    for original, later in draw(st.lists(st.tuples(st.integers(0, count), st.integers(0, count)), max_size=6)):
        at = original % len(records)
        records.insert(at + 1 + later % (len(records) - at), records[at])
    return world, records


@given(logs())
def test_every_interleaving_with_any_copies_gives_the_rows_that_the_facts_say(
    drawn: tuple[World, list[Sealed]],
) -> None:
    world, records = drawn
    in_stream_order = [record for stream in world.streams.values() for record in stream]

    assert folded(as_log(records, 3)) == folded(as_log(in_stream_order, 3)) == expected(as_log(records, 3))


def test_fact_by_fact_the_rows_are_what_the_facts_say_with_none_at_hand_but_those_needed() -> None:
    """As the store does it when every fact is a batch: only what it lacks is new, only what it has is changed."""
    log = as_log([record for stream in whole(ACME).streams.values() for record in stream], 3)
    stored: dict[Table[Any], dict[Key, Any]] = {table: {} for table in FOLDED}
    for count, record in enumerate(log, start=1):
        fact, rows = read(CODEC, record), Rows()
        for table, key in ((STREAMS, (fact.vendor, fact.stream)), *needs(fact)):
            rows.loaded[table] |= {key: row} if (row := stored[table].get(key)) else {}
        fold_fact(rows, record.position, fact)
        rows.finish()
        for table in FOLDED:
            assert not rows.fresh[table].keys() & stored[table].keys()
            stored[table] |= rows.fresh[table] | rows.changed[table]
        assert plain({table: stored[table].values() for table in FOLDED}) == expected(log[:count])


@given(logs(), st.data())
def test_a_fact_that_is_missing_before_another_stops_the_fold(
    drawn: tuple[World, list[Sealed]], data: st.DataObject
) -> None:
    world, _ = drawn
    stream = data.draw(st.sampled_from([stream for stream in world.streams.values() if len(stream) > 1]))
    gone = data.draw(st.integers(0, len(stream) - 2))

    with pytest.raises(LogDamagedError) as caught:
        folded(as_log([*stream[:gone], *stream[gone + 1 :]], 3))

    assert caught.value.code is Damage.SEQUENCE_JUMPS
    assert caught.value.position.offset == gone


@given(logs(), st.data())
def test_a_copy_that_says_something_else_stops_the_fold(drawn: tuple[World, list[Sealed]], data: st.DataObject) -> None:
    records = drawn[1]
    changed = data.draw(st.sampled_from(records))
    other = replace(changed, value=changed.value.replace(b"2026-", b"2027-"))

    with pytest.raises(LogDamagedError) as caught:
        folded(as_log([*records, other], 3))

    assert caught.value.code is Damage.COPY_DIFFERS


def test_the_worlds_of_these_tests_hold_every_fact_of_the_catalogue() -> None:
    streams = whole(ACME).streams.values()

    assert {CODEC.unseal(record.value).fact.type() for stream in streams for record in stream} == set(CATALOGUE)


def sealed(head: Head, fact: Fact, stream: str = container_stream(SERIAL), key: bytes = b"acme/3-1") -> Sealed:
    return CODEC.seal(ACME, stream, key, head, NOW, fact)


def registered(**changes: Any) -> ContainerRegistered:
    return ContainerRegistered(**{"serial": SERIAL, "kind": Kind.DONGLE, "holder": "h-1", **changes})


def damage(*records: Sealed) -> LogDamagedError:
    with pytest.raises(LogDamagedError) as caught:
        folded(as_log(records, 1))
    return caught.value


def test_a_fact_that_does_not_carry_the_hash_of_the_one_before_stops_the_fold() -> None:
    first = sealed(Head(), registered())

    error = damage(first, sealed(Head(1, "ab" * 32), registered()))

    assert (error.code, error.stream, error.position) == (Damage.CHAIN_BROKEN, "acme/container/3-1", Position(0, 1))


def test_a_stream_that_begins_with_a_hash_stops_the_fold() -> None:
    assert damage(sealed(Head(0, "ab" * 32), registered())).code is Damage.CHAIN_BROKEN


def test_a_record_that_cannot_be_read_stops_the_fold() -> None:
    error = damage(Sealed(b"acme/3-1", b"rubbish", Head()))

    assert (error.code, error.position, error.stream) == (Damage.UNREADABLE, Position(0, 0), "")
    assert "damaged at partition 0, offset 0: it cannot be read (" in str(error)


@pytest.mark.parametrize(
    ("key", "stream", "fact"),
    [
        (b"zeta/3-1", container_stream(SERIAL), registered()),
        (b"acme/3-2", container_stream(SERIAL), registered()),
        (b"acme/3-1", container_stream(SERIAL), registered(serial="3-2")),
        (b"acme/3-1", "vendor", registered()),
        (b"zeta/3-1", case_stream(CaseId("c")), report()),
        (b"acme/3-1", "container/c", report()),
    ],
)
def test_a_fact_outside_its_own_stream_or_key_stops_the_fold(key: bytes, stream: str, fact: Fact) -> None:
    assert damage(sealed(Head(), fact, stream, key)).code is Damage.WRONG_KEY


OF_ORDERED = {"case": "c", "measure": Measure.WITHDRAWAL, "subject": "container/3-1/1", "serial": SERIAL}
OF_ISSUED = {"licence": "L-1", "generation": 1, "serial": SERIAL}


@pytest.mark.parametrize(
    "fact",
    [
        LicenceSuperseded(**OF_ISSUED, case="c"),
        LicenceRenewed(**OF_ISSUED, issued=NOW, expires=None, file="a file"),
        LeaseOverdue(**OF_ISSUED, due=NOW, expires=NOW),
        MeasureDelivered(**OF_ORDERED),
        MeasureConfirmed(**OF_ORDERED, by="contact/C-1"),
        MeasureUnconfirmable(**OF_ORDERED),
        MeasureLifted(**OF_ORDERED),
        ContainerContacted(contact="C-1", serial=SERIAL, occurred=NOW),
        ContactRefused(contact="C-1", serial=SERIAL, occurred=NOW, cases=()),
        ContainerActivated(serial=SERIAL, generation=2, fingerprint={"board": "b"}, case="c"),
        ContainerReinstated(serial=SERIAL, generation=2, case="c"),
        SessionsEnded(serial=SERIAL, case="c", sessions=1),
        AccessSet(serial=SERIAL, generation=1),
        AccessLapsed(serial=SERIAL, generation=1, case="c"),
        RecoveryFreed(case="c", serial=SERIAL),
    ],
    ids=lambda fact: fact.name,
)
def test_a_fact_of_something_that_was_never_stated_stops_the_fold(fact: Fact) -> None:
    error = damage(sealed(Head(), fact))

    assert error.code is Damage.UNEXPECTED_FACT
    assert (error.stream, error.position) == ("acme/container/3-1", Position(0, 0))
    assert f"fact 1 cannot follow what came before it ({fact.name} of something that was never stated)" in str(error)


@pytest.mark.parametrize("late", [MeasureLifted(**OF_ORDERED), MeasureOrdered(**OF_ORDERED, effective=NOW)])
def test_a_step_that_the_life_of_a_measure_does_not_know_stops_the_fold(late: Fact) -> None:
    first = sealed(Head(), MeasureOrdered(**OF_ORDERED, effective=NOW))
    second = sealed(first.head, MeasureConfirmed(**OF_ORDERED, by="contact/C-1"))

    error = damage(first, second, sealed(second.head, late))

    assert error.code is Damage.UNEXPECTED_FACT
    state = late.name.removeprefix("measure.")
    assert f"fact 3 cannot follow what came before it (a measure that is confirmed cannot become {state})" in str(error)


def test_a_case_fact_that_the_transitions_do_not_know_stops_the_fold() -> None:
    world = World()
    world.lose(ACME, 1)
    stream = world.streams[ACME, "case/c-1"]

    late = sealed(stream[-1].head, report(report="R-9"), "case/c-1", stream[-1].key)

    assert damage(*stream, late).code is Damage.UNEXPECTED_FACT


def test_a_report_that_a_case_only_learns_of_is_of_the_case_that_has_it() -> None:
    first = sealed(Head(), report(report="R-1", beside="c-0"), "case/c-1")
    learnt = sealed(first.head, report(report="R-2", beside="c-0"), "case/c-1")
    joined = sealed(learnt.head, report(report="R-3"), "case/c-1")

    rows = folded(as_log([first, learnt, joined], 1))

    assert [row[1] for row in rows["case_reports"]] == ["R-1", "R-3"]


def test_a_stream_that_goes_on_in_another_partition_stops_the_fold() -> None:
    first = sealed(Head(), registered())
    second = sealed(first.head, registered())
    log = [LogRecord(Position(p, 0), record.key, record.value) for p, record in enumerate((first, second))]

    with pytest.raises(LogDamagedError) as caught:
        folded(log)

    assert (caught.value.code, caught.value.position) == (Damage.STREAM_MOVED, Position(1, 0))
    assert "the stream stood in partition 0 so far; were partitions added to the topic" in str(caught.value)


FIRST = sealed(Head(), registered())
AT, NEXT = Position(0, 0), Position(0, 1)


@pytest.mark.parametrize(
    ("records", "position", "stream", "sentence"),
    [
        ([sealed(Head(), registered(), key=b"acme/3-2")], AT, "acme/container/3-1", "its key is b'acme/3-2'"),
        (
            [FIRST, sealed(Head(2, FIRST.head.hash), registered())],
            NEXT,
            "acme/container/3-1",
            "fact 3 follows fact 1",
        ),
        (
            [FIRST, sealed(Head(1, "ab" * 32), registered())],
            NEXT,
            "acme/container/3-1",
            "fact 2 does not carry the hash of the fact before it",
        ),
        (
            [FIRST, sealed(Head(), registered(holder="h-2"))],
            NEXT,
            "acme/container/3-1",
            "fact 1 was folded before with other bytes",
        ),
    ],
)
def test_the_sentence_says_where_what_and_what_to_do(
    records: list[Sealed], position: Position, stream: str, sentence: str
) -> None:
    error = damage(*records)

    assert (error.position, error.stream) == (position, stream)
    assert str(error) == (
        f"The log is damaged at partition 0, offset {position.offset}, stream {stream}: {sentence}."
        " Nothing from there on is folded. See where it comes from; when it is none of ours, type `lostfound log"
        f" set-aside 0 {position.offset} --why TEXT --by NAME`."
    )


def test_a_copy_older_than_what_is_remembered_is_skipped_unseen() -> None:
    records = [sealed(Head(), registered())]
    for _ in range(REMEMBERED + 3):
        records.append(sealed(records[-1].head, registered()))
    old = replace(records[0], value=records[0].value.replace(b"2026-", b"2027-"))

    assert folded(as_log([*records, old], 1)) == folded(as_log(records, 1))


def test_what_the_store_knows_is_changed_and_what_it_does_not_know_is_new() -> None:
    first = sealed(Head(), registered())
    rows = Rows()
    folded(as_log([first], 1), rows)
    later = Rows()
    later.loaded[STREAMS] = dict(rows.fresh[STREAMS])

    folded(as_log([first, sealed(first.head, registered(holder="h-2"))], 1), later)

    assert not later.fresh[CONTAINERS]
    assert [row.holder for row in later.changed[CONTAINERS].values()] == ["h-2"]


def test_every_key_starts_with_the_vendor() -> None:
    assert all(table.columns[0] == "vendor" and table.keys >= 1 for table in FOLDED)
    assert record_key(ACME, SERIAL) == b"acme/3-1"


def test_a_case_whose_report_is_from_before_there_were_bounds_folds_on_in_the_next_batch() -> None:
    loss = {"report": "R-1", "serial": "3-1", "kind": "dongle", "reason": "lost", "scope": "licences"}
    more = {"reporter": {"role": "back_office", "name": "crm"}, "door": "a test", "occurred": NOW, "received": NOW}
    bounded = LossReported.model_validate({**loss, **more, "licences": ("L-0",)})
    report = bounded.model_copy(update={"licences": tuple(f"L-{number}" for number in range(201))})
    key = record_key(ACME, "3-1")
    first = CODEC.seal(ACME, "case/c-1", key, Head(), NOW, report)
    second = CODEC.seal(ACME, "case/c-1", key, first.head, NOW, bounded.model_copy(update={"report": "R-2"}))

    rows = Rows()
    fold_all(rows, read_all(CODEC, [LogRecord(Position(0, 0), key, first.value)], {}), {})
    rows.finish()
    later = Rows()
    later.loaded[STREAMS], later.loaded[CASES] = rows.fresh[STREAMS], rows.fresh[CASES]
    fold_all(later, read_all(CODEC, [LogRecord(Position(0, 1), key, second.value)], {}), {})
    later.finish()

    (case,) = later.changed[CASES].values()
    assert len(CaseState.model_validate_json(case.state, context=READING).report.licences) == 201
