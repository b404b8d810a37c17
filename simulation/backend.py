"""One vendor of the licensing backend in memory: what `LicensingBackend` promises, one call after the
other."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar, cast
from uuid import uuid5

from pydantic import JsonValue

from activities.licensing import claim_rules
from activities.licensing.access_rules import (
    Access,
    SignIn,
    SignInKnown,
    compared,
    contact_of,
    contacted,
    handed_out,
    judge_sign_in,
    lapsing,
    link_name,
    must_be_a_password,
    must_be_cloud,
    owed,
    refused_sign_in,
    renewal,
    signed_in,
    superseded_by,
    taken,
)
from activities.licensing.activation_code import TRIES, Fetched, fetch, must_be_activated_by_code, none_awaits, written
from activities.licensing.answers import (
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
)
from activities.licensing.assessment import as_told
from activities.licensing.claims import Made, digest, further_case, statement_of
from activities.licensing.closure import goes_on_to
from activities.licensing.inventory import fields_of, must_agree, unknown_vendor
from activities.licensing.judgement import (
    Activation,
    Awaiting,
    Known,
    answer_of,
    bound_already,
    code_after,
    facts_of,
    filed_again,
    given_back,
    judge,
    must_be_returnable,
    number_taken,
    refusal_facts,
    renewals,
    return_facts,
    said_to_cases,
)
from activities.licensing.leases import first_notice, put_off, swept
from activities.licensing.measures import Standing
from activities.licensing.messages import Speaker, confirmed_decision, sighting, unknown_case
from activities.licensing.quota_rules import Recovery as Recovered
from activities.licensing.quota_rules import allot, reserved
from activities.licensing.records import Container, Licence, must_have_room
from activities.licensing.release import Other, Release, must_be_free, taken_along
from activities.licensing.replacement import (
    CONTAINERS,
    Wanted,
    answer_for,
    as_claimed,
    end_of,
    is_reinstated,
    is_withdrawn,
    may_issue,
    may_release,
    may_take,
    must_be_nobodys,
    must_be_withdrawable,
    must_take_the_full,
    no_target,
    preference,
    reinstatement,
    stated_of,
    subjects_of,
    successions,
    to_be_kept,
    to_be_ordered_again,
    withdrawals,
)
from activities.licensing.vendors import adopted, issuer_of, must_fit, says_the_same
from events.backend_facts import (
    AccessLapsed,
    AccessOffered,
    AccessSet,
    ContainerActivated,
    ContainerRegistered,
    ContainerReinstated,
    HolderFlagged,
    RecoveryFreed,
    SessionsEnded,
    VendorAdded,
)
from events.case_facts import BackendFacts, LossReported
from events.envelope import NAMESPACE
from events.errors import Code, NotYetKnownError, RefusalError
from events.fact import Fact
from events.measure_life import OPEN, blocks, in_effect
from events.ports.licensing_backend import (
    AccessLink,
    ActivationCode,
    Assessment,
    BlockOrder,
    CaseKey,
    CaseOrder,
    Claim,
    CloseOrder,
    ContactAnswer,
    Done,
    Issued,
    IssuedLicence,
    IssueOrder,
    NoTargetFound,
    ReceiptAnswer,
    ReinstateOrder,
    Reservation,
    ReserveOrder,
    ScopeOrder,
    ScopePage,
    SignInAnswer,
    Withdrawal,
)
from events.ports.loss_cases import (
    REPORTS_LIMIT,
    AcceptedDecision,
    ConfirmedDecision,
    Content,
    DecisionOrder,
    DecisionQuestion,
    Evidence,
    Joined,
    Offer,
    Overtaken,
    ReplacementGone,
    Settled,
    Sighting,
)
from events.sizes import SCOPE_PAGE
from events.statements import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    EvidenceStatement,
    FoundStatement,
    LicenceStatement,
    LossStatement,
    ReturnStatement,
)
from events.terms import (
    ActivationBy,
    Aim,
    CaseId,
    Cause,
    ContactId,
    Kind,
    LicenceId,
    Measure,
    MeasureState,
    Outcome,
    PersonId,
    Reason,
    Reporter,
    Role,
    Serial,
    Subject,
    Target,
    next_generation,
)
from simulation.store import Case, Claimed, Reserved, Tables

Said = TypeVar("Said", ContactAnswer, ReceiptAnswer)
RECEIPT = "a receipt"
"""Stands for every signed receipt. For the file of a licence stands its name."""


class VendorBackend(Tables):
    """Grants and refuses to one vendor as the real one does."""

    # The vendor itself.

    def add(self, policy: dict[str, JsonValue], at: datetime) -> bool:
        """Take the vendor in with its first policy; False when it was there already."""
        must_fit(policy)
        if self.policies:
            return False
        self._state(None, at, [VendorAdded(issuer=issuer_of(self.vendor))])
        self._adopt(policy, at)
        return True

    def adopt(self, policy: dict[str, JsonValue], at: datetime) -> int:
        """Put a policy in force and answer with its version; one that is in force stays so."""
        must_fit(policy)
        if not self.policies:
            raise RefusalError(Code.UNKNOWN_VENDOR, f"vendor {self.vendor} is unknown")
        if not says_the_same(self.policies[-1], policy):
            self._adopt(policy, at)
        return len(self.policies)

    def _adopt(self, policy: dict[str, JsonValue], at: datetime) -> None:
        version = len(self.policies) + 1
        self.policies.append({**policy, "policy_version": version})
        self._state(None, at, [adopted(version, self.policies[-1])])

    def in_force(self) -> tuple[int, JsonValue]:
        """The version of the policy that decides now, and the policy."""
        return len(self.policies), self.policies[-1]

    # Inventory.

    def register(self, stated: ContainerStatement, at: datetime) -> None:
        """Take a container in, and offer it to the cases that wait for one. A second statement must agree with the
        first."""
        if not self.policies:
            raise unknown_vendor(self.vendor)
        must_agree(fields_of(self.stated.setdefault(stated.serial, stated)), stated)
        if stated.serial not in self.containers:
            fingerprint = stated.fingerprint
            self.containers[stated.serial] = Container(
                stated.serial, stated.kind, stated.holder, 0, None, 1, fingerprint, 0
            )
            if fingerprint:
                self.activations[stated.serial, 1] = Activation(fingerprint, None)
            told = stated.model_dump(include={"serial", "kind", "holder", "fingerprint"})
            self._state(stated.serial, at, [ContainerRegistered.model_validate(told)])
            self._offer(stated.serial)

    def issue_own(self, stated: LicenceStatement, at: datetime) -> None:
        """Take in a licence of the vendor's own issue. A second statement must agree with the first."""
        container = self._container(stated.serial)
        if stated.licence in self.licences:
            must_agree(fields_of(self.stated[f"licence {stated.licence}"]), stated)
            return
        must_have_room(container, 1)
        self.stated[f"licence {stated.licence}"] = stated
        expires = stated.lease.expiry(stated.issued)
        self.licences[stated.licence] = Licence(
            licence=stated.licence,
            generation=stated.generation,
            serial=stated.serial,
            product=stated.product,
            ticket=stated.ticket,
            value_cents=stated.value_cents,
            lease=stated.lease.model_dump(mode="json"),
            issued=stated.issued,
            expires=expires,
            borrowed_until=stated.borrowed_until,
            ends=None,
            status_index=None,
            lease_stage=None,
            first_issued=stated.issued,
        )
        self.lease_next[stated.licence] = first_notice(stated.lease, stated.issued, expires)
        self._count(stated.serial)
        self._state(stated.serial, at, [self.licences[stated.licence].issued_fact(container.holder)])

    # Claims.

    def claim(self, stated: LossStatement, door: str, received: datetime) -> Claim:
        """Whose case a report is."""
        container = self.rightful(stated.serial, stated.reporter)
        if container.kind != stated.kind:
            raise RefusalError(Code.KIND_MISMATCH, f"container {stated.serial} is of kind {container.kind}")
        if known := self.reports.get((stated.report, stated.reporter)):
            said, case, at = known
            if said != digest(stated):
                raise claim_rules.said_otherwise(stated.report)
            of = self.cases[case]
            return Claim(key=of.key, received=at, closed=of.closed is not None, answer="repeated")
        return self._claim(container, stated, door, received)

    def _claim(self, container: Container, stated: LossStatement, door: str, received: datetime) -> Claim:
        reporter = stated.reporter
        case = CaseId(str(uuid5(NAMESPACE, f"{self.vendor}/report/{reporter.role}/{reporter.name}/{stated.report}")))
        found = self._whose(container, stated)
        report = stated.reported(door, received)
        if isinstance(found, claim_rules.Joins):
            self.reports[stated.report, reporter] = (digest(stated), found.case, received)
            of = self.cases[found.case]
            speaker = Speaker(reporter.name, reporter.role, door)
            reports = sum(of.key.case == one for _, one, _ in self.reports.values())
            if reports > REPORTS_LIMIT or not self._post(of.key, Joined(report=report), speaker):
                self._address(of.key, Joined(report=report), speaker, received)
            return Claim(key=of.key, received=received, closed=of.closed is not None, answer="joined")
        self.reports[stated.report, reporter] = (digest(stated), case, received)
        key = CaseKey(vendor=self.vendor, case=case, serial=stated.serial)
        self._open(container, key, report, found)
        for other in self._replaced_by(self.cases[case]):
            self._post(other, ReplacementGone(to=case))
        for name in found.beside:
            self._overtake(name, case)
        return Claim(key=key, received=received, answer="opened")

    def _whose(self, container: Container, stated: LossStatement) -> claim_rules.Joins | claim_rules.Opens:
        here = {one.licence: one.generation for one in self._held(stated.serial)}
        claimed = self._all_claimed(stated.serial)
        return claim_rules.whose(stated, container, here, claimed, blacklists=self._blacklists(stated))

    def _blacklists(self, stated: LossStatement) -> bool:
        products = {one.licence: one.product for one in self._held(stated.serial)}
        return claim_rules.orders_blacklisting(stated, products, self.policies[-1])

    def _open(self, container: Container, key: CaseKey, report: LossReported, found: claim_rules.Opens) -> None:
        """Open a case with the report that is its first message."""
        self.cases[key.case] = Case(
            key, container.holder, report.scope, container.generation, report.received, report.reason
        )
        for ended in found.ends:
            self._free(ended)
            self._end_link(self.cases[ended].key, report.received)
        self.claims += [Claimed(name, generation, key.serial, key.case) for name, generation in found.claims]
        beside = found.beside[0] if found.beside else None
        told = {"former": found.former, "beside": beside, "rejected": found.rejected}
        speaker = Speaker(report.reporter.name, report.reporter.role, report.door)
        self._post(key, Joined(report=report.model_copy(update=told)), speaker)

    def _overtake(self, name: CaseId, by: CaseId) -> None:
        """Say to a case, if it is open, that a wider loss was reported."""
        case = self.cases[name]
        case.overtaken = self._post(case.key, Overtaken(by=by)) or case.overtaken

    def _claim_rest(self, over: CaseKey, made: Made) -> tuple[CaseKey | None, claim_rules.Rest]:
        """Claim for a report that is another case's what a case that is over has freed of it."""
        stated = statement_of(made.report)
        container = self._container(stated.serial)
        here = {one.licence: one.generation for one in self._held(stated.serial)}
        claimed = self._all_claimed(stated.serial)
        blacklists = self._blacklists(stated)
        rest = claim_rules.rest_of(stated, container, here, claimed, made.case, over.case, blacklists=blacklists)
        if not rest.claims:
            return None, rest
        if made.opened and not made.closed and not rest.recovers:
            self.claims += [Claimed(name, generation, over.serial, made.case) for name, generation in rest.claims]
            return None, rest
        key = over.model_copy(update={"case": further_case(over, made.report)})
        rejected = claim_rules.rejection(rest.claims, claimed)
        found = claim_rules.Opens(rest.claims, former=over.case, beside=(made.case,), rejected=rejected)
        self._open(container, key, made.report, found)
        return key, rest

    def _made_since(self, over: CaseKey, decided: datetime) -> list[tuple[int, Made]]:
        """The reports of a container that were received after a case of it was decided, and are other cases', by their
        place among all that was said."""
        return sorted(
            (
                (place, Made(content.report, name, number == 0, case.closed is not None))
                for name, case in self.cases.items()
                if case.key.serial == over.serial and name != over.case
                for number, (place, (content, _)) in enumerate(zip(case.places, case.messages, strict=True))
                if isinstance(content, Joined) and content.report.received > decided
                if self.reports[content.report.report, content.report.reporter][1] == name
            ),
            key=lambda one: one[0],
        )

    def _all_claimed(self, serial: Serial) -> list[claim_rules.Claimed]:
        """All that cases of a container claim or claimed."""
        kind = self.containers[serial].kind
        return [
            claim_rules.Claimed(
                *(
                    one.subject,
                    one.generation,
                    one.case,
                    case.received,
                    claim_rules.recovery_of(kind, case.reason),
                    one.freed,
                ),
                *(case.closed is not None, case.outcome, case.approved),
            )
            for one in sorted(self.claims, key=lambda one: (-one.generation, one.subject))
            if one.serial == serial
            for case in [self.cases[one.case]]
        ]

    def turn_up(self, stated: FoundStatement | ReturnStatement, door: str, received: datetime) -> list[CaseKey]:
        """Say to every open case of a container that it turned up."""
        cause = Cause.FOUND if isinstance(stated, FoundStatement) else Cause.RETURNED
        claim_rules.may_turn_up(self._container(stated.serial), stated)
        content = Sighting(statement=f"{cause}/{stated.report}", cause=cause, occurred=stated.occurred)
        cases = [one for one in self.cases.values() if one.key.serial == stated.serial]
        if not cases:
            raise NotYetKnownError(Code.NO_CASE, f"no case looks for container {stated.serial}")
        if not self._first_said(stated.reporter, content.statement, stated.serial):
            return []
        speaker = Speaker(stated.reporter.name, stated.reporter.role, door)
        if keys := [one.key for one in cases if not one.closed]:
            for key in keys:
                self._post(key, content, speaker)
            return keys
        last = max(cases, key=lambda one: (one.closed or received, one.key.case))
        self._address(last.key, content, speaker, received)
        return []

    def give_evidence(self, stated: EvidenceStatement, door: str, received: datetime) -> CaseKey:
        """Bring evidence to the case of a report."""
        reporter = stated.reporter
        self.rightful(stated.serial, reporter)
        fitting = [
            (who == reporter, at, case, who)
            for (report, who), (_, case, at) in self.reports.items()
            if report == stated.report and self.cases[case].key.serial == stated.serial
        ]
        if not fitting:
            raise NotYetKnownError(Code.NO_CASE, f"no report {stated.report} is known of container {stated.serial}")
        _, _, name, who = max(fitting, key=lambda one: one[:3])
        key = self.cases[name].key
        content = Evidence(statement=f"evidence/{stated.statement}", by=reporter.name, evidence=stated.evidence)
        if self._first_said(
            reporter, content.statement, f"{stated.report}/{stated.serial}/{'/'.join(sorted(stated.evidence))}"
        ):
            speaker = Speaker(reporter.name, reporter.role, door)
            for one in sorted([key, *self._further(key, stated.report, who)], key=lambda key: key.case):
                if not self._post(one, content, speaker):
                    self._address(one, content, speaker, received)
        return key

    def _further(self, key: CaseKey, report: str, reporter: Reporter) -> list[CaseKey]:
        """The further cases that a report of a case opened."""
        return [
            one.key
            for one in self.cases.values()
            if one.key.serial == key.serial and one.key != key
            for opening, _ in one.messages[:1]
            if isinstance(opening, Joined) and (opening.report.report, opening.report.reporter) == (report, reporter)
        ]

    def _first_said(self, reporter: Reporter, statement: str, said: str) -> bool:
        before = self.statements.get((statement, reporter))
        if before is not None and before != said:
            raise RefusalError(Code.REPORT_ID_TAKEN, f"{statement} said something else before")
        self.statements[statement, reporter] = said
        return before is None

    def accept_decision(self, case: CaseId, order: DecisionOrder, door: str, at: datetime) -> AcceptedDecision:
        """Take a decision in as a message to its case."""
        if case not in self.cases:
            raise unknown_case(case)
        key, speaker = self.cases[case].key, Speaker(order.by, None, door)
        if known := self.decisions.get((case, order.decision)):
            number, before = known
            if before.model_copy(update={"on": order.on}) == order:
                return AcceptedDecision(key=key, number=number, on=before.on)
            refused = Code.DECISION_ID_TAKEN
        elif taken := self._post(key, order, speaker):
            self.decisions[case, order.decision] = taken, order
            return AcceptedDecision(key=key, number=taken, on=order.on)
        else:
            refused = Code.NOTHING_TO_DECIDE
        self._address(key, order, speaker, at, refused)
        return AcceptedDecision(key=key, number=None, on=order.on, refused=refused)

    def confirm_decision(self, question: DecisionQuestion) -> ConfirmedDecision:
        """What a door brought under a number, and whom the policy in force lists as supervisors."""
        known = {number: order for (case, _), (number, order) in self.decisions.items() if case == question.key.case}
        reported = self.reporters(question.key.case)
        return confirmed_decision(known.get(question.number), self.policies[-1], reported)

    def reporters(self, case: CaseId) -> set[PersonId]:
        """Who reported the loss of a case."""
        return {who.name for (_, who), (_, of, _) in self.reports.items() if of == case}

    def rightful(self, serial: Serial, reporter: Reporter) -> Container:
        """The container, for its holder or a back-office system; unknown to everybody else."""
        return claim_rules.must_be_rightful(self._container(serial), reporter)

    def _replaced_by(self, case: Case) -> tuple[CaseKey, ...]:
        """The open cases that issued what this one claims."""
        claimed = {(one.subject, one.generation) for one in self.claims if one.case == case.key.case}
        return tuple(
            other.key
            for other in self.cases.values()
            if other is not case and not other.closed and claimed & set(self._issued_for(other))
        )

    # What a case asks for.

    def assess(self, key: CaseKey, at: datetime) -> Assessment:
        """What is known of a case's container, and the policy in force."""
        kept = self._answered(ASSESS, CaseOrder(key=key), lambda: self._assess(key, at))
        return as_told(kept, self.policies[cast(int, kept.policy) - 1])

    def more_in_scope(self, order: ScopeOrder) -> ScopePage:
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

    def _assess(self, key: CaseKey, at: datetime) -> Assessment:
        container, case = self._container(key.serial), self.cases[key.case]
        losses = [
            one.received
            for name, one in self.cases.items()
            if one.holder == case.holder and name != key.case and any(claim.case == name for claim in self.claims)
        ]
        facts = BackendFacts(
            serial=key.serial,
            kind=container.kind,
            holder=case.holder,
            last_contact=container.last_contact,
            licences=tuple(one.in_scope() for one in self._claimed(key, container)),
            losses=tuple(sorted(losses, reverse=True)[: BackendFacts.LOSSES_KNOWN]),
            flagged=case.holder in self.flagged,
            former_outcome=self._former_outcome(case),
        )
        return Assessment(at=at, facts=facts, policy=len(self.policies), licences=len(facts.licences))

    def _former_outcome(self, case: Case) -> Outcome | None:
        opening, _ = case.messages[0]
        former = opening.report.former if isinstance(opening, Joined) else None
        return self.cases[former].outcome if former else None

    def _reserve(self, order: ReserveOrder, at: datetime) -> Reservation:
        for one in self.reservations:
            if one.case == order.key.case:
                return one.answer
        known = [
            Recovered(subject, ordinal, one.received)
            for one in self.reservations
            if one.pot == order.pot and not one.freed
            for subject, ordinal in one.ordinals.items()
        ]
        ordinals = allot(order, known)
        if ordinals is None:
            return Reservation(at=at, ordinal=None, limit=order.limit)
        facts, answer = reserved(order, ordinals, at)
        self.reservations.append(Reserved(order.key.case, order.pot, ordinals, order.received, answer))
        self._state(order.key.serial, at, facts)
        return answer

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

    def _replace(self, order: IssueOrder, at: datetime) -> Issued | NoTargetFound:
        key, case = order.key, self.cases[order.key.case]
        if done := case.issued.get(order.full):
            return done
        standing = {one.measure for one in self._measures_of(key) if blocks(one.state)}
        refused = may_issue(order, case.overtaken, standing, at)
        if refused is not None:
            return refused
        lost = self._lost(key)
        if order.target is Target.SAME_CONTAINER:
            renewed = self._renew_access(order, at)
            if isinstance(renewed, NoTargetFound):
                case.awaits = Target.SAME_CONTAINER
                return renewed
            issued: Issued | None = renewed
        else:
            target = self._target(order, len(lost), at)
            issued = self._issue(order, target, at) if target else None
        case.awaits, case.match = (None, None) if issued else (order.target, order.match)
        case.activation = order.activation
        if issued is None:
            return no_target(lost, at)
        case.issued[order.full] = issued
        if order.target in CONTAINERS and not order.full:
            self._offer(key.serial)
        return issued

    def _ask(self, kind: OrderKind[Answer], order: Numbered) -> bool:
        """Keep that somebody asked for un-loss of a case, whatever then comes of it; False where it is past."""
        case = self.cases[order.key.case]
        asks = self._before(kind, order) is None
        if asks:
            case.release = case.release or Release.ASKED
        return asks

    def _release(self, key: CaseKey, at: datetime) -> None:
        """Lift the measures of the case, once nothing stands in the way of that."""
        case, container = self.cases[key.case], self._container(key.serial)
        last = case.last
        if not may_release(container, last, self._measures_of(key)):
            return
        if last:
            must_be_nobodys(self._claimed_by(key, last))
        else:
            must_be_free(key.serial, self._others(key, container, moved=False), begun=False)
        self._end([one for one in self._of(key.case) if one.standing.state in OPEN], MeasureState.LIFTED, at)
        if case.release is not Release.LIFTED:
            case.release = Release.LIFTED
            self._wake(key)

    def _wake(self, key: CaseKey) -> None:
        """Say to the other cases that have lifted their measures on the container that this one has too, or is over."""
        for name, other in sorted(self.cases.items()):
            waits = other.key.serial == key.serial and name != key.case and other.release is Release.LIFTED
            if waits and other.closed is None:
                self._post(other.key, Offer(serial=key.serial))

    def _others(self, key: CaseKey, container: Container, moved: bool) -> list[Other]:
        """The other cases of which a measure stands on the container or, where they have not `moved`, on the licences
        that stay as they are in it; where they have, those of which a replacement would be taken along."""
        here = {Subject(Aim.CONTAINER, key.serial, container.generation)}
        here |= set() if moved else set(as_claimed(self._lost(key)))
        names = {
            one.standing.case_id
            for one in self.measures.values()
            if one.standing.subject in here and blocks(one.standing.state)
        }
        standing = [self._other(name) for name in names - {key.case}]
        if not moved or container.kind is not Kind.ACT:
            return standing
        replaced = [
            (self._other(case), generation)
            for one in self._held(key.serial)
            for case, generation in [self.issued_for.get((one.licence, one.generation), (key.case, 0))]
            if case != key.case
        ]
        machines = {number: one.fingerprint for (name, number), one in self.activations.items() if name == key.serial}
        return [*standing, *taken_along(self.cases[key.case].generation, replaced, machines)]

    def _other(self, name: CaseId) -> Other:
        return Other(name, self.cases[name].release, self.cases[name].closed is not None)

    def _measures_of(self, key: CaseKey) -> list[Standing]:
        return [one.standing for one in self._of(key.case)]

    def _withdraw(self, key: CaseKey, at: datetime) -> Withdrawal:
        case, container = self.cases[key.case], self._container(key.serial)
        others = self._others(key, container, moved=True)
        last = must_be_withdrawable(key.case, key.serial, case.last, self._measures_of(key), others)
        ordered = {one.subject for one in withdrawals(last, self._measures_of(key))}
        target = (last.target, self._container(last.target).generation)
        self._state(
            last.target,
            at,
            [
                self._order(key.case, target, Measure.WITHDRAWAL, aimed, at, at)
                for aimed in subjects_of(last)
                if aimed not in ordered and not case.closed
            ],
        )
        standing = withdrawals(last, self._measures_of(key))
        times = [one.ordered for one in self._of(key.case) if one.standing in standing]
        return Withdrawal(at=max(times, default=at), confirmed=is_withdrawn(last, standing))

    def _keep(self, key: CaseKey, at: datetime) -> Done:
        kept = to_be_kept(self.cases[key.case].last, self._measures_of(key))
        self._end([one for one in self._of(key.case) if one.standing in kept], MeasureState.LIFTED, at)
        case = self.cases[key.case]
        case.release = None if case.release is Release.ASKED else case.release
        return Done(at=at)

    def _reinstate(self, order: ReinstateOrder, at: datetime) -> Issued:
        key, case = order.key, self.cases[order.key.case]
        if case.reinstated:
            return case.reinstated
        container, lost, last = self._container(key.serial), self._lost(key), case.last
        stands = {one.standing.subject for one in self.measures.values() if blocks(one.standing.state)}
        how = reinstatement(
            *(container, case.generation, last, self._measures_of(key)),
            *(self._others(key, container, moved=last is not None), len(lost)),
            lost_to=self._claimed_by(key, last) if last else None,
            blocked=Subject(Aim.CONTAINER, key.serial, container.generation) in stands,
            locked=bool(stands & set(as_claimed(lost))),
        )
        if how.raised:
            container = self._raise(key, self.activations.get((key.serial, case.generation)))
            again = ContainerReinstated(serial=key.serial, generation=container.generation, case=key.case)
            self._state(key.serial, at, [again])
        if how.as_they_are:
            licences = tuple(IssuedLicence(licence=one.licence, generation=one.generation) for one in lost)
        else:
            licences = self._next(key, last, container, at, None).licences
        case.reinstated = Issued(at=at, target=key.serial, licences=licences)
        self._offer(key.serial, *([last.target] if last else []))
        return case.reinstated

    def _close(self, order: CloseOrder, at: datetime) -> Done:
        key, case = order.key, self.cases[order.key.case]
        case.awaits = None
        if (fetched := self.codes.get(key.serial)) and fetched.case_id == key.case:
            self.codes[key.serial] = replace(fetched, case_id=None)
        self._keep(key, at)
        given_back = self._stand_again(order, at)
        left = [one for one in self._of(key.case) if one.standing.state in OPEN]
        self._end(left, MeasureState.LIFTED if order.lift else MeasureState.UNCONFIRMABLE, at)
        self._end_link(key, at)
        if not order.recovered:
            self._free(key.case)
            freed = [one for one in self.reservations if one.case == key.case and not one.freed]
            for one in freed:
                one.freed = True
            self._state(key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)] if freed else [])
        elif order.outcome is Outcome.FOUND:
            self._free(key.case, but=Aim.LICENCE)
        elif order.lift:
            self._free(key.case, only=Measure.BLACKLISTING)
        if order.lift:
            self._resume_leases(key.serial)
        if order.flag and case.holder not in self.flagged:
            self.flagged.add(case.holder)
            flagged = HolderFlagged(holder=case.holder, serial=key.serial, case=key.case, verdict=order.flag)
            self._state(key.serial, at, [flagged])
        case.closed, case.outcome, case.approved = at, order.outcome, order.approved
        case.release = Release.LIFTED if given_back else None
        self._answer_all(order, at)
        self._offer(key.serial)
        self._wake(key)
        return Done(at=at)

    def _stand_again(self, order: CloseOrder, at: datetime) -> bool:
        """Order the measures again that an un-loss lifted, where its case does not reinstate the original; whether what
        it lifted stays so."""
        key, case = order.key, self.cases[order.key.case]
        if case.release is not Release.LIFTED or order.lift:
            return order.lift
        reinstated = is_reinstated(order.outcome, case.last, case.reinstated)
        again = to_be_ordered_again(order, reinstated, case.issued.values(), self._measures_of(key))
        again.sort(key=lambda one: (str(one.subject), one.measure))
        facts = [
            self._order(key.case, (key.serial, one.container_generation), one.measure, one.subject, at, at)
            for one in again
        ]
        self._state(key.serial, at, facts)
        return reinstated

    def _answer_all(self, order: CloseOrder, at: datetime) -> None:
        """Answer for a case what was said since it was decided: to it, and in reports of which it claimed a part."""
        key, case = order.key, self.cases[order.key.case]
        anew: dict[CaseKey, set[PersonId]] = {}
        said: list[tuple[int, tuple[Content, Speaker | None] | Made]] = [
            *self._made_since(key, order.decided or at),
            *zip(case.places[order.taken :], case.messages[order.taken :], strict=True),
        ]
        for _, one in sorted(said, key=lambda one: one[0]):
            if isinstance(one, Made):
                further, rest = self._claim_rest(key, one)
                for other in sorted(other.case for other in anew if one.opened and other.case in rest.cases):
                    self._overtake(other, one.case)
                anew |= {further: set()} if further else {}
                continue
            content, speaker = one
            if speaker is None:
                continue
            again = self._answer(order, content, speaker, at)
            if again is not None and (again.answer == "opened" or again.key in anew):
                anew.setdefault(again.key, set()).add(speaker.by)
            for key_of_new in goes_on_to(content, anew):
                self._post(key_of_new, content, speaker)

    def _free(self, case: CaseId, but: str = " ", only: str = "") -> None:
        """Free the claims of a case, but those on this, or only those."""
        for claim in self.claims:
            if claim.case == case and not claim.subject.startswith(f"{but}/") and claim.subject.startswith(only):
                claim.freed = True

    def _end_link(self, key: CaseKey, at: datetime) -> None:
        """The link that a case offered sets nothing any more."""
        ended = lapsing(self._accesses(key.serial), key.case, at)
        self.access |= {(key.serial, one.generation): one for one in ended}
        lapsed = [AccessLapsed(serial=key.serial, generation=one.generation, case=key.case) for one in ended]
        self._state(key.serial, at, lapsed)

    def _answer(self, order: CloseOrder, content: Content, speaker: Speaker, at: datetime) -> Claim | None:
        """Answer for a case what it did not take; what is claimed anew for a report."""
        if isinstance(content, Joined) and content.report.received > (order.decided or at):
            stated = statement_of(content.report)
            container = self._container(stated.serial)
            if self._whose(container, stated) != claim_rules.Joins(order.key.case):
                return self._claim(container, stated, content.report.door, content.report.received)
        code = Code.NOTHING_TO_DECIDE if isinstance(content, DecisionOrder) else None
        self._address(order.key, content, speaker, at, code)
        return None

    # Contacts.

    def activation_code(self, serial: Serial) -> ActivationCode:
        """The code by which a machine is bound for the cases that wait for one; the same until it is used."""
        must_be_activated_by_code(self._container(serial))
        waiting = [
            (case.received, case.key.case)
            for case in self.cases.values()
            if (case.key.serial, case.awaits, case.activation) == (serial, Target.ACTIVATION, ActivationBy.CODE)
        ]
        cases = tuple(case for _, case in sorted(waiting))
        if not cases:
            raise none_awaits(serial)
        self.codes[serial] = fetched = fetch(self.codes.get(serial), cases)
        return ActivationCode(code=self._code(serial, fetched), cases=cases, tries_left=TRIES - fetched.wrong)

    def _code(self, serial: Serial, fetched: Fetched) -> str:
        return written(sha256(f"{self.vendor}/{serial}/{fetched.number}/{fetched.case_id}".encode()).digest())

    def contact(
        self, stated: ContactStatement, at: datetime, processed: datetime, by_password: bool = False
    ) -> ContactAnswer:
        """Serve or refuse a container that reports in."""
        container = self._container(stated.serial)
        number = (stated.serial, stated.contact, by_password)
        if known := self._said_before(number, ContactAnswer):
            return known
        judgement = judge(self._known(container, stated, processed), stated)
        for key in judgement.awaiting:
            self.pending[key.case] = stated.fingerprint or {}
        if fetched := code_after(self.codes.get(stated.serial), judgement):
            self.codes[stated.serial] = fetched
        self.containers[stated.serial] = replace(container, last_contact=max(container.last_contact or at, at))
        renewed = renewals(judgement, at)
        for item in renewed:
            self.licences[item.licence] = replace(item, lease_stage=None)
            self.lease_next[item.licence] = first_notice(item.terms, item.issued, item.expires)
        self._state(
            stated.serial, at, facts_of(stated, judgement, renewed, {item.licence: item.licence for item in renewed})
        )
        filed = [item.licence for item in (*renewed, *filed_again(judgement, renewed))]
        for standing in judgement.delivered:
            self._move(standing, MeasureState.DELIVERED)
        for standing in judgement.confirmed:
            self._move(standing, MeasureState.CONFIRMED)
        answer = answer_of(judgement, tuple(sorted(filed)), self._settled(judgement.confirmed))
        self.contacts[number] = answer
        for key, content in said_to_cases(stated, answer):
            self._post(key, content)
        return answer

    def return_activation(self, stated: DeactivationStatement, at: datetime) -> ReceiptAnswer:
        """Take an activation back."""
        serial = stated.serial
        container = self._container(serial)
        number = (serial, stated.contact, False)
        if before := self._said_before(number, ReceiptAnswer):
            return before
        must_be_returnable(container, stated.generation)
        self.containers[serial] = replace(container, returned=max(container.returned, stated.generation))
        here = (one.standing for one in self.measures.values() if one.standing.serial == serial)
        confirmed = given_back(stated, [(one, self.cases[one.case_id].generation) for one in here])
        self._state(serial, at, return_facts(stated, confirmed, RECEIPT))
        for standing in confirmed:
            self._move(standing, MeasureState.CONFIRMED)
        answer = ReceiptAnswer(receipt=RECEIPT, settled=self._settled(confirmed))
        self.contacts[number] = answer
        for key in answer.settled:
            self._post(key, Settled())
        return answer

    def _said_before(self, number: tuple[Serial, ContactId, bool], kind: type[Said]) -> Said | None:
        """The answer that this number had, or `RefusalError` where it was that of something else."""
        answer = self.contacts.get(number)
        if answer is not None and not isinstance(answer, kind):
            raise number_taken(number[1], number[0])
        return answer

    def sweep_leases(self, now: datetime, limit: int, processed: datetime) -> int:
        """State what leases have come to by `now`, at most `limit` times; how often it was."""
        due = [(at, name) for name, at in self.lease_next.items() if at is not None and at <= now]
        left = limit
        for serial in dict.fromkeys(self.licences[name].serial for _, name in sorted(due)):
            here = [self.licences[name] for _, name in sorted(due) if self.licences[name].serial == serial]
            container, at = self.containers[serial], max(now, processed)
            off = put_off(container, here, {one.subject for one in self._in_effect(at)})
            self.lease_next |= dict.fromkeys(off)
            facts: list[Fact] = []
            for licence in here:
                if licence.licence not in off and left > 0:
                    found = swept(licence, now, left)
                    self.lease_next[licence.licence] = found.following
                    self.licences[licence.licence] = replace(licence, lease_stage=found.stage)
                    facts += found.facts
                    left -= len(found.facts)
            self._state(serial, now, facts)
        return limit - left

    def access_link(self, serial: Serial, at: datetime) -> AccessLink:
        """The link by which the holder sets the access data that are owed."""
        container = must_be_cloud(self._container(serial))
        found, anew = handed_out(container, self._accesses(serial), at)
        if anew:
            self._offer_access(serial, found, at)
        return AccessLink(token=self._token(serial, found), generation=found.generation, until=found.until)

    def set_access(self, serial: Serial, token: str, password: str, at: datetime) -> None:
        """The holder sets the access data that are owed, which the cases that waited for them are offered."""
        must_be_a_password(password)
        container = must_be_cloud(self._container(serial))
        found = owed(container, self._accesses(serial))
        found = taken(found, self._token(serial, found) if found else "", token, at)
        self.access[serial, found.generation] = replace(found, password=password, set_at=at)
        if found.generation > container.generation:
            self.containers[serial] = replace(container, generation=found.generation)
            self._resume_leases(serial)
        self._forget_guesses(serial)
        self._state(serial, at, [AccessSet(serial=serial, generation=found.generation)])
        waiting = [one.key for one in self.cases.values() if one.key.serial == serial]
        for key in sorted(waiting, key=lambda key: key.case):
            if self.cases[key.case].awaits is Target.SAME_CONTAINER:
                self._post(key, Offer(serial=serial))

    def sign_in(
        self, contact: ContactId, serial: Serial, password: str, at: datetime, origin: str | None, processed: datetime
    ) -> SignInAnswer:
        """Sign in to a cloud container."""
        attempt = SignIn(self.vendor, contact, serial, origin, at)
        container = must_be_cloud(self._container(serial))
        if self.guesses[serial].may_guess(origin, processed):
            same = (one for one in compared(container, self._accesses(serial)) if one.password == password)
            attempt = replace(attempt, compared=True, generation=next((one.generation for one in same), None))
        known = self._sign_in_known(attempt, container, processed)
        judgement = judge_sign_in(attempt, known)
        if judgement.refused:
            kept, refused = refused_sign_in(attempt, judgement.refused)
            self.contacts[serial, contact, True] = kept
            self._state(serial, at, [refused])
        replayed = (f"contact/{contact}", Reporter(role=Role.HOLDER, name=serial))
        if judgement.replayed and replayed not in self.statements:
            self.statements[replayed] = ""
            cases = judgement.replayed.cases
            said = refusal_facts(contacted(attempt), [key.case for key in cases], judgement.replayed.code)
            self._state(serial, at, said)
            for key in sorted(cases, key=lambda key: key.case):
                self._post(key, sighting(contact, at))
        answer = judgement.answer
        if answer is None:
            answer = signed_in(self.contact(contact_of(attempt), at, processed, by_password=True), known.session)
            if answer.session is None:
                return answer
            self.sessions[serial][known.session] = attempt.generation or 0
        self.guesses[serial] = judgement.guesses
        return answer

    def _sign_in_known(self, attempt: SignIn, container: Container, processed: datetime) -> SignInKnown:
        session = self._secret(f"session/{attempt.serial}/{attempt.contact}")
        blocks = Subject(Aim.ACCESS_DATA, attempt.serial, attempt.generation or 0)
        blockers = [one.key(self.vendor) for one in self._in_effect(processed) if one.subject == blocks]
        return SignInKnown(
            session=session,
            now=processed,
            guesses=self.guesses[attempt.serial],
            before=self._said_before((attempt.serial, attempt.contact, True), ContactAnswer),
            opened=self.sessions[attempt.serial].get(session),
            blocked_by=tuple(dict.fromkeys(blockers)),
            superseded_by=superseded_by(attempt, container, self._accesses(attempt.serial)),
        )

    def _accesses(self, serial: Serial) -> list[Access]:
        """All generations of access data that a container has and had."""

        def ended(case: CaseId | None) -> bool:
            of = self.cases[case] if case else None
            return of is not None and (of.closed is not None or of.overtaken is not None)

        return [replace(one, ended=ended(one.case_id)) for (name, _), one in self.access.items() if name == serial]

    def _offer_access(self, serial: Serial, offered: Access, at: datetime) -> None:
        self.access[serial, offered.generation] = offered
        told = AccessOffered(serial=serial, generation=offered.generation, case=offered.case_id, until=offered.until)
        self._state(serial, at, [told])

    def _forget_guesses(self, serial: Serial) -> None:
        self.guesses[serial] = self.guesses[serial].after_new_access()

    def _end_sessions(self, key: CaseKey, at: datetime) -> None:
        if ended := self.sessions.pop(key.serial, {}):
            self._state(key.serial, at, [SessionsEnded(serial=key.serial, case=key.case, sessions=len(ended))])

    def _token(self, serial: Serial, access: Access) -> str:
        return self._secret(link_name(serial, access))

    def _secret(self, name: str) -> str:
        return sha256(f"{self.vendor}/{name}".encode()).hexdigest()

    def effective(self, licence: LicenceId, at: datetime) -> list[int]:
        """The generations of a licence that would be renewed now."""
        known = self.licences[licence]
        container = self.containers[known.serial]
        aims = {
            Subject(Aim.LICENCE, licence, known.generation),
            Subject.way_in(container.kind, known.serial, container.generation),
        }
        blocked = any(one.subject in aims for one in self._in_effect(at))
        given_back = container.returned >= container.generation
        return [] if blocked or given_back else [known.generation]

    def _target(self, order: IssueOrder, licences: int, at: datetime) -> Container | None:
        key = order.key
        lost = self.containers[key.serial]
        case = self.cases[key.case]
        if order.full:
            stop_gap = self.containers[case.issued[False].target]
            must_take_the_full(stop_gap, self._is_blocked(stop_gap))
            must_be_nobodys(self._claimed_by(key, case.issued[False]))
            return stop_gap
        if order.target is Target.ACTIVATION:
            shown = self.pending.pop(key.case, None)
            if shown is None:
                return None
            if bound_already(lost, case.generation, shown):
                return lost
            bound = self._raise(key, Activation(shown, key))
            activated = ContainerActivated(
                serial=key.serial, generation=bound.generation, fingerprint=shown, case=key.case
            )
            self._state(key.serial, at, [activated])
            return bound
        wanted = Wanted(order.target, case.holder, lost.kind, lost.serial, licences)
        fitting = [one for one in self.containers.values() if self._may_take(one, wanted)]
        return min(fitting, key=preference, default=None)

    def _may_take(self, container: Container, wanted: Wanted) -> bool:
        return may_take(container, wanted, blocked=self._is_blocked(container), lost=self._is_lost(container))

    def _offer(self, *serials: Serial) -> None:
        """Say to the waiting cases that these containers may take their replacements, as far as they may."""
        for case in list(self.cases.values()):
            if case.awaits in CONTAINERS and not case.closed:
                lost = self.containers[case.key.serial]
                wanted = Wanted(case.awaits, case.holder, lost.kind, lost.serial)
                for serial in serials:
                    if self._may_take(self.containers[serial], wanted):
                        self._post(case.key, Offer(serial=serial))

    def _claimed_by(self, key: CaseKey, last: Issued) -> CaseId | None:
        """Another case that has lost one of these generations by now."""
        names = {(f"{Aim.LICENCE}/{item.licence}", item.generation) for item in last.licences}
        others = {one.case for one in self.claims if not one.freed and (one.subject, one.generation) in names}
        return min(others - {key.case}, default=None)

    def _renew_access(self, order: IssueOrder, at: datetime) -> Issued | NoTargetFound:
        key, case = order.key, self.cases[order.key.case]
        container = self.containers[key.serial]
        renewed = renewal(order, case.generation, container, self._accesses(key.serial), at)
        if renewed.offer:
            self._offer_access(key.serial, renewed.offer, at)
        if renewed.rotated:
            self.containers[key.serial] = replace(container, generation=next_generation(case.generation))
            self._resume_leases(key.serial)
            self._forget_guesses(key.serial)
            self._end_sessions(key, at)
        return renewed.answer

    def _issue(self, order: IssueOrder, target: Container, at: datetime) -> Issued:
        stop_gap = self.cases[order.key.case].issued[False] if order.full else None
        return self._next(order.key, stop_gap, target, at, end_of(order, at))

    def _next(
        self, key: CaseKey, last: Issued | None, target: Container, at: datetime, ends: datetime | None
    ) -> Issued:
        """The next generation of all licences of a case, or of none."""
        source = last.target if last else key.serial
        several = successions(self._lost(key), last, self.licences, source, target.serial, at, ends)
        for one in several:
            licence = one.licence
            self.licences[licence.licence] = licence
            self.lease_next[licence.licence] = first_notice(licence.terms, at, licence.expires)
            self.superseded[licence.licence, one.superseded] = key
            self.issued_for[licence.licence, licence.generation] = (key.case, target.generation)
        files = {one.licence.licence: one.licence.licence for one in several}
        superseded, granted = stated_of(several, source, target, key.case, files)
        self._count(source, target.serial)
        self._state(source, at, superseded)
        self._state(target.serial, at, granted)
        return answer_for(several, target.serial, at)

    def _known(self, container: Container, stated: ContactStatement, at: datetime) -> Known:
        presented = {item.licence for item in stated.licences}
        subjects = {Subject(Aim.LICENCE, item.licence, item.generation) for item in stated.licences}
        measures = sorted(
            (
                one
                for one in self.measures.values()
                if (one.standing.serial == container.serial or one.standing.subject in subjects)
                and in_effect(one.standing.state, one.ordered, one.effective, at)
            ),
            key=lambda one: (one.ordered, one.standing.case_id, one.standing.measure, str(one.standing.subject)),
        )
        here = [case for case in self.cases.values() if case.key.serial == container.serial]
        code = self.codes.get(container.serial)
        return Known(
            vendor=self.vendor,
            container=container,
            licences={
                one.licence: one
                for one in sorted(self.licences.values(), key=lambda one: one.licence)
                if one.serial == container.serial or one.licence in presented
            },
            measures=tuple(one.standing for one in measures),
            superseded={name: key for name, key in self.superseded.items() if name[0] in presented},
            activations={
                **{g: one for (serial, g), one in self.activations.items() if serial == container.serial},
                **{
                    g: Activation({}, self.cases[one.case_id].key if one.case_id else None)
                    for (serial, g), one in self.access.items()
                    if serial == container.serial
                },
            },
            stolen=tuple(
                (case.key, case.generation)
                for case in here
                if case.reason is Reason.COMPUTER_STOLEN and not case.closed
            ),
            awaiting=tuple(
                Awaiting(case.key, case.generation, case.match, case.activation, self.pending.get(case.key.case))
                for case in here
                if case.awaits is Target.ACTIVATION
            ),
            code=self._code(container.serial, code) if code and code.is_good else None,
        )
