"""Tells in words what a policy would decide on a supposed report."""

from collections.abc import Iterator

from events.terms import ActivationBy, Decision, Kind, Recovery, Undecided
from portal.cli.kinds import RECOVERIES
from workflows.explanation import Chosen, Explanation, Supposed

DECISIONS = {
    Decision.AUTOMATIC: "policy decides by itself",
    Decision.NEEDS_APPROVAL: "a supervisor decides",
    Decision.REFUSED: "it is refused",
}
UNDECIDED = {
    Undecided.KEEP_WAITING: "the case waits on",
    Undecided.ESCALATE: "it is escalated to {}",
    Undecided.REJECT: "it is rejected",
}


def explanation_lines(supposed: Supposed, found: Explanation, lines: dict[int, int]) -> Iterator[str]:
    """The explanation, line by line; `lines` says at which line of the file each rule stands, by its number."""
    what = {Kind.DONGLE: "A dongle", Kind.ACT: "An act", Kind.CLOUD: "A cloud container"}[supposed.kind]
    yield f"{what} is reported {supposed.reason.replace('_', ' ')}: {DECISIONS[found.decision]}."
    yield from (f"  {reason}" for reason in found.reasons)
    yield "Rule"
    yield from (f"  {_rule(one, lines)}" for one in found.chosen)
    if len({one.rule for one in found.chosen}) > 1:
        which = _numbered(found.rule, lines)
        yield f"  {which} is the strictest and says what is done; the limits and quotas of all are heeded"
    if found.limits:
        yield "Limits"
        yield from (f"  {'EXCEEDED' if one.exceeded else 'kept'} {one.setting}: {one.sentence}" for one in found.limits)
    if found.quotas:
        yield "Quotas" if len(found.quotas) > 1 else "Quota"
        yield from (f"  {quota}" for quota in found.quotas)
    if found.decision is Decision.NEEDS_APPROVAL:
        yield "Approval"
        yield from (f"  {line}" for line in _approval(found))
    if found.decision is not Decision.REFUSED:
        yield "Then" if found.decision is Decision.AUTOMATIC else "Once approved"
        yield from (f"  {line}" for line in _then(found))


def _rule(one: Chosen, lines: dict[int, int]) -> str:
    product = one.product or "a product that no rule names"
    return f"for {product}, {_numbered(one.rule, lines)}: {one.why}"


def _numbered(rule: int | None, lines: dict[int, int]) -> str:
    if rule is None:
        return "none"
    return f"rule {rule} (line {lines[rule]})" if rule in lines else "the rule for policies without rules"


def _approval(found: Explanation) -> Iterator[str]:
    who = ", ".join(found.may_approve) or "nobody; the policy names no supervisor who may"
    yield f"who may approve: {who}{'; two different ones must' if found.four_eyes else ''}"
    if found.approval is None:
        yield "the case waits for as long as it takes"
        return
    approval = found.approval
    reminded = f", with a reminder after {approval.remind_hours}" if approval.remind_hours else ""
    then = UNDECIDED[approval.undecided].format(", ".join(approval.escalate_to))
    yield f"due within {approval.due_hours} hours{reminded}; if undecided then, {then}"


def _then(found: Explanation) -> Iterator[str]:
    ordered = [
        f"{one.measure} {f'after {one.delay_hours} hours' if one.delay_hours else 'at once'}" for one in found.measures
    ]
    yield f"blocked: {', then '.join(ordered) or 'nothing'}"
    waits = f", {found.wait_hours} hours after the decision" if found.wait_hours else ""
    yield f"the holder gets {RECOVERIES[found.recovery]}{waits}"
    if found.activation is ActivationBy.CODE:
        yield "a machine is activated with a one-time code; `lostfound activation code` prints it"
    if found.recovery is Recovery.STOP_GAP:
        yield f"the stop-gap runs for {found.stop_gap_days} days; by then it must be back"
    elif found.watch_days:
        yield f"watched for {found.watch_days} days; a sighting waits for a supervisor's verdict"
    for cause, verdict in (("found", found.resurfaced.found), ("returned", found.resurfaced.returned)):
        if verdict and found.watch_days:
            yield f"when it is {cause}, the verdict is {verdict} by policy"
