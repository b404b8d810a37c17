"""Invariants 8 and 9: nothing is deleted, and nothing crosses vendors."""

from collections.abc import Iterator
from datetime import timedelta

from audit.breach import ALWAYS, Breach, breach
from audit.case_story import CaseStory
from audit.log_index import CaseName, Ledger, Place

UNTOLD = timedelta(days=1)
"""So long the first facts of a case may come after those that the backend states for it, where no worker runs."""


def nothing_deleted(ledger: Ledger) -> Iterator[Breach]:
    """8: no stream has a gap, a broken chain or two facts of one number, and no version of a policy is missing."""
    for place in ledger.differing:
        yield breach(8, place, place.stream, f"fact {place.sequence} stands there twice, with other bytes", ALWAYS)
    for (vendor, stream), chain in ledger.chains.items():
        previous = b""
        for expected, sequence in enumerate(sorted(chain), 1):
            link = chain[sequence]
            place = Place(vendor, stream, sequence, link.recorded)
            if sequence != expected and sequence - 1 not in chain:
                yield breach(8, place, stream, f"fact {sequence - 1} before it is missing", ALWAYS)
            elif link.previous != previous:
                yield breach(8, place, stream, f"fact {sequence} does not carry the hash of the one before it", ALWAYS)
            previous = link.hash
    for place, version in ledger.unreadable_policies:
        yield breach(8, place, "policy", f"policy version {version} cannot be read", ALWAYS)
    for adopted in ledger.policies.values():
        versions = {one.version for one in adopted} | {version for _, version in ledger.unreadable_policies}
        for one in adopted:
            if one.version > 1 and one.version - 1 not in versions:
                yield breach(8, one.place, "policy", f"policy version {one.version - 1} is missing", ALWAYS)


def own_vendor(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """9: what a vendor's facts name is that vendor's."""
    for vendor, stream in ledger.chains:
        if vendor and vendor not in ledger.vendors:
            first = min(ledger.chains[vendor, stream])
            place = Place(vendor, stream, first, ledger.chains[vendor, stream][first].recorded)
            yield breach(9, place, f"vendor {vendor}", f"nobody has added vendor {vendor}")
    known = {case for _, case in stories}
    for (vendor, case), place in ledger.named_cases.items():
        if (vendor, case) not in stories:
            since = place.recorded if case in known else place.recorded + UNTOLD
            yield breach(9, place, f"case {case}", f"vendor {vendor} has no case {case}", since)
    for (vendor, licence, generation), place in ledger.named_licences.items():
        if generation not in ledger.issued.get((vendor, licence), {}):
            about = f"licence {licence}"
            yield breach(9, place, about, f"vendor {vendor} has no licence {licence} of generation {generation}")
    for story in stories.values():
        named = [(place, fact.serial) for place, fact in story.reported] + story.targets
        named += [(place, fact.facts.serial) for place, fact in story.decided]
        for place, serial in named:
            if (story.vendor, serial) not in ledger.holders:
                yield breach(9, place, story.about, f"vendor {story.vendor} has no container {serial}")
        licences = [(place, item.licence) for place, fact in story.decided for item in fact.facts.licences]
        licences += [(place, licence) for place, fact in story.reported for licence in fact.licences]
        for place, licence in licences:
            if (story.vendor, licence) not in ledger.issued:
                yield breach(9, place, story.about, f"vendor {story.vendor} has no licence {licence}")
        for case in story.knows:
            if (story.vendor, case) not in stories:
                yield breach(9, story.facts[-1][0], story.about, f"vendor {story.vendor} has no case {case}")
