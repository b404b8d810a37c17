"""The durable case on a server that skips time, with the real backend and the real log."""

import asyncio
from datetime import UTC, datetime

import pytest
from psycopg import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.case_activities import CaseActivities
from events.backend_facts import CaseAddressed, LicenceIssued, MeasureOrdered
from events.envelope import Recorded, case_stream
from events.errors import Code, NotYetKnownError, RefusalError
from events.ports.case_activities import Appended, AppendOrder
from events.ports.loss_cases import DecisionOrder
from events.statements import (
    FoundStatement,
    LossStatement,
)
from events.terms import Action, Kind, Mode, Reason, Reporter, Role, Serial, Status, VendorId, Verdict
from tests.given import principal, supervisor
from tests.workflow.harness import WATCH, Bench, eventually
from workflows.case import CaseState
from workflows.loss_case import LossCase
from workflows.policy import Policy, Quota, Rule

pytestmark = pytest.mark.integration


class ForgetfulActivities(CaseActivities):
    """Every append's first attempt is done, and then its worker is as if it had died."""

    @activity.defn(name="append")
    async def append(self, order: AppendOrder) -> Appended:
        appended = await super().append(order)
        if activity.info().attempt == 1:
            raise ApplicationError("died after the append, before it could say so")
        return appended


async def test_a_lost_dongle_is_blocked_replaced_watched_for_a_year_and_lost_for_ever(bench: Bench) -> None:
    await bench.container("lost", licences=2)
    await bench.container("spare")

    key = await bench.report("R-1")
    watching = await bench.until(key, Status.WATCHING)
    outcome = await bench.outcome(key)

    assert watching.target == "spare"
    assert outcome == "lost_for_ever"
    facts = await bench.facts(case_stream(key.case))
    assert facts[-1].recorded - facts[0].recorded > WATCH
    names = ["loss.reported", "scope.known", "case.decided", "replacing.begun", "watch.begun", "case.closed"]
    assert [recorded.fact.name for recorded in facts] == names
    await bench.save(key, "lost_for_ever")


async def test_the_log_has_the_measure_before_the_replacement(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, Status.WATCHING)

    async def replaced() -> list[Recorded] | None:
        facts = await bench.facts("container/lost")
        return facts if len(facts) == 4 else None

    names = [recorded.fact.name for recorded in await eventually(replaced)]
    assert names == ["container.registered", "licence.issued", MeasureOrdered.name, "licence.superseded"]


async def test_a_case_without_a_target_waits_until_a_container_is_registered(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    key = await bench.report("R-1")
    await bench.until(key, Status.AWAITING_TARGET)

    await bench.container("late")
    watching = await bench.until(key, Status.WATCHING)

    assert watching.target == "late"
    await bench.outcome(key)
    await bench.save(key, "awaited_target")


async def test_the_facts_of_a_case_are_recorded_in_their_order_whatever_is_answered_again(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    key = await bench.report("R-1", reason=Reason.DAMAGED)
    await bench.until(key, Status.AWAITING_TARGET)
    await bench.report("R-2", reason=Reason.STOLEN)
    await bench.until(key, Status.AWAITING_APPROVAL)

    await bench.decide(key, Action.APPROVE)  # its measures are ordered already, and it is answered when

    await bench.until(key, Status.AWAITING_TARGET)
    facts = await bench.facts(case_stream(key.case))
    times = [one.recorded for one in facts]
    assert [one.fact.name for one in facts][-3:] == ["case.approved", "replacing.begun", "target.awaited"]
    assert times == sorted(times)


async def test_a_container_that_never_held_a_licence_is_no_case_and_uses_no_number_up(bench: Bench) -> None:
    await bench.container("lost")
    with pytest.raises(NotYetKnownError) as refusal:
        await bench.report("R-1")

    await bench.licence("lost")
    key = await bench.report("R-1")

    assert refusal.value.code is Code.NO_LICENCE
    await bench.until(key, Status.AWAITING_TARGET)


async def test_a_case_whose_licences_are_gone_is_refused_and_may_be_reported_again(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    statement = LossStatement(
        report="R-1",
        serial="lost",
        kind=Kind.DONGLE,
        reason=Reason.LOST,
        reporter=Reporter(role=Role.BACK_OFFICE, name="crm"),
        occurred=datetime.now(UTC),
    )
    await bench.backend.claim(principal(bench.vendor), statement, datetime.now(UTC))
    async with await AsyncConnection.connect(bench.settings.dsn) as connection:
        await connection.execute("delete from backend.licences where vendor = %s", (bench.vendor,))

    key = await bench.report("R-1")
    outcome = await bench.outcome(key)
    await bench.licence("lost")
    again = await bench.report("R-2")

    assert outcome == "refused"
    assert again.case != key.case
    await bench.save(key, "refused")


async def test_a_second_report_joins_and_the_same_one_again_changes_nothing(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, Status.WATCHING)

    joined = await bench.report("R-2", reason=Reason.STOLEN)
    await bench.report("R-1")
    await bench.report("R-2", reason=Reason.STOLEN)

    async def both() -> CaseState | None:
        state = await bench.handle(key).query(LossCase.state_of_case)
        return state if state is not None and len(state.reports) == 2 else None

    assert joined == key
    assert (await eventually(both)).reports == ("R-1", "R-2")
    await bench.outcome(key)
    await bench.save(key, "joined")


async def test_the_same_report_five_times_at_once_is_one_case_with_one_statement(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    await bench.container("spare")

    keys = await asyncio.gather(*(bench.report("R-1") for _ in range(5)))
    await bench.until(keys[0], Status.WATCHING)

    assert len(set(keys)) == 1
    names = [recorded.fact.name for recorded in await bench.facts(case_stream(keys[0].case))]
    assert names.count("loss.reported") == 1


class TestWhenEveryAppendIsDoneTwice:
    """As if each worker died between the append and its answer."""

    @pytest.fixture
    def activity_class(self) -> type[CaseActivities]:
        return ForgetfulActivities

    async def test_copies_are_equal_to_the_byte_and_the_stream_holds(self, bench: Bench) -> None:
        await bench.container("lost", licences=1)
        await bench.container("spare")
        key = await bench.report("R-1")
        await bench.until(key, Status.WATCHING)

        facts = await bench.facts(case_stream(key.case))

        distinct = dict.fromkeys((recorded.sequence, recorded.hash) for recorded in facts)
        assert [sequence for sequence, _ in distinct] == [1, 2, 3, 4, 5]
        assert len(facts) == 5 * 3, "tried locally, and then as a regular activity until it is known to be done"


async def test_a_replacement_is_a_signed_file_in_the_target(bench: Bench) -> None:
    await bench.container("lost", licences=2)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, Status.WATCHING)

    async def issued() -> list[LicenceIssued] | None:
        facts = [recorded.fact for recorded in await bench.facts("container/spare")]
        found = [fact for fact in facts if isinstance(fact, LicenceIssued)]
        return found if len(found) == 2 else None

    replacement = await eventually(issued)
    assert {(fact.generation, fact.case, fact.serial) for fact in replacement} == {(2, key.case, Serial("spare"))}
    assert all(fact.file and fact.file.count(".") == 2 for fact in replacement)


async def test_a_sighting_resurfaces_the_case_and_a_verdict_closes_it(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, Status.WATCHING)

    await bench.contact("C-1")
    await bench.contact("C-1")
    resurfaced = await bench.until(key, Status.RESURFACED)
    with pytest.raises(RefusalError) as denied:
        await bench.decide(key, Action.RULE, by="eve", decision="D-0", verdict=Verdict.FOUND)
    taken = await bench.decide(key, Action.RULE, verdict=Verdict.CLONE)

    assert resurfaced.sightings == 1
    assert denied.value.code is Code.NOT_A_SUPERVISOR
    assert taken.status is Status.CLOSED
    assert await bench.handle(key).result() == "clone"
    names = [recorded.fact.name for recorded in await bench.facts(case_stream(key.case))]
    assert names[-4:] == ["case.resurfaced", "decision.denied", "case.ruled", "case.closed"]
    await bench.save(key, "clone")


async def test_a_report_that_joins_a_closed_case_is_stated_of_its_container_and_begins_nothing(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, Status.WATCHING)
    await bench.outcome(key)
    before = await bench.facts(case_stream(key.case))

    again, late = await bench.report("R-1"), await bench.report("R-2")

    async def addressed() -> CaseAddressed | None:
        facts = [one.fact for one in await bench.facts("container/lost") if isinstance(one.fact, CaseAddressed)]
        return facts[0] if facts else None

    assert again == late == key
    assert (await eventually(addressed)).statement == "report/R-2"
    assert await bench.facts(case_stream(key.case)) == before


async def test_a_container_that_is_found_resurfaces_the_case(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, Status.WATCHING)

    reporter = Reporter(role=Role.HOLDER, name="h-1")
    await bench.take(FoundStatement(report="F-1", serial="lost", reporter=reporter, occurred=datetime.now(UTC)))
    await bench.until(key, Status.RESURFACED)
    await bench.decide(key, Action.RULE, verdict=Verdict.FOUND)

    assert await bench.handle(key).result() == "found"


async def test_a_report_in_the_name_of_another_holder_is_one_of_an_unknown_container(bench: Bench) -> None:
    await bench.container("lost", licences=1)

    with pytest.raises(RefusalError) as wrongful:
        await bench.take(
            LossStatement(
                report="R-1",
                serial="lost",
                kind=Kind.DONGLE,
                reason=Reason.LOST,
                reporter=Reporter(role=Role.HOLDER, name="h-2"),
                occurred=datetime.now(UTC),
            )
        )
    with pytest.raises(RefusalError) as unknown:
        await bench.report("R-2", serial="none")

    assert wrongful.value.code is unknown.value.code is Code.UNKNOWN_CONTAINER
    assert wrongful.value.sentence.replace("lost", "none", 1) == unknown.value.sentence


class TestManual:
    """A supervisor decides on every case."""

    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(supervisors=("ann", "bob"), rules=(Rule(mode=Mode.MANUAL),))

    async def test_an_approved_case_is_replaced(self, bench: Bench) -> None:
        await bench.container("lost", licences=1)
        await bench.container("spare")
        key = await bench.report("R-1")
        await bench.until(key, Status.AWAITING_APPROVAL)

        first = await bench.decide(key, Action.APPROVE)
        again = await bench.decide(key, Action.APPROVE)
        watching = await bench.until(key, Status.WATCHING)

        assert (first.decision, again.decision, watching.decided_by) == ("D-1", "D-1", "ann")
        names = [recorded.fact.name for recorded in await bench.facts(case_stream(key.case))]
        assert names.count("case.approved") == 1
        await bench.outcome(key)
        await bench.save(key, "approved")

    async def test_a_rejected_case_frees_its_claims(self, bench: Bench) -> None:
        await bench.container("lost", licences=1)
        key = await bench.report("R-1")
        await bench.until(key, Status.AWAITING_APPROVAL)

        await bench.decide(key, Action.REJECT)
        outcome = await bench.handle(key).result()
        again = await bench.report("R-2")

        assert outcome == "rejected"
        assert again.case != key.case
        await bench.save(key, "rejected")

    async def test_who_is_not_listed_is_refused_and_the_attempt_is_in_the_record(self, bench: Bench) -> None:
        await bench.container("lost", licences=1)
        key = await bench.report("R-1")
        await bench.until(key, Status.AWAITING_APPROVAL)

        with pytest.raises(RefusalError) as denied:
            await bench.decide(key, Action.APPROVE, by="eve")

        assert denied.value.code is Code.NOT_A_SUPERVISOR
        last = (await bench.facts(case_stream(key.case)))[-1].fact
        assert last.model_dump(include={"by", "action", "code"}) == {
            "by": "eve",
            "action": Action.APPROVE,
            "code": "not_a_supervisor",
        }

    async def test_another_vendors_supervisor_finds_no_such_case(self, bench: Bench) -> None:
        await bench.container("lost", licences=1)
        key = await bench.report("R-1")
        await bench.until(key, Status.AWAITING_APPROVAL)
        order = DecisionOrder(decision="D-1", action=Action.APPROVE, by="ann", on=1)

        with pytest.raises(RefusalError) as refused:
            await bench.application.decide(supervisor(VendorId(f"{bench.vendor}-x"), order.by), key.case, order)

        assert refused.value.code is Code.UNKNOWN_CASE


class TestHybrid:
    """Two recoveries a year for each holder, then a supervisor."""

    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(supervisors=("ann",), rules=(Rule(mode=Mode.HYBRID, quota=Quota(recoveries=2)),))

    async def test_of_three_losses_at_once_two_are_replaced_and_one_waits_for_a_person(self, bench: Bench) -> None:
        for number in range(3):
            await bench.container(f"lost{number}", licences=1)
            await bench.container(f"spare{number}")

        keys = await asyncio.gather(*(bench.report(f"R-{number}", serial=f"lost{number}") for number in range(3)))

        async def settled() -> list[CaseState] | None:
            states = [await bench.handle(key).query(LossCase.state_of_case) for key in keys]
            done = [s for s in states if s and s.status in (Status.WATCHING, Status.AWAITING_APPROVAL)]
            return done if len(done) == 3 else None

        states = await eventually(settled)
        replaced = sorted(state.ordinal or 0 for state in states if state.status is Status.WATCHING)
        assert replaced == [1, 2]
        (waiting,) = [state for state in states if state.status is Status.AWAITING_APPROVAL]
        assert waiting.reasons == ("2 of 2 recoveries in 365 days are used for this holder",)
