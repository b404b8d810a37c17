"""What a delegation is, and for whom a delegate acts."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from activities.licensing.delegation_rules import Delegation, give, is_delegated, revoke
from events.errors import Code, RefusalError
from events.principal import Principal, PrincipalRole
from events.statements import DelegationStatement, RevocationStatement
from events.terms import DelegationId, HolderId, PersonId, VendorId
from tests.unit.facts import NOW

DAY = timedelta(days=1)
CRM = Principal(vendor=VendorId("acme"), subject="crm", roles=(PrincipalRole.BACK_OFFICE,), door="a test")
GIVEN = DelegationStatement(
    delegation="G-1", delegate="ann", holders=("h-2", "h-1", "h-2"), until=NOW + 9 * DAY, on_behalf_of="boss"
)
REVOKED = RevocationStatement(delegation="G-1", on_behalf_of="boss")
NOTHING = Delegation(DelegationId("G-1"))
ONE = HolderId("h-1")
STANDING = Delegation(
    DelegationId("G-1"), PersonId("ann"), (HolderId("h-1"), HolderId("h-2")), NOW + 9 * DAY, NOW, None
)


def test_a_delegation_is_given_once_and_its_fact_names_who_gave_it_and_for_whom() -> None:
    known, (fact,) = give(NOTHING, GIVEN, CRM, NOW)

    assert known == STANDING
    assert fact.model_dump() == {
        **{"delegation": "G-1", "delegate": "ann", "holders": ("h-1", "h-2"), "until": NOW + 9 * DAY},
        **{"by": "crm", "on_behalf_of": "boss", "door": "a test", "received": NOW},
    }
    assert give(known, GIVEN, CRM, NOW + DAY) == (known, [])


@pytest.mark.parametrize(
    "other", [{"delegate": "eve"}, {"holders": ("h-1",)}, {"until": NOW + 8 * DAY}], ids=["delegate", "holders", "end"]
)
def test_a_number_is_of_one_delegation(other: dict[str, object]) -> None:
    with pytest.raises(RefusalError, match="delegation G-1 was given before") as refused:
        give(STANDING, GIVEN.model_copy(update=other), CRM, NOW)
    assert refused.value.code is Code.REPORT_ID_TAKEN


def test_a_delegation_is_revoked_once_and_at_the_first_time() -> None:
    known, (fact,) = revoke(STANDING, REVOKED, CRM, NOW + DAY)

    assert known == replace(STANDING, revoked=NOW + DAY)
    assert fact.model_dump() == {
        **{"delegation": "G-1", "by": "crm", "on_behalf_of": "boss", "door": "a test", "received": NOW + DAY}
    }
    assert revoke(known, REVOKED, CRM, NOW + 2 * DAY) == (known, [])


@pytest.mark.parametrize("later", [timedelta(), DAY])
def test_what_is_revoked_before_it_is_given_never_stands(later: timedelta) -> None:
    known, _ = revoke(NOTHING, REVOKED, CRM, NOW)
    after, (_,) = give(known, GIVEN, CRM, NOW + later)

    assert (known.stands_for(ONE, NOW), after.revoked) == (False, NOW)
    assert not any(after.stands_for(ONE, NOW + number * DAY) for number in range(-1, 9))


@pytest.mark.parametrize(
    ("at", "stands"),
    [
        (NOW - DAY, True),  # statements come in any order
        (NOW, True),
        (NOW + 9 * DAY - timedelta(microseconds=1), True),
        (NOW + 9 * DAY, False),
        (NOW + 10 * DAY, False),
    ],
)
def test_a_delegation_stands_until_it_ends(at: datetime, stands: bool) -> None:
    assert STANDING.stands_for(ONE, at) is stands
    assert not STANDING.stands_for(HolderId("h-3"), at)


@pytest.mark.parametrize(("at", "stands"), [(NOW, True), (NOW + DAY, False), (NOW + 2 * DAY, False)])
def test_a_delegation_stands_for_what_was_received_before_it_was_revoked(at: datetime, stands: bool) -> None:
    assert replace(STANDING, revoked=NOW + DAY).stands_for(ONE, at) is stands


def test_one_delegation_that_stands_is_enough() -> None:
    revoked = replace(STANDING, revoked=NOW)

    assert is_delegated([revoked, STANDING], ONE, NOW)
    assert not is_delegated([revoked], ONE, NOW)
    assert not is_delegated([], ONE, NOW)
