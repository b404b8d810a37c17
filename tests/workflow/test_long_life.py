"""Decisions that take time, un-loss and the long watch, on a server that skips time."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.licensing.message_rules import sighting
from events.backend_facts import LicenceIssued
from events.case_facts import CaseSighted, ReplacementLost
from events.envelope import case_stream
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import Message
from events.statements import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    EvidenceStatement,
    FoundStatement,
    LicenceStatement,
)
from events.terms import (
    Action,
    Contact,
    Kind,
    Mode,
    Outcome,
    Reason,
    Reporter,
    Role,
    Serial,
    Status,
    Undecided,
    Verdict,
)
from tests.given import principal
from tests.workflow.harness import Bench, eventually
from workflows.case import CaseState
from workflows.client import CaseClient
from workflows.decider import RELEASE
from workflows.limits import Limits
from workflows.loss_case import HISTORY_LIMIT, LossCase
from workflows.policy import Approval, Policy, Rule

pytestmark = pytest.mark.integration

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
SUPERVISORS = ("ann", "bob")


async def watched(bench: Bench) -> CaseKey:
    """A lost dongle that is replaced."""
    return await reported(bench, Status.WATCHING)


async def reported(bench: Bench, status: Status) -> CaseKey:
    """A lost dongle, for which there is another, once its case stands there."""
    await bench.container("lost", licences=1)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, status)
    return key


async def found(bench: Bench, serial: str = "lost") -> None:
    await bench.take(FoundStatement(report="F-1", serial=serial, reporter=CRM, occurred=datetime.now(UTC)))


async def ended(bench: Bench, key: CaseKey) -> str:
    outcome: str = await bench.handle(key).result()
    return outcome


async def test_a_found_original_is_reinstated_after_its_replacement_is_withdrawn(bench: Bench) -> None:
    key = await watched(bench)
    await found(bench)
    await bench.until(key, Status.RESURFACED)
    await bench.decide(key, Action.RULE, verdict=Verdict.FOUND, reinstate=True)
    await bench.until(key, Status.REINSTATING)
    await bench.contact("C-1", "spare")
    confirming = ContactStatement(contact="C-2", serial="spare", occurred=datetime.now(UTC), confirms=True)
    await bench.take(confirming)

    assert await ended(bench, key) == Outcome.FOUND
    await bench.save(key, "reinstated")
    names = [fact.fact.name for fact in await bench.facts(case_stream(key.case))]
    assert names[-4:] == ["case.sighted", "replacement.withdrawn", "case.reinstated", "case.closed"]


async def test_the_replacement_lost_in_turn_leaves_the_first_case_to_retire_its_original(bench: Bench) -> None:
    key = await watched(bench)
    await bench.container("third")
    second = await bench.report("R-2", "spare")
    await bench.until(second, Status.WATCHING)

    async def first_case_knows() -> bool | None:
        return any(isinstance(fact.fact, ReplacementLost) for fact in await bench.facts(case_stream(key.case))) or None

    await eventually(first_case_knows)
    await found(bench)
    await bench.until(key, Status.RESURFACED)
    with pytest.raises(RefusalError) as refusal:
        await bench.decide(key, Action.RULE, verdict=Verdict.FOUND, reinstate=True)
    assert refusal.value.code is Code.REPLACEMENT_LOST
    await bench.decide(key, Action.RULE, decision="D-2", verdict=Verdict.FOUND)
    assert await ended(bench, key) == Outcome.FOUND
    assert (await bench.until(second, Status.WATCHING)).replacement_lost is None


async def two_un_losses(bench: Bench) -> tuple[CaseKey, CaseKey]:
    """One container, lost twice with other licences in it, and found: the un-loss of the first is stuck, for nobody had
    asked for the second's, and the second waits for the first."""
    first = await watched(bench)
    await bench.container("third")
    about = {"product": "cad", "ticket": "T-9", "issued": datetime.now(UTC)}
    await bench.take(LicenceStatement.model_validate({"licence": "L-9", "serial": "lost", **about}))
    second = await bench.report("R-2", "lost")
    await bench.until(second, Status.WATCHING)
    await found(bench)
    for key, status in ((first, Status.STUCK), (second, Status.REINSTATING)):
        await bench.until(key, Status.RESURFACED)
        await bench.decide(key, Action.RULE, verdict=Verdict.FOUND, reinstate=True)
        await bench.until(key, status)
    await removed(bench, "third")

    async def waits() -> CaseState | None:
        state = await bench.state(second)
        return state if state and state.release_until else None

    state = await eventually(waits)
    assert state.status is Status.REINSTATING
    return first, second


async def removed(bench: Bench, serial: str) -> None:
    """The container is told to remove the replacement, and says that it has."""
    for confirms in (False, True):
        about = {"contact": f"{serial}-{confirms}", "serial": serial, "confirms": confirms}
        await bench.take(ContactStatement.model_validate({**about, "occurred": datetime.now(UTC)}))


@pytest.mark.parametrize("action", [Action.RESUME, Action.GIVE_UP])
async def test_an_un_loss_that_waits_for_another_goes_on_by_itself(bench: Bench, action: Action) -> None:
    first, second = await two_un_losses(bench)

    await bench.decide(first, action, decision="D-2")
    if action is Action.RESUME:
        await bench.until(first, Status.REINSTATING)
        await removed(bench, "spare")

    assert await ended(bench, second) == Outcome.FOUND
    assert await ended(bench, first) == (Outcome.FOUND if action is Action.RESUME else Outcome.GIVEN_UP)
    await bench.save(second, f"released_by_{action}")


async def test_an_un_loss_waits_for_another_to_a_deadline(bench: Bench) -> None:
    first, second = await two_un_losses(bench)

    await bench.env.sleep(RELEASE + timedelta(hours=1))

    state = await bench.until(second, Status.STUCK)
    assert state.stuck is not None
    assert state.stuck[:2] == (Status.REINSTATING, Code.BLOCKED)
    assert first.case in state.stuck[2]
    await bench.decide(first, Action.GIVE_UP, decision="D-2")
    await bench.decide(second, Action.RESUME, decision="D-2")
    assert await ended(bench, second) == Outcome.FOUND


async def test_what_an_un_loss_waits_for_that_ends_otherwise_is_said_at_once(bench: Bench) -> None:
    first, second = await two_un_losses(bench)

    await bench.decide(first, Action.RULE, decision="D-2", verdict=Verdict.USED_AFTER_LOSS)

    state = await bench.until(second, Status.STUCK)
    assert state.stuck is not None
    assert first.case in state.stuck[2]


async def test_once_the_old_activation_is_given_back_nothing_is_left_to_watch_for(bench: Bench) -> None:
    old, new = {"board": "b-1", "disk": "d-1"}, {"board": "b-2", "disk": "d-2"}
    await bench.take(ContainerStatement(serial="A-1", kind=Kind.ACT, holder="h-1", fingerprint=old))
    await bench.take(
        LicenceStatement(licence="L-1", serial="A-1", product="cad", ticket="T-1", issued=datetime.now(UTC))
    )
    key = await bench.report("R-1", "A-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    await bench.until(key, Status.AWAITING_TARGET)
    code = (await bench.backend.activation_code(principal(bench.vendor), Serial("A-1"))).code
    moved = {"how": Contact.ACTIVATION, "fingerprint": new, "activation_code": code, "occurred": datetime.now(UTC)}
    await bench.take(ContactStatement.model_validate({"contact": "C-1", "serial": "A-1", **moved}))
    await bench.until(key, Status.WATCHING)

    await bench.take(DeactivationStatement(contact="C-2", serial="A-1", generation=1, occurred=datetime.now(UTC)))

    assert await ended(bench, key) == Outcome.RETIRED
    await bench.save(key, Outcome.RETIRED)


class TestWaiting:
    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(supervisors=SUPERVISORS, rules=(Rule(wait_hours=24),))

    async def test_a_waiting_case_is_blocked_and_then_replaced(self, bench: Bench) -> None:
        key = await reported(bench, Status.WAITING)

        await bench.env.sleep(timedelta(hours=25))

        await bench.until(key, Status.WATCHING)

    async def test_what_is_found_while_the_case_waits_cancels_it_and_lifts_its_measures(self, bench: Bench) -> None:
        await bench.container("lost", licences=1)
        key = await bench.report("R-1")
        await bench.until(key, Status.WAITING)

        await found(bench)

        assert await ended(bench, key) == Outcome.CANCELLED
        await bench.save(key, Outcome.CANCELLED)

        async def served() -> bool | None:
            statement = ContactStatement(contact="C-1", serial="lost", occurred=datetime.now(UTC))
            answer = await bench.backend.contact(bench.vendor, statement, datetime.now(UTC))
            return not answer.refused

        assert await eventually(served)


class TestDeadlines:
    @pytest.fixture
    def policy(self) -> Policy:
        approval = Approval(due_hours=48, remind_hours=24, undecided=Undecided.ESCALATE, escalate_to=("bob",))
        return Policy(supervisors=SUPERVISORS, rules=(Rule(mode=Mode.MANUAL, approval=approval),))

    async def test_who_decides_nothing_is_reminded_and_the_case_is_escalated(self, bench: Bench) -> None:
        key = await reported(bench, Status.AWAITING_APPROVAL)

        await bench.env.sleep(timedelta(hours=49))

        await bench.until(key, Status.ESCALATED)
        with pytest.raises(RefusalError) as refusal:
            await bench.decide(key, Action.APPROVE)
        assert refusal.value.code is Code.NOT_ESCALATED_TO
        await bench.decide(key, Action.APPROVE, by="bob", decision="D-2")
        await bench.until(key, Status.WATCHING)
        await bench.save(key, "escalated")
        names = [fact.fact.name for fact in await bench.facts(case_stream(key.case))]
        assert names[3:5] == ["approval.reminded", "approval.overdue"]

    async def test_a_decision_made_before_another_report_joined_is_stale(self, bench: Bench) -> None:
        await bench.container("lost", licences=1)
        key = await bench.report("R-1")
        seen = await bench.until(key, Status.AWAITING_APPROVAL)
        await bench.report("R-2")

        with pytest.raises(RefusalError) as refusal:
            await bench.decide(key, Action.APPROVE, on=seen.material)
        assert refusal.value.code is Code.STALE

    async def test_on_a_condition_a_stop_gap_is_issued_and_the_rest_once_it_is_met(self, bench: Bench) -> None:
        key = await reported(bench, Status.AWAITING_APPROVAL)
        await bench.decide(key, Action.APPROVE, condition="a police report", condition_days=14)
        await bench.until(key, Status.WATCHING)

        await bench.decide(key, Action.MEET, decision="D-2")

        async def whole() -> bool | None:
            state = await bench.handle(key).query(LossCase.state_of_case)
            return (state is not None and state.status is Status.WATCHING and not state.owes) or None

        await eventually(whole)
        await bench.save(key, "condition_met")

        async def stop_gap_first() -> bool | None:
            issued = [fact.fact for fact in await bench.facts() if isinstance(fact.fact, LicenceIssued)]
            return [fact.stop_gap for fact in issued][-2:] == [True, False] or None

        await eventually(stop_gap_first)


class TestEvidence:
    @pytest.fixture
    def policy(self) -> Policy:
        limits = Limits(evidence=("police_report",))
        return Policy(supervisors=SUPERVISORS, rules=(Rule(mode=Mode.HYBRID, limits=limits),))

    async def test_evidence_that_was_missing_has_policy_decide_again(self, bench: Bench) -> None:
        key = await reported(bench, Status.AWAITING_APPROVAL)

        await bench.take(
            EvidenceStatement(
                statement="E-1",
                report="R-1",
                serial="lost",
                reporter=CRM,
                evidence=("police_report",),
                occurred=datetime.now(UTC),
            )
        )

        await bench.until(key, Status.WATCHING)
        await bench.save(key, "evidence")

    async def test_a_report_after_a_rejection_goes_to_a_person_and_names_the_rejected_case(self, bench: Bench) -> None:
        rejected = await reported(bench, Status.AWAITING_APPROVAL)
        await bench.decide(rejected, Action.REJECT)
        assert await ended(bench, rejected) == Outcome.REJECTED

        again = await bench.report("R-2", evidence=("police_report",))

        waiting = await bench.until(again, Status.AWAITING_APPROVAL)
        assert waiting.report.former == rejected.case
        assert waiting.reasons == (f"an earlier report of this loss was rejected, in case {rejected.case}",)


SIGHTINGS = 10_000
AT_ONCE = 500


async def test_a_watch_with_ten_thousand_sightings_keeps_its_history_bounded_and_counts_each_once(
    bench: Bench,
) -> None:
    key = await watched(bench)
    handle = bench.handle(key)
    again = CaseClient(bench.env.client, "")
    for number in (1, 2):  # through the doors, as all others would come
        await bench.contact(f"C-{number}")
    for first in range(3, SIGHTINGS + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, SIGHTINGS)
        await bench.post(key, [sighting(f"C-{number}", datetime.now(UTC)) for number in range(first, last + 1)])

        async def counted(last: int = last) -> bool | None:
            state = await bench.state(key)
            return (state is not None and state.sightings == last) or None

        await eventually(counted, 60)
        late = [Message(number=number, content=sighting("late", datetime.now(UTC))) for number in (2, last)]
        await again.send(key, late)
        description = await handle.describe()
        assert description.raw_description.workflow_execution_info.history_length < HISTORY_LIMIT + 2 * AT_ONCE

    state = await bench.state(key)
    assert state is not None
    assert (state.status, state.sightings) == (Status.RESURFACED, SIGHTINGS)
    recorded = await bench.facts(case_stream(key.case))
    assert sum(isinstance(fact.fact, CaseSighted) for fact in recorded) == SIGHTINGS - 1
    await bench.decide(key, Action.RULE, verdict=Verdict.CLONE, on=state.material)
    repeated = await bench.decide(key, Action.RULE, verdict=Verdict.CLONE, on=state.material)
    assert repeated.decision == "D-1"
    assert await ended(bench, key) == Outcome.CLONE


async def test_a_wider_loss_is_blocked_at_once_and_the_milder_case_waits_for_a_person(bench: Bench) -> None:
    await bench.container("lost", licences=2)
    milder = await bench.report("R-1", licences=("L-lost-0",))
    await bench.until(milder, Status.AWAITING_TARGET)

    wider = await bench.report("R-2", reason=Reason.STOLEN)

    waiting = await bench.until(milder, Status.AWAITING_APPROVAL)
    assert (waiting.widened_by, wider == milder) == (wider.case, False)
    assert wider.case in waiting.reasons[0]
    stolen = await bench.until(wider, Status.AWAITING_TARGET)
    assert (stolen.report.beside, [one.licence for one in stolen.licences]) == (milder.case, ["L-lost-1"])
    await bench.decide(milder, Action.APPROVE)
    for spare in ("spare", "another"):
        await bench.container(spare)
    for key in (milder, wider):
        await bench.until(key, Status.WATCHING)


async def test_a_theft_beside_a_case_that_recovers_everything_blocks_and_watches(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    await bench.container("spare")
    damaged = await bench.report("R-1", reason=Reason.DAMAGED)
    await bench.until(damaged, Status.WATCHING)

    theft = await bench.report("R-2", reason=Reason.STOLEN)

    watching = await bench.until(theft, Status.WATCHING)
    assert (watching.target, watching.licences, watching.report.beside) == (None, (), damaged.case)
    await bench.contact("C-1")
    await bench.until(theft, Status.RESURFACED)
    await bench.decide(theft, Action.RULE, verdict=Verdict.USED_AFTER_LOSS)
    assert await ended(bench, theft) == Outcome.USED_AFTER_LOSS
