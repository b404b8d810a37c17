"""A vendor's issuer, and how a version of its policy follows another: pure functions."""

import json
from collections.abc import Mapping
from typing import cast

from pydantic import JsonValue

from events.backend_facts import PolicyAdopted
from events.errors import Code, RefusalError
from events.sizes import POLICY_BYTES, policy_bytes
from events.terms import VendorId


def issuer_of(vendor: VendorId) -> str:
    """The `iss` of a vendor's licence files."""
    return f"urn:lostfound:{vendor}"


def says_the_same(policy: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> bool:
    """Whether two policies differ in nothing but their version."""
    return {**policy, "policy_version": None} == {**other, "policy_version": None}


def must_fit(policy: Mapping[str, JsonValue]) -> None:
    """Refuse a policy that is too long to be stated."""
    if (size := policy_bytes(policy)) > POLICY_BYTES:
        raise RefusalError(
            Code.POLICY_TOO_LARGE,
            f"the policy has {size:,} bytes as JSON, without what is as by default; the limit is {POLICY_BYTES:,}:"
            " join rules that say the same, or name fewer products and people",
            size=size,
            most=POLICY_BYTES,
        )


def adopted(version: int, policy: Mapping[str, JsonValue]) -> PolicyAdopted:
    """That this version of the policy is in force."""
    in_order = cast(JsonValue, json.loads(json.dumps(policy, sort_keys=True)))
    return PolicyAdopted(policy_version=version, policy=in_order)
