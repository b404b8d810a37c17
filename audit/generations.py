"""Invariant 1: one generation of a licence is effective, and none whose contract has ended."""

from collections.abc import Iterator

from audit.breach import Breach, breach
from audit.log_index import Ledger


def nothing_after_the_end(ledger: Ledger) -> Iterator[Breach]:
    """1: of a licence whose contract has ended nothing is issued, superseded or renewed any more. Its end is stated in
    the stream of the container that holds it then, so that the order there is the true one."""
    for (vendor, licence), (end, last) in ledger.ended.items():
        about, sentence = f"licence {licence}", f"after its contract had ended at generation {last}"
        for generation, issues in ledger.issued.get((vendor, licence), {}).items():
            if generation > last:
                yield breach(1, issues[0].place, about, f"generation {generation} was issued {sentence}")
        for again in ledger.superseded.get((vendor, licence), {}).get(last, ()):
            yield breach(1, again.place, about, f"generation {last} was superseded {sentence}")
        renewed = ledger.renewed.get((vendor, licence, last))
        if renewed and renewed.stream == end.stream and renewed.sequence > end.sequence:
            yield breach(1, renewed, about, f"generation {last} was renewed {sentence}")


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
