"""What the whole log says, collected by what it is about, so that it can be judged at the end.

Facts of the backend and of cases arrive in no promised order between streams: nothing is judged while collecting.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple, assert_never

from events.backend_facts import (
    AccessLapsed,
    AccessOffered,
    AccessSet,
    ActivationReturned,
    BackendFact,
    CaseAddressed,
    ContactRefused,
    ContainerActivated,
    ContainerContacted,
    ContainerRegistered,
    ContainerReinstated,
    DelegationGiven,
    DelegationRevoked,
    HolderFlagged,
    LeaseFact,
    LicenceChanged,
    LicenceEnded,
    LicenceIssued,
    LicenceRenewed,
    LicenceSuperseded,
    MeasureFact,
    PolicyAdopted,
    RecordSetAside,
    RecoveryFreed,
    RecoveryReserved,
    SessionsEnded,
    VendorAdded,
)
from events.case_facts import CaseFact, CaseStreamFact, LossReported
from events.catalogue import AnyFact
from events.envelope import Recorded, case_of
from events.terms import CaseId, Generation, HolderId, LicenceId, Serial, VendorId
from workflows.policy import Policy, UnreadablePolicyError, read_policy

CaseName = tuple[VendorId, CaseId]
LicenceName = tuple[VendorId, LicenceId]


AT_ONCE = timedelta(seconds=10)
"""Of facts in different streams, which are recorded by workers with clocks of their own, nobody knows which came first
if their times are so close."""


class Place(NamedTuple):
    """Where a fact stands, and when it was recorded."""

    vendor: VendorId
    stream: str
    sequence: int
    recorded: datetime

    def surely_precedes(self, other: "Place") -> bool:
        """Whether this fact was there first: in one stream its number says so, in two the clocks, if they are clear."""
        if (self.vendor, self.stream) == (other.vendor, other.stream):
            return self.sequence < other.sequence
        return self.recorded + AT_ONCE < other.recorded


class Issue(NamedTuple):
    """A generation that was issued into a container, or superseded in it."""

    place: Place
    serial: Serial
    case: CaseId | None
    holder: HolderId | None = None


class Offer(NamedTuple):
    """Access data of this generation were offered for a case."""

    place: Place
    serial: Serial
    generation: Generation
    case: CaseId


class Link(NamedTuple):
    """A fact's place in the chain of its stream."""

    hash: bytes
    previous: bytes
    recorded: datetime


class Adopted(NamedTuple):
    """A version of a policy, and since when it was in force."""

    place: Place
    version: int
    policy: Policy


@dataclass
class Ledger:
    """All that the judgement needs, and nothing of licence files or contacts."""

    facts: int = 0
    set_aside: list[tuple[Place, RecordSetAside]] = field(default_factory=list)
    chains: dict[tuple[VendorId, str], dict[int, Link]] = field(default_factory=lambda: defaultdict(dict))
    differing: list[Place] = field(default_factory=list)
    """Copies that say something else than the fact that they are of."""
    vendors: set[VendorId] = field(default_factory=set)
    policies: dict[VendorId, list[Adopted]] = field(default_factory=lambda: defaultdict(list))
    unreadable_policies: list[tuple[Place, int]] = field(default_factory=list)
    delegations: dict[VendorId, list[DelegationGiven | DelegationRevoked]] = field(
        default_factory=lambda: defaultdict(list)
    )
    holders: dict[tuple[VendorId, Serial], HolderId] = field(default_factory=dict)
    issued: dict[LicenceName, dict[int, list[Issue]]] = field(default_factory=lambda: defaultdict(dict))
    superseded: dict[LicenceName, dict[int, list[Issue]]] = field(default_factory=lambda: defaultdict(dict))
    ended: dict[LicenceName, tuple[Place, Generation]] = field(default_factory=dict)
    """Where it is first said that the contract of a licence has ended, and of which generation."""
    renewed: dict[tuple[VendorId, LicenceId, Generation], Place] = field(default_factory=dict)
    """Where a generation was last renewed."""
    offers: list[Offer] = field(default_factory=list)
    lapsed: set[tuple[VendorId, Serial, Generation, CaseId]] = field(default_factory=set)
    """The access data that nobody set for the case that they were offered for, by the end of that case."""
    measures: dict[CaseName, list[tuple[Place, MeasureFact]]] = field(default_factory=lambda: defaultdict(list))
    reserved: list[tuple[Place, RecoveryReserved]] = field(default_factory=list)
    freed: dict[CaseName, Place] = field(default_factory=dict)
    cases: dict[CaseName, list[tuple[Place, CaseFact]]] = field(default_factory=lambda: defaultdict(list))
    formers: dict[CaseName, CaseId | None] = field(default_factory=dict)
    """The former case that the report which opened each case names, where its record says whether there is one."""
    named_cases: dict[CaseName, Place] = field(default_factory=dict)
    """Where the backend first names each case."""
    named_licences: dict[tuple[VendorId, LicenceId, int], Place] = field(default_factory=dict)
    """Where a generation is first said to have been renewed, changed, superseded, to have ended or to run out."""

    def take(self, recorded: Recorded) -> None:
        """Collect a fact; a copy changes nothing."""
        place = Place(recorded.vendor, recorded.stream, recorded.sequence, recorded.recorded)
        chain = self.chains[recorded.vendor, recorded.stream]
        if known := chain.get(recorded.sequence):
            if known.hash != recorded.hash:
                self.differing.append(place)
            return
        self.facts += 1
        chain[recorded.sequence] = Link(recorded.hash, recorded.previous_hash, recorded.recorded)
        if isinstance(recorded.fact, CaseStreamFact):
            name = recorded.vendor, case_of(recorded.stream)
            self.cases[name].append((place, recorded.fact))
            if isinstance(recorded.fact, LossReported) and recorded.sequence == 1 and "former" in recorded.data:
                self.formers[name] = recorded.fact.former
        else:
            self._collect(place, recorded.fact)
            for case in _cases_named(recorded.fact):
                self.named_cases.setdefault((recorded.vendor, case), place)

    def policy(self, vendor: VendorId, version: int | None) -> Policy | None:
        """A version of a vendor's policy, or None where the log has none."""
        return next((one.policy for one in self.policies[vendor] if one.version == version), None)

    def in_force(self, vendor: VendorId, start: datetime, end: datetime) -> list[Policy]:
        """The policies that were in force at some instant of a span of time."""
        adopted = sorted(self.policies[vendor], key=lambda one: one.version)
        spans = zip_longest(adopted, (one.place.recorded for one in adopted[1:]))
        return [one.policy for one, over in spans if one.place.recorded <= end and (over is None or over >= start)]

    @cached_property
    def issues_by_case(self) -> dict[CaseName, list[tuple[LicenceId, int, Issue]]]:
        """What was issued for each case."""
        found: dict[CaseName, list[tuple[LicenceId, int, Issue]]] = defaultdict(list)
        for (vendor, licence), generations in self.issued.items():
            for generation, issues in generations.items():
                for one in issues:
                    if one.case:
                        found[vendor, one.case].append((licence, generation, one))
        return found

    def _collect(self, place: Place, fact: BackendFact) -> None:
        vendor = place.vendor
        match fact:
            case RecordSetAside():
                self.set_aside.append((place, fact))
            case VendorAdded():
                self.vendors.add(vendor)
            case PolicyAdopted():
                try:
                    policy = read_policy(fact.document)
                except UnreadablePolicyError:
                    self.unreadable_policies.append((place, fact.policy_version))
                else:
                    self.policies[vendor].append(Adopted(place, fact.policy_version, policy))
            case DelegationGiven() | DelegationRevoked():
                self.delegations[vendor].append(fact)
            case ContainerRegistered():
                self.holders.setdefault((vendor, fact.serial), fact.holder)
            case LicenceIssued():
                issue = Issue(place, fact.serial, fact.case, fact.holder)
                self.issued[vendor, fact.licence].setdefault(fact.generation, []).append(issue)
            case LicenceSuperseded():
                end = Issue(place, fact.serial, fact.case)
                self.superseded[vendor, fact.licence].setdefault(fact.generation, []).append(end)
                self.named_licences.setdefault((vendor, fact.licence, fact.generation), place)
            case LicenceEnded():
                self.ended.setdefault((vendor, fact.licence), (place, fact.generation))
                self.named_licences.setdefault((vendor, fact.licence, fact.generation), place)
            case LicenceRenewed() | LicenceChanged() | LeaseFact():
                if isinstance(fact, LicenceRenewed):
                    self.renewed[vendor, fact.licence, fact.generation] = place
                self.named_licences.setdefault((vendor, fact.licence, fact.generation), place)
            case AccessOffered():
                if fact.case:
                    self.offers.append(Offer(place, fact.serial, fact.generation, fact.case))
            case AccessLapsed():
                self.lapsed.add((vendor, fact.serial, fact.generation, fact.case))
            case MeasureFact():
                self.measures[vendor, fact.case].append((place, fact))
            case RecoveryReserved():
                self.reserved.append((place, fact))
            case RecoveryFreed():
                self.freed.setdefault((vendor, fact.case), place)
            case ContainerContacted() | ContactRefused() | AccessSet() | SessionsEnded():
                pass
            case ContainerActivated() | ActivationReturned() | ContainerReinstated() | HolderFlagged():
                pass
            case CaseAddressed():
                pass
            case _:
                assert_never(fact)


def _cases_named(fact: AnyFact) -> Iterator[CaseId]:
    if isinstance(fact, ContactRefused):
        yield from fact.cases
    elif case := getattr(fact, "case", None):
        yield case
