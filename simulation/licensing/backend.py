"""One vendor of the licensing backend in memory: what `LicensingBackend` promises, one call after the
other."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

from activities.licensing import claim_changes, claim_rules
from activities.licensing.answer_rules import (
    ASSESS,
    BLOCK,
    CLOSE,
    ISSUE,
    KEEP,
    REINSTATE,
    RESERVE,
    WITHDRAW,
    Answer,
    CaseGone,
    Numbered,
    OrderKind,
    answer_again,
    with_policy,
)
from activities.licensing.containers import Container
from activities.licensing.quota_rules import allot, allotted_before
from activities.licensing.release import Release
from events.case_facts import BackendFacts
from events.fact import Fact
from events.measure_subject import Subject
from events.ports.licensing_backend import (
    Assessment,
    BlockOrder,
    CaseKey,
    CaseOrder,
    CloseOrder,
    Done,
    Issued,
    IssueOrder,
    NoTargetFound,
    ReinstateOrder,
    Reservation,
    ReserveOrder,
    ScopeOrder,
    ScopePage,
    Withdrawal,
)
from events.ports.loss_cases import Joined
from events.sizes import SCOPE_PAGE
from events.terms import Aim, Outcome, ProductId
from simulation.licensing.closure import Closure
from simulation.licensing.inventory import Inventory
from simulation.licensing.leases import Leases
from simulation.licensing.messages import Messages
from simulation.licensing.records import Case, Reserved
from simulation.licensing.sign_in import SignIns


class VendorBackend(Inventory, Leases, Messages, Closure, SignIns):
    """Grants and refuses to one vendor as the real one does. An order of a case is answered once."""

    def assess(self, key: CaseKey, at: datetime) -> Assessment:
        """What is known of a case's container, and the policy in force."""
        kept = self._answered(ASSESS, CaseOrder(key=key), lambda: self._assess(key, at))
        return with_policy(kept, self.policies[cast(int, kept.policy) - 1])

    def scope(self, order: ScopeOrder, _: datetime) -> ScopePage:
        """More of the licences that a case was assessed with."""
        kept = cast(Assessment, self.cases[order.key.case].answers[0, ASSESS.name])
        return ScopePage(licences=kept.facts.licences[order.skip : order.skip + SCOPE_PAGE])

    def reserve(self, order: ReserveOrder, at: datetime) -> Reservation:
        """Set one recovery of a quota aside."""
        return self._answered(RESERVE, order, lambda: self._reserve(order, at))

    def block(self, order: BlockOrder, at: datetime) -> Done:
        """Order the measures that are not ordered yet."""
        return self._answered(BLOCK, order, lambda: self._block(order, at))

    def issue(self, order: IssueOrder, at: datetime) -> Issued | NoTargetFound:
        """Issue the replacement where there is a target."""
        return self._answered(ISSUE, order, lambda: self._replace(order, at))

    def withdraw(self, order: CaseOrder, at: datetime) -> Withdrawal:
        """Order what was issued for a case to be withdrawn."""
        self._ask(WITHDRAW, order)
        return self._answered(WITHDRAW, order, lambda: self._withdraw(order.key, at))

    def keep(self, order: CaseOrder, at: datetime) -> Done:
        """Lift the order to withdraw the replacement."""
        return self._answered(KEEP, order, lambda: self._keep(order.key, at))

    def reinstate(self, order: ReinstateOrder, at: datetime) -> Issued:
        """Put the licences back into the container that they were lost from."""
        if self._ask(REINSTATE, order):
            self._release(order.key, at)
        return self._answered(REINSTATE, order, lambda: self._reinstate(order, at))

    def close(self, order: CloseOrder, at: datetime) -> Done:
        """Know that a case is over."""
        return self._answered(CLOSE, order, lambda: self._close(order, at))

    def _answered(self, kind: OrderKind[Answer], order: Numbered, do: Callable[[], Answer]) -> Answer:
        """Do an order of a case, and keep what it is answered."""
        before = self._before(kind, order)
        if before is not None:
            return before
        answer = do()
        self.cases[order.key.case].answers[order.number, kind.name] = answer
        return answer

    def _before(self, kind: OrderKind[Answer], order: Numbered) -> Answer | None:
        """What an order is answered without doing anything; None where it is to be done."""
        case = self.cases[order.key.case]
        gone = CaseGone(max((number for number, _ in case.answers), default=0), case.closed)
        kept = cast(Answer | None, case.answers.get((order.number, kind.name)))
        return answer_again(kind, order.number, kept, gone)

    def _ask(self, kind: OrderKind[Answer], order: Numbered) -> bool:
        """Keep that somebody asked for un-loss of a case, whatever then comes of it; False where it is past."""
        case = self.cases[order.key.case]
        asks = self._before(kind, order) is None
        if asks:
            case.release = case.release or Release.ASKED
        return asks

    def _assess(self, key: CaseKey, at: datetime) -> Assessment:
        container, case = self._container(key.serial), self.cases[key.case]
        losses = [
            one.received
            for name, one in self.cases.items()
            if one.holder == case.holder and name != key.case and any(claim.case == name for claim in self.claims)
        ]
        licences = tuple(one.in_scope() for one in self._claimed(key, container))
        facts = BackendFacts(
            serial=key.serial,
            kind=container.kind,
            holder=case.holder,
            last_contact=container.last_contact,
            licences=licences,
            losses=tuple(sorted(losses, reverse=True)[: BackendFacts.LOSSES_KNOWN]),
            flagged=case.holder in self.flagged,
            former_outcome=self._former_outcome(case),
            products=() if licences else self._blocked_products(container, case),
        )
        return Assessment(at=at, facts=facts, policy=len(self.policies), licences=len(facts.licences))

    def _blocked_products(self, container: Container, case: Case) -> tuple[ProductId, ...]:
        opening, known = case.messages[0][0], self._known_of(container)
        assert isinstance(opening, Joined)
        return claim_rules.products_blocked(claim_changes.statement_of(opening.report), known.products, known.policy)

    def _former_outcome(self, case: Case) -> Outcome | None:
        opening, _ = case.messages[0]
        former = opening.report.former if isinstance(opening, Joined) else None
        return self.cases[former].outcome if former else None

    def _reserve(self, order: ReserveOrder, at: datetime) -> Reservation:
        own = self.reservations.get(order.key.case)
        if own and (answer := allotted_before(order, own.recoveries, own.at)):
            return answer
        known = [one for other in self.reservations.values() if not other.freed for one in other.recoveries]
        allotment = allot(order, known, at)
        if allotment.recoveries:
            self.reservations[order.key.case] = Reserved(allotment.recoveries, at)
        self._state(order.key.serial, at, allotment.facts)
        return allotment.answer

    def _block(self, order: BlockOrder, at: datetime) -> Done:
        key = order.key
        case = self.cases[key.case]
        claims = [(one.subject, one.generation) for one in self.claims if one.case == key.case]
        names = [Subject(order.aim, *licence) for licence in claim_rules.licences_blocked(claims)]
        if order.aim is not Aim.LICENCE:
            names = [Subject(order.aim, key.serial, case.generation)]
        facts: list[Fact] = []
        for name in names:
            for item in order.measures:
                if (key.case, item.measure, name) not in self.measures and not case.closed:
                    effective = at + timedelta(hours=item.delay_hours)
                    facts.append(
                        self._order(key.case, (key.serial, case.generation), item.measure, name, effective, at)
                    )
        if order.aim is Aim.ACCESS_DATA:
            self._end_sessions(key, at)
        self._state(key.serial, at, facts)
        return Done(at=max((one.ordered for one in self._of(key.case)), default=at))
