"""A second reading of the record, made from its documentation alone: raw JSON, no code of the product."""

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Stream = tuple[str, str]


def name_of(kind: str) -> str:
    """The name of a fact in its type: what stands before the version."""
    name, _, version = kind.removeprefix("lostfound.").rpartition(".")
    assert version.removeprefix("v").isdigit(), f"{kind} names no version"
    return name


@dataclass
class Ledger:
    """What the record says. `facts`: each stream's facts in their order, copies left out."""

    facts: dict[Stream, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    bytes_of: dict[tuple[Stream, int], bytes] = field(default_factory=dict)
    copies: int = 0

    def add(self, value: bytes) -> dict[str, Any] | None:
        """Take a record in; None for a copy. A gap, a broken chain or a changed copy is an AssertionError."""
        event: dict[str, Any] = json.loads(value)
        stream = (event["vendor"], event["subject"])
        known = self.bytes_of.get((stream, event["sequence"]))
        if known is not None:
            assert known == value, f"two facts claim to be {stream} {event['sequence']}: {known!r} and {value!r}"
            self.copies += 1
            return None
        before = self.bytes_of.get((stream, event["sequence"] - 1))
        assert event["sequence"] == len(self.facts[stream]) + 1, f"{stream} jumps to {event['sequence']}"
        assert event["previoushash"] == (hashlib.sha256(before).hexdigest() if before else "")
        self.bytes_of[stream, event["sequence"]] = value
        self.facts[stream].append(event)
        return event

    def named(self, name: str) -> list[dict[str, Any]]:
        """The data of all facts of a name, with vendor and subject."""
        return [
            event["data"] | {"vendor": event["vendor"], "subject": event["subject"]}
            for facts in self.facts.values()
            for event in facts
            if name_of(event["type"]) == name
        ]

    def names(self, vendor: str, subject: str) -> list[str]:
        """The names of a stream's facts, in their order."""
        return [name_of(event["type"]) for event in self.facts[vendor, subject]]

    def effective(self) -> dict[str, list[int]]:
        """For each licence its generations that were issued and not superseded."""
        found: dict[str, set[int]] = defaultdict(set)
        for issued in self.named("licence.issued"):
            found[issued["licence"]].add(issued["generation"])
        for superseded in self.named("licence.superseded"):
            found[superseded["licence"]].discard(superseded["generation"])
        return {licence: sorted(generations) for licence, generations in found.items()}

    def licence_rows(self) -> set[tuple[Any, ...]]:
        """(licence, generation, container, case, superseded by)."""
        by = {(one["licence"], one["generation"]): one["case"] for one in self.named("licence.superseded")}
        return {
            (one["licence"], one["generation"], one["serial"], one["case"], by.get((one["licence"], one["generation"])))
            for one in self.named("licence.issued")
        }

    def container_rows(self) -> set[tuple[Any, ...]]:
        """(container, holder)."""
        return {(one["serial"], one["holder"]) for one in self.named("container.registered")}

    def blacklist_rows(self) -> set[tuple[Any, ...]]:
        """(container, case, measure)."""
        return {(one["serial"], one["case"], one["measure"]) for one in self.named("measure.ordered")}

    def case_rows(self) -> set[tuple[Any, ...]]:
        """(case, status, container, target)."""
        target = {one["subject"]: one["target"] for one in self.named("watch.begun")}
        first = {one["subject"]: one["serial"] for one in reversed(self.named("loss.reported"))}
        return {
            (subject.removeprefix("case/"), "watching" if subject in target else "?", serial, target.get(subject))
            for subject, serial in first.items()
        }

    def history_rows(self) -> set[tuple[Any, ...]]:
        """(case, sequence, type, hash)."""
        return {
            (subject.removeprefix("case/"), sequence, json.loads(value)["type"], hashlib.sha256(value).hexdigest())
            for ((_vendor, subject), sequence), value in self.bytes_of.items()
            if subject.startswith("case/")
        }
