"""What becomes of a contact: pure functions of what the container shows and what the backend knows of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from activities.leases import expiry
from activities.measures import Standing
from activities.rows import Container, Licence
from events.backend_facts import ContactRefused, ContainerContacted, LicenceRenewed, MeasureConfirmed, MeasureDelivered
from events.errors import Code, NotYetKnownError, RefusalError
from events.fact import Fact
from events.inbox import ContactStatement, LicenceStatement, Presented
from events.licensing import CaseKey, ContactAnswer, OrderedMeasure
from events.terms import Aim, Contact, Kind, LicenceId, Match, Measure, MeasureState, VendorId, matches, subject

RETURNED = "returned"
"""The code of a contact whose activation was given back."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A machine to which a container was bound, and for which case."""

    fingerprint: dict[str, str]
    case: CaseKey | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the backend knows. `licences` are those in the container and those presented, `measures` those in effect on
    either, `superseded` says by which case a generation of a licence was, `awaiting` which case waits for an
    activation, and how its machine must be the known one."""

    vendor: VendorId
    container: Container
    licences: Mapping[LicenceId, Licence]
    measures: tuple[Standing, ...]
    superseded: Mapping[tuple[LicenceId, int], CaseKey]
    activations: Mapping[int, Activation]
    awaiting: tuple[CaseKey, Match | None] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something that was presented is refused, and the cases that it is a sighting for."""

    code: str
    cases: tuple[CaseKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a contact. `served` are the licences that may go on, in the order of their names; `anew` the
    names of those that get their file though no check-in is asked of them. `told` are the measures that the container
    is told; some of those against itself are then `delivered` or `confirmed`, for none can say what runs in another."""

    refused: Refused | None = None
    awaiting: CaseKey | None = None
    served: tuple[Licence, ...] = ()
    anew: frozenset[LicenceId] = frozenset()
    told: tuple[Standing, ...] = ()
    delivered: tuple[Standing, ...] = ()
    confirmed: tuple[Standing, ...] = ()


@dataclass
class _Refusals:
    """The subjects that are refused."""

    known: Known
    by_subject: dict[str, Refused] = field(default_factory=dict)

    def blockers(self, name: str) -> list[Standing]:
        return [measure for measure in self.known.measures if measure.subject == name]

    def refuse(self, name: str, superseding: CaseKey | None, code: str | None = None) -> None:
        """Refuse a subject that is blocked, or superseded by a case, or for this code."""
        blockers = self.blockers(name)
        cases = [measure.key(self.known.vendor) for measure in blockers]
        if superseding:
            cases.append(superseding)
        default = Code.BLOCKED if blockers else Code.SUPERSEDED
        self.by_subject[name] = Refused(code or default, tuple(dict.fromkeys(cases)))

    def all(self) -> Refused | None:
        refusals = list(self.by_subject.values())
        if not refusals:
            return None
        cases = tuple(dict.fromkeys(case for refusal in refusals for case in refusal.cases))
        first = min(refusals, key=lambda refusal: refusal.code != Code.BLOCKED)
        return Refused(first.code, cases)


def judge(known: Known, stated: ContactStatement) -> Judgement:
    """What becomes of a contact; raises `RefusalError` where it makes no sense, `NotYetKnownError` where it may yet."""
    shown = stated.generation or known.container.generation
    if stated.how is Contact.ACTIVATION:
        activated = _activation(known, stated.fingerprint or {})
        if not isinstance(activated, int):
            return activated
        shown = activated
    refusals = _Refusals(known)
    _judge_container(known, shown, stated.fingerprint, refusals)
    served: list[Licence] = []
    if not refusals.by_subject:
        served = _judge_licences(known, stated.licences, refusals)
    told = _told(known, refusals)
    own = [measure for measure in told if measure.serial == known.container.serial]
    confirms = [
        measure
        for measure in own
        if (
            measure.measure is Measure.BLACKLISTING
            and measure.state in _OPEN
            and measure.subject in refusals.by_subject
        )
        or (measure.measure is Measure.WITHDRAWAL and measure.state is MeasureState.DELIVERED and stated.confirms)
    ]
    newer = {
        item.licence
        for item in stated.licences
        if (licence := known.licences.get(item.licence)) and item.generation < licence.generation
    }
    return Judgement(
        refused=refusals.all(),
        served=tuple(served),
        anew=frozenset(known.licences if stated.how is Contact.ACTIVATION else newer) if served else frozenset(),
        told=told,
        delivered=tuple(measure for measure in own if measure.state is MeasureState.ORDERED),
        confirmed=tuple(confirms),
    )


_OPEN = (MeasureState.ORDERED, MeasureState.DELIVERED)


def _activation(known: Known, shown: dict[str, str]) -> Judgement | int:
    """A machine asks to be bound: it is one that a case waits for, or else the generation that it was bound to."""
    container = known.container
    if container.kind is not Kind.ACT:
        raise RefusalError(
            Code.KIND_MISMATCH, f"container {container.serial} is of kind {container.kind}; only an act is activated"
        )
    of_now = container.fingerprint or {}
    mismatch = Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))
    if known.awaiting:
        case, match = known.awaiting
        if match is None and not matches(Match.ALL, of_now, shown):
            return Judgement(awaiting=case)
        if match is not None:
            return Judgement(awaiting=case) if matches(match, of_now, shown) else mismatch
    if matches(Match.MOST, of_now, shown):
        return container.generation
    former = [number for number, one in known.activations.items() if matches(Match.MOST, one.fingerprint, shown)]
    return max(former, default=None) or mismatch


def _judge_container(known: Known, shown: int, fingerprint: dict[str, str] | None, refusals: _Refusals) -> None:
    """Refuse an activation, or access data, that is blocked or superseded. An old one that the holder of the current
    one shows counts as the current one."""
    container = known.container
    if shown > container.generation:
        raise NotYetKnownError(
            Code.GENERATION_CONFLICT, f"container {container.serial} is at generation {container.generation} only"
        )
    same_machine = bool(fingerprint) and matches(Match.MOST, container.fingerprint or {}, fingerprint or {})
    generation = container.generation if same_machine else shown
    aim = Aim.ACCESS_DATA if container.kind is Kind.CLOUD else Aim.CONTAINER
    name = subject(aim, container.serial, generation)
    if generation < container.generation:
        later = known.activations.get(generation + 1)
        refusals.refuse(name, later.case if later else None)
    elif refusals.blockers(name):
        refusals.refuse(name, None)
    elif generation <= container.returned:
        refusals.refuse(name, None, RETURNED)


def _judge_licences(known: Known, presented: Iterable[Presented], refusals: _Refusals) -> list[Licence]:
    """Refuse the generations presented that are blocked, or superseded elsewhere; the licences that may go on."""
    serial = known.container.serial
    for item in presented:
        licence = known.licences.get(item.licence)
        if licence is None or item.generation > licence.generation:
            raise NotYetKnownError(
                Code.UNKNOWN_LICENCE,
                f"no licence {item.licence} of generation {item.generation} is known here;"
                f" state {LicenceStatement.type()} for it first",
            )
        name = subject(Aim.LICENCE, item.licence, item.generation)
        if licence.serial != serial and (item.generation < licence.generation or refusals.blockers(name)):
            refusals.refuse(name, known.superseded.get((item.licence, item.generation)))
    served = []
    for licence in known.licences.values():
        name = subject(Aim.LICENCE, licence.licence, licence.generation)
        if licence.serial != serial:
            continue
        if refusals.blockers(name):
            refusals.refuse(name, None)
        else:
            served.append(licence)
    return served


def _told(known: Known, refusals: _Refusals) -> tuple[Standing, ...]:
    """The measures that a container is told: on what it is refused, be it itself, and on licences that were taken out
    of it; but no removal that it has confirmed."""
    serial = known.container.serial

    def aims_here(measure: Standing) -> bool:
        if measure.subject in refusals.by_subject:
            return True
        aim, name, _ = measure.subject.split("/")
        licence = known.licences.get(LicenceId(name)) if aim == Aim.LICENCE else None
        gone = aim == Aim.LICENCE and (licence is None or licence.serial != serial)
        return gone and measure.serial == serial

    return tuple(
        measure
        for measure in known.measures
        if aims_here(measure)
        and (measure.state is not MeasureState.CONFIRMED or measure.measure is Measure.BLACKLISTING)
    )


def renewed_at(licence: Licence, received: datetime) -> Licence | None:
    """A licence with its next file's times, or None where no check-in is asked for, or its stop-gap is over."""
    lease = licence.terms
    issued = max(received, licence.issued)
    expires = expiry(lease, issued, licence.ends)
    if lease.check_in is None or expires is None or expires <= issued:
        return None
    return replace(licence, issued=issued, expires=expires)


def answer_of(
    judgement: Judgement, files: tuple[str, ...], ordinals: tuple[int, ...], settled: tuple[CaseKey, ...]
) -> ContactAnswer:
    """What a container is answered: its files, what is ordered for it, and whom else it concerns."""
    refused = judgement.refused
    confirmed = {item for item in judgement.confirmed if item.measure is Measure.WITHDRAWAL}
    return ContactAnswer(
        refused=refused is not None,
        code=refused.code if refused else None,
        cases=refused.cases if refused else (),
        ordinals=ordinals,
        settled=settled,
        awaiting=(judgement.awaiting,) if judgement.awaiting else (),
        ordered=tuple(
            OrderedMeasure(case=item.case_id, measure=item.measure, subject=item.subject)
            for item in judgement.told
            if item not in confirmed
        ),
        files=files,
    )


def facts_of(
    stated: ContactStatement, judgement: Judgement, renewed: Iterable[Licence], files: Mapping[LicenceId, str]
) -> list[Fact]:
    """What a contact makes true: how it went, what was renewed, and how far measures have come."""
    contacted = {"contact": stated.contact, "serial": stated.serial, "occurred": stated.occurred, "how": stated.how}
    facts: list[Fact] = []
    if refused := judgement.refused:
        cases = tuple(key.case for key in refused.cases)
        facts.append(ContactRefused.model_validate({**contacted, "cases": cases, "code": refused.code}))
    else:
        facts.append(ContainerContacted.model_validate(contacted))
    facts += [
        LicenceRenewed(
            licence=item.licence,
            generation=item.generation,
            serial=item.serial,
            issued=item.issued,
            expires=item.expires,
            file=files[item.licence],
        )
        for item in renewed
    ]
    facts += [MeasureDelivered.model_validate(item.about()) for item in judgement.delivered]
    by = f"contact/{stated.contact}"
    return facts + [MeasureConfirmed.model_validate({**item.about(), "by": by}) for item in judgement.confirmed]
