"""Messages to cases: their senders and names, and the answers for those that a case did not take: pure functions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from events.backend_facts import CaseAddressed
from events.errors import Code, NotYetKnownError, RefusalError
from events.evidence import EvidenceFile
from events.ports.loss_cases import (
    ConfirmedDecision,
    Content,
    DecisionOrder,
    Evidence,
    Joined,
    Sighting,
)
from events.principal import Principal, PrincipalRole
from events.statements import EvidenceStatement
from events.terms import CaseId, CaseKey, Cause, HolderId, Instant, PersonId, Reporter, Role, Serial


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who said something: the `subject` who acted at a `door` in a `role`, and `on_behalf_of` whom, where that is
    somebody else. The role is None where it was not kept."""

    subject: PersonId
    role: PrincipalRole | None
    door: str
    on_behalf_of: Reporter | None = None

    @classmethod
    def of(cls, principal: Principal, reporter: Reporter) -> "Speaker":
        """Who makes a statement of this reporter."""
        as_reporter = PrincipalRole(reporter.role)
        own = reporter.name == principal.subject and as_reporter in principal.roles
        role = as_reporter if own else principal.roles[0]
        return cls(principal.subject, role, principal.door, None if own else reporter)

    @property
    def by(self) -> PersonId:
        """Whose word it is."""
        return self.on_behalf_of.name if self.on_behalf_of else self.subject

    @property
    def reporter_role(self) -> Role | None:
        """In which role that is; None where it is no reporter's."""
        if self.on_behalf_of:
            return self.on_behalf_of.role
        return next((role for role in Role if role.value == self.role), None)


def decider(principal: Principal) -> Speaker:
    """Who decides."""
    return Speaker(principal.subject, PrincipalRole.SUPERVISOR, principal.door)


class Left(NamedTuple):
    """A message that a case did not take; `accepted` is when."""

    content: Content
    speaker: Speaker | None
    accepted: Instant


def sighting(contact: str, occurred: datetime) -> Sighting:
    """What a contact that is refused says to a case."""
    return Sighting(statement=f"contact/{contact}", cause=Cause.SIGHTING, occurred=occurred)


def confirmed_decision(
    order: DecisionOrder | None, policy: Mapping[str, Any], reported: Collection[PersonId]
) -> ConfirmedDecision:
    """A decision as a door brought it, whom the policy in force lists as supervisors, and who of them are among those
    who reported the loss."""
    supervisors = tuple(policy.get("supervisors", ()))
    reporters = tuple(sorted({one for one in supervisors if one in reported}))
    return ConfirmedDecision(order=order, supervisors=supervisors, reporters=reporters)


def addressed(key: CaseKey, content: Content, speaker: Speaker, at: Instant, code: Code | None = None) -> CaseAddressed:
    """The fact that something was said to a case that does not answer it itself."""
    return CaseAddressed(
        case=key.case,
        serial=key.serial,
        statement=name_of(content),
        by=speaker.by,
        role=speaker.reporter_role,
        door=speaker.door,
        received=at,
        code=code,
    )


def name_of(content: Content) -> str:
    """What a message is known by, such as `report/R-1`."""
    match content:
        case Joined(report=report):
            return f"report/{report.report}"
        case DecisionOrder(decision=decision):
            return f"decision/{decision}"
        case Sighting(statement=statement) | Evidence(statement=statement):
            return statement
        case _:
            return content.type


def unknown_case(case: CaseId) -> RefusalError:
    """The answer for a case that there is none of, and for another vendor's: they must not differ."""
    return RefusalError(Code.UNKNOWN_CASE, f"no case {case} is known here", case=case)


def no_case_of(serial: Serial) -> NotYetKnownError:
    """The answer for what turned up and no case has ever looked for."""
    sentence = f"no case looks for container {serial}; report its loss first"
    return NotYetKnownError(Code.NO_CASE, sentence, serial=serial)


def evidence(statement: EvidenceStatement, files: Sequence[EvidenceFile], holder: HolderId) -> Evidence:
    """What a statement of evidence about a holder's container says to a case."""
    return Evidence(
        statement=f"evidence/{statement.statement}",
        by=statement.reporter.name,
        evidence=statement.evidence,
        files=tuple(files),
        on_behalf_of=holder if statement.reporter.role is Role.DELEGATE else None,
    )


def evidence_said(statement: EvidenceStatement) -> str:
    """Two statements of evidence with one number say the same when these are equal."""
    author = statement.report_by
    return "/".join(
        (
            *(statement.report, statement.serial, *sorted(statement.evidence)),
            *(f"file {name}" for name in sorted(set(statement.files))),
            *((f"report by {author.role} {author.name}",) if author else ()),
        )
    )


def no_report(statement: EvidenceStatement) -> NotYetKnownError:
    """The answer for evidence for a report that nobody made."""
    sentence = f"no report {statement.report} of container {statement.serial} is known; report its loss first"
    return NotYetKnownError(Code.NO_CASE, sentence, report=statement.report, serial=statement.serial)


def number_taken(statement: str) -> RefusalError:
    """Why a statement is refused, such as `evidence/E-1`, whose number its speaker has used for another one."""
    number = statement.partition("/")[2]
    sentence = f"number {number} said something else before; give a new statement a new number"
    return RefusalError(Code.REPORT_ID_TAKEN, sentence, number=number)
