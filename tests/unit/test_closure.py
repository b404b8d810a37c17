"""What a case that is over did not take: in which order it is answered, and to which new cases it goes on."""

from datetime import timedelta

import pytest

from activities.licensing.claim_changes import Made, goes_on_to
from activities.licensing.closure import in_their_order
from activities.licensing.message_rules import Left, Speaker
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import Content, Evidence, Joined, Settled, Sighting
from events.principal import PrincipalRole
from events.terms import CaseId, Cause
from tests.unit.facts import NOW, report

FIRST, SECOND = (CaseKey(vendor="acme", case=case, serial="3-1") for case in ("case-2", "case-3"))
SIGHTED = Sighting(statement="contact/1", cause=Cause.SIGHTING, occurred=NOW)
PROOF = Evidence(statement="evidence/E-1", by="ann", evidence=("police_report",))

CRM = Speaker("crm", PrincipalRole.BACK_OFFICE, "a test")


def left(minutes: int) -> Left:
    return Left(SIGHTED, None, NOW + timedelta(minutes=minutes))


def made(minutes: int) -> Made:
    received = report(received=NOW + timedelta(minutes=minutes))
    return Made(received, CaseId("case-2"), opened=True, closed=False, speaker=CRM)


def test_reports_of_other_cases_come_before_what_was_said_later_and_all_of_them_come() -> None:
    early, middle, last = left(1), left(3), left(5)

    found = list(in_their_order([early, middle, last], [made(2), made(3), made(4), made(6), made(7)]))

    assert found == [early, made(2), made(3), middle, made(4), last, made(6), made(7)]
    assert list(in_their_order([], [made(1)])) == [made(1)]
    assert list(in_their_order([early], [])) == [early]


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (SIGHTED, [FIRST, SECOND]),
        (PROOF, [SECOND]),
        (PROOF.model_copy(update={"by": "eve"}), []),
        (Joined(report=report()), []),
        (Settled(), []),
    ],
)
def test_a_sighting_goes_on_to_every_new_case_and_evidence_to_those_of_whoever_brought_it(
    content: Content, keys: list[CaseKey]
) -> None:
    assert goes_on_to(content, {FIRST: {"bob"}, SECOND: {"bob", "ann"}}) == keys
