"""What is known of a container, and contacts of it, for the tests of the judgement."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from activities.licensing.containers import Container, Licence
from activities.licensing.judgement import Activation, Known
from activities.licensing.measure_rules import Standing
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey
from events.statements import ContactStatement
from events.terms import Contact, Kind, Measure, MeasureState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CASE, OTHER = (CaseKey(vendor="acme", case=name, serial="3-1") for name in ("case-1", "case-2"))
WITHDRAWN = Standing("case-1", Measure.WITHDRAWAL, Subject.parse("licence/L-1/1"), "3-1", MeasureState.DELIVERED)
BLACKLISTED = Standing("case-1", Measure.BLACKLISTING, Subject.parse("licence/L-1/1"), "3-1", MeasureState.ORDERED)
BLOCKED = Standing("case-1", Measure.BLACKLISTING, Subject.parse("container/3-1/1"), "3-1", MeasureState.ORDERED)
MACHINE = {"board": "b1", "disk": "d1", "nic": "n1"}
OTHER_MACHINE = {"board": "b2", "disk": "d2", "nic": "n2"}


def licence(serial: str, generation: int, name: str = "L-1", **changes: Any) -> Licence:
    plain = Licence(
        licence=name,
        generation=generation,
        serial=serial,
        product="cad",
        ticket="T-1",
        value_cents=0,
        lease={},
        issued=NOW,
        expires=None,
        borrowed_until=None,
        ends=None,
        status_index=None,
        lease_stage=None,
        first_issued=NOW,
    )
    return replace(plain, **changes)


def known(*licences: Licence, measures: tuple[Standing, ...] = (), **more: Any) -> Known:
    """What is known of a container: a dongle at its first generation, if nothing else is said."""
    names = ("serial", "kind", "generation", "fingerprint", "returned")
    plain = {"serial": "3-1", "kind": Kind.DONGLE, "generation": 1, "fingerprint": None, "returned": 0}
    given = plain | {name: more.pop(name) for name in names if name in more}
    container = Container(holder="h-1", licences=len(licences), last_contact=None, **given)
    others = {"superseded": {}, "activations": {}} | more
    return Known("acme", container, {one.licence: one for one in licences}, measures, **others)


def contact(*presented: tuple[str, int], **more: Any) -> ContactStatement:
    shown = [{"licence": name, "generation": generation} for name, generation in presented]
    return ContactStatement.model_validate(
        {"contact": "C-1", "serial": "3-1", "occurred": NOW, "licences": shown} | more
    )


def activation(fingerprint: dict[str, str]) -> ContactStatement:
    return contact(how=Contact.ACTIVATION, fingerprint=fingerprint)


def act(**more: Any) -> Known:
    """An activation at its second generation, bound to `MACHINE` and before to the other one."""
    former = {1: Activation(OTHER_MACHINE, None), 2: Activation(MACHINE, CASE)}
    given = {"kind": Kind.ACT, "generation": 2, "fingerprint": MACHINE, "activations": former} | more
    return known(licence("3-1", 1), licence("9-9", 1, "L-2"), **given)


GOOD = "7K3QF-M02ZT"
