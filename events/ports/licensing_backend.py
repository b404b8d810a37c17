"""The licensing backend: what is asked of it, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from inspect import iscoroutinefunction
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol, Self, get_type_hints

from pydantic import ConfigDict, Field, JsonValue, model_validator

from events.adoption import Between
from events.case_facts import BackendFacts, LicenceInScope, QuotaAnswer
from events.evidence import EvidenceFile
from events.measure_subject import Subject
from events.ports.loss_cases import AcceptedDecision, ConfirmedDecision, DecisionContent, DecisionQuestion
from events.principal import Principal
from events.statements import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    DelegationStatement,
    EvidenceStatement,
    FoundStatement,
    InventoryChange,
    LicenceStatement,
    LossStatement,
    ReturnStatement,
    RevocationStatement,
)
from events.stream_position import StreamPosition
from events.terms import (
    RECOVERIES,
    ActivationBy,
    Aim,
    CaseId,
    ContactId,
    Generation,
    Instant,
    LicenceId,
    Match,
    Measure,
    Outcome,
    PotName,
    Reason,
    Recovery,
    Serial,
    Target,
    Ticket,
    Value,
    VendorId,
    Verdict,
)
from events.terms import CaseKey as CaseKey

OrderNumber = Annotated[int, Field(ge=0)]
"""The place of an order among those of its case, upwards: the number of the case's fact that it rests on, or that goes
with it. An order that comes again has the same number; one with a lower number than an answered one comes late."""


class CaseOrder(Value):
    """An order of a case that says no more than what it is."""

    key: CaseKey
    number: OrderNumber = 0

    @model_validator(mode="before")
    @classmethod
    def _from_its_key(cls, given: Any) -> Any:
        """Before orders had numbers, their case's key stood for them; some may be under way still."""
        return {"key": given} if isinstance(given, dict) and "key" not in given else given


class Claim(Value):
    """The backend's answer to a report: the case that it opened or joined; for a repeated report the case it already
    belongs to.

    `received` is when the report was first received; `closed` says that the case is over.
    """

    key: CaseKey
    received: Instant
    closed: bool = False
    answer: Literal["opened", "joined", "repeated"]

    @property
    def position(self) -> StreamPosition:
        """Where the report that opened the case stands."""
        return StreamPosition(f"case/{self.key.case}", 1)


class Assessment(Value):
    """What the backend knows of a case's container, and the vendor's policy as it is now. `policy` is JSON.

    The facts hold the first of the `licences` that the loss is about, in the order of their names, at most
    `events.sizes.SCOPE_PAGE` of them. An answer from before facts had bounds holds all, and does not say how many.
    """

    at: Instant
    facts: BackendFacts
    policy: JsonValue
    licences: int | None = None


class ScopeOrder(Value):
    """The licences that a case's loss is about, without the first `skip` of them."""

    key: CaseKey
    skip: Annotated[int, Field(ge=0)]


class ScopePage(Value):
    """The next of the licences that a case's loss is about, at most `events.sizes.SCOPE_PAGE` of them."""

    licences: tuple[LicenceInScope, ...]


class QuotaOrder(Value):
    """One recovery of the quota of one rule: at most `limit` in any `term_days` for each subject, counted in this
    pot."""

    pot: PotName = RECOVERIES
    subjects: tuple[str, ...]
    limit: int
    term_days: int


class ReserveOrder(Value):
    """Set one recovery aside in each of these quotas, or in none of them."""

    key: CaseKey
    quotas: Annotated[tuple[QuotaOrder, ...], Field(min_length=1)]
    received: Instant
    number: OrderNumber = 0

    @model_validator(mode="before")
    @classmethod
    def _of_one_quota(cls, given: Any) -> Any:
        """Before several quotas were asked at once, an order was of one; some may be under way still."""
        if not isinstance(given, dict) or "quotas" in given:
            return given
        names = ("pot", "subjects", "limit", "term_days")
        quota = {name: given[name] for name in names if name in given}
        return {**{name: value for name, value in given.items() if name not in names}, "quotas": (quota,)}


class Reservation(Value):
    """What the quotas answered: the `ordinal`-th of `limit`, or None when one of them had none left. `quotas` are the
    answers of several, in the order in which they were asked."""

    at: Instant
    ordinal: int | None
    limit: int
    quotas: tuple[QuotaAnswer, ...] = ()

    @classmethod
    def of(cls, at: datetime, answers: Sequence[QuotaAnswer]) -> Self:
        """What these quotas answered together: `ordinal` and `limit` are of the one that has least left."""
        used_up = [one for one in answers if one.used_up]
        least = used_up[0] if used_up else min(answers, key=lambda one: one.limit - (one.ordinal or 0))
        return cls(at=at, ordinal=least.ordinal, limit=least.limit, quotas=tuple(answers) if len(answers) > 1 else ())

    @property
    def answers(self) -> tuple[QuotaAnswer, ...]:
        """The answer of each quota; of a single one it is the reservation itself."""
        single = QuotaAnswer(ordinal=self.ordinal, limit=self.limit, used_up=self.ordinal is None)
        return self.quotas or (single,)


class OrderedMeasure(Value):
    """A measure of a case: what was ordered and what it aims at."""

    case: CaseId
    measure: Measure
    subject: Subject


class Adopted(NamedTuple):
    """The `version` of a policy that is in force, and where that stands."""

    version: int
    position: StreamPosition


class ContactAnswer(Value):
    """What a container that reported in gets: the files that it may run on (compact JWS), or nothing and what is
    `ordered` for it. `cases` are those that the contact is a sighting for, `awaiting` those that it gives a target,
    `settled` those of which it confirmed the last measure; each has a message that says so. `position` is where the
    contact stands (None: an older release answered)."""

    refused: bool
    code: str | None = None
    cases: tuple[CaseKey, ...] = ()
    awaiting: tuple[CaseKey, ...] = ()
    settled: tuple[CaseKey, ...] = ()
    ordered: tuple[OrderedMeasure, ...] = ()
    files: tuple[str, ...] = ()
    position: StreamPosition | None = None


class ReceiptAnswer(Value):
    """An activation was given back; `receipt` (a compact JWS) proves it. `settled` are the cases of which that
    confirmed the last measure; `position` is where the return stands (None: an older release answered)."""

    receipt: str
    settled: tuple[CaseKey, ...] = ()
    position: StreamPosition | None = None


class AccessLink(Value):
    """A one-time link by which the holder sets the access data of a cloud container; it is nowhere stored."""

    token: str
    generation: Generation
    until: Instant


class ActivationCode(Value):
    """The one-time code by which a machine is bound to a container for these cases; it is nowhere stored. After
    `tries_left` wrong ones another must be fetched."""

    code: str = Field(repr=False)
    cases: tuple[CaseId, ...]
    tries_left: int


class Advice(StrEnum):
    """What to do on a machine on which a licensed program does not run."""

    ACTIVATE = "activate"
    """Activate again: nothing is lost."""
    REPORT = "report"
    """Report a loss: the machine is not the one that the container is bound to, or not any more."""
    SETTLE = "settle"
    """Nothing new: a case is open that must come to its end first."""
    RENEW = "renew"
    """Nothing is lost: the contract of what does not run has ended."""


class Triage(Value):
    """What the holder of a container can do on a machine, before a loss is reported.

    With `report` goes the `reason` that fits. `code` is why an activation would be refused now (None: it would not
    be), `cases` are those that are the cause. Of the machine that the container is bound to, the factors in `same` are
    as they were, and those in `changed` are others or not shown.
    """

    advice: Advice
    reason: Reason | None = None
    code: str | None = None
    cases: tuple[CaseId, ...] = ()
    same: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class SignInAnswer(Value):
    """What became of a sign-in: a `session`, or none; `cases` are those that it is a sighting for, and `files` those
    that it gets, as at any contact."""

    session: str | None
    code: str | None = None
    cases: tuple[CaseKey, ...] = ()
    files: tuple[str, ...] = ()


class MeasureToOrder(Value):
    """A measure and how long after the order it takes effect."""

    measure: Measure = Field(description="What is ordered.")
    delay_hours: Annotated[int, Between(0, 8760)] = Field(0, description="How long after the order it takes effect.")


class BlockOrder(Value):
    """Order these measures for a case, in this order, against all that it claims: the licences where `aim` is a
    licence, else the container's activation or access data."""

    model_config = ConfigDict(extra="ignore")  # orders of older workers named the licences

    key: CaseKey
    measures: tuple[MeasureToOrder, ...]
    aim: Aim = Aim.CONTAINER
    number: OrderNumber = 0


class IssueOrder(Value):
    """Recover the licences that a case claims, once these measures stand.

    `target` says where to; `match` how a machine must be the known one (None: it may be any other), and `activation`
    what it must bring; `stop_gap_days` limits what is issued, and the same case may then order the `full` replacement.
    `taken` is the number of the last message that the case took: who has not learnt of a wider loss issues nothing.
    """

    model_config = ConfigDict(extra="ignore")  # orders of older workers named the licences

    key: CaseKey
    measures: tuple[Measure, ...]
    recovery: Recovery = Recovery.NEXT_GENERATION
    target: Target = Target.EMPTY_CONTAINER
    match: Match | None = None
    activation: ActivationBy = ActivationBy.ANY
    stop_gap_days: int | None = None
    full: bool = False
    number: OrderNumber = 0
    taken: int = 0


class CloseOrder(Value):
    """A case is over; `recovered` says whether anything was issued for it. Measures that never were confirmed are
    unconfirmable from then on, or lifted where `lift` says so; an order to withdraw the replacement is always lifted.
    `flag` is a verdict that speaks against the holder.

    `taken` is the number of the last message that the case took, and `decided` when its end was decided: the backend
    answers the messages after that one in the case's place. `approved`: a person had approved it, and policy did not
    doubt that since.
    """

    key: CaseKey
    recovered: bool
    lift: bool = False
    flag: Verdict | None = None
    number: OrderNumber = 0
    taken: int = 1
    decided: Instant | None = None
    outcome: Outcome | None = None
    approved: bool = False


class ReinstateOrder(Value):
    """Put the licences of a case back into the container that they were lost from, at the generation after that of
    their replacement, which was withdrawn before."""

    model_config = ConfigDict(extra="ignore")  # orders of older workers named the licences

    key: CaseKey
    number: OrderNumber = 0


class Done(Value):
    """An order was carried out at this instant."""

    at: Instant


class IssuedLicence(Value):
    """One licence of a replacement."""

    licence: LicenceId
    generation: Generation


class Issued(Value):
    """The replacement was issued into `target`; asked again, the answer is the same."""

    issued: Literal[True] = True
    at: Instant
    target: Serial
    licences: tuple[IssuedLicence, ...]


class NoTargetFound(Value):
    """Nothing can take the replacement yet: no container of the holder, no activation, no access data that the holder
    has set; a message offers one. `overtaken`: nothing may be issued before the case has taken a message: that another
    case is about a wider loss, or how a reset ended that it has taken over. `ended`: nothing is left to issue, for the
    contracts of all licences have ended."""

    issued: Literal[False] = False
    at: Instant
    tickets: tuple[Ticket, ...]
    overtaken: bool = False
    ended: bool = False


class Withdrawal(Value):
    """The replacement was ordered to be withdrawn at this instant; `confirmed`: it is removed. The one answer that may
    become another: asked again, it may be confirmed."""

    at: Instant
    confirmed: bool


IssueAnswer = Annotated[Issued | NoTargetFound, Field(discriminator="issued")]


Clock = Callable[[], datetime]
"""The time as it is now, in UTC."""


class CaseOrders(Protocol):
    """What a case asks of the backend. Each is an activity of the same name: the worker registers it, the workflow and
    the simulation call it by this method, whose signature says what is sent and what is answered."""

    async def confirm_decision(self, question: DecisionQuestion) -> ConfirmedDecision:
        """What a door brought under a number, and who may decide now."""

    async def assess(self, key: CaseKey) -> Assessment:
        """The facts that policy decides on, and the policy; asked again, what was answered first."""

    async def scope(self, order: ScopeOrder) -> ScopePage:
        """More of the licences that a case was assessed with."""

    async def reserve(self, order: ReserveOrder) -> Reservation:
        """Set one recovery aside for a case in each of its quotas, or in none, under lock."""

    async def block(self, order: BlockOrder) -> Done:
        """Order measures against the container of a case."""

    async def issue(self, order: IssueOrder) -> IssueAnswer:
        """Issue the replacement: all licences of the scope in one transaction, by compare-and-set on the generation."""

    async def withdraw(self, order: CaseOrder) -> Withdrawal:
        """Order what was issued for a case to be withdrawn; once it is, the answer says so."""

    async def keep(self, order: CaseOrder) -> Done:
        """Lift the order to withdraw what was issued for a case, as far as it is not confirmed."""

    async def reinstate(self, order: ReinstateOrder) -> Issued:
        """Issue the licences of a case into the container that they were lost from, and lift its measures."""

    async def close(self, order: CloseOrder) -> Done:
        """Know that a case is over, free the claims of one that recovered nothing, and answer the messages that it no
        longer takes."""


CASE_ORDERS: Final = tuple(name for name, one in vars(CaseOrders).items() if iscoroutinefunction(one))
"""The names of what a case asks."""


@cache
def signature_of(method: Callable[..., Any]) -> tuple[Any, Any]:
    """What is sent with an activity and what is answered, by the method that names it."""
    *sent, answered = get_type_hints(method, include_extras=True).values()
    return sent[0], answered


class LicensingBackend(CaseOrders, Protocol):
    """The authority over inventory, generations, claims and measures. Whatever it grants, it grants under a lock on the
    container, and it states what it did through its outbox, in the same transaction. Every call may be repeated; an
    order of a case is answered as before then, with the same instant, and one that comes late changes nothing.

    Each raises `RefusalError` for what is final and `NotYetKnownError` for what a later fact may mend; anything else
    is a failure to be retried.
    """

    async def add_vendor(self, vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> bool:
        """Take in a vendor with its first policy; False when it was there already."""

    async def adopt_policy(self, vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> Adopted:
        """Adopt a policy and answer with its version; the one that is in force already stays so."""

    async def policy_in_force(self, vendor: VendorId) -> tuple[int, JsonValue]:
        """The version of the vendor's policy that decides now, and the policy."""

    async def register_container(self, vendor: VendorId, statement: ContainerStatement, at: datetime) -> StreamPosition:
        """Take a container into the inventory, and answer where that stands."""

    async def register_licence(self, vendor: VendorId, statement: LicenceStatement, at: datetime) -> StreamPosition:
        """Take a licence of the vendor's own issue into the inventory, and answer where that stands."""

    async def change_inventory(self, vendor: VendorId, statement: InventoryChange, at: datetime) -> StreamPosition:
        """Take in what became of a container or a licence, and answer where that stands."""

    async def claim(self, principal: Principal, statement: LossStatement, received: datetime) -> Claim:
        """Claim a report's id and every licence generation in its scope, in one transaction."""

    async def contact(self, vendor: VendorId, statement: ContactStatement, received: datetime) -> ContactAnswer:
        """Serve or refuse a container that reports in."""

    async def return_activation(
        self, vendor: VendorId, statement: DeactivationStatement, received: datetime
    ) -> ReceiptAnswer:
        """Take an activation back: confirm the deactivations that aim at it, and answer with a signed receipt."""

    async def activation_code(self, principal: Principal, serial: Serial) -> ActivationCode:
        """The code by which a machine is bound for the cases that wait for one; the same until it is used."""

    async def triage(self, principal: Principal, serial: Serial, shown: Mapping[str, str]) -> Triage:
        """What the holder of a container can do on a machine that shows this fingerprint, before a loss is reported.
        Changes nothing."""

    async def access_link(self, principal: Principal, serial: Serial) -> AccessLink:
        """The link by which the holder sets the access data that are owed; asked again, the same link."""

    async def set_access(self, vendor: VendorId, serial: Serial, token: str, password: str, at: datetime) -> None:
        """Set access data by a link, once; a message to each case that waited for it."""

    async def sign_in(
        self,
        vendor: VendorId,
        contact: ContactId,
        serial: Serial,
        password: str,
        at: datetime,
        origin: str | None = None,
    ) -> SignInAnswer:
        """Sign in to a cloud container with its access data. `origin` is what the door knows of where that comes from,
        such as an address or a client's id; those that signed in before have wrong guesses of their own."""

    async def sweep_leases(self, now: datetime, limit: int) -> int:
        """State what leases have come to be due soon, overdue or lapsed, at most `limit` of them; how many it were."""

    async def take_delegation(
        self, principal: Principal, statement: DelegationStatement | RevocationStatement, received: datetime
    ) -> StreamPosition:
        """Give or revoke a delegation, once; one that is revoked before it is given never holds. Where its fact
        stands. Raises `RefusalError` where its number was used for another one."""

    async def turn_up(
        self, principal: Principal, statement: FoundStatement | ReturnStatement, received: datetime
    ) -> Sequence[CaseKey]:
        """A lost container was found, or came back to the vendor: a message to every open case of it, the first time
        that this number says so. The cases that were addressed."""

    async def give_evidence(
        self,
        principal: Principal,
        statement: EvidenceStatement,
        received: datetime,
        files: Sequence[EvidenceFile] = (),
    ) -> CaseKey:
        """Evidence for a report, with the files that it names: a message to its case, the first time that this number
        brings it."""

    async def accept_decision(
        self, principal: Principal, case: CaseId, content: DecisionContent, at: datetime
    ) -> AcceptedDecision:
        """Take the principal's decision in as a message to a case; the same number with the same content is the same
        decision. Who may decide is for the case to say."""
