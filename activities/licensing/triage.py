"""Triage: what the holder of an act container can do on a machine, before a loss is reported. Pure.

Activating again costs nothing and ends nothing, so it comes first. What an activation would come to is not said here: a
contact is judged as every contact is, and only not written down.
"""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from activities.licensing.judgement import RETURNED, Known, judge
from events.errors import Code, RefusalError
from events.fingerprint import matches
from events.loss_table import Loss
from events.ports.licensing_backend import Advice, Triage
from events.statements import ContactStatement
from events.terms import FIRST_INSTANT, Contact, ContactId, Kind, Match, Reason, Serial
from workflows.policy import UnreadablePolicyError, read_policy

ASKING: Final = ContactId("triage")
"""The number of the contact that is only thought of."""


def triage(known: Known, shown: Mapping[str, str], match: Match) -> Triage:
    """What can be done on the machine that shows these factors. `match` is how like the known machine another must be
    to count as the same hardware. Raises `RefusalError` for a container that is bound to no machine."""
    container = known.container
    if container.kind is not Kind.ACT:
        raise RefusalError(
            Code.KIND_MISMATCH,
            f"container {container.serial} is of kind {container.kind}; only one of kind act is bound to a machine",
            serial=container.serial,
            kind=container.kind,
        )
    bound = container.fingerprint or {}
    same = tuple(sorted(factor for factor, value in bound.items() if shown.get(factor) == value))
    factors = {"same": same, "changed": tuple(sorted(bound.keys() - set(same)))}
    refused = judge(known, asking(container.serial, shown)).refused
    if refused is None:
        return Triage.model_validate({"advice": Advice.ACTIVATE, **factors})
    code = refused.code
    cases = tuple(key.case for key in refused.cases)
    if code == Code.ACTIVATION_CODE_MISSING:
        waiting = tuple(one.case.case for one in known.awaiting)
        return Triage.model_validate({"advice": Advice.ACTIVATE, "code": code, "cases": waiting, **factors})
    if code in (Code.BLOCKED, Code.MACHINE_STOLEN):
        return Triage.model_validate({"advice": Advice.SETTLE, "code": code, "cases": cases, **factors})
    if code == Code.FINGERPRINT_MISMATCH and known.awaiting:
        waiting = tuple(one.case.case for one in known.awaiting)
        return Triage.model_validate({"advice": Advice.SETTLE, "code": code, "cases": waiting, **factors})
    if code == Code.ENDED:
        return Triage.model_validate({"advice": Advice.RENEW, "code": code, **factors})
    reason = Reason.SAME_HARDWARE if matches(match, bound, dict(shown)) else Reason.HARDWARE_REPLACED
    assert code in (Code.FINGERPRINT_MISMATCH, Code.SUPERSEDED, RETURNED), code
    return Triage.model_validate({"advice": Advice.REPORT, "reason": reason, "code": code, "cases": cases, **factors})


def asking(serial: Serial, shown: Mapping[str, str]) -> ContactStatement:
    """The activation that is only thought of: what is known of a container is to be looked up for it."""
    return ContactStatement(
        contact=ASKING, serial=serial, occurred=FIRST_INSTANT, how=Contact.ACTIVATION, fingerprint=dict(shown)
    )


def match_of(policy: JsonValue, known: Known) -> Match:
    """How like the known machine another must be to count as the same hardware, by the policy as it is stored; all of
    it, where that cannot be read."""
    loss = Loss.of(Kind.ACT, Reason.SAME_HARDWARE)
    assert loss is not None, "the table of losses has it"
    try:
        rules = read_policy(policy)
    except UnreadablePolicyError:
        return Match.ALL
    serial = known.container.serial
    return rules.rules_for_products(loss, [one.product for one in known.licences.values() if one.serial == serial])[
        0
    ].match
