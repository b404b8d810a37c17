"""Limits: what sends a case of a hybrid rule to a person. Pure; each says in words what it found."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Final

from pydantic import ConfigDict

from events.adoption import Between, Items
from events.case_facts import BackendFacts, LossReported
from events.terms import EvidenceName, Role, Value
from workflows.exposure import Exposure, exposure

CENTS_LIMIT: Final = 10**12
DAYS_LIMIT: Final = 36_600


class Setting(Value):
    """A group of settings; what stands under each of them is its documentation."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Found(Value):
    """What one limit says of a report: the name of its setting, whether it is exceeded, and why."""

    setting: str
    exceeded: bool
    sentence: str


@dataclass(frozen=True)
class Totals:
    """What limits ask of all licences of a loss together. A container may hold thousands of licences and a policy have
    hundreds of rules: each is worked out once for all of them."""

    facts: BackendFacts

    @cached_property
    def value_cents(self) -> int:
        """What the licences are worth together."""
        return value_cents(self.facts)

    @cached_property
    def first_issued(self) -> list[datetime | None]:
        """When the oldest and the youngest licence were first issued; [None] where that is not known of each, and
        nothing where there is no licence."""
        issued = [item.first_issued for item in self.facts.licences]
        known = [instant for instant in issued if instant is not None]
        if len(known) < len(issued):
            return [None]
        return [min(known), max(known)] if known else []

    @cached_property
    def exposure(self) -> Exposure:
        """Until when anything lost can still run."""
        return exposure(self.facts.licences, {})


class Losses(Setting):
    """How many losses of one holder policy decides on by itself."""

    more_than: Annotated[int, Between(0, BackendFacts.LOSSES_KNOWN - 1)]
    """So many earlier losses of the holder are not too many yet; one more goes to a person."""
    term_days: Annotated[int, Between(1, 3660)] = 365
    """Losses reported so long before this report count."""


class Limits(Setting):
    """What sends a report under a hybrid rule to a person, whatever the quota says."""

    value_above_cents: Annotated[int, Between(0, CENTS_LIMIT)] | None = None
    """The lost licences are worth more than this, together."""
    licence_older_than_days: Annotated[int, Between(1, DAYS_LIMIT)] | None = None
    """One of the licences was first issued longer ago."""
    licence_younger_than_days: Annotated[int, Between(1, DAYS_LIMIT)] | None = None
    """One of the licences was first issued less long ago."""
    losses: Losses | None = None
    """The holder has lost too much before."""
    evidence: Annotated[tuple[EvidenceName, ...], Items(20)] = ()
    """Evidence that the report must name, such as `police_report`; a report without one of them goes to a person."""
    holder_only: bool = False
    """Somebody other than the holder reported it."""
    contact_after_loss: bool = True
    """The container reported in after the time at which it is said to have been lost."""
    flagged_holder: bool = True
    """The verdict on an earlier case spoke against the holder (`clone` or `fraud`)."""
    exposure_above_days: Annotated[int, Between(0, DAYS_LIMIT)] | None = None
    """A lost licence can still run longer than this after the report, or for ever."""

    def found(self, report: LossReported, facts: BackendFacts, totals: Totals | None = None) -> list[Found]:
        """What each limit that is set says, in their order; `totals` are those of the facts."""
        totals = totals or Totals(facts)
        found = (
            self._value(totals),
            *self._age(report, totals),
            self._losses(report, facts),
            self._evidence(report),
            self._reporter(report, facts),
            self._contact(report, facts),
            self._flagged(facts),
            self._exposure(report, totals),
        )
        return [one for one in found if one is not None]

    def _value(self, totals: Totals) -> Found | None:
        if self.value_above_cents is None:
            return None
        value = totals.value_cents
        exceeded = value > self.value_above_cents
        than = f"{'more' if exceeded else 'not more'} than {money(self.value_above_cents)}"
        return Found(
            setting="value_above_cents", exceeded=exceeded, sentence=f"the licences are worth {money(value)}, {than}"
        )

    def _age(self, report: LossReported, totals: Totals) -> Iterator[Found]:
        for setting, days, older in (
            ("licence_older_than_days", self.licence_older_than_days, True),
            ("licence_younger_than_days", self.licence_younger_than_days, False),
        ):
            if days is None or not totals.first_issued:
                continue
            first = totals.first_issued[0 if older else -1]
            if first is None:
                yield Found(setting=setting, exceeded=True, sentence="it is not known when a licence was first issued")
                continue
            since = report.received - first
            exceeded = since > timedelta(days=days) if older else since < timedelta(days=days)
            than = f"{'more' if exceeded is older else 'not more'} than {days} days"
            which = "oldest" if older else "youngest"
            sentence = f"the {which} licence was first issued on {first:%Y-%m-%d}, {than} before the report"
            yield Found(setting=setting, exceeded=exceeded, sentence=sentence)

    def _losses(self, report: LossReported, facts: BackendFacts) -> Found | None:
        if self.losses is None:
            return None
        start = report.received - timedelta(days=self.losses.term_days)
        count = sum(start < loss <= report.received for loss in facts.losses)
        exceeded = count > self.losses.more_than
        than = f"{'more' if exceeded else 'not more'} than {self.losses.more_than}"
        sentence = f"the holder reported {count} other losses in {self.losses.term_days} days, {than}"
        return Found(setting="losses", exceeded=exceeded, sentence=sentence)

    def _evidence(self, report: LossReported) -> Found | None:
        if not self.evidence:
            return None
        missing = [name for name in self.evidence if name not in report.evidence]
        sentence = f"evidence is missing: {', '.join(missing)}" if missing else f"there is {', '.join(self.evidence)}"
        return Found(setting="evidence", exceeded=bool(missing), sentence=sentence)

    def _reporter(self, report: LossReported, facts: BackendFacts) -> Found | None:
        if not self.holder_only:
            return None
        by_holder = report.reporter.role is Role.HOLDER and str(report.reporter.name) == str(facts.holder)
        sentence = "the holder reported it" if by_holder else "somebody other than the holder reported it"
        return Found(setting="holder_only", exceeded=not by_holder, sentence=sentence)

    def _contact(self, report: LossReported, facts: BackendFacts) -> Found | None:
        if not self.contact_after_loss:
            return None
        exceeded = facts.last_contact is not None and facts.last_contact > report.occurred
        sentence = "the container has not reported in since the loss was said to be"
        if exceeded:
            sentence = (
                f"the container reported in at {facts.last_contact:%Y-%m-%d %H:%M} UTC, after the loss was said to be"
            )
        return Found(setting="contact_after_loss", exceeded=exceeded, sentence=sentence)

    def _flagged(self, facts: BackendFacts) -> Found | None:
        if not self.flagged_holder:
            return None
        sentence = f"{'an' if facts.flagged else 'no'} earlier verdict speaks against the holder"
        return Found(setting="flagged_holder", exceeded=facts.flagged, sentence=sentence)

    def _exposure(self, report: LossReported, totals: Totals) -> Found | None:
        if self.exposure_above_days is None:
            return None
        lost = totals.exposure
        exceeded = lost.for_ever
        runs = "for ever" if lost.for_ever else "nowhere"
        if lost.until is not None:
            exceeded = lost.until > report.received + timedelta(days=self.exposure_above_days)
            runs = f"until {lost.until:%Y-%m-%d %H:%M} UTC"
        than = f"{'more' if exceeded else 'not more'} than {self.exposure_above_days} days from the report"
        return Found(setting="exposure_above_days", exceeded=exceeded, sentence=f"what is lost can run {runs}, {than}")


def value_cents(facts: BackendFacts) -> int:
    """What the licences of a loss are worth together, in cents."""
    return sum(item.value_cents for item in facts.licences)


def money(cents: int) -> str:
    """An amount as people write it; the currency is the vendor's own."""
    return f"{cents // 100:,}.{cents % 100:02}"
