"""A second, plain opinion on what the views hold: from the log's JSON alone, a table at a time."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from events.catalogue import CATALOGUE
from events.log import LogRecord
from workflows.case import fold_all

Tables = dict[str, list[tuple[Any, ...]]]


def expected(log: Iterable[LogRecord]) -> Tables:
    """The rows of every table but positions, each sorted by all its values."""
    seen: dict[tuple[str, str, int], dict[str, Any]] = {}
    for record in log:
        event = json.loads(record.value)
        event["hash"] = hashlib.sha256(record.value).digest()
        event["partition"] = record.position.partition
        seen.setdefault((event["vendor"], event["subject"], event["sequence"]), event)
    events = sorted(seen.values(), key=lambda event: (event["vendor"], event["subject"], event["sequence"]))
    cases = _cases(events)
    tables: Mapping[str, Iterable[tuple[Any, ...]]] = {
        "vendors": ((e["vendor"], d["issuer"], _at(e["time"])) for e, d in _of(events, "vendor.added")),
        "policies": (
            (e["vendor"], d["policy_version"], json.loads(d["policy"]), _at(e["time"]))
            for e, d in _of(events, "policy.adopted")
        ),
        "containers": _containers(events),
        "licences": _licences(events),
        "blacklist": (
            (e["vendor"], d["serial"], d["case"], d["measure"], _at(e["time"]), _at(d["effective"]))
            for e, d in _of(events, "measure.ordered")
        ),
        "recoveries": _recoveries(events),
        "cases": (_case(*key, facts) for key, facts in cases.items()),
        "history": (
            (*key, e["sequence"], e["type"], _at(e["time"]), e["hash"], e["data"])
            for key, facts in cases.items()
            for e in facts
        ),
        "streams": _streams(events),
    }
    return {name: in_order(rows) for name, rows in tables.items()}


def in_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order that does not ask the database."""
    return sorted(rows, key=repr)


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _of(events: Iterable[dict[str, Any]], name: str) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    return ((event, event["data"]) for event in events if event["type"] == f"lostfound.{name}.v1")


def _containers(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    blocked = {(e["vendor"], d["serial"]) for e, d in _of(events, "measure.ordered")}
    for e, d in _of(events, "container.registered"):
        status = "blocked" if (e["vendor"], d["serial"]) in blocked else "good"
        contacts = [
            (one, name)
            for name in ("container.contacted", "contact.refused")
            for one, said in _of(events, name)
            if (one["vendor"], said["serial"]) == (e["vendor"], d["serial"])
        ]
        last = max(contacts, key=lambda contact: contact[0]["sequence"], default=None)
        refused = sum(name == "contact.refused" for _, name in contacts)
        seen = _at(last[0]["time"]) if last else None
        yield e["vendor"], d["serial"], d["kind"], d["holder"], status, _at(e["time"]), seen, refused


def _licences(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    superseded = {(e["vendor"], d["licence"], d["generation"]): d["case"] for e, d in _of(events, "licence.superseded")}
    for e, d in _of(events, "licence.issued"):
        key = (e["vendor"], d["licence"], d["generation"])
        plain = [d[name] for name in ("serial", "holder", "product", "ticket", "value_cents", "lease")]
        yield *key, *plain, _at(d["issued"]), _at(d["expires"]), d["case"], d["file"], superseded.get(key)


def _recoveries(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    freed = {(e["vendor"], d["case"]) for e, d in _of(events, "recovery.freed")}
    for e, d in _of(events, "recovery.reserved"):
        told = (d["serial"], d["case"], d["subjects"], d["ordinal"], d["limit"])
        yield e["vendor"], *told, (e["vendor"], d["case"]) in freed


def _cases(events: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    cases: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in events:
        if event["subject"].startswith("case/"):
            cases.setdefault((event["vendor"], event["subject"][5:]), []).append(event)
    return cases


def _case(vendor: str, case: str, facts: list[dict[str, Any]]) -> tuple[Any, ...]:
    state = fold_all([CATALOGUE[e["type"]].model_validate(e["data"]) for e in facts])  # type: ignore[misc]
    assert state is not None
    s = json.loads(state.model_dump_json())
    report = s["report"]
    return (
        *(vendor, case, s["status"], s["outcome"], report["serial"], report["kind"], report["reason"], s["holder"]),
        *(_at(report["received"]), s["target"], _at(s["watch_until"]), s),
    )


def _streams(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    streams: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in events:
        streams.setdefault((event["vendor"], event["subject"]), []).append(event)
    for key, facts in streams.items():
        hashes = b"".join(event["hash"] for event in facts[-32:])
        yield *key, facts[-1]["partition"], facts[-1]["sequence"], hashes
