"""What a report changes: whose case it is, what that claims, and who learns of it."""

from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.claim_changes import (
    CaseOpened,
    Change,
    ClaimsMade,
    Known,
    Reported,
    ResetEnded,
    Said,
    Stated,
    answer_all,
    claim,
    digest,
    repeated,
    statement_of,
)
from activities.licensing.claim_rules import Claimed, resets_taken_over
from activities.licensing.containers import Container
from activities.licensing.message_rules import Speaker, addressed
from events.case_facts import LossReported
from events.envelope import NAMESPACE
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseKey, Claim, CloseOrder
from events.ports.loss_cases import REPORTS_LIMIT, Joined, Offer, Overtaken, Rejected, ReplacementGone
from events.principal import PrincipalRole
from events.terms import (
    CaseId,
    HolderId,
    Kind,
    LicenceId,
    Outcome,
    Reason,
    Recovery,
    Reporter,
    ReportId,
    Role,
    Scope,
    Serial,
    VendorId,
)
from tests.unit.facts import NOW

SPEAKER = Speaker("crm", PrincipalRole.BACK_OFFICE, "a test")

A, B, C = CaseId("a"), CaseId("b"), CaseId("c")
CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
ANN = Reporter(role=Role.BACK_OFFICE, name="ann")


def report(*licences: str, by: Reporter = ANN) -> LossReported:
    return LossReported(
        report="R-1",
        serial="S",
        kind=Kind.DONGLE,
        reason=Reason.LOST,
        scope=Scope.LICENCES if licences else Scope.CONTAINER,
        licences=licences,
        reporter=by,
        door="a test",
        occurred=NOW,
        received=NOW,
    )


def known(*claimed: Claimed, reports: dict[CaseId, list[tuple[ReportId, Reporter]]] | None = None) -> Known:
    container = Container(Serial("S"), Kind.DONGLE, HolderId("h-1"), 2, None, 1, None, 0)
    here = {LicenceId("L-1"): 1, LicenceId("L-2"): 1}
    return Known(VendorId("acme"), container, here, {}, {"rules": [{"measures": []}]}, claimed, reports or {}, {})


def claims(case: CaseId, *licences: str, closed: bool = False) -> list[Claimed]:
    return [Claimed(f"licence/{name}", 1, case, NOW, closed=closed) for name in licences]


def said(changes: list[Change]) -> list[tuple[CaseId, str, CaseId | None]]:
    """What is said to which case, and which case it says the report is of."""
    found = []
    for one in changes:
        if isinstance(one, Said):
            beside = one.content.report.beside if isinstance(one.content, Joined) else None
            found.append((one.key.case, one.content.type, beside))
    return found


def key(case: CaseId) -> CaseKey:
    return CaseKey(vendor=VendorId("acme"), case=case, serial=Serial("S"))


PARTS = st.lists(st.sampled_from(("a", "report", "case", "holder", "back_office", "R-1")), min_size=1, max_size=4)
REPORTED = st.tuples(st.sampled_from(Role), PARTS.map("/".join), st.sampled_from(("a", "report", "R-1")))


@given(REPORTED, REPORTED)
def test_no_two_reports_open_a_case_of_the_same_name_whatever_people_are_called(
    one: tuple[Role, str, str], other: tuple[Role, str, str]
) -> None:
    named = []
    for role, name, number in (one, other):
        reported = report(by=Reporter(role=role, name=name)).model_copy(update={"report": number})
        named.append(claim(known(), reported, SPEAKER)[0].key.case)

    assert (named[0] == named[1]) == (one == other)


def test_a_report_reaches_every_open_case_that_it_meets_and_is_of_one_of_them() -> None:
    two = [*claims(A, "L-1"), *claims(B, "L-2")]

    answer, changes = claim(known(*two), report("L-1", "L-2"), SPEAKER)

    assert (answer.key, answer.answer) == (key(A), "joined")
    assert said(changes) == [(A, "report", None), (B, "report", A)]


def test_a_report_of_a_closed_case_too_is_of_the_open_one_and_the_closed_one_learns_nothing() -> None:
    two = [*claims(A, "L-1", closed=True), *claims(B, "L-2")]

    answer, changes = claim(known(*two), report("L-1", "L-2"), SPEAKER)

    assert (answer.key, said(changes)) == (key(B), [(B, "report", None)])


def test_a_milder_case_learns_who_reported_the_wider_loss_before_it_is_overtaken() -> None:
    answer, changes = claim(known(*claims(A, "L-1"), *claims(C, "L-2", closed=True)), report(), SPEAKER)

    opened = answer.key.case
    assert answer.answer == "opened"
    assert said(changes)[0][:2] == (opened, "report")
    assert [one for one in said(changes)[1:] if one[0] == A] == [(A, "report", opened), (A, "overtaken", None)]


@pytest.mark.parametrize(("by", "learns"), [(CRM, False), (ANN, True)])
def test_a_case_that_takes_no_more_reports_still_learns_of_every_reporter_once(by: Reporter, learns: bool) -> None:
    several = [(ReportId(f"R-{number}"), CRM) for number in range(2, 1_002)]
    two = [*claims(A, "L-1"), *claims(B, "L-2")]

    _, changes = claim(known(*two, reports={B: several}), report("L-1", "L-2", by=by), SPEAKER)

    assert ((B, "report", A) in said(changes)) is learns


def test_a_case_that_was_told_of_a_report_is_not_told_again_when_the_report_becomes_anothers() -> None:
    two = [*claims(A, "L-1"), *claims(B, "L-2")]

    _, changes = claim(known(*two, reports={B: [(ReportId("R-1"), ANN)]}), report("L-1", "L-2"), SPEAKER)

    assert said(changes) == [(A, "report", None)]


def told(stated: LossReported, **more: object) -> Joined:
    """A report as a case hears it."""
    return Joined(report=stated.model_copy(update=more))


def test_the_digest_of_a_report_is_that_of_earlier_releases_whatever_the_order_of_its_licences() -> None:
    several = [statement_of(report(*names)) for names in (("L-2", "L-1"), ("L-1", "L-2", "L-2"))]
    kept = sha256(b"S/dongle/lost/licences/L-1/L-2").hexdigest()

    assert [digest(one) for one in several] == [kept, kept]
    assert digest(statement_of(report())) == sha256(b"S/dongle/lost/container").hexdigest()


def test_a_report_that_is_repeated_is_answered_with_its_case_and_one_that_says_something_else_is_refused() -> None:
    first = Reported(digest(statement_of(report("L-1"))), key(A), NOW, closed=True)

    answer = repeated(statement_of(report("L-1")), first)
    with pytest.raises(RefusalError) as refusal:
        repeated(statement_of(report("L-2")), first)

    assert answer == Claim(key=key(A), received=NOW, closed=True, answer="repeated")
    assert (refusal.value.code, refusal.value.parameters) == (Code.REPORT_ID_TAKEN, {"number": "R-1"})


def test_a_report_that_joins_a_case_is_said_to_it_and_to_the_others_that_it_meets_in_the_order_of_their_names() -> None:
    two = [*claims(B, "L-1"), *claims(A, "L-2")]
    stated = report("L-1", "L-2")

    answer, changes = claim(known(*two), stated.model_copy(update={"former": C, "rejected": C}), SPEAKER)

    assert answer == Claim(key=key(B), received=NOW, answer="joined")
    assert changes == [
        Said(key(A), told(stated, beside=B), NOW, SPEAKER),
        Said(key(B), told(stated, former=C, rejected=C), NOW, SPEAKER),
    ]


@pytest.mark.parametrize(
    ("posted", "closed"), [(REPORTS_LIMIT - 1, False), (REPORTS_LIMIT, False), (0, True), (REPORTS_LIMIT - 1, True)]
)
def test_a_case_that_is_over_or_has_all_reports_that_it_takes_is_answered_for(posted: int, closed: bool) -> None:
    several = [(ReportId(f"R-{number}"), CRM) for number in range(2, posted + 2)]
    stated = report("L-1")

    answer, changes = claim(known(*claims(A, "L-1", closed=closed), reports={A: several}), stated, SPEAKER)

    takes = posted < REPORTS_LIMIT and not closed
    fact = addressed(key(A), told(stated), SPEAKER, NOW)
    assert answer == Claim(key=key(A), received=NOW, closed=closed, answer="joined")
    assert changes == [Said(key(A), told(stated), NOW, SPEAKER) if takes else Stated(key(A), fact, NOW)]


def test_a_case_has_the_same_name_whenever_the_report_that_opens_it_is_made() -> None:
    answers = [claim(known(), report("L-1", by=by), SPEAKER)[0] for by in (ANN, ANN, CRM)]

    ann, crm = (CaseId(str(uuid5(NAMESPACE, f"acme/report/back_office/{name}/R-1"))) for name in ("ann", "crm"))
    assert [one.key.case for one in answers] == [ann, ann, crm]


def test_a_wider_report_opens_a_case_that_is_said_to_those_beside_it_and_to_the_one_that_issued_what_is_lost() -> None:
    issuer, other = (CaseKey(vendor=VendorId("acme"), case=case, serial=Serial("T")) for case in (C, CaseId("d")))
    beside = claims(A, "L-2")
    now = replace(known(*beside), issued_by={("licence/L-1", 1): issuer, ("licence/L-1", 7): other})
    stated = report()

    answer, changes = claim(now, stated, SPEAKER)

    new = answer.key
    claimed = (("container/S", 1), ("licence/L-1", 1))
    assert answer == Claim(key=new, received=NOW, answer="opened")
    assert changes == [
        CaseOpened(new, now.container, stated),
        ClaimsMade(new, stated, claimed),
        Said(new, told(stated, beside=A), NOW, SPEAKER),
        Said(key(A), told(stated, beside=new.case), NOW, SPEAKER),
        Said(key(A), Overtaken(by=new.case), NOW),
        Said(issuer, ReplacementGone(to=new.case), NOW),
    ]


def test_a_new_case_is_said_after_which_one_it_comes_and_who_said_so_to_cases_in_the_order_of_their_names() -> None:
    freed: dict[str, Any] = {"freed": True, "closed": True, "outcome": Outcome.REJECTED}
    former = [replace(one, **freed) for one in claims(C, "L-1")]
    stated = report()
    two = [Claimed("licence/L-2", 1, B, NOW), Claimed("container/S", 1, A, NOW)]

    answer, changes = claim(known(*former, *two), stated, SPEAKER)

    new = answer.key
    assert changes[2] == Said(new, told(stated, former=C, rejected=C, beside=A), NOW, SPEAKER)
    assert [(one.key.case, one.content.type) for one in changes[3:] if isinstance(one, Said)] == [
        *((A, "report"), (A, "overtaken")),
        *((B, "report"), (B, "overtaken")),
    ]


def test_stolen_access_data_end_the_reset_that_they_take_over() -> None:
    stated = report().model_copy(update={"kind": Kind.CLOUD, "reason": Reason.STOLEN})
    container = Container(Serial("S"), Kind.CLOUD, HolderId("h-1"), 2, None, 1, None, 0)
    reset = Claimed("access_data/S", 1, A, NOW, Recovery.RESET)

    answer, changes = claim(replace(known(reset), container=container, policy=None), stated, SPEAKER)

    assert changes[:3] == [
        CaseOpened(answer.key, container, stated),
        ResetEnded(key(A), NOW),
        ClaimsMade(answer.key, stated, (("access_data/S", 1), ("blacklisting/access_data/S", 1))),
    ]


ACCESS = "access_data/S"


def over(outcome: Outcome) -> CloseOrder:
    return CloseOrder(key=key(A), recovered=False, lift=True, outcome=outcome)


@pytest.mark.parametrize(
    ("outcome", "content"),
    [(Outcome.REJECTED, Rejected(case=A)), (Outcome.CANCELLED, Offer(serial=Serial("S")))],
)
def test_how_a_reset_ended_is_said_to_the_open_case_that_took_it_over(
    outcome: Outcome, content: Rejected | Offer
) -> None:
    reset = Claimed(ACCESS, 1, A, NOW, freed=True, closed=True, outcome=outcome)
    gone = Claimed(ACCESS, 1, B, NOW, freed=True, closed=True, outcome=Outcome.CANCELLED)
    theft = Claimed(ACCESS, 1, C, NOW)
    later = Claimed(ACCESS, 2, CaseId("d"), NOW)

    changes = answer_all(known(reset, gone, theft, later), over(outcome), [], NOW)

    assert changes == [Said(key(C), content, NOW)]


def test_a_case_waits_for_the_resets_that_it_took_over_until_they_are_closed() -> None:
    freed = Claimed(ACCESS, 1, A, NOW, freed=True)
    closed = Claimed(ACCESS, 1, B, NOW, freed=True, closed=True)
    theft = Claimed(ACCESS, 1, C, NOW)

    assert resets_taken_over(C, [freed, closed, theft, Claimed(ACCESS, 2, CaseId("d"), NOW, freed=True)]) == {A}
    assert resets_taken_over(A, [freed, theft]) == set()
