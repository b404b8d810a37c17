"""What becomes of a contact: pure functions of what the container shows and what the backend knows of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from activities.licensing.activation_code_rules import Fetched, is_same, spent, tried
from activities.licensing.containers import Container, Licence
from activities.licensing.lease_rules import expiry
from activities.licensing.measure_rules import Standing
from activities.licensing.message_rules import sighting
from events.backend_facts import (
    ActivationReturned,
    ContactRefused,
    ContainerContacted,
    LicenceRenewed,
    MeasureConfirmed,
    MeasureDelivered,
)
from events.errors import Code, NotYetKnownError, RefusalError
from events.fact import Fact
from events.fingerprint import matches
from events.measure_life import OPEN
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey, ContactAnswer, OrderedMeasure
from events.ports.loss_cases import Content, Offer, Settled
from events.sizes import LIST_PART, in_parts
from events.statements import ContactStatement, DeactivationStatement, Presented
from events.terms import (
    ActivationBy,
    Aim,
    CaseId,
    Contact,
    ContactId,
    Kind,
    LicenceId,
    Match,
    Measure,
    MeasureState,
    Serial,
    VendorId,
)

RETURNED = "returned"
"""The code of a contact whose activation was given back."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A machine to which a container was bound, and for which case; of a cloud container, whose access data count
    their generations as activations do, only the case."""

    fingerprint: dict[str, str]
    case: CaseKey | None


@dataclass(frozen=True, slots=True)
class Awaiting:
    """A case that waits for a machine: the generation of the container that it is about, how the machine must be that
    of this generation (None: any other one), and what it must bring. `shown` is a machine that was accepted and is
    still to be bound."""

    case: CaseKey
    generation: int
    match: Match | None = None
    activation: ActivationBy = ActivationBy.ANY
    shown: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the backend knows. `licences` are those in the container and those presented, `measures` those in effect on
    either, `superseded` says by which case a generation of a licence was, `activations` to which machines the container
    was bound, by generation. `stolen` are the open cases that call the machine of a generation stolen, `awaiting` those
    that wait for a machine, and `code` what it must bring where one of them asks for it (None: there is none that is
    good)."""

    vendor: VendorId
    container: Container
    licences: Mapping[LicenceId, Licence]
    measures: tuple[Standing, ...]
    superseded: Mapping[tuple[LicenceId, int], CaseKey]
    activations: Mapping[int, Activation]
    stolen: tuple[tuple[CaseKey, int], ...] = ()
    awaiting: tuple[Awaiting, ...] = ()
    code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why something that was presented is refused, and the cases that it is a sighting for."""

    code: str
    cases: tuple[CaseKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a contact. `awaiting` are the cases that its machine is to be bound for; `spends_code` says that
    the code was needed for it. `served` are the licences that may go on, in the order of their names; `anew` the
    names of those that get their file though no check-in is asked of them. `announced` are the measures that the
    container learns of; some of those against itself are then `delivered` or `confirmed`, for none can say what runs in
    another."""

    refused: Refused | None = None
    awaiting: tuple[CaseKey, ...] = ()
    spends_code: bool = False
    served: tuple[Licence, ...] = ()
    anew: frozenset[LicenceId] = frozenset()
    announced: tuple[Standing, ...] = ()
    delivered: tuple[Standing, ...] = ()
    confirmed: tuple[Standing, ...] = ()


RANKS = {str(Code.BLOCKED): 0, str(Code.ENDED): 2}
"""Of several codes the answer has the first by this: first that it is blocked, and last what is no sighting."""


@dataclass
class _Refusals:
    """The subjects that are refused."""

    known: Known
    by_subject: dict[Subject, Refused] = field(default_factory=dict)

    def blockers(self, name: Subject) -> list[Standing]:
        return [measure for measure in self.known.measures if measure.subject == name]

    def refuse(self, name: Subject, superseding: Sequence[CaseKey] = (), code: str | None = None) -> None:
        """Refuse a subject that is blocked, or superseded by a case, or for this code."""
        blockers = self.blockers(name)
        default = Code.BLOCKED if blockers else Code.SUPERSEDED
        self.by_subject[name] = Refused(code or default)
        self.add(name, [*(measure.key(self.known.vendor) for measure in blockers), *superseding])

    def add(self, name: Subject, cases: Sequence[CaseKey]) -> None:
        """Say of a subject that is refused that it is a sighting for these cases too."""
        refused = self.by_subject[name]
        self.by_subject[name] = replace(refused, cases=tuple(dict.fromkeys([*refused.cases, *cases])))

    def all(self) -> Refused | None:
        refusals = list(self.by_subject.values())
        if not refusals:
            return None
        cases = tuple(dict.fromkeys(case for refusal in refusals for case in refusal.cases))
        first = min(refusals, key=lambda refusal: RANKS.get(refusal.code, 1))
        return Refused(first.code, cases)


def judge(known: Known, statement: ContactStatement) -> Judgement:
    """What becomes of a contact; raises `RefusalError` where it makes no sense, `NotYetKnownError` where it may yet."""
    refusals = _Refusals(known)
    served: list[Licence] = []
    machine = _machine_of(known, statement.fingerprint)
    if machine is not None and _called_stolen(known, machine):
        generation: Judgement | int = machine
    else:
        generation = _generation(known, statement, machine)
    if isinstance(generation, Judgement):
        return generation
    stolen = _called_stolen(known, generation)
    _judge_container(known, generation, refusals, stolen)
    if stolen and generation == known.container.generation:
        _judge_held(known, refusals)
    elif _is_a_stranger(known, statement, machine, generation):
        return Judgement(refused=refusals.all() or Refused(Code.FINGERPRINT_MISMATCH))
    elif not refusals.by_subject:
        _judge_presented(known, statement.licences, refusals)
        served = _judge_held(known, refusals)
    announced = _announced(known, generation, refusals)
    own = [measure for measure in announced if _is_in(known, generation, measure)]
    confirms = [
        measure
        for measure in own
        if (
            measure.measure is Measure.BLACKLISTING
            and measure.state in OPEN
            and (measure.subject in refusals.by_subject or generation < known.container.generation)
        )
        or (measure.measure is Measure.WITHDRAWAL and measure.state is MeasureState.DELIVERED and statement.confirms)
    ]
    newer = {
        item.licence
        for item in statement.licences
        if (licence := known.licences.get(item.licence)) and item.generation < licence.generation
    }
    return Judgement(
        refused=refusals.all(),
        served=tuple(served),
        anew=frozenset(known.licences if statement.how is Contact.ACTIVATION else newer) if served else frozenset(),
        announced=announced,
        delivered=tuple(measure for measure in own if measure.state is MeasureState.ORDERED),
        confirmed=tuple(confirms),
    )


def code_after(fetched: Fetched | None, judgement: Judgement) -> Fetched | None:
    """What is known of the code that was fetched for a container after a contact of it."""
    if judgement.spends_code:
        return spent(fetched)
    if judgement.refused and judgement.refused.code == Code.ACTIVATION_CODE_WRONG:
        return tried(fetched)
    return fetched


def bound_already(container: Container, claimed: int, shown: Mapping[str, str]) -> bool:
    """Whether a container was bound to this machine after a case claimed its generation: one activation serves all
    cases that wait for one."""
    return container.generation > claimed and container.fingerprint == shown


def _machines(known: Known) -> dict[int, dict[str, str]]:
    """The machines to which the container is and was bound, each by the highest of its generations."""
    bound = {generation: one.fingerprint for generation, one in known.activations.items()}
    if known.container.fingerprint:
        bound[known.container.generation] = known.container.fingerprint
    newest = {tuple(sorted(bound[generation].items())): generation for generation in sorted(bound)}
    return {generation: bound[generation] for generation in newest.values()}


def _machine_of(known: Known, shown: dict[str, str] | None) -> int | None:
    """The generation of the known machine that a fingerprint belongs to: of those of which it has most factors, the one
    that it matches best, on a tie a superseded one. None where it is no known machine."""
    if known.container.kind is not Kind.ACT or not shown:
        return None

    def likeness(generation: int) -> tuple[int, bool, int]:
        same = sum(shown.get(factor) == value for factor, value in machines[generation].items())
        return same, generation < known.container.generation, generation

    machines = _machines(known)
    alike = [generation for generation, machine in machines.items() if matches(Match.MOST, machine, shown)]
    return max(alike, key=likeness, default=None)


def _called_stolen(known: Known, generation: int) -> list[CaseKey]:
    """The open cases that call the machine of a generation stolen."""
    return [case for case, stolen in known.stolen if _is_same(known, stolen, generation)]


def _is_same(known: Known, generation: int, other: int) -> bool:
    """Whether the container was bound to the same machine at both generations, or is its own, as a dongle is."""
    return generation == other or _bound_at(known, generation) == _bound_at(known, other)


def _bound_at(known: Known, generation: int) -> dict[str, str]:
    """The machine to which the container was bound at a generation."""
    if generation in known.activations:
        return known.activations[generation].fingerprint
    return known.container.fingerprint or {}


def _generation(known: Known, statement: ContactStatement, machine: int | None) -> Judgement | int:
    """The generation that a contact is judged by, or what becomes of it without one."""
    container = known.container
    if statement.how is Contact.ACTIVATION:
        return _activation(known, statement, machine)
    if statement.generation and statement.generation > container.generation:
        raise NotYetKnownError(
            Code.GENERATION_CONFLICT,
            f"the newest generation of container {container.serial} is {container.generation}",
            serial=container.serial,
            generation=container.generation,
        )
    if machine is not None:
        return machine
    if statement.generation:
        return statement.generation
    if container.generation == 1 or container.kind is Kind.DONGLE:
        return container.generation
    unknown = container.kind is Kind.ACT and statement.fingerprint
    return Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH if unknown else Code.GENERATION_MISSING))


def _is_a_stranger(known: Known, statement: ContactStatement, machine: int | None, generation: int) -> bool:
    """Whether a contact names the current generation, which a case bound to its machine, and shows another one that is
    no known machine: it gets nothing of it, learns of nothing and confirms nothing. At the first generation hardware
    may have changed."""
    container = known.container
    current = generation == container.generation > 1
    return container.kind is Kind.ACT and current and machine is None and bool(statement.fingerprint)


def _activation(known: Known, statement: ContactStatement, machine: int | None) -> Judgement | int:
    """A machine asks to be bound: it is one that cases wait for, or else the generation that it was bound to."""
    container, shown = known.container, statement.fingerprint or {}
    if container.kind is not Kind.ACT:
        raise RefusalError(
            Code.KIND_MISMATCH,
            f"container {container.serial} is of kind {container.kind}; only one of kind act can be activated",
            serial=container.serial,
            kind=container.kind,
        )
    fitting = [one for one in known.awaiting if _fits(known, one, shown)]
    if fitting:
        return _bound(known, fitting, statement)
    only_the_same = any(one.match is not None for one in known.awaiting)
    if machine is None or (only_the_same and machine == container.generation):
        return Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))
    return machine


def _fits(known: Known, awaiting: Awaiting, shown: dict[str, str]) -> bool:
    """Whether a machine is one that a case waits for: as like the lost one as it must be, or else another."""
    lost = _bound_at(known, awaiting.generation)
    if awaiting.match is None:
        return not matches(Match.ALL, lost, shown)
    return matches(awaiting.match, lost, shown)


def _bound(known: Known, fitting: list[Awaiting], statement: ContactStatement) -> Judgement:
    """A machine is bound for all cases that wait for one, if it brings the code that one of them asks for. That it was
    accepted with a code before is remembered."""
    cases = tuple(one.case for one in fitting)
    if not any(one.activation is ActivationBy.CODE and one.shown != statement.fingerprint for one in fitting):
        return Judgement(awaiting=cases)
    if statement.activation_code is None:
        return Judgement(refused=Refused(Code.ACTIVATION_CODE_MISSING))
    if known.code is None or not is_same(known.code, statement.activation_code.get_secret_value()):
        return Judgement(refused=Refused(Code.ACTIVATION_CODE_WRONG))
    return Judgement(awaiting=cases, spends_code=True)


def _judge_container(known: Known, generation: int, refusals: _Refusals, stolen: Sequence[CaseKey] = ()) -> None:
    """Refuse an activation, or access data, that is blocked or superseded, or of a machine that cases call stolen."""
    container = known.container
    name = Subject.way_in(container.kind, container.serial, generation)
    if generation < container.generation:
        later = known.activations.get(generation + 1)
        refusals.refuse(name, [later.case] if later and later.case else [])
    elif refusals.blockers(name):
        refusals.refuse(name)
    elif stolen:
        refusals.refuse(name, code=Code.MACHINE_STOLEN)
    elif generation <= container.returned:
        refusals.refuse(name, code=RETURNED)
    if stolen:
        refusals.add(name, stolen)


def _judge_presented(known: Known, presented: Iterable[Presented], refusals: _Refusals) -> None:
    """Refuse the generations presented that are blocked, or superseded elsewhere."""
    serial = known.container.serial
    for item in presented:
        licence = known.licences.get(item.licence)
        if licence is None or item.generation > licence.generation:
            raise NotYetKnownError(
                Code.UNKNOWN_LICENCE,
                f"no licence {item.licence} of generation {item.generation} is known here",
                licences=item.licence,
                generation=item.generation,
            )
        name = Subject(Aim.LICENCE, item.licence, item.generation)
        if licence.serial != serial and (item.generation < licence.generation or refusals.blockers(name)):
            superseding = known.superseded.get((item.licence, item.generation))
            refusals.refuse(name, [superseding] if superseding else [])


def _judge_held(known: Known, refusals: _Refusals) -> list[Licence]:
    """Refuse what the container holds and is blocked, or of which the contract has ended, which is no sighting; the
    licences that may go on."""
    served = []
    for licence in known.licences.values():
        name = Subject(Aim.LICENCE, licence.licence, licence.generation)
        if licence.serial != known.container.serial:
            continue
        if refusals.blockers(name):
            refusals.refuse(name)
        elif licence.ended:
            refusals.refuse(name, code=Code.ENDED)
        else:
            served.append(licence)
    return served


def _is_in(known: Known, generation: int, measure: Standing) -> bool:
    """Whether what a measure aims at is in this container, on the machine that it is bound to at this generation."""
    here = measure.serial == known.container.serial
    return here and _is_same(known, measure.container_generation, generation)


def _announced(known: Known, generation: int, refusals: _Refusals) -> tuple[Standing, ...]:
    """The measures that a container learns of: on what it is refused, be it itself, and on licences that were taken out
    of it, or out of the machine that it was bound to at this generation; but no removal that it has confirmed."""
    serial = known.container.serial

    def aims_here(measure: Standing) -> bool:
        if measure.subject in refusals.by_subject:
            return True
        aimed = measure.subject
        if aimed.aim is not Aim.LICENCE or not _is_in(known, generation, measure):
            return False
        licence = known.licences.get(LicenceId(aimed.name))
        if licence is None or licence.serial != serial:
            return True
        return aimed.generation < licence.generation or generation < known.container.generation

    return tuple(
        measure
        for measure in known.measures
        if aims_here(measure)
        and (measure.state is not MeasureState.CONFIRMED or measure.measure is Measure.BLACKLISTING)
    )


def must_be_returnable(container: Container, generation: int) -> None:
    """Refuse to take an activation back that there is none of."""
    if container.kind is not Kind.ACT:
        raise RefusalError(
            Code.KIND_MISMATCH,
            f"container {container.serial} is of kind {container.kind}; only one of kind act can be deactivated",
            serial=container.serial,
            kind=container.kind,
        )
    if generation > container.generation:
        raise NotYetKnownError(
            Code.GENERATION_CONFLICT,
            f"the newest generation of container {container.serial} is {container.generation}",
            serial=container.serial,
            generation=container.generation,
        )


def given_back(statement: DeactivationStatement, known: Iterable[tuple[Standing, int]]) -> list[Standing]:
    """The measures that the return of an activation confirms: of those `known` of its container, each with the
    generation that its case is about, the deactivations of this one, as far as they are still to be confirmed."""
    return [
        one
        for one, claimed in known
        if claimed == statement.generation and one.measure is Measure.DEACTIVATION and one.state in OPEN
    ]


def return_facts(statement: DeactivationStatement, confirmed: Iterable[Standing], receipt: str) -> list[Fact]:
    """What the return of an activation makes true."""
    returned = ActivationReturned(
        contact=statement.contact, serial=statement.serial, generation=statement.generation, receipt=receipt
    )
    by = f"receipt/{statement.contact}"
    return [returned, *(MeasureConfirmed.model_validate({**one.about(), "by": by}) for one in confirmed)]


def number_taken(contact: ContactId, serial: Serial) -> RefusalError:
    """Why a contact is refused that has the number of a return of the same container, or the other way round."""
    return RefusalError(
        Code.CONTRADICTS_INVENTORY,
        f"contact number {contact} was used before, by container {serial}; give a new contact a new number",
        number=contact,
        serial=serial,
    )


def renewed_at(licence: Licence, received: datetime) -> Licence | None:
    """A licence with its next file's times, or None where no check-in is asked for, or its stop-gap is over. Where none
    is asked for any more, its next file is the last one."""
    lease = licence.terms
    issued = max(received, licence.issued)
    expires = expiry(lease, issued, licence.ends)
    runs_on = lease.check_in is None and licence.expires in (None, expires)
    if runs_on or (expires is not None and expires <= issued):
        return None
    return replace(licence, issued=issued, expires=expires)


def renewals(judgement: Judgement, received: datetime) -> list[Licence]:
    """The licences that a contact renews, with their next files' times."""
    return [item for licence in judgement.served if (item := renewed_at(licence, received))]


def filed_again(judgement: Judgement, renewed: Iterable[Licence]) -> list[Licence]:
    """The licences that get their file again at a contact that does not renew them."""
    names = {item.licence for item in renewed}
    return [item for item in judgement.served if item.licence in judgement.anew - names]


def said_to_cases(statement: ContactStatement, answer: ContactAnswer) -> list[tuple[CaseKey, Content]]:
    """What a contact says to the cases that it concerns, in an order that all transactions share."""
    said: list[tuple[CaseKey, Content]] = [
        *((key, sighting(statement.contact, statement.occurred)) for key in answer.cases),
        *((key, Offer(serial=statement.serial)) for key in answer.awaiting),
        *((key, Settled()) for key in answer.settled),
    ]
    return sorted(said, key=lambda one: one[0].case)


def answer_of(judgement: Judgement, files: tuple[str, ...], settled: tuple[CaseKey, ...]) -> ContactAnswer:
    """What a container is answered: its files, what is ordered for it, and whom else it concerns."""
    refused = judgement.refused
    confirmed = {item for item in judgement.confirmed if item.measure is Measure.WITHDRAWAL}
    return ContactAnswer(
        refused=refused is not None,
        code=refused.code if refused else None,
        cases=refused.cases if refused else (),
        settled=settled,
        awaiting=judgement.awaiting,
        ordered=tuple(
            OrderedMeasure(case=item.case_id, measure=item.measure, subject=item.subject)
            for item in judgement.announced
            if item not in confirmed
        ),
        files=files,
    )


def refusal_facts(contacted: Mapping[str, object], cases: Sequence[CaseId], code: str) -> list[ContactRefused]:
    """That a contact was refused, and for which cases it is a sighting: one fact, or several where these are many."""
    return [
        ContactRefused.model_validate({**contacted, "cases": some, "code": code, "part": part, "parts": parts})
        for part, parts, some in in_parts(cases, LIST_PART)
    ]


def facts_of(
    statement: ContactStatement, judgement: Judgement, renewed: Iterable[Licence], files: Mapping[LicenceId, str]
) -> list[Fact]:
    """What a contact makes true: how it went, what was renewed, and how far measures have come."""
    contacted = {
        "contact": statement.contact,
        "serial": statement.serial,
        "occurred": statement.occurred,
        "how": statement.how,
    }
    facts: list[Fact] = []
    if refused := judgement.refused:
        facts += refusal_facts(contacted, [key.case for key in refused.cases], refused.code)
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
    by = f"contact/{statement.contact}"
    return facts + [MeasureConfirmed.model_validate({**item.about(), "by": by}) for item in judgement.confirmed]
