"""What the backend in memory keeps, and how it is looked up and moved."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import JsonValue

from activities.licensing import claim_rules
from activities.licensing.access_rules import Access
from activities.licensing.activation_code_rules import Fetched
from activities.licensing.containers import Container, Licence, LostLicence, unknown_container
from activities.licensing.delegation_rules import Delegation, is_delegated
from activities.licensing.guess_rules import Guesses
from activities.licensing.judgement import Activation
from activities.licensing.measure_rules import Standing, is_settled
from activities.licensing.message_rules import Speaker, addressed
from activities.licensing.quota_rules import Recovery
from activities.licensing.release import Release
from events.backend_facts import MeasureLifted, MeasureOrdered, MeasureUnconfirmable
from events.errors import Code
from events.fact import Fact
from events.measure_life import blocks, in_effect, step
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey, ContactAnswer, Issued, ReceiptAnswer
from events.ports.loss_cases import Content, DecisionOrder, Joined
from events.statements import ContainerStatement, InventoryChange, LicenceStatement
from events.terms import (
    ActivationBy,
    Aim,
    CaseId,
    ContactId,
    DecisionId,
    DelegationId,
    HolderId,
    Kind,
    LicenceId,
    Match,
    Measure,
    MeasureState,
    Outcome,
    PersonId,
    Reason,
    Reporter,
    ReportId,
    Role,
    Scope,
    Serial,
    Target,
    Value,
    VendorId,
    next_generation,
)

State = Callable[[Serial | None, datetime, Iterable[Fact]], None]


@dataclass
class Claimed:
    """A generation that a case claims."""

    subject: str
    generation: int
    serial: Serial
    case: CaseId
    freed: bool = False


@dataclass
class Case:
    """A case as the backend knows it."""

    key: CaseKey
    holder: HolderId
    scope: Scope
    generation: int
    received: datetime
    reason: Reason
    closed: datetime | None = None
    outcome: Outcome | None = None
    approved: bool = False
    overtaken: int | None = None
    """The number of the message that a wider loss was reported."""
    messages: list[tuple[Content, Speaker | None]] = field(default_factory=list)
    """What was said to it, in order."""
    places: list[int] = field(default_factory=list)
    """The place of each message among all that were said to any case."""
    awaits: Target | None = None
    match: Match | None = None
    activation: ActivationBy = ActivationBy.ANY
    issued: dict[bool, Issued] = field(default_factory=dict)
    """What was issued first, and in full after a stop-gap."""
    reinstated: Issued | None = None
    release: Release | None = None
    answers: dict[tuple[int, str], Value] = field(default_factory=dict)
    """What its orders were answered, by number and kind."""

    @property
    def reports(self) -> list[tuple[ReportId, Reporter]]:
        """The reports that were posted to it."""
        several = [said.report for said, _ in self.messages if isinstance(said, Joined)]
        return [(one.report, one.reporter) for one in several]

    @property
    def last(self) -> Issued | None:
        """What was last issued for it."""
        return self.issued.get(True) or self.issued.get(False)


@dataclass
class Ordered:
    """A measure, and when it takes effect."""

    standing: Standing
    effective: datetime
    ordered: datetime


@dataclass
class Reserved:
    """The recoveries that quotas set aside for a case."""

    recoveries: tuple[Recovery, ...]
    at: datetime
    freed: bool = False


class Tables:
    """Containers, licences, cases, claims and measures. `state` takes the facts of a container's stream."""

    def __init__(self, vendor: VendorId, state: State) -> None:
        self.vendor = vendor
        self.policies: list[dict[str, JsonValue]] = []
        """The versions of its policy; none before the vendor is taken in."""
        self.containers: dict[Serial, Container] = {}
        self.licences: dict[LicenceId, Licence] = {}
        self.lease_next: dict[LicenceId, datetime | None] = {}
        """When a lease comes to something that is stated; None where it never does, or was put off."""
        self.first_statements: dict[str, ContainerStatement | LicenceStatement] = {}
        """What was first stated of each container and licence."""
        self.latest: dict[tuple[str, str], InventoryChange] = {}
        """The latest statement of each type of what became of a container or licence."""
        self.cases: dict[CaseId, Case] = {}
        self.claims: list[Claimed] = []
        self.reports: dict[tuple[str, Reporter], tuple[str, CaseId, datetime]] = {}
        self.statements: dict[tuple[str, Reporter], str] = {}
        self.decisions: dict[tuple[CaseId, DecisionId], tuple[int, DecisionOrder]] = {}
        self.measures: dict[tuple[CaseId, Measure, Subject], Ordered] = {}
        self.reservations: dict[CaseId, Reserved] = {}
        self.activations: dict[tuple[Serial, int], Activation] = {}
        self.codes: dict[Serial, Fetched] = {}
        self.pending: dict[CaseId, dict[str, str]] = {}
        self.access: dict[tuple[Serial, int], Access] = {}
        self.guesses: dict[Serial, Guesses] = defaultdict(Guesses)
        self.sessions: dict[Serial, dict[str, int]] = defaultdict(dict)
        """The sessions that go on, and the generation of access data that each is of."""
        self.superseded: dict[tuple[LicenceId, int], CaseKey] = {}
        self.issued_for: dict[tuple[LicenceId, int], tuple[CaseId, int]] = {}
        """The case for which a generation of a licence was issued, and the container's generation then."""
        self.contacts: dict[tuple[Serial, ContactId, bool], ContactAnswer | ReceiptAnswer] = {}
        """What each number of a container was answered; apart from these, those that came with a password."""
        self.flagged: set[HolderId] = set()
        self.delegations: dict[DelegationId, Delegation] = {}
        self.said = 0
        self._state = state

    def _container(self, serial: Serial) -> Container:
        if serial not in self.containers:
            raise unknown_container(serial)
        return self.containers[serial]

    def rightful(self, serial: Serial, reporter: Reporter, at: datetime) -> Container:
        """The container, for its holder, their delegate or a back-office system; unknown to everybody else."""
        container = self._container(serial)
        return claim_rules.must_be_rightful(container, reporter, self.delegated(reporter, container, at))

    def delegated(self, reporter: Reporter, container: Container, at: datetime) -> bool:
        """Whether a reporter is a delegate who acts for the container's holder in what is received at this instant."""
        return reporter.role is Role.DELEGATE and self.acts_for(reporter.name, container, at)

    def acts_for(self, person: PersonId, container: Container, at: datetime) -> bool:
        """Whether a person's delegation stands for the container's holder in what is received at this instant."""
        own = [one for one in self.delegations.values() if one.delegate == person]
        return is_delegated(own, container.holder, at)

    def _held(self, serial: Serial) -> list[Licence]:
        return sorted((one for one in self.licences.values() if one.serial == serial), key=lambda one: one.licence)

    def _count(self, *serials: Serial) -> None:
        for serial in serials:
            self.containers[serial] = replace(self.containers[serial], licences=len(self._held(serial)))

    def _claimed(self, key: CaseKey, container: Container) -> list[Licence]:
        if container.kind is Kind.CLOUD:
            return self._held(key.serial)
        claimed = {(one.subject, one.generation) for one in self.claims if one.case == key.case and not one.freed}
        return sorted(
            (one for one in self.licences.values() if (f"{Aim.LICENCE}/{one.licence}", one.generation) in claimed),
            key=lambda one: one.licence,
        )

    def _all_claimed(self, serial: Serial) -> list[claim_rules.Claimed]:
        """All that cases of a container claim or claimed."""
        kind = self.containers[serial].kind
        return [
            claim_rules.Claimed(
                *(one.subject, one.generation, one.case, case.received, claim_rules.recovery_of(kind, case.reason)),
                *(one.freed, case.closed is not None, case.outcome, case.approved),
            )
            for one in self.claims
            if one.serial == serial
            for case in [self.cases[one.case]]
        ]

    def _lost(self, key: CaseKey) -> list[LostLicence]:
        """The licences that a case claims, at the generations that it claims, in the order of their names."""
        aim = f"{Aim.LICENCE}/"
        claims = (one for one in self.claims if one.case == key.case and one.subject.startswith(aim))
        names = sorted((LicenceId(one.subject.removeprefix(aim)), one.generation) for one in claims)
        return [
            LostLicence(name, generation, self.licences[name].ticket, self.licences[name].ended is not None)
            for name, generation in names
        ]

    def _of(self, case: CaseId) -> list[Ordered]:
        return [one for one in self.measures.values() if one.standing.case_id == case]

    def _measures_of(self, key: CaseKey) -> list[Standing]:
        return [one.standing for one in self._of(key.case)]

    def _in_effect(self, at: datetime) -> list[Standing]:
        return [
            one.standing
            for one in self.measures.values()
            if in_effect(one.standing.state, one.ordered, one.effective, at)
        ]

    def _order(
        self,
        case: CaseId,
        container: tuple[Serial, int],
        measure: Measure,
        name: Subject,
        effective: datetime,
        at: datetime,
    ) -> MeasureOrdered:
        serial, generation = container
        before = self.measures.get((case, measure, name))
        ordered = step(before.standing.state if before else None, MeasureState.ORDERED)
        standing = Standing(case, measure, name, serial, ordered, generation)
        self.measures[case, measure, name] = Ordered(standing, effective, at)
        return MeasureOrdered.model_validate({**standing.about(), "effective": effective})

    def _move(self, standing: Standing, to: MeasureState) -> None:
        one = self.measures[standing.case_id, standing.measure, standing.subject]
        one.standing = replace(one.standing, state=step(one.standing.state, to))

    def _end(self, several: list[Ordered], end: MeasureState, at: datetime) -> None:
        fact = MeasureLifted if end is MeasureState.LIFTED else MeasureUnconfirmable
        for one in sorted(several, key=lambda one: (str(one.standing.subject), one.standing.measure)):
            self._state(one.standing.serial, at, [fact.model_validate(one.standing.about())])
            self._move(one.standing, end)
            if end is MeasureState.LIFTED:
                self._resume_leases(one.standing.serial)

    def _resume_leases(self, serial: Serial) -> None:
        """Look again at the leases in a container of which a measure was lifted, or that has a new generation."""
        for one in self._held(serial):
            if self.lease_next[one.licence] is None and one.expires is not None and one.lease_stage != "lapsed":
                self.lease_next[one.licence] = one.issued

    def _settled(self, confirmed: Sequence[Standing]) -> tuple[CaseKey, ...]:
        """The cases of which that says that all is removed, or given back."""
        settled = []
        for case in sorted({one.case_id for one in confirmed}):
            issued = {Subject.parse(f"{name}/{generation}") for name, generation in self._all_issued(case)}
            own = [one.standing for one in self._of(case)]
            if is_settled([one for one in confirmed if one.case_id == case], own, issued):
                settled.append(self.cases[case].key)
        return tuple(settled)

    def _post(self, key: CaseKey, content: Content, speaker: Speaker | None = None) -> int | None:
        """Accept a message to a case and answer with its number; None once the case is over."""
        case = self.cases[key.case]
        if case.closed:
            return None
        case.messages.append((content, speaker))
        self.said += 1
        case.places.append(self.said)
        return len(case.messages)

    def _address(
        self, key: CaseKey, content: Content, speaker: Speaker, at: datetime, code: Code | None = None
    ) -> None:
        self._state(key.serial, at, [addressed(key, content, speaker, at, code)])

    def _all_issued(self, case: CaseId) -> list[tuple[str, int]]:
        return [
            (f"{Aim.LICENCE}/{item.licence}", item.generation)
            for issued in self.cases[case].issued.values()
            for item in issued.licences
        ]

    def _issued_for(self, case: Case) -> list[tuple[str, int]]:
        last = case.issued.get(True) or case.issued.get(False)
        return [(f"{Aim.LICENCE}/{one.licence}", one.generation) for one in last.licences] if last else []

    def _is_blocked(self, container: Container) -> bool:
        name = Subject(Aim.CONTAINER, container.serial, container.generation)
        return any(one.standing.subject == name and blocks(one.standing.state) for one in self.measures.values())

    def _is_lost(self, container: Container) -> bool:
        return any(
            one.key.serial == container.serial and one.scope is Scope.CONTAINER and not one.closed
            for one in self.cases.values()
        )

    def _raise(self, key: CaseKey, activation: Activation | None) -> Container:
        container = self.containers[key.serial]
        generation = next_generation(container.generation)
        fingerprint = activation.fingerprint if activation else container.fingerprint
        self.containers[key.serial] = replace(container, generation=generation, fingerprint=fingerprint)
        if fingerprint:
            self.activations[key.serial, generation] = Activation(fingerprint, key)
        self._resume_leases(key.serial)
        return self.containers[key.serial]
