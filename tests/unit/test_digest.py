"""The digest of facts: a canonical form of our own, and differences named by fact and field."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from events.case_facts import (
    BackendFacts,
    CaseClosed,
    CaseDecided,
    CaseRejected,
    LicenceInScope,
    ReplacingBegun,
    ScopeKnown,
    TargetAwaited,
    WatchBegun,
)
from events.digest import Dated, Difference, as_in, canonical, difference, digest, value_difference, value_digest
from events.fact import Fact
from events.terms import Decision, Kind, Outcome
from workflows.divergence import DivergenceError, must_agree, must_be_as_carried

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LICENCE = LicenceInScope(licence="L-1", generation=1, product="cad", ticket="T-1", value_cents=0)
KNOWN = BackendFacts(serial="3-1", kind=Kind.DONGLE, holder="h-1", last_contact=None, licences=())
DECIDED = CaseDecided(decision=Decision.AUTOMATIC, reasons=("at once",), policy_version=1, facts=KNOWN)
FACTS: list[Dated] = [(DECIDED, AT), (ReplacingBegun(), AT), (WatchBegun(target="3-2", until=AT), AT)]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('€$\u000f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),  # the example of RFC 8785
        (
            {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7},  # its order of names
            '{"\\r":2,"1":4,"\x80":6,"\xf6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}',
        ),
        ([None, True, False, 2**63], "[null,true,false,9223372036854775808]"),
        (Kind.ACT, '"act"'),
        (AT, '"2026-03-01T12:00:00.000000Z"'),
        (AT.astimezone(timezone(timedelta(hours=14))), '"2026-03-01T12:00:00.000000Z"'),
        (LICENCE, '{"generation":1,"licence":"L-1","product":"cad","ticket":"T-1","value_cents":0}'),
    ],
    ids=["text", "names", "plain", "word", "instant", "other zone", "model"],
)
def test_the_canonical_form_is_that_of_rfc_8785(value: Any, written: str) -> None:
    assert canonical(value) == written


def test_what_no_fact_holds_has_no_canonical_form() -> None:
    with pytest.raises(TypeError, match="float"):
        canonical(0.5)


def test_a_digest_is_the_sha_256_of_number_type_time_and_what_the_facts_say() -> None:
    written = (
        '[[7,"lostfound.replacing.begun.v1","2026-03-01T12:00:00.000000Z",{}],'
        '[8,"lostfound.case.closed.v1","2026-03-01T12:00:00.000000Z",{"outcome":"found"}]]'
    )

    made = digest(7, [(ReplacingBegun(), AT), (CaseClosed(outcome=Outcome.FOUND), AT)])

    assert made.sha256 == hashlib.sha256(written.encode()).hexdigest()


def test_a_fact_that_gained_a_field_has_the_digest_that_it_had() -> None:
    class Older(Fact):
        name = "watch.begun"
        target: str

    class Newer(Older):
        note: str | None = None
        parts: int = 1

    appended = digest(1, [(Older(target="3-2"), AT)])

    assert difference(appended, 1, [(Newer(target="3-2"), AT)]) is None
    assert difference(appended, 1, [(Newer(target="3-2", note="new"), AT)]) == (
        1,
        "lostfound.watch.begun.v1",
        ("note",),
    )


def test_a_fact_is_compared_in_the_version_in_which_it_was_appended() -> None:
    class First(Fact):
        name = "watch.begun"
        days: int

    class Second(Fact):
        name = "watch.begun"
        version = 2
        hours: int

        def in_version(self, version: int) -> Fact:
            return First(days=self.hours // 24) if version == 1 else self

    appended = digest(1, [(First(days=2), AT)])

    assert difference(appended, 1, [(Second(hours=48), AT)]) is None
    assert difference(appended, 1, [(Second(hours=72), AT)]) == (1, "lostfound.watch.begun.v1", ("days",))
    assert difference(digest(1, [(Second(hours=48), AT)]), 1, [(Second(hours=48), AT)]) is None


def test_what_was_appended_before_people_had_longer_names_is_compared_as_it_was() -> None:
    rejected = CaseRejected(decision="D-1", by="ann", why="no")
    older = rejected.in_version(1)

    assert (older.type(), older.model_dump()) == ("lostfound.case.rejected.v1", rejected.model_dump())
    assert difference(digest(1, [(older, AT)]), 1, [(rejected, AT)]) is None
    other = rejected.model_copy(update={"by": "corp:auth0|5f"})
    assert difference(digest(1, [(older, AT)]), 1, [(other, AT)]) == (1, "lostfound.case.rejected.v1", ("by",))
    assert rejected.in_version(2) is rejected


def test_only_a_version_of_the_same_type_is_one_of_a_fact_whatever_its_name() -> None:
    class First(Fact):
        name = "case.verified"

    class Second(Fact):
        name = "case.verified"
        version = 2

        def in_version(self, version: int) -> Fact:
            return First() if version == 1 else self

    assert as_in(Second(), "lostfound.case.verified.v1") == First()
    assert as_in(Second(), "lostfound.watch.begun.v1") == as_in(Second(), "lostfound.case.verified.vx") == Second()


def test_a_version_that_nobody_can_make_any_more_is_another_type() -> None:
    class Second(Fact):
        name = "watch.begun"
        version = 2

    appended = digest(3, [(WatchBegun(target="3-2", until=AT), AT)])

    assert difference(appended, 3, [(Second(), AT)]) == (3, "lostfound.watch.begun.v1", ("type",))


@pytest.mark.parametrize(
    ("believed", "found"),
    [
        (FACTS, None),
        ([*FACTS[:2], (WatchBegun(target="3-2", until=AT + timedelta(days=1)), AT)], (6, "watch.begun", ("until",))),
        (
            [
                (FACTS[0][0], AT + timedelta(seconds=1)),
                FACTS[1],
                (WatchBegun(target="3-2", until=AT + timedelta(days=1)), AT),
            ],
            (6, "watch.begun", ("until",)),
        ),
        ([*FACTS[:2], (WatchBegun(target=None, until=AT), AT)], (6, "watch.begun", ("target",))),
        ([*FACTS[:2], (FACTS[2][0], AT + timedelta(seconds=1))], None),
        ([*FACTS[:2], (TargetAwaited(tickets=()), AT)], (6, "watch.begun", ("type",))),
        ([(DECIDED.model_copy(update={"ordinal": 1}), AT), *FACTS[1:]], (4, "case.decided", ("ordinal",))),
        (
            [(DECIDED.model_copy(update={"facts": KNOWN.model_copy(update={"flagged": True})}), AT), *FACTS[1:]],
            (4, "case.decided", ("facts.flagged",)),
        ),
        (FACTS[:2], (6, "watch.begun", ("sequence",))),
        ([], (4, "case.decided", ("sequence",))),
        ([*FACTS, (ReplacingBegun(), AT)], (7, "replacing.begun", ("sequence",))),
        ([*FACTS, (ReplacingBegun(), AT), *FACTS], (7, "replacing.begun", ("sequence",))),
        ([(FACTS[0][0], AT + timedelta(seconds=1)), *FACTS[1:]], None),
        (
            [(DECIDED.model_copy(update={"decision": Decision.REFUSED}), AT), *FACTS[1:]],
            (4, "case.decided", ("decision",)),
        ),
    ],
    ids=[
        "none",
        "instant",
        "other time and instant",
        "none given",
        "time",
        "type",
        "one more field",
        "field of a field",
        "fewer",
        "no facts",
        "more",
        "many more",
        "time of the first",
        "field before one with fields",
    ],
)
def test_a_difference_names_fact_and_field(
    believed: list[Dated], found: tuple[int, str, tuple[str, ...]] | None
) -> None:
    versions = {CaseDecided.name: CaseDecided.version}
    expected = found and Difference(found[0], f"lostfound.{found[1]}.v{versions.get(found[1], 1)}", found[2])

    assert difference(digest(4, FACTS), 4, believed) == expected


def test_a_difference_that_no_mark_shows_is_one_all_the_same() -> None:
    appended = digest(4, FACTS).model_copy(update={"sha256": "0" * 64})

    assert difference(appended, 4, FACTS) == (4, "lostfound.case.decided.v2", ("(unmarked)",))


def test_a_list_of_licences_is_compared_whole() -> None:
    def known(*licences: LicenceInScope) -> list[Dated]:
        return [(ScopeKnown(part=1, parts=1, licences=licences), AT)]

    other = LICENCE.model_copy(update={"generation": 2})

    assert difference(digest(1, known(LICENCE)), 1, known(other)) == (1, "lostfound.scope.known.v1", ("licences",))


def test_a_case_that_believes_something_else_fails_and_says_where() -> None:
    appended = digest(4, FACTS)

    must_agree("c-1", 4, FACTS, appended)
    must_agree("c-1", 4, FACTS[:2], None)  # of an older release, which made no digests
    with pytest.raises(
        DivergenceError, match=r"case c-1 .* fact 6 \(lostfound\.watch\.begun\.v1\) differs in sequence"
    ):
        must_agree("c-1", 4, FACTS[:2], appended)
    other = DECIDED.model_copy(update={"reasons": (), "policy_version": 2})
    with pytest.raises(DivergenceError, match=r"fact 4 .* differs in policy_version, reasons; no rule may change"):
        must_agree("c-1", 4, [(other, AT), *FACTS[1:]], appended)


def test_a_state_that_is_not_read_as_it_was_carried_fails_and_says_where() -> None:
    carried = value_digest(KNOWN)
    read = KNOWN.model_copy(update={"holder": "h-2"})

    must_be_as_carried("c-1", 9, KNOWN, carried)
    must_be_as_carried("c-1", 9, read, None)
    assert value_difference(carried, read) == ("holder",)
    assert carried.facts[0][0] == "BackendFacts"
    with pytest.raises(DivergenceError, match=r"case c-1 .* after fact 9 differs in holder"):
        must_be_as_carried("c-1", 9, read, carried)
    other = read.model_copy(update={"serial": "3-2"})
    with pytest.raises(DivergenceError, match=r"differs in holder, serial; no rule may change"):
        must_be_as_carried("c-1", 9, other, carried)
