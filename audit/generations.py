"""Invariant 1: one generation of a licence is effective."""

from collections.abc import Iterator

from audit.breach import Breach, breach
from audit.log_index import Ledger


def effective(ledger: Ledger) -> Iterator[Breach]:
    """1: a generation is issued once, upwards by one, and superseded once, not after the next one is issued."""
    for (vendor, licence), generations in ledger.issued.items():
        about, ends = f"licence {licence}", ledger.superseded.get((vendor, licence), {})
        for generation, issues in sorted(generations.items()):
            for again in issues[1:]:
                where = f"in {issues[0].serial} and {again.serial}"
                yield breach(1, again.place, about, f"generation {generation} was issued twice, {where}")
            if generation == min(generations):
                continue
            later = issues[0]
            if generation - 1 not in generations:
                yield breach(1, later.place, about, f"generation {generation} was issued without the one before it")
            elif not (before := ends.get(generation - 1)):
                yield breach(1, later.place, about, f"generations {generation - 1} and {generation} are both effective")
            elif min(end.place.recorded for end in before) > later.place.recorded:
                sentence = f"generation {generation} was issued before generation {generation - 1} was superseded"
                yield breach(1, later.place, about, sentence)
    for (_, licence), ends in ledger.superseded.items():
        for generation, superseded in ends.items():
            for again in superseded[1:]:
                yield breach(1, again.place, f"licence {licence}", f"generation {generation} was superseded twice")
