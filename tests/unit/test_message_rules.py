"""What is said to cases: by whom, under which name, and what is answered where no case takes it."""

from typing import Any

import pytest

from activities.licensing.message_rules import (
    Speaker,
    addressed,
    confirmed_decision,
    evidence,
    evidence_said,
    name_of,
    no_case_of,
    no_report,
    number_taken,
    sighting,
    unknown_case,
)
from events.backend_facts import CaseAddressed
from events.errors import Code, NotYetKnownError
from events.evidence import EvidenceFile
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import ConfirmedDecision, Content, Evidence, Joined, Offer, Settled, Sighting
from events.principal import PrincipalRole
from events.statements import EvidenceStatement
from events.terms import Action, CaseId, Cause, HolderId, PersonId, Role, Serial
from tests.unit.facts import NOW, report
from tests.unit.journey import decision

KEY = CaseKey(vendor="acme", case="case-1", serial="3-1")
SIGHTED = Sighting(statement="contact/C-1", cause=Cause.SIGHTING, occurred=NOW)
PROOF = Evidence(statement="evidence/E-1", by="ann", evidence=("photo",))
ORDER = decision(Action.APPROVE).order


def test_a_refused_contact_is_a_sighting_that_names_it() -> None:
    assert sighting("C-1", NOW) == SIGHTED


@pytest.mark.parametrize("listed", [{"supervisors": ("cy", "bob", "ann")}, {}])
def test_a_decision_is_confirmed_with_the_supervisors_in_force_and_those_of_them_who_reported(
    listed: dict[str, Any],
) -> None:
    confirmed = confirmed_decision(ORDER, listed, [PersonId("cy"), PersonId("ann"), PersonId("crm")])

    assert confirmed == ConfirmedDecision(
        order=ORDER, supervisors=tuple(listed.get("supervisors", ())), reporters=("ann", "cy") if listed else ()
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (Joined(report=report()), "report/R-1"),
        (ORDER, f"decision/{ORDER.decision}"),
        (SIGHTED, "contact/C-1"),
        (PROOF, "evidence/E-1"),
        (Offer(serial="3-2"), Offer(serial="3-2").type),
        (Settled(), Settled().type),
    ],
)
def test_what_a_case_did_not_take_is_stated_with_its_name_and_who_said_it(content: Content, name: str) -> None:
    fact = addressed(
        KEY, content, Speaker(PersonId("ann"), PrincipalRole.BACK_OFFICE, "cli"), NOW, Code.NOTHING_TO_DECIDE
    )

    assert name_of(content) == name
    assert fact == CaseAddressed(
        case="case-1",
        serial="3-1",
        statement=name,
        by="ann",
        role=Role.BACK_OFFICE,
        door="cli",
        received=NOW,
        code=Code.NOTHING_TO_DECIDE,
    )


def test_what_belongs_to_no_case_yet_may_be_tried_again_and_an_unknown_case_may_not() -> None:
    stated = EvidenceStatement(**{**EvidenceStatement.example, "report": "R-9", "serial": "3-1"})  # type: ignore[arg-type]
    container, evidence, case = no_case_of(Serial("3-1")), no_report(stated), unknown_case(CaseId("case-1"))

    assert isinstance(container, NotYetKnownError)
    assert isinstance(evidence, NotYetKnownError)
    assert not isinstance(case, NotYetKnownError)
    assert [str(one) for one in (container, evidence, case)] == [
        "no case looks for container 3-1; report its loss first",
        "no report R-9 of container 3-1 is known; report its loss first",
        "no case case-1 is known here",
    ]
    assert [(one.code, one.parameters) for one in (container, evidence, case)] == [
        (Code.NO_CASE, {"serial": "3-1"}),
        (Code.NO_CASE, {"report": "R-9", "serial": "3-1"}),
        (Code.UNKNOWN_CASE, {"case": "case-1"}),
    ]


def test_a_number_that_said_something_else_is_refused_by_itself() -> None:
    refusal = number_taken("evidence/E-1")

    assert str(refusal) == "number E-1 said something else before; give a new statement a new number"
    assert (refusal.code, refusal.parameters) == (Code.REPORT_ID_TAKEN, {"number": "E-1"})


HASHES = tuple(letter * 64 for letter in "ab")


def evidence_of(**more: object) -> EvidenceStatement:
    return EvidenceStatement.model_validate({**EvidenceStatement.example, **more})


def test_evidence_is_said_to_a_case_by_its_number_with_who_brought_it_and_its_files() -> None:
    file = EvidenceFile(sha256=HASHES[0], media_type="application/pdf", size=7)

    said = Evidence(statement="evidence/E-1", by="crm", evidence=("police_report",), files=(file,))
    delegate = {"role": "delegate", "name": "crm"}

    assert evidence(evidence_of(), [file], HolderId("h-1")) == said
    by_a_delegate = evidence(evidence_of(reporter=delegate), [file], HolderId("h-1"))
    assert by_a_delegate == said.model_copy(update={"on_behalf_of": "h-1"})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"evidence": ["photo", "letter"]}, "R-1/3-1001/letter/photo"),
        (
            {"files": [HASHES[1], HASHES[0], HASHES[1]]},
            f"R-1/3-1001/police_report/file {HASHES[0]}/file {HASHES[1]}",
        ),
        ({"report_by": {"role": "holder", "name": "h-1"}}, "R-1/3-1001/police_report/report by holder h-1"),
    ],
    ids=["names", "files", "reporter"],
)
def test_two_statements_of_evidence_say_the_same_whatever_the_order_of_what_they_bring(
    more: dict[str, object], said: str
) -> None:
    assert evidence_said(evidence_of(**more)) == said
