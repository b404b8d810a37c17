"""What a report changes: who learns of it."""

import pytest

from activities.licensing.claim_changes import Change, Known, Said, claim
from activities.licensing.claim_rules import Claimed
from activities.licensing.containers import Container
from activities.licensing.message_rules import Speaker
from events.case_facts import LossReported
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import Joined
from events.principal import PrincipalRole
from events.terms import (
    CaseId,
    HolderId,
    Kind,
    LicenceId,
    Reason,
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
