"""What a report changes, and what the end of a case does: the cases that are opened, what is claimed and freed, and
what is said to which cases, in this order. Pure: both backends load what is `Known`, and write the changes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from uuid import uuid5

from pydantic import JsonValue

from activities.licensing.claim_rules import (
    Claimable,
    Claimed,
    Joins,
    Opens,
    is_blocking,
    measures_ordered,
    recovery_of,
    rejection,
    rest_of,
    said_otherwise,
    taken_over_by,
    whose,
)
from activities.licensing.containers import Container
from activities.licensing.message_rules import Left, Speaker, addressed
from events.backend_facts import CaseAddressed
from events.case_facts import LossReported
from events.envelope import NAMESPACE
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseKey, Claim, CloseOrder
from events.ports.loss_cases import (
    REPORTS_LIMIT,
    Content,
    DecisionOrder,
    Evidence,
    Joined,
    Offer,
    Overtaken,
    Rejected,
    ReplacementGone,
    Sighting,
)
from events.statements import LossStatement
from events.terms import Aim, CaseId, LicenceId, Measure, Outcome, PersonId, ProductId, Reporter, ReportId, VendorId

ReportName = tuple[ReportId, Reporter]
"""Numbers of reports are a reporter's own."""


@dataclass(frozen=True, slots=True)
class CaseOpened:
    """A case of this container is opened by a report."""

    key: CaseKey
    container: Container
    report: LossReported


@dataclass(frozen=True, slots=True)
class ClaimsMade:
    """A case claims this; `report` is the one that opened it."""

    key: CaseKey
    report: LossReported
    claims: tuple[Claimable, ...]


@dataclass(frozen=True, slots=True)
class ResetEnded:
    """A reset of access data that turn out to be stolen is over: it claims nothing more, and its link sets nothing."""

    key: CaseKey
    at: datetime


@dataclass(frozen=True, slots=True)
class ReportMoved:
    """A report is another case's from now on."""

    report: LossReported
    key: CaseKey


@dataclass(frozen=True, slots=True)
class Said:
    """A message is posted to a case, if it is open."""

    key: CaseKey
    content: Content
    at: datetime
    speaker: Speaker | None = None


@dataclass(frozen=True, slots=True)
class Stated:
    """The backend answers for a case that does not answer itself."""

    key: CaseKey
    fact: CaseAddressed
    at: datetime


Change = CaseOpened | ClaimsMade | ResetEnded | ReportMoved | Said | Stated
"""One thing to write. `Said` of one of `STOPPING` also has the case issue nothing before it has taken that."""

STOPPING = (Overtaken, Rejected)
"""What has a case issue nothing before it has taken it."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A report that was made before: what it said, and whose it is."""

    digest: str
    key: CaseKey
    received: datetime
    closed: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was made of a container: its `case` is `closed` by now, or was `opened` by it, or was not."""

    report: LossReported
    case: CaseId
    opened: bool
    closed: bool
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a container under its lock. `products`: those of the licences in it, or of what was recovered
    from it where none is left; `claimed`: all that its cases claim or claimed; `reports`: those that were posted to
    each of its open cases; `issued_by`: the open case that issued a licence's generation in it.
    The contracts of the licences in `ended` are over; the others are in `licences`."""

    vendor: VendorId
    container: Container
    licences: Mapping[LicenceId, int]
    products: Mapping[LicenceId, ProductId]
    policy: JsonValue
    claimed: tuple[Claimed, ...]
    reports: Mapping[CaseId, Sequence[ReportName]]
    issued_by: Mapping[Claimable, CaseKey]
    ended: Mapping[LicenceId, int] = field(default_factory=dict)

    def key(self, case: CaseId) -> CaseKey:
        """A case of the container."""
        return CaseKey(vendor=self.vendor, case=case, serial=self.container.serial)

    def measures(self, statement: LossStatement) -> frozenset[Measure]:
        """The measures that the vendor's rule for a loss orders."""
        return measures_ordered(statement, self.products, self.policy)

    def whose(self, statement: LossStatement) -> Joins | Opens:
        """Whose case a report is."""
        return whose(statement, self.container, self.licences, self.claimed, self.measures(statement), self.ended)

    def is_open(self, case: CaseId) -> bool:
        """Whether a case that claims, or claimed, something here is open."""
        return any(one.case == case and not one.closed for one in self.claimed)

    def after(self, changes: Iterable[Change]) -> "Known":
        """What is known once this is written."""
        claimed, reports = list(self.claimed), dict(self.reports)
        for change in changes:
            match change:
                case ClaimsMade(key, report, claims):
                    recovery = recovery_of(self.container.kind, report.reason)
                    claimed += [Claimed(*one, key.case, report.received, recovery) for one in claims]
                case ResetEnded(key):
                    claimed = [replace(one, freed=one.freed or one.case == key.case) for one in claimed]
                case Said(key, Joined(report=report)):
                    reports[key.case] = (*reports.get(key.case, ()), (report.report, report.reporter))
                case _:
                    pass
        return replace(self, claimed=tuple(claimed), reports=reports)


def digest(statement: LossStatement) -> str:
    """Two statements with one number say the same when their digests are equal."""
    said = "/".join(
        (statement.serial, statement.kind, statement.reason, statement.scope, *sorted(set(statement.licences)))
    )
    return sha256(said.encode()).hexdigest()


def statement_of(report: LossReported) -> LossStatement:
    """What was stated by a report."""
    return LossStatement.model_validate(report.model_dump(include=set(LossStatement.model_fields)))


def repeated(statement: LossStatement, known: Reported) -> Claim:
    """The answer to a report whose number its reporter has used: its case, or `RefusalError` when it said something
    else."""
    if known.digest != digest(statement):
        raise said_otherwise(statement.report)
    return Claim(key=known.key, received=known.received, closed=known.closed, answer="repeated")


def claim(known: Known, report: LossReported, speaker: Speaker) -> tuple[Claim, list[Change]]:
    """One loss is one case: the answer to a report that is new, and what it changes. Raises `NotYetKnownError`."""
    found, statement = known.whose(statement_of(report)), Joined(report=report)
    if isinstance(found, Joins):
        key = known.key(found.case)
        closed = not known.is_open(key.case)
        answer = Claim(key=key, received=report.received, closed=closed, answer="joined")
        said = [*_reach(known, report, key.case, found.also, speaker)]
        if closed or len(known.reports.get(key.case, ())) >= REPORTS_LIMIT:
            fact = addressed(key, statement, speaker, report.received)
            return answer, [Stated(key, fact, report.received), *said]
        said.append(Said(key, statement, report.received, speaker))
        return answer, sorted(said, key=lambda one: one.key.case)
    key = known.key(_named(known.vendor, report, "report"))
    claims = {(name, number) for name, number in found.claims}
    gone = {other: ReplacementGone(to=key.case) for thing, other in known.issued_by.items() if thing in claims}
    said = [Said(other, content, report.received) for other, content in gone.items()]
    said += _reach(known, report, key.case, found.beside, speaker)
    said += [Said(known.key(other), Overtaken(by=key.case), report.received) for other in found.beside]
    answer = Claim(key=key, received=report.received, answer="opened")
    return answer, [*_opened(known, key, report, found, speaker), *sorted(said, key=lambda one: one.key.case)]


def _reach(known: Known, report: LossReported, of: CaseId, met: Iterable[CaseId], speaker: Speaker) -> list[Said]:
    """Have the other open cases that a report meets learn of it, and which case it is of: whoever made it is a reporter
    of theirs too. One that takes no more reports still learns of every reporter, once."""
    learnt = Joined(report=report.model_copy(update={"former": None, "beside": of, "rejected": None}))
    name = report.report, report.reporter
    said = []
    for case in met:
        heard = known.reports.get(case, ())
        new = report.reporter not in {reporter for _, reporter in heard}
        if case != of and known.is_open(case) and name not in heard and (new or len(heard) < REPORTS_LIMIT):
            said.append(Said(known.key(case), learnt, report.received, speaker))
    return said


def _named(vendor: VendorId, report: LossReported, of: str) -> CaseId:
    """The name of the case that is opened by a report, or by it and what it is `of`."""
    reporter = report.reporter
    return CaseId(str(uuid5(NAMESPACE, f"{vendor}/{of}/{reporter.role}/{reporter.name}/{report.report}")))


def _opened(known: Known, key: CaseKey, report: LossReported, found: Opens, speaker: Speaker) -> list[Change]:
    """Open a case with the report that is its first message."""
    beside = found.beside[0] if found.beside else None
    fields = {"former": found.former, "beside": beside, "rejected": found.rejected}
    opening = Joined(report=report.model_copy(update=fields))
    return [
        CaseOpened(key, known.container, report),
        *(ResetEnded(known.key(ended), report.received) for ended in found.ends),
        ClaimsMade(key, report, found.claims),
        Said(key, opening, report.received, speaker),
    ]


def frees(order: CloseOrder, subject: str) -> bool:
    """Whether a case that is over gives up what it claims of this: all where it recovered nothing; of a container that
    was found all but the licences; and else the blocking that is lifted, which whoever loses the same again needs."""
    if not order.recovered:
        return True
    if order.outcome is Outcome.FOUND:
        return not subject.startswith(f"{Aim.LICENCE}/")
    return order.lift and is_blocking(subject)


def answer_all(known: Known, order: CloseOrder, said: Sequence[Left | Made], at: datetime) -> list[Change]:
    """Say how a case that is over ended to those that took over what it claimed, and wait for that. Then answer for it
    what was said since it was decided, in this order: to it, and in reports that are other cases', of which it still
    claimed a part."""
    changes: list[Change] = [
        Said(known.key(case), _ended(order, known.container), at)
        for case in taken_over_by(order.key.case, known.claimed)
    ]
    anew: dict[CaseKey, set[PersonId]] = {}
    for one in said:
        if isinstance(one, Made):
            made = _of_the_rest(known, order.key, one, anew, at)
        elif one.speaker is None or (isinstance(one.content, Joined) and one.content.report.beside):
            continue  # nobody waits for an answer, or the case that has the report gives it
        else:
            again, made = _answer(known, order, one.content, one.speaker, at)
            if again is not None and (again.answer == "opened" or again.key in anew):
                anew.setdefault(again.key, set()).add(one.speaker.by)
            made += [Said(key, one.content, at, one.speaker) for key in goes_on_to(one.content, anew)]
        known = known.after(made)
        changes += made
    return changes


def _ended(order: CloseOrder, container: Container) -> Rejected | Offer:
    """How a reset ended, as the case is told that took it over: that it was rejected, or only that it is over."""
    return Rejected(case=order.key.case) if order.outcome is Outcome.REJECTED else Offer(serial=container.serial)


def _of_the_rest(
    known: Known, over: CaseKey, made: Made, anew: dict[CaseKey, set[PersonId]], at: datetime
) -> list[Change]:
    """Claim for a report that is another case's what a case that is over has freed of it, in a further case, which is
    then among those that are opened `anew`. Where there is only something to block, the case that the report opened has
    it."""
    statement = statement_of(made.report)
    measures = known.measures(statement)
    rest = rest_of(statement, known.container, known.licences, known.claimed, made.case, over.case, measures)
    said = _reach(known, made.report, made.case, rest.cases, made.speaker)
    said += [Said(key, Overtaken(by=made.case), at) for key in anew if made.opened and key.case in rest.cases]
    said.sort(key=lambda one: one.key.case)
    if not rest.claims:
        return [*said]
    if made.opened and not made.closed and not rest.recovers:
        return [ClaimsMade(known.key(made.case), made.report, rest.claims), *said]
    key = known.key(_named(over.vendor, made.report, f"case/{over.case}/report"))
    anew[key] = set()
    rejected = rejection(rest.claims, known.claimed)
    found = Opens(rest.claims, former=over.case, beside=(made.case,), rejected=rejected)
    return [*_opened(known, key, made.report, found, made.speaker), *said]


def _answer(
    known: Known, order: CloseOrder, content: Content, speaker: Speaker, at: datetime
) -> tuple[Claim | None, list[Change]]:
    """Answer for a case what it did not take. A report that came after the decision which ended the case is claimed for
    anew, as far as the case did not recover what it says."""
    key = order.key
    code = Code.NOTHING_TO_DECIDE if isinstance(content, DecisionOrder) else None
    if isinstance(content, Joined) and content.report.received > (order.decided or at):
        report = content.report
        try:
            found = known.whose(statement_of(report))
            if not isinstance(found, Joins) or found.case != key.case:
                again, changes = claim(known, report, speaker)
                return again, [ReportMoved(report, again.key), *changes]
        except RefusalError as refusal:  # what it reports is no longer there
            code = refusal.code
    return None, [Stated(key, addressed(key, content, speaker, at, code), at)]


def goes_on_to(content: Content, anew: Mapping[CaseKey, Collection[PersonId]]) -> list[CaseKey]:
    """Which of the new cases of reports, by who reported, also get what was said after those reports: each of them
    looks for the container, and evidence goes with the reports of whoever brought it."""
    if isinstance(content, Sighting):
        return list(anew)
    return [key for key, people in anew.items() if isinstance(content, Evidence) and content.by in people]
