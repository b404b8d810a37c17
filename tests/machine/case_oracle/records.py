"""What the oracle knows of containers, licences and cases, and the table of losses."""

from dataclasses import dataclass, field
from datetime import datetime

Claim = tuple[str, int]
"""A licence, or a container (of one of kind cloud: its access data), and a generation of it."""
Bar = tuple[str, Claim]
"""A measure, and what it is to block."""


@dataclass(frozen=True)
class Row:
    """A row of the table of losses."""

    scopes: tuple[str, ...]
    recovery: str
    measures: tuple[str, ...]


BOTH, WHOLE = ("container", "licences"), ("container",)
TABLE = {
    ("dongle", "lost"): Row(BOTH, "next", ("blacklisting",)),
    ("dongle", "stolen"): Row(WHOLE, "next", ("blacklisting",)),
    ("dongle", "damaged"): Row(BOTH, "stop_gap", ("withdrawal",)),
    ("act", "same_hardware"): Row(BOTH, "reissue", ("deactivation",)),
    ("act", "hardware_replaced"): Row(BOTH, "next", ("deactivation", "blacklisting")),
    ("act", "computer_stolen"): Row(BOTH, "next", ("deactivation", "blacklisting")),
    ("cloud", "forgotten"): Row(WHOLE, "reset", ()),
    ("cloud", "stolen"): Row(WHOLE, "rotation", ("blacklisting",)),
}
WITHOUT_RECOVERY = ("refused", "rejected", "cancelled", "given_up", "lapsed")
UNDECIDED = ("awaiting_approval", "escalated")
LIFTING = ("refused", "rejected", "cancelled", "given_up")
STANDING = ("ordered", "delivered", "confirmed", "unconfirmable")


class BrokenError(AssertionError):
    """The product did what the domain forbids, or left out what it demands."""


def must(holds: object, sentence: str) -> None:
    """Say what is broken where it does not hold."""
    if not holds:
        raise BrokenError(sentence)


@dataclass
class Container:
    """A container as the vendor's inventory has it."""

    serial: str
    kind: str
    holder: str
    fingerprint: dict[str, str] | None
    generation: int = 1
    last_contact: datetime | None = None
    returned: int = 0
    code: str | None = None
    """The activation code that is good now, and how many wrong ones were tried since it was fetched."""
    code_for: str | None = None
    wrong_codes: int = 0
    machines: dict[int, dict[str, str]] = field(default_factory=dict)


@dataclass
class Licence:
    """A licence and where its current generation is."""

    name: str
    serial: str
    product: str
    value: int
    generation: int = 1
    made_by: str | None = None
    made_at: int = 1
    """The case that this generation is of, and the generation of its container when it came to be."""
    ended: bool = False
    """Whether its contract is over."""


@dataclass
class Order:
    """A blocking measure that was ordered."""

    effective: datetime
    state: str = "ordered"
    bound: int = 1
    """The generation of its container of which the machine has what it is about."""


@dataclass
class Case:
    """A loss."""

    name: str
    serial: str
    kind: str
    reason: str
    scope: str
    holder: str
    generation: int
    received: datetime
    occurred: datetime
    reporter: tuple[str, str]
    lost: frozenset[Claim]
    """What it says is lost and no other case said before: licences, and the container where all of it is gone."""
    barred: frozenset[Bar]
    """What it is to block, and by which measure, and no other case is."""
    last_contact: datetime | None
    losses: list[datetime]
    blamed: bool
    beside: bool
    """Whether other cases hold a part of what its report said."""
    former: str | None
    """The last case of the same loss that recovered nothing."""
    opened_by: tuple[tuple[str, str], str]
    """Who reported it, and under which number."""
    products: tuple[str, ...] = ()
    """Those of what was reported: of what was in the container then, or had been recovered from it."""
    rejected: bool = False
    """Whether a case of the same loss was rejected before, and none approved since."""
    judged: dict[str, tuple[str, int]] | None = None
    """The licences that policy decided on, with their products and values then: it is not asked again."""
    reporters: set[str] = field(default_factory=set)
    evidence: set[str] = field(default_factory=set)
    status: str = "reported"
    outcome: str | None = None
    why: frozenset[str] = frozenset()
    beyond: frozenset[int] = frozenset()
    """The numbers of the rules whose quotas are used up."""
    four_eyes: bool = False
    first: str | None = None
    first_condition: tuple[bool, int | None] = (False, None)
    due: datetime | None = None
    escalated_to: tuple[str, ...] = ()
    condition_days: int | None = None
    condition: bool = False
    waits_until: datetime | None = None
    lapses: datetime | None = None
    activates: bool = False
    """Whether the backend takes the next machine that asks for it, be the case held up meanwhile or not."""
    target: str | None = None
    issued: dict[str, int] = field(default_factory=dict)
    recovered: bool = False
    back: bool = False
    watch_until: datetime | None = None
    settled: bool = False
    replacement_lost: bool = False
    overtaken: bool = False
    """Whether that was so and no person has decided since."""
    widened: bool = False
    """Whether more was reported lost, or more was asked to be blocked, in another case since."""
    withdrawn: bool = False
    stuck_in: str | None = None
    missed: list[str] = field(default_factory=list)
    """How what was lost turned up while the case was stuck, as long as the case has not heeded it since, and when it
    was last seen then."""
    seen: datetime | None = None
    undoing: bool = False
    """Whether somebody asked for its un-loss."""
    gave_back: bool = False
    release_until: datetime | None = None
    """Whether its measures are lifted for that, as far as they can be."""
    freed: bool = False
    closing: bool = False
    """Whether it was decided, and the backend does not know that it is over: it holds what it held."""
    approved: bool = False
    """Whether a person has approved it since policy last decided."""
    over: bool = False
    decisions: dict[str, bool] = field(default_factory=dict)
    measures: dict[tuple[str, str], Order] = field(default_factory=dict)
    """By measure and subject, in the order in which they were ordered."""

    @property
    def row(self) -> Row:
        return TABLE[self.kind, self.reason]

    @property
    def licences(self) -> dict[str, int]:
        """What it is to replace; those of a cloud container stay where they are."""
        return {name: number for name, number in sorted(self.lost) if name != self.serial}

    @property
    def only_watches(self) -> bool:
        """Whether other cases replace all that was lost, and this one blocks and watches."""
        return self.kind != "cloud" and not self.licences

    @property
    def owes(self) -> bool:
        return not self.only_watches and (self.condition or self.reason == "damaged")

    @property
    def got_nothing(self) -> bool:
        """Whether it ended, nothing was recovered for it, and nothing is its own any more."""
        keeps = any(map(self.holds, self.lost)) or any(map(self.bars, self.barred))
        return self.outcome in WITHOUT_RECOVERY and not self.closing and not keeps

    def holds(self, claim: Claim) -> bool:
        """Whether the loss of this is its own; a container that was found may be lost again."""
        if self.closing:
            return claim in self.lost
        return claim in self.lost and not self.freed and (self.outcome != "found" or claim[0] != self.serial)

    def bars(self, bar: Bar) -> bool:
        """Whether the blocking of this, by this measure, is its own."""
        if self.closing:
            return bar in self.barred
        return bar in self.barred and not self.freed and self.outcome not in ("found", "given_up")

    def spares(self, bar: Bar, whole: Claim) -> bool:
        """Whether this need not be blocked any more: it is, or the `whole` container is, by the same measure or by a
        blacklisting, which leaves nothing to block."""
        measure, claim = bar
        return any(self.bars((by, aim)) for by in (measure, "blacklisting") for aim in (claim, whole))


@dataclass(frozen=True)
class Meets:
    """What of a report is nobody's yet, the cases that have the rest, those that took some of it away from there, the
    last case of the same that recovered nothing, whether one was rejected and none approved since, the licences that
    were never there, and the resets that are over if the report opens a case, and what is then taken over from them.
    """

    lost: frozenset[Claim]
    barred: frozenset[Bar]
    cases: set[str]
    gone: set[str]
    former: str | None
    rejected: bool
    unknown: set[str]
    resets: set[str]
    taken_over: frozenset[Claim]


def alike(known: dict[str, str], shown: dict[str, str], match: str) -> bool:
    """Whether a machine is the known one, by how many of its factors must be as they were."""
    same = sum(shown.get(factor) == value for factor, value in known.items())
    return same >= {"any": 1, "two": min(2, len(known)), "most": len(known) // 2 + 1, "all": len(known)}[match]
