"""Commands: what can be asked of a case, and what can happen to it. Time comes in with them."""

from events.case_facts import BackendFacts, LossReported
from events.ports.licensing_backend import Reservation
from events.ports.loss_cases import DecisionOrder, Evidence, Sighting
from events.terms import CaseId, Instant, PersonId, Serial, Ticket, Value
from workflows.policy import Policy


class Report(Value):
    """A loss report reached the case."""

    report: LossReported


class Assessed(Value):
    """The backend said what it knows, and which policy the vendor has. `inline`: it answered before facts had bounds,
    and the case states the licences within its decision, as it did then."""

    at: Instant
    facts: BackendFacts
    policy: Policy
    reservation: Reservation | None
    inline: bool = False


class Blocked(Value):
    """The measures that the policy asks for are ordered."""

    at: Instant
    policy: Policy


class NoTarget(Value):
    """The backend found nothing that may take the replacement."""

    at: Instant
    tickets: tuple[Ticket, ...]


class Offered(Value):
    """A container was registered for the holder, activated, or its access data were set."""

    serial: Serial


class NothingLeft(Value):
    """The contracts of all licences that were to be replaced have ended."""


class Replaced(Value):
    """The backend issued the replacement into `target`."""

    target: Serial
    at: Instant
    policy: Policy


class Decide(Value):
    """Somebody decides; `supervisors` are those whom the vendor lists now, `reporters` those of them who reported the
    loss, be the case told of their report or not. `policy_known`: `policy` is the one that the case is under, and not
    an empty one that stands for it until it is asked for."""

    order: DecisionOrder
    supervisors: tuple[PersonId, ...]
    reporters: tuple[PersonId, ...] = ()
    at: Instant
    policy: Policy
    policy_known: bool = True


class Sighted(Value):
    """The lost container turned up; `at` is our clock, the sighting's own is what somebody claims."""

    sighting: Sighting
    at: Instant
    policy: Policy


class Bring(Value):
    """Evidence is brought; the reservation is the quota's answer where policy may now decide by itself."""

    evidence: Evidence
    at: Instant
    policy: Policy
    reservation: Reservation | None = None


class PolicyKnown(Value):
    """A case that goes on knows its policy again; the reservation is the quota's answer where evidence was given while
    the case was stuck."""

    at: Instant
    policy: Policy
    reservation: Reservation | None = None


class Elapsed(Value):
    """What the case waited for did not come by `at`."""

    at: Instant
    policy: Policy


class Settled(Value):
    """The last measure of the case was confirmed."""


class Overtaken(Value):
    """A wider loss of the container, or one that asks for more measures, was reported: case `by` is about it."""

    by: CaseId
    at: Instant
    policy: Policy


class Rejected(Value):
    """A reset of access data that the case has taken over had been rejected, as `case`."""

    case: CaseId
    at: Instant
    policy: Policy


class LoseReplacement(Value):
    """The replacement was reported lost, in another case."""

    to: CaseId


class Withdrawn(Value):
    """The replacement is removed."""


class Reinstated(Value):
    """The backend issued the licences into the original."""

    serial: Serial


class Held(Value):
    """The original cannot be reinstated yet: other cases, which `cause` names, have not lifted their measures.
    `refused` is when the backend said so, by its own clock: how long the case waits is counted from that. Whether it
    has waited long enough is asked of `at`, by the clock that its alarm goes by."""

    cause: str
    at: Instant
    refused: Instant | None = None


class Failed(Value):
    """What the case had to do failed for good."""

    code: str
    cause: str


Command = (
    Report
    | Assessed
    | Blocked
    | NoTarget
    | Offered
    | NothingLeft
    | Replaced
    | Decide
    | Sighted
    | Bring
    | PolicyKnown
    | Elapsed
    | Settled
    | Overtaken
    | Rejected
    | LoseReplacement
    | Withdrawn
    | Reinstated
    | Held
    | Failed
)
