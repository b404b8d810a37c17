"""What is answered for a case that is over, and which further cases are opened for what it frees."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid5

import pytest

from activities.licensing.claim_changes import (
    CaseOpened,
    ClaimsMade,
    Known,
    Made,
    ReportMoved,
    ResetEnded,
    Said,
    Stated,
    answer_all,
    frees,
)
from activities.licensing.claim_rules import Claimed
from activities.licensing.containers import Container
from activities.licensing.message_rules import Left, Speaker, addressed
from events.case_facts import LossReported
from events.envelope import NAMESPACE
from events.errors import Code
from events.ports.licensing_backend import CloseOrder
from events.ports.loss_cases import Evidence, Joined, Overtaken, Settled, Sighting
from events.principal import PrincipalRole
from events.terms import Action, CaseId, CaseKey, Cause, Kind, LicenceId, Outcome, Reason, Recovery, Scope, Serial
from tests.unit.facts import NOW, report
from tests.unit.journey import decision

OVER, B, C = CaseId("over"), CaseId("b"), CaseId("c")
DECIDED, CLOSED = NOW, NOW + timedelta(hours=1)
LATER = NOW + timedelta(minutes=1)
ANN = Speaker("ann", PrincipalRole.SUPERVISOR, "a page")
CRM = Speaker("crm", PrincipalRole.BACK_OFFICE, "an inbox")
SIGHTED = Sighting(statement="found/F-1", cause=Cause.SIGHTING, occurred=NOW)
BLOCKED, WHOLE = ("blacklisting/container/S", 1), ("container/S", 1)
ONE, TWO = ("licence/L-1", 1), ("licence/L-2", 1)
BLOCKED_ONE = ("blacklisting/licence/L-1", 1)


def key(case: CaseId) -> CaseKey:
    return CaseKey(vendor="acme", case=case, serial="S")


ORDER = CloseOrder(key=key(OVER), recovered=False, lift=True, decided=DECIDED, outcome=Outcome.REJECTED)


def loss(number: str, *licences: str, received: int = 1, **more: object) -> LossReported:
    """A report that was received so many minutes after the decision."""
    scope = Scope.LICENCES if licences else Scope.CONTAINER
    at = DECIDED + timedelta(minutes=received)
    return report(report=number, serial="S", scope=scope, licences=licences, received=at, **more)


def known(*claimed: Claimed) -> Known:
    container = Container(Serial("S"), Kind.DONGLE, "h-1", 2, None, 1, None, 0)  # type: ignore[arg-type]
    here = {LicenceId("L-1"): 1, LicenceId("L-2"): 1}
    return Known("acme", container, here, {}, None, claimed, {}, {})  # type: ignore[arg-type]


def freed(*things: tuple[str, int], outcome: Outcome = Outcome.REJECTED) -> list[Claimed]:
    """What the case that is over freed."""
    return [Claimed(*one, OVER, NOW, Recovery.REISSUE, True, True, outcome) for one in things]


def claims(case: CaseId, *things: tuple[str, int], **more: object) -> list[Claimed]:
    return [Claimed(*one, case, NOW, **more) for one in things]  # type: ignore[arg-type]


def left(content: object, speaker: Speaker | None = CRM) -> Left:
    return Left(content, speaker, LATER)  # type: ignore[arg-type]


def made(stated: LossReported, case: CaseId, opened: bool = True, closed: bool = False) -> Made:
    return Made(stated, case, opened, closed, ANN)


def further(number: str, of: str = "report") -> CaseKey:
    """The case that is opened by a report of the back office."""
    return key(CaseId(str(uuid5(NAMESPACE, f"acme/{of}/back_office/crm/{number}"))))


def opened(
    stated: LossReported, case: CaseKey, *things: tuple[str, int], by: Speaker = CRM, **told: object
) -> list[object]:
    """How a case is opened by a report that says this more to it."""
    first = Joined(report=stated.model_copy(update=told))
    return [
        CaseOpened(case, known().container, stated),
        ClaimsMade(case, stated, things),
        Said(case, first, stated.received, by),
    ]


def stated(content: object, by: Speaker = CRM, code: Code | None = None) -> Stated:
    return Stated(key(OVER), addressed(key(OVER), content, by, CLOSED, code), CLOSED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recovered", "outcome", "lift", "kept"),
    [
        (False, Outcome.REJECTED, False, []),
        (False, Outcome.FOUND, False, []),
        (True, Outcome.FOUND, False, [ONE]),
        (True, Outcome.GIVEN_UP, True, [WHOLE, ONE]),
        (True, Outcome.LOST_FOR_EVER, False, [BLOCKED, WHOLE, ONE, BLOCKED_ONE]),
    ],
)
def test_a_case_that_is_over_keeps_what_it_recovered_and_the_blocking_that_stands(
    recovered: bool, outcome: Outcome, lift: bool, kept: list[tuple[str, int]]
) -> None:
    order = CloseOrder(key=key(OVER), recovered=recovered, lift=lift, outcome=outcome)

    assert [one for one in (BLOCKED, WHOLE, ONE, BLOCKED_ONE) if not frees(order, one[0])] == kept


def test_what_was_said_to_a_case_that_is_over_is_stated_in_order_and_a_decision_is_denied() -> None:
    order = decision(Action.APPROVE).order
    told = Joined(report=loss("R-9", beside=B))
    all_ = [left(SIGHTED, None), left(told), left(Settled(), None), left(SIGHTED), left(order, ANN)]

    assert answer_all(known(), ORDER, all_, CLOSED) == [stated(SIGHTED), stated(order, ANN, Code.NOTHING_TO_DECIDE)]


@pytest.mark.parametrize("decided", [DECIDED, None])
def test_a_report_that_came_before_the_decision_is_answered_by_it(decided: object) -> None:
    before = left(Joined(report=loss("R-2", "L-1", received=0 if decided else 60)))
    order = ORDER.model_copy(update={"decided": decided})

    assert answer_all(known(*freed(BLOCKED_ONE, ONE)), order, [before], CLOSED) == [stated(before.content)]


def test_a_report_after_the_decision_opens_a_case_and_what_was_said_after_it_goes_there_too() -> None:
    late = loss("R-2", "L-1")
    proof = Evidence(statement="evidence/E-1", by="crm", evidence=("photo",))
    other = Evidence(statement="evidence/E-2", by="ann", evidence=("photo",))

    changes = answer_all(
        known(*freed(BLOCKED_ONE, ONE)),
        ORDER,
        [left(SIGHTED), left(Joined(report=late)), left(proof), left(other, ANN), left(SIGHTED, ANN)],
        CLOSED,
    )

    case = further("R-2")
    assert changes == [
        stated(SIGHTED),
        ReportMoved(late, case),
        *opened(late, case, BLOCKED_ONE, ONE, former=OVER, rejected=OVER),
        stated(proof),
        Said(case, proof, CLOSED, CRM),
        stated(other, ANN),
        stated(SIGHTED, ANN),
        Said(case, SIGHTED, CLOSED, ANN),
    ]


def test_a_report_that_joins_a_further_case_has_its_evidence_there_and_one_that_joins_another_case_has_not() -> None:
    first, again = loss("R-2", "L-1"), loss("R-3", "L-1", reporter={"role": "back_office", "name": "ann"})
    elsewhere = loss("R-4", "L-2", reporter={"role": "back_office", "name": "bob"})
    by_ann = Evidence(statement="evidence/E-1", by="ann", evidence=("photo",))
    by_bob = Evidence(statement="evidence/E-2", by="bob", evidence=("photo",))
    ann, bob = (Speaker(name, PrincipalRole.BACK_OFFICE, "an inbox") for name in ("ann", "bob"))

    changes = answer_all(
        known(*freed(BLOCKED_ONE, ONE), *claims(B, ("blacklisting/licence/L-2", 1), TWO)),
        ORDER,
        [
            *(left(Joined(report=first)), left(Joined(report=again), ann), left(Joined(report=elsewhere), bob)),
            *(left(by_ann, ann), left(by_bob, bob)),
        ],
        CLOSED,
    )

    case = further("R-2")
    assert changes[4:] == [
        ReportMoved(again, case),
        Said(case, Joined(report=again), again.received, ann),
        ReportMoved(elsewhere, key(B)),
        Said(key(B), Joined(report=elsewhere), elsewhere.received, bob),
        stated(by_ann, ann),
        Said(case, by_ann, CLOSED, ann),
        stated(by_bob, bob),
    ]


def test_a_late_report_of_what_the_case_recovered_stays_its_and_of_what_is_gone_is_refused() -> None:
    order = CloseOrder(key=key(OVER), recovered=True, decided=DECIDED, outcome=Outcome.LOST_FOR_EVER)
    same, gone = Joined(report=loss("R-2", "L-1")), Joined(report=loss("R-3", "L-9"))
    keeps = claims(OVER, BLOCKED_ONE, ONE, closed=True, outcome=Outcome.LOST_FOR_EVER)

    assert answer_all(known(*keeps), order, [left(same), left(gone)], CLOSED) == [
        stated(same),
        stated(gone, code=Code.UNKNOWN_LICENCE),
    ]


def test_a_wider_report_of_another_case_has_a_further_case_for_what_is_freed_of_it() -> None:
    wider = loss("R-2", former=C, rejected=C, beside=OVER)
    held = claims(B, BLOCKED, WHOLE, TWO)
    proof = Evidence(statement="evidence/E-1", by="crm", evidence=("photo",))

    all_ = [made(wider, B), left(SIGHTED), left(proof), left(Joined(report=wider))]
    changes = answer_all(known(*freed(ONE), *held), ORDER, all_, CLOSED)

    case = further("R-2", f"case/{OVER}/report")
    assert changes == [
        *opened(wider, case, ONE, by=ANN, former=OVER, rejected=OVER, beside=B),
        stated(SIGHTED),
        Said(case, SIGHTED, CLOSED, CRM),
        stated(proof),
    ]


def test_what_the_case_of_a_report_claimed_and_freed_itself_is_not_claimed_for_it_again() -> None:
    own = claims(B, ONE, freed=True, closed=True, outcome=Outcome.REJECTED)

    assert answer_all(known(*freed(ONE), *own), ORDER, [made(loss("R-2", "L-1"), B, closed=True)], CLOSED) == []


@pytest.mark.parametrize("closed", [False, True])
def test_the_case_that_a_report_opened_blocks_what_is_freed_of_it_unless_it_is_over_too(closed: bool) -> None:
    theft = loss("R-2", reason=Reason.STOLEN)
    held = claims(B, WHOLE, ONE, TWO, closed=closed)

    changes = answer_all(known(*freed(BLOCKED), *held), ORDER, [made(theft, B, closed=closed)], CLOSED)

    case = further("R-2", f"case/{OVER}/report")
    assert changes == (
        opened(theft, case, BLOCKED, by=ANN, former=OVER, rejected=OVER, beside=B)
        if closed
        else [ClaimsMade(key(B), theft, (BLOCKED,))]
    )


def test_the_case_that_a_report_joined_blocks_nothing_for_it() -> None:
    theft = loss("R-2", reason=Reason.STOLEN)

    changes = answer_all(
        known(*freed(BLOCKED), *claims(B, WHOLE, ONE, TWO)), ORDER, [made(theft, B, opened=False)], CLOSED
    )

    case = further("R-2", f"case/{OVER}/report")
    assert changes == opened(theft, case, BLOCKED, by=ANN, former=OVER, rejected=OVER, beside=B)


def test_a_report_reaches_the_other_cases_that_hold_what_it_is_about_and_the_further_one_is_overtaken() -> None:
    same, wider = loss("R-2", "L-1"), loss("R-3", received=2)
    told = Joined(report=wider.model_copy(update={"beside": B}))
    case, other = further("R-2"), key(CaseId("a"))
    held = [*claims(B, BLOCKED, WHOLE), *claims(other.case, TWO)]

    all_ = [left(Joined(report=same)), made(wider, B)]
    changes = answer_all(known(*freed(BLOCKED_ONE, ONE), *held), ORDER, all_, CLOSED)
    joined = answer_all(known(*freed(BLOCKED_ONE, ONE), *held), ORDER, [all_[0], made(wider, B, opened=False)], CLOSED)

    reached = [Said(case, told, wider.received, ANN), Said(other, told, wider.received, ANN)]
    overtaken = Said(case, Overtaken(by=B), CLOSED)
    assert changes[-3:] == sorted([*reached, overtaken], key=lambda one: one.key.case)
    assert [one for one in joined if isinstance(one, Said)][-2:] == sorted(reached, key=lambda one: one.key.case)


def test_a_report_of_nothing_that_is_freed_changes_nothing() -> None:
    assert answer_all(known(*freed(ONE), *claims(B, TWO)), ORDER, [made(loss("R-2", "L-2"), B)], CLOSED) == []


def test_what_is_known_after_changes_is_what_they_write() -> None:
    before = known(*claims(B, WHOLE), *claims(C, TWO), *freed(ONE))
    theft = loss("R-2", reason=Reason.STOLEN)
    said = Joined(report=theft)

    after = before.after(
        [
            CaseOpened(key(C), before.container, theft),
            ResetEnded(key(B), NOW),
            ClaimsMade(key(C), theft, (ONE, BLOCKED)),
            Said(key(C), said, NOW),
            Said(key(C), said, NOW),
            Said(key(B), SIGHTED, NOW),
        ]
    )

    whole, *others = before.claimed
    new = [Claimed(*one, C, theft.received, Recovery.NEXT_GENERATION) for one in (ONE, BLOCKED)]
    assert after == replace(
        before,
        claimed=(replace(whole, freed=True), *others, *new),
        reports={C: ((theft.report, theft.reporter),) * 2},
    )
