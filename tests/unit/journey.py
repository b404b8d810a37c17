"""Journeys of a case as commands, in the words that its tests are told in."""

from datetime import timedelta
from typing import Any

from events.case_facts import CaseFact, QuotaAnswer
from events.evidence import EvidenceFile, MediaType
from events.ports.licensing_backend import Reservation
from events.ports.loss_cases import DecisionOrder, Evidence, Sighting
from events.terms import (
    Action,
    CaseId,
    Cause,
    Kind,
    Mode,
    QuotaSubject,
    Reason,
    Undecided,
    Verdict,
)
from tests.unit.facts import NOW, facts, licence, report
from workflows.case import CaseState, fold_all
from workflows.commands import (
    Assessed,
    Blocked,
    Bring,
    Command,
    Decide,
    Elapsed,
    Failed,
    Held,
    NoTarget,
    NothingLeft,
    Offered,
    Overtaken,
    Replaced,
    Report,
    Sighted,
)
from workflows.decider import decide
from workflows.limits import Limits
from workflows.policy import Approval, Policy, Quota, Rule

POLICY = Policy(policy_version=7, rules=(Rule(watch_days=30),))
MANUAL = Policy(rules=(Rule(mode=Mode.MANUAL, approval=Approval(due_hours=48, remind_hours=24)),))
LAST = 10**6
"""Stands for the last material fact in a test's decision."""


def step(state: CaseState | None, command: Command) -> list[CaseFact]:
    """Decide; a decision that does not name what it was made on was made on the last material fact."""
    if isinstance(command, Decide) and command.order.on == LAST and state is not None:
        order = command.order.model_copy(update={"on": state.material})
        command = command.model_copy(update={"order": order})
    return decide(state, command)


def after(*commands: Command) -> tuple[CaseState, list[CaseFact]]:
    state: CaseState | None = None
    written: list[CaseFact] = []
    for command in commands:
        made = step(state, command)
        state = fold_all(made, state)
        written += made
    assert state is not None
    return state, written


def told(written: list[CaseFact]) -> list[str]:
    return [fact.name for fact in written]


UNTIL = NOW + timedelta(days=30)
LATER = NOW + timedelta(days=400)
HOUR = timedelta(hours=1)
REPORTED = Report(report=report())


def assessed(policy: Policy = POLICY, reservation: Reservation | None = None, **more: Any) -> Assessed:
    return Assessed(at=NOW, facts=facts(licence(), **more), policy=policy, reservation=reservation)


def replaced(policy: Policy = POLICY) -> Replaced:
    return Replaced(target="3-2", at=NOW, policy=policy)


def decision(
    action: Action, name: str = "D-1", by: str = "ann", listed: bool = True, policy: Policy = MANUAL, **more: Any
) -> Decide:
    order = DecisionOrder.model_validate(
        {"decision": name, "action": action, "by": by, "why": "as I see it", "on": LAST} | more
    )
    supervisors = tuple(one for one in ("ann", "bob", "cy", by) if listed or one != by)
    return Decide(order=order, supervisors=supervisors, at=NOW, policy=policy)


def sighted(
    statement: str = "contact/1", cause: Cause = Cause.SIGHTING, policy: Policy = POLICY, **more: Any
) -> Sighted:
    sighting = Sighting.model_validate({"statement": statement, "cause": cause, "occurred": NOW} | more)
    return Sighted(sighting=sighting, at=NOW, policy=policy)


OVERTAKEN = Overtaken(by=CaseId("case-2"), at=NOW, policy=MANUAL)
BESIDE = Report(report=report(beside="case-1"))
ASSESSED = assessed()
BLOCKED = Blocked(at=NOW, policy=POLICY)
REPLACED = replaced()
NO_TARGET = NoTarget(at=NOW, tickets=("T-1",))
OFFERED = Offered(serial="3-2")
NOTHING_LEFT = NothingLeft()
NEEDS_APPROVAL = assessed(MANUAL)
ELAPSED = Elapsed(at=LATER, policy=POLICY)
SIGHTED = sighted()
FOUND = sighted("found/1", Cause.FOUND)
RETURNED = sighted("returned/1", Cause.RETURNED)
DAMAGED = Report(report=report(reason=Reason.DAMAGED))
FORGOTTEN = Report(report=report(kind=Kind.CLOUD, reason=Reason.FORGOTTEN))
HELD = Held(cause="container D-1 is blocked by case c-2 too", at=NOW)
FAILED = Failed(code="generation_conflict", cause="licence L-1 is no longer at generation 1 in 3-1")
RULED = decision(Action.RULE, name="D-2", verdict=Verdict.CLONE)
REINSTATE = decision(Action.RULE, name="D-3", verdict=Verdict.FOUND, reinstate=True)
WATCHED = (REPORTED, ASSESSED, BLOCKED, REPLACED)


EYES = Policy(rules=(Rule(mode=Mode.MANUAL, four_eyes_above_cents=0),))
DEAR = Assessed(at=NOW, facts=facts(licence(value_cents=100)), policy=EYES, reservation=None)


ESCALATING = Policy(
    rules=(
        Rule(
            mode=Mode.MANUAL,
            approval=Approval(due_hours=48, remind_hours=24, undecided=Undecided.ESCALATE, escalate_to=("bob",)),
        ),
    )
)


def elapsed(hours: int, policy: Policy) -> Elapsed:
    return Elapsed(at=NOW + timedelta(hours=hours), policy=policy)


WAITS = Policy(rules=(Rule(wait_hours=24),))
QUOTA = Policy(rules=(Rule(mode=Mode.HYBRID, quota=Quota(per=QuotaSubject.HOLDER, recoveries=1, goodwill=("bob",))),))
USED_UP = assessed(QUOTA, Reservation(at=NOW, ordinal=None, limit=1))

TWO = Policy(
    rules=(
        Rule(
            products=("cad",),
            mode=Mode.HYBRID,
            quota=Quota(recoveries=1),
            approval=ESCALATING.rules[0].approval,
        ),
        Rule(products=("plm",), mode=Mode.HYBRID, quota=Quota(per=QuotaSubject.PRODUCT, recoveries=2)),
    )
)


def divided(used_up: tuple[bool, bool]) -> Assessed:
    """A loss of products under two rules, of whose quotas these are used up."""
    limits = zip(used_up, (1, 2), strict=True)
    answers = [QuotaAnswer(ordinal=None if any(used_up) else 1, limit=limit, used_up=one) for one, limit in limits]
    known = facts(licence(1), licence(2, product="plm"))
    return Assessed(at=NOW, facts=known, policy=TWO, reservation=Reservation.of(NOW, answers))


PROVEN = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(evidence=("police_report",))),))


PHOTO = EvidenceFile(sha256="5f" * 32, media_type=MediaType.JPEG, size=181_204)


def evidence(*names: str, statement: str = "evidence/1", policy: Policy = PROVEN) -> Bring:
    given = Evidence(statement=statement, by="ann", evidence=names, files=(PHOTO,), on_behalf_of="h-1")
    return Bring(evidence=given, at=NOW, policy=policy)


CONDITIONAL = decision(Action.APPROVE, condition="the police report", condition_days=14)
