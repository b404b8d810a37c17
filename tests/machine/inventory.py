"""What becomes of containers and licences, said at any time, in any order, and any number of times."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.machine.case_oracle.records import must
from tests.machine.play import NAMES, SOME, Play

HOUR = timedelta(hours=1)


class Inventory(Play):
    """Says what became of the stock."""

    @initialize()
    def begin_revisions(self) -> None:
        self.latest: dict[tuple[str, str], tuple[int, tuple[Any, ...]]] = {}
        """The latest revision that was said of each thing, by its type, and what it said."""

    def is_news(self, thing: tuple[str, str], revision: int, said: tuple[Any, ...]) -> bool | None:
        """Whether a revision says something new; None where it contradicts what it said before."""
        known, before = self.latest.get(thing, (0, ()))
        if revision == known and said != before:
            return None
        return revision > known

    @rule(licence=st.sampled_from(NAMES), step=st.integers(-1, 3), hours=st.sampled_from([0, 0, 0, 5, -5]))
    def end_a_licence(self, licence: str, step: int, hours: int) -> None:
        """The contract of a licence is over."""
        self.tick()
        self.end(licence, step, hours)

    @rule(
        licence=st.sampled_from(NAMES),
        step=st.integers(-1, 3),
        product=st.sampled_from(["cad", "cam", "erp"]),
        value=st.sampled_from([0, 60_000, 250_000]),
    )
    def change_a_licence(self, licence: str, step: int, product: str, value: int) -> None:
        """A licence has other terms."""
        self.tick()
        thing = ("licence.changed", licence)
        revision = max(1, self.latest.get(thing, (0, ()))[0] + step)
        said = {"licence": licence, "revision": revision, "product": product, "value_cents": value}
        news = self.is_news(thing, revision, (product, value))
        self.state(news, lambda: self.world.change_licence(**said), f"revision {revision} of {licence}")
        if news:
            self.latest[thing] = revision, (product, value)
            self.say(lambda: self.oracle.change(licence, product, value))

    def state(self, news: bool | None, said: Callable[[], None], told: str) -> None:
        """Say something, which is news, or changes nothing, or (None) contradicts what was said before."""
        before = len(self.world.facts)
        refusal = self.refused(said)
        if news is None:
            must(refusal is not None and refusal.code == "contradicts_inventory", f"{told} is taken: {refusal}")
        else:
            must(refusal is None, f"{told} is refused with {refusal}")
        if not news:
            must(len(self.world.facts) == before, f"{told} is no news, and leaves facts")
        if news is False:
            self.say(lambda: None)

    @rule(which=SOME, all_of_it=st.booleans())
    @precondition(lambda self: any(case.licences for case in self.open_cases()))
    def end_what_is_lost(self, which: int, all_of_it: bool) -> None:
        """The contracts of what an open case is about are over, be it replaced or not."""
        self.tick()
        case = self.pick([case for case in self.open_cases() if case.licences], which)
        for licence in list(case.licences)[: None if all_of_it else 1]:
            self.end(licence, 1, 0)

    def end(self, licence: str, step: int, hours: int) -> None:
        thing = ("licence.ended", licence)
        revision = max(1, self.latest.get(thing, (0, ()))[0] + step)
        ended = self.world.now - hours * HOUR
        news = self.is_news(thing, revision, (ended,))
        before = len(self.world.facts)
        refusal = self.refused(lambda: self.world.end_licence(licence, revision, ended))
        told = f"revision {revision} of the end of {licence}"
        if news is None or (news and hours < 0):
            code = "contradicts_inventory" if news is None else "lies_ahead"
            must(refusal is not None and refusal.code == code, f"{told} must be refused with {code}: {refusal}")
            must(len(self.world.facts) == before, f"{told} is refused, and leaves facts")
            return
        must(refusal is None, f"{told} is refused with {refusal}")
        if not news:
            must(len(self.world.facts) == before, f"{told} is no news, and leaves facts")
            self.say(lambda: None)
            return
        self.latest[thing] = revision, (ended,)
        self.say(lambda: self.oracle.end(licence))
