"""Who acts comes from the door, never from what was sent."""

import pytest
from pydantic import ValidationError

from events.errors import RefusalError
from events.ports.loss_cases import DecisionContent, DecisionOrder
from events.principal import Principal, PrincipalRole
from events.terms import Action, VendorId
from portal.cli.terminal import DOOR, principal_of


def test_what_somebody_decides_does_not_say_who_does() -> None:
    with pytest.raises(ValidationError, match="by"):
        DecisionContent.model_validate({"decision": "d-1", "action": Action.APPROVE, "on": 1, "by": "ann"})


def test_an_order_that_was_stored_before_is_read_as_it_was() -> None:
    stored = {"type": "decision", "decision": "d-1", "action": "approve", "by": "ann", "on": 1}

    assert DecisionOrder.model_validate(stored).model_dump(mode="json", exclude_defaults=True) == {
        name: value for name, value in stored.items() if name != "type"
    }


def test_a_principal_of_the_command_line_is_a_person_with_a_role_at_that_door() -> None:
    ann = principal_of(VendorId("acme"), PrincipalRole.SUPERVISOR, "ann")

    assert ann == Principal(vendor="acme", subject="ann", roles=(PrincipalRole.SUPERVISOR,), door=DOOR)
    assert ann.on_behalf_of is None
    with pytest.raises(RefusalError, match="--by must be a name"):
        principal_of(VendorId("acme"), by="Ann S.")


def test_nobody_acts_without_a_role() -> None:
    with pytest.raises(ValidationError, match="roles"):
        Principal(vendor="acme", subject="ann", roles=(), door=DOOR)
