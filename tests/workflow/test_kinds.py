"""Every kind, reason and scope, to each of its outcomes, on a server that skips time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.case_activities import CaseActivities
from events.case_facts import CaseClosed
from events.envelope import case_stream
from events.errors import Code
from events.loss_table import LOSSES, Loss
from events.ports.licensing_backend import CaseKey
from events.statements import (
    ContactStatement,
    ContainerStatement,
    FoundStatement,
    LicenceStatement,
    LossStatement,
    Presented,
    ReturnStatement,
)
from events.terms import (
    Action,
    Contact,
    ContactId,
    Kind,
    Mode,
    Outcome,
    Reason,
    Recovery,
    Reporter,
    Role,
    Scope,
    Serial,
    Status,
    Target,
    Verdict,
    Watch,
)
from tests.given import principal
from tests.workflow.harness import WATCH, Bench
from workflows.policy import Policy, Rule

pytestmark = pytest.mark.integration

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
OLD_MACHINE = {"board": "b-1", "disk": "d-1", "mac": "m-1"}
NEW_MACHINE = {"board": "b-2", "disk": "d-2", "mac": "m-2"}
OTHER_MACHINE = {"board": "b-3", "disk": "d-3", "mac": "m-3"}
PASSWORD = "an old and long password"
BREAKS = "broken"
KEPT = {
    *((Kind.DONGLE, Reason.DAMAGED, outcome) for outcome in ("given_up", "returned", "lapsed")),
    (Kind.CLOUD, Reason.FORGOTTEN, "restored"),
    *((Kind.ACT, Reason.COMPUTER_STOLEN, outcome) for outcome in ("found", "damaged", "used_after_loss", "fraud")),
}
"""Of which losses the histories are kept for the replay tests, beside one of each row."""


class BreakingActivities(CaseActivities):
    """What concerns a container called `broken…` fails for good until it is mended."""

    mended = False

    async def _ask(self, name: str, order: Any) -> Any:
        if name == "issue" and order.key.serial.startswith(BREAKS) and not self.mended:
            raise ApplicationError("the store for this is gone", type=Code.GENERATION_CONFLICT, non_retryable=True)
        return await super()._ask(name, order)


@pytest.fixture
def activity_class() -> type[CaseActivities]:
    return BreakingActivities


@pytest.fixture
def policy() -> Policy:
    rules = (Rule(products=("plm",), mode=Mode.MANUAL), Rule())
    return Policy(supervisors=("ann", "bob"), rules=rules)


@dataclass
class Journey:
    """One loss of a row and scope: a container of its own, of a holder of its own."""

    bench: Bench
    loss: Loss
    scope: Scope
    serial: str
    key: CaseKey

    @classmethod
    async def begin(cls, bench: Bench, loss: Loss, scope: Scope, serial: str, product: str = "cad") -> "Journey":
        """Register, license and report lost."""
        fingerprint = OLD_MACHINE if loss.kind is Kind.ACT else None
        container = ContainerStatement(serial=serial, kind=loss.kind, holder=f"h-{serial}", fingerprint=fingerprint)
        await bench.take(container)
        for number in range(2):
            await bench.take(licence(serial, number, product))
        if loss.kind is Kind.CLOUD:
            link = await bench.backend.access_link(principal(bench.vendor), Serial(serial))
            await bench.application.set_access(bench.vendor, Serial(serial), link.token, PASSWORD)
        statement = LossStatement(
            report=f"R-{serial}",
            serial=serial,
            kind=loss.kind,
            reason=loss.reason,
            scope=scope,
            licences=(f"L-{serial}-0",) if scope is Scope.LICENCES else (),
            reporter=CRM,
            occurred=datetime.now(UTC),
        )
        await bench.take(statement)
        key = (await bench.backend.claim(principal(bench.vendor), statement, datetime.now(UTC))).key
        return cls(bench, loss, scope, serial, key)

    async def recover(self) -> None:
        """Give the replacement somewhere to go, and wait until it is there."""
        bench = self.bench
        match self.loss.target(self.scope):
            case Target.EMPTY_CONTAINER | Target.OTHER_CONTAINER as target:
                await bench.until(self.key, Status.AWAITING_TARGET)
                spare = f"spare-{self.serial}"
                await bench.take(ContainerStatement(serial=spare, kind=self.loss.kind, holder=f"h-{self.serial}"))
                if target is Target.OTHER_CONTAINER:
                    await bench.take(licence(spare, 7, "other"))
            case Target.ACTIVATION:
                await bench.until(self.key, Status.AWAITING_TARGET)
                await self.activate(OLD_MACHINE if self.loss.recovery is Recovery.REISSUE else NEW_MACHINE)
            case Target.SAME_CONTAINER if self.loss.recovery is Recovery.RESET:
                await bench.until(self.key, Status.AWAITING_TARGET)
                link = await bench.backend.access_link(principal(bench.vendor), Serial(self.serial))
                await bench.application.set_access(
                    bench.vendor, Serial(self.serial), link.token, "a new and long password"
                )
        if self.loss.watch is not Watch.NONE:
            await bench.until(self.key, Status.WATCHING)

    async def activate(self, fingerprint: dict[str, str]) -> None:
        """A machine activates the container, with a code where its case asks for one."""
        by_code = {}
        if self.loss.recovery is not Recovery.REISSUE:
            code = await self.bench.backend.activation_code(principal(self.bench.vendor), Serial(self.serial))
            by_code = {"activation_code": code.code}
        await self.bench.take(self._contact("activation", how=Contact.ACTIVATION, fingerprint=fingerprint, **by_code))

    async def sight(self) -> None:
        """The lost thing itself reports in."""
        if self.loss.kind is Kind.CLOUD:
            contact = ContactId(f"C-{self.serial}-old")
            answer = await self.bench.application.sign_in(self.bench.vendor, contact, Serial(self.serial), PASSWORD)
            assert answer.session is None
        elif self.loss.kind is Kind.ACT:
            machine = OTHER_MACHINE if self.loss.recovery is Recovery.REISSUE else OLD_MACHINE
            await self.bench.take(self._contact("old", generation=1, fingerprint=machine, licences=self._lost()))
        else:
            await self.bench.take(self._contact("old", licences=self._lost()))

    def _lost(self) -> tuple[Presented, ...]:
        return (Presented(licence=f"L-{self.serial}-0", generation=1),)

    def _contact(self, name: str, **more: Any) -> ContactStatement:
        now = datetime.now(UTC)
        return ContactStatement(contact=f"C-{self.serial}-{name}", serial=self.serial, occurred=now, **more)

    async def find(self) -> None:
        """Its holder finds it."""
        found = FoundStatement(report=f"F-{self.serial}", serial=self.serial, reporter=CRM, occurred=datetime.now(UTC))
        await self.bench.take(found)

    async def send_back(self) -> None:
        """The vendor gets it back."""
        now = datetime.now(UTC)
        await self.bench.take(
            ReturnStatement(report=f"B-{self.serial}", serial=self.serial, reporter=CRM, occurred=now)
        )

    async def decide(self, action: Action, verdict: Verdict | None = None) -> None:
        """A supervisor decides."""
        await self.bench.decide(self.key, action, decision=f"D-{self.serial}-{action}", verdict=verdict)

    async def ends(self, outcome: str) -> None:
        """It came to this end, which stands in the log."""
        assert await self.bench.handle(self.key).result() == outcome
        facts = await self.bench.facts(case_stream(self.key.case))
        assert [fact.fact for fact in facts if isinstance(fact.fact, CaseClosed)] == [CaseClosed(outcome=outcome)]
        if (self.loss.kind, self.loss.reason, outcome) in KEPT and self.scope is Scope.CONTAINER:
            await self.bench.save(self.key, outcome)
        if outcome in ("restored", "lapsed", "lost_for_ever"):
            await self.bench.save(self.key, f"row_{self.loss.kind}_{self.loss.reason}_{self.scope}")


def licence(serial: str, number: int, product: str) -> LicenceStatement:
    """A licence in a container."""
    return LicenceStatement(
        licence=f"L-{serial}-{number}",
        serial=serial,
        product=product,
        ticket=f"T-{serial}",
        issued=datetime.now(UTC),
    )


ROWS = [pytest.param(loss, scope, id=f"{loss.kind}-{loss.reason}-{scope}") for loss in LOSSES for scope in loss.scopes]


@pytest.mark.parametrize(("loss", "scope"), ROWS)
async def test_every_loss_comes_to_each_of_its_outcomes(bench: Bench, loss: Loss, scope: Scope) -> None:
    rejected = await Journey.begin(bench, loss, scope, "rejected", product="plm")
    await bench.until(rejected.key, Status.AWAITING_APPROVAL)
    await rejected.decide(Action.REJECT)
    await rejected.ends("rejected")

    await _stuck(bench, loss, scope)
    match loss.watch:
        case Watch.NONE:
            restored = await Journey.begin(bench, loss, scope, "restored")
            await restored.recover()
            await restored.ends("restored")
        case Watch.UNTIL_RETURNED:
            returned = await Journey.begin(bench, loss, scope, "returned")
            await returned.recover()
            await returned.send_back()
            await returned.ends("returned")
            await _verdicts(bench, loss, scope)
        case Watch.SHORT | Watch.LONG:
            await _verdicts(bench, loss, scope)
    await _time_passes(bench, loss, scope)


async def _stuck(bench: Bench, loss: Loss, scope: Scope) -> None:
    given_up = await Journey.begin(bench, loss, scope, "broken-1")
    resumed = await Journey.begin(bench, loss, scope, "broken-2")
    for stuck in (given_up, resumed):
        state = await bench.until(stuck.key, Status.STUCK)
        assert state.stuck is not None
        assert state.stuck[:2] == (Status.REPLACING, Code.GENERATION_CONFLICT)
    await given_up.decide(Action.GIVE_UP)
    await given_up.ends("given_up")
    BreakingActivities.mended = True
    await resumed.decide(Action.RESUME)
    await resumed.recover()
    BreakingActivities.mended = False


async def _verdicts(bench: Bench, loss: Loss, scope: Scope) -> None:
    for verdict in Verdict:
        journey = await Journey.begin(bench, loss, scope, f"v-{verdict}")
        await journey.recover()
        await (journey.find() if verdict is Verdict.FOUND else journey.sight())
        await bench.until(journey.key, Status.RESURFACED)
        await journey.decide(Action.RULE, verdict)
        await journey.ends(Outcome(verdict))


async def _time_passes(bench: Bench, loss: Loss, scope: Scope) -> None:
    waits = await Journey.begin(bench, loss, scope, "waits")
    if loss.recovery is Recovery.RESET:
        await bench.until(waits.key, Status.AWAITING_TARGET)
    else:
        await waits.recover()
    await bench.env.sleep(WATCH + timedelta(days=1))
    lapses = loss.recovery is Recovery.RESET or loss.watch is Watch.UNTIL_RETURNED
    await waits.ends("lapsed" if lapses else "lost_for_ever")


async def test_forgotten_twice_in_a_row_are_two_cases(bench: Bench) -> None:
    loss = Loss.of(Kind.CLOUD, Reason.FORGOTTEN)
    assert loss
    first = await Journey.begin(bench, loss, Scope.CONTAINER, "cloud")
    await first.recover()
    await first.ends("restored")
    statement = LossStatement(
        report="R-again",
        serial="cloud",
        kind=Kind.CLOUD,
        reason=Reason.FORGOTTEN,
        reporter=CRM,
        occurred=datetime.now(UTC),
    )
    await bench.take(statement)
    claim = await bench.backend.claim(principal(bench.vendor), statement, datetime.now(UTC))

    assert claim.key.case != first.key.case
    await bench.until(claim.key, Status.AWAITING_TARGET)


async def test_a_single_lost_licence_leaves_the_container_good_for_the_rest(bench: Bench) -> None:
    loss = Loss.of(Kind.DONGLE, Reason.LOST)
    assert loss
    journey = await Journey.begin(bench, loss, Scope.LICENCES, "one")
    await journey.recover()
    contact = ContactStatement(contact="C-rest", serial="one", occurred=datetime.now(UTC))

    answer = await bench.backend.contact(bench.vendor, contact, datetime.now(UTC))

    assert not answer.refused


async def test_another_machine_than_the_known_one_gets_nothing_reissued(bench: Bench) -> None:
    loss = Loss.of(Kind.ACT, Reason.SAME_HARDWARE)
    assert loss
    journey = await Journey.begin(bench, loss, Scope.CONTAINER, "act")
    await bench.until(journey.key, Status.AWAITING_TARGET)

    await journey.activate(OTHER_MACHINE)

    state = await bench.until(journey.key, Status.AWAITING_TARGET)
    assert state.target is None
