"""Who says something to a case is whoever acted at the door, and for whom is kept beside."""

import pytest

from activities.licensing.message_rules import Speaker, addressed, decider
from events.ports.loss_cases import Settled
from events.principal import PrincipalRole
from events.terms import CaseKey, Reporter, Role, VendorId
from tests.given import NOW, principal, supervisor

ACME = VendorId("acme")
KEY = CaseKey(vendor=ACME, case="C-1", serial="3-1")


@pytest.mark.parametrize("role", Role)
def test_a_back_office_that_passes_on_what_another_says_acts_on_their_behalf(role: Role) -> None:
    reporter = Reporter(role=role, name="h-1")

    said = Speaker.of(principal(ACME, "an.inbox"), reporter)

    assert said == Speaker("an.inbox", PrincipalRole.BACK_OFFICE, "a test", on_behalf_of=reporter)
    fact = addressed(KEY, Settled(), said, NOW)
    assert (fact.by, fact.role, fact.door) == (reporter.name, reporter.role, "a test")


def test_who_speaks_for_themselves_acts_for_nobody_else() -> None:
    holder = principal(ACME, "h-1", PrincipalRole.HOLDER)

    said = Speaker.of(holder, Reporter(role=Role.HOLDER, name="h-1"))

    assert said == Speaker("h-1", PrincipalRole.HOLDER, "a test")
    assert (said.by, said.reporter_role) == ("h-1", Role.HOLDER)


def test_who_decides_is_a_supervisor_and_no_reporter() -> None:
    said = decider(supervisor(ACME, "ann"))

    assert said.door == "a test"
    assert (said.by, said.role, said.reporter_role, said.on_behalf_of) == ("ann", PrincipalRole.SUPERVISOR, None, None)
