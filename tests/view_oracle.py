"""A second, plain opinion on what the views hold: from the log's JSON alone, a table at a time."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any

from events.catalogue import FACTS
from events.log_records import LogRecord
from workflows.case import fold_all

NEWEST = {fact.name: fact for fact in FACTS}
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
            (e["vendor"], d["policy_version"], _policy(d["policy"]), _at(e["time"]))
            for e, d in _of(events, "policy.adopted")
        ),
        "containers": _containers(events),
        "licences": _licences(events),
        "measures": _measures(events),
        "activations": _activations(events),
        "access": _access(events),
        "recoveries": _recoveries(events),
        "delegations": _delegations(events),
        "flags": (
            (e["vendor"], d["serial"], d["case"], d["holder"], d["verdict"], _at(e["time"]))
            for e, d in _of(events, "holder.flagged")
        ),
        "reinstatements": (
            (e["vendor"], d["serial"], d["case"], d["generation"], _at(e["time"]))
            for e, d in _of(events, "container.reinstated")
        ),
        "case_reports": {
            (e["vendor"], d["report"], e["subject"].removeprefix("case/"))
            for e, d in _of(events, "loss.reported")
            if int(e["sequence"]) == 1 or not d.get("beside")  # a case that only learns of it does not have it
        },
        "case_tickets": {
            (e["vendor"], licence["ticket"], e["subject"].removeprefix("case/"))
            for e, d in (*_of(events, "scope.known"), *_of(events, "case.decided"))
            for licence in d.get("licences") or d.get("facts", {}).get("licences", ())
        },
        "addressed": (
            (
                *(e["vendor"], d["serial"], e["sequence"], d["case"], d["statement"], d["by"], d["role"], d["door"]),
                *(_at(d["received"]), d["code"]),
            )
            for e, d in _of(events, "case.addressed")
        ),
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
    return ((event, event["data"]) for event in events if _name(event) == name)


def _grouped(
    events: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], Hashable]
) -> Mapping[Hashable, list[dict[str, Any]]]:
    """The events by a key, each group in their order; none for a key that no event has."""
    found: dict[Hashable, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        found[key(event)].append(event)
    return found


def _containers(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    streams = _grouped(events, lambda one: (one["vendor"], one["subject"]))
    for e, d in _of(events, "container.registered"):
        own = streams[e["vendor"], f"container/{d['serial']}"]
        contacts = [one for one in own if _name(one) in ("container.contacted", "contact.refused")]
        refused = sum(_name(one) == "contact.refused" for one in own)
        bound = [one for one in own if _name(one) in ("container.activated", "container.reinstated")]
        generation = max([1, *(one["data"]["generation"] for one in bound)])
        ended = sum(one["data"]["sessions"] for one in own if _name(one) == "sessions.ended")
        seen = max((_at(one["time"]) for one in contacts), default=None)
        yield e["vendor"], d["serial"], d["kind"], d["holder"], _at(e["time"]), seen, refused, generation, ended


def _name(event: dict[str, Any]) -> str:
    return str(event["type"].removeprefix("lostfound.").rpartition(".v")[0])


def _delegations(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    given = {(e["vendor"], d["delegation"]): d for e, d in _of(events, "delegation.given")}
    revoked = {(e["vendor"], d["delegation"]): d for e, d in _of(events, "delegation.revoked")}
    for key in given.keys() | revoked.keys():
        g, r = given.get(key, {}), revoked.get(key, {})
        yield (
            *(*key, g.get("delegate"), g.get("holders", []), _at(g.get("until"))),
            *(_at(g.get("received")), g.get("by"), _at(r.get("received")), r.get("by")),
        )


def _policy(told: Any) -> Any:
    """A policy; in older facts it is a text."""
    return json.loads(told) if isinstance(told, str) else told


def _licences(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    superseded = {(e["vendor"], d["licence"], d["generation"]): d["case"] for e, d in _of(events, "licence.superseded")}
    changed = {(e["vendor"], d["licence"], d["generation"]): d for e, d in _of(events, "licence.changed")}
    ended = {(e["vendor"], d["licence"], d["generation"]): d["ended"] for e, d in _of(events, "licence.ended")}
    later = _grouped(
        (one for one in events if _name(one).startswith(("licence.renewed", "lease."))),
        lambda one: (one["vendor"], one["data"]["licence"], one["data"]["generation"]),
    )
    for e, d in _of(events, "licence.issued"):
        key = (e["vendor"], d["licence"], d["generation"])
        last, stage = d, None
        for one in later[key]:
            if _name(one) == "licence.renewed":
                last, stage = one["data"], None
            else:
                stage = _name(one).removeprefix("lease.")
        terms = d | changed.get(key, {})
        plain = [terms[name] for name in ("serial", "holder", "product", "ticket", "value_cents", "lease")]
        file = (_at(last["issued"]), _at(last["expires"]), d["case"], last["file"])
        yield (
            *key,
            *plain,
            *file,
            superseded.get(key),
            d["stop_gap"],
            _at(terms["borrowed_until"]),
            stage,
            _at(ended.get(key)),
        )


def _measures(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    def key_of(one: dict[str, Any]) -> tuple[str, ...]:
        return (one["vendor"], *(one["data"][name] for name in ("serial", "case", "measure", "subject")))

    measures = _grouped((one for one in events if _name(one).startswith("measure.")), key_of)
    for e, d in _of(events, "measure.ordered"):
        own = {_name(one).removeprefix("measure."): one for one in measures[key_of(e)]}
        state = max(own, key=("ordered", "delivered", "confirmed", "unconfirmable", "lifted").index)
        ended = _at(own[state]["time"]) if state not in ("ordered", "delivered") else None
        delivered = _at(own["delivered"]["time"]) if "delivered" in own else None
        confirmed = own["confirmed"]["data"]["by"] if "confirmed" in own else None
        yield *key_of(e), _at(e["time"]), _at(d["effective"]), state, delivered, ended, confirmed


def _activations(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    activated = {(e["vendor"], d["serial"], d["generation"]): e for e, d in _of(events, "container.activated")}
    returned = {(e["vendor"], d["serial"], d["generation"]): e for e, d in _of(events, "activation.returned")}
    for key in activated.keys() | returned.keys():
        on, back = activated.get(key), returned.get(key)
        receipt = back["data"]["receipt"] if back else None
        yield *key, on and on["data"]["case"], on and _at(on["time"]), back and _at(back["time"]), receipt


def _access(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    done = {(e["vendor"], d["serial"], d["generation"]): _at(e["time"]) for e, d in _of(events, "access.set")}
    over = {(e["vendor"], d["serial"], d["generation"]): _at(e["time"]) for e, d in _of(events, "access.lapsed")}
    for e, d in _of(events, "access.offered"):
        key = (e["vendor"], d["serial"], d["generation"])
        yield *key, d["case"], _at(e["time"]), over.get(key, _at(d["until"])), done.get(key)


def _recoveries(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    freed = {(e["vendor"], d["case"]) for e, d in _of(events, "recovery.freed")}
    rows: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for e, d in _of(events, "recovery.reserved"):
        quotas = rows.setdefault((e["vendor"], d["serial"], d["case"]), [])
        if d.get("part", 1) == 1:
            quotas.append({name: d.get(name) for name in ("pot", "term_days", "ordinal", "limit")} | {"subjects": []})
            quotas[-1]["pot"] = d.get("pot", "recoveries")
        quotas[-1]["subjects"] += d["subjects"]
    for key, quotas in rows.items():
        yield *key, quotas, (key[0], key[2]) in freed


def _cases(events: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    cases: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in events:
        if event["subject"].startswith("case/"):
            cases.setdefault((event["vendor"], event["subject"][5:]), []).append(event)
    return cases


def _case(vendor: str, case: str, facts: list[dict[str, Any]]) -> tuple[Any, ...]:
    state = fold_all([NEWEST[_name(e)].model_validate(e["data"]) for e in facts])  # type: ignore[misc]
    assert state is not None
    s = json.loads(state.model_dump_json())
    report, known = s["report"], s["facts"] or {}
    material = [
        e["sequence"]
        for e in facts
        if _name(e) not in ("decision.denied", "case.sighted", "approval.reminded", "release.awaited")
        or (_name(e) == "case.sighted" and e["data"]["cause"] in ("found", "returned") and _stuck_before(facts, e))
    ]
    told = (s["status"], s["outcome"], report["serial"], report["kind"], report["reason"], known.get("holder"))
    times = (_at(report["received"]), s["target"], _at(s["watch_until"]), max(material), _at(s["due"]))
    return vendor, case, *told, *times, s


def _stuck_before(facts: list[dict[str, Any]], event: dict[str, Any]) -> bool:
    """Whether a case that is under the rules of now was stuck when this was said."""
    moves = [_name(e) for e in facts if e["sequence"] < event["sequence"]]
    stuck = [name for name in moves if name in ("case.stuck", "case.resumed")][-1:] == ["case.stuck"]
    return stuck and facts[0]["data"].get("rules_version", 1) >= 2


def _streams(events: list[dict[str, Any]]) -> Iterable[tuple[Any, ...]]:
    streams: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for event in events:
        streams.setdefault((event["vendor"], event["subject"]), []).append(event)
    for key, facts in streams.items():
        hashes = b"".join(event["hash"] for event in facts[-32:])
        yield *key, facts[-1]["partition"], facts[-1]["sequence"], hashes
