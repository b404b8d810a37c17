"""A vendor's issuer, and how a version of its policy follows another."""

import pytest

from activities.licensing.vendor_rules import adopted, issuer_of, must_fit, says_the_same
from events.errors import Code, RefusalError
from events.sizes import POLICY_BYTES, policy_bytes
from events.terms import VendorId


def test_the_issuer_of_a_file_names_its_vendor() -> None:
    assert issuer_of(VendorId("acme")) == "urn:lostfound:acme"


def test_two_policies_say_the_same_that_differ_in_nothing_but_their_version() -> None:
    first = {"policy_version": 1, "supervisors": ["ann"]}

    assert says_the_same(first, {"policy_version": 2, "supervisors": ["ann"]})
    assert says_the_same(first, {"supervisors": ["ann"]})
    assert says_the_same({"supervisors": ["ann"]}, first)
    assert not says_the_same(first, {"policy_version": 1, "supervisors": ["bob"]})


def test_a_policy_that_is_too_long_to_be_stated_is_refused_with_its_size() -> None:
    room = POLICY_BYTES - policy_bytes({"name": ""})

    must_fit({"name": "x" * room})
    with pytest.raises(RefusalError) as refusal:
        must_fit({"name": "x" * (room + 1)})
    assert str(refusal.value) == (
        "the policy has 60,001 bytes as JSON, without what is as by default; the limit is 60,000:"
        " join rules that say the same, or name fewer products and people"
    )
    assert refusal.value.code is Code.POLICY_TOO_LARGE
    assert refusal.value.parameters == {"size": POLICY_BYTES + 1, "most": POLICY_BYTES}


def test_an_adopted_policy_is_stated_with_its_version_and_its_names_in_order() -> None:
    fact = adopted(3, {"rules": [{"watch_days": 1, "mode": "manual"}], "approvers": {}})

    assert fact.policy_version == 3
    assert list(fact.policy) == ["approvers", "rules"]
    assert list(fact.policy["rules"][0]) == ["mode", "watch_days"]  # type: ignore[index, arg-type, call-overload]
