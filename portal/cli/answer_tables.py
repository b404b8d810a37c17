"""Answers as tables for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from events.terms import Outcome, Status
from portal.cli.sheet import Sheet
from portal.cli.terminal import day, minute, show
from projections.read.views import AccessView, CaseLine, CaseView, ContainerView, LicenceView, MeasureView
from workflows.exposure import Exposure

UNBLOCKED = frozenset({Status.REPORTED, Status.AWAITING_APPROVAL, Status.ESCALATED})
"""Where a case has ordered no measure by itself."""
STILL_OUT = frozenset(
    {Outcome.LOST_FOR_EVER, Outcome.LAPSED, Outcome.RETIRED, Outcome.USED_AFTER_LOSS, Outcome.CLONE, Outcome.FRAUD}
)
"""The ends after which what was lost is not in its holder's right hands: whether it still runs is worth knowing."""


def case_table(cases: Sequence[CaseLine]) -> Sheet:
    table = Sheet(
        *("case", "received (UTC)", "lost", "holder", "value", "status", "target", "due (UTC)", "newest fact"),
        "why it waits",
    )
    for case in cases:
        stands = f"{case.status}: {case.outcome}" if case.outcome else case.status
        lost = f"{case.serial}: {case.reason.replace('_', ' ')} {case.kind}"
        value = "" if case.value_cents is None else money(case.value_cents)
        why = "; ".join(case.reasons) if case.status in (Status.AWAITING_APPROVAL, Status.ESCALATED) else ""
        cells = (minute(case.received), lost, case.holder or "", value, stands, case.target or "", minute(case.due))
        table.add_row(case.case_id, *cells, str(case.material), why)
    return table


def licence_table(licences: Sequence[LicenceView]) -> Sheet:
    table = Sheet("licence", "generation", "effective", "container", "product", "issued", "runs until")
    for one in licences:
        cells = (
            one.licence,
            str(one.generation),
            "yes" if one.effective else "ended" if one.ended else "no",
            one.serial,
            one.product,
        )
        table.add_row(*cells, day(one.issued), day(one.expires) or "for ever")
    return table


def measure_table(measures: Sequence[MeasureView]) -> Sheet:
    table = Sheet("against", "measure", "in effect from (UTC)", "state", "case")
    for measure in measures:
        table.add_row(str(measure.subject), measure.measure, minute(measure.effective), measure.state, measure.case_id)
    return table


def access_table(generations: Sequence[AccessView]) -> Sheet:
    table = Sheet("access data", "state", "link until (UTC)", "set (UTC)", "case")
    for one in generations:
        cells = (one.state.replace("_", " "), minute(one.until), minute(one.set_at), one.case_id or "")
        table.add_row(str(one.generation), *cells)
    return table


def print_container(found: ContainerView) -> None:
    show(f"{found.kind} {found.serial} of {found.holder}: {found.status}", licence_table(found.licences))
    if found.access:
        show(access_table(found.access))
    if found.measures:
        show(measure_table(found.measures))


def print_case(found: CaseView) -> None:
    stands = f"{found.status}: {found.outcome}" if found.outcome else found.status
    show(f"case {found.case_id}: {found.reason} {found.kind} {found.serial} of {found.holder or '?'}, {stands}")
    for line in _known(found):
        show(line)
    history = Sheet("fact", "recorded (UTC)", "what happened", "details")
    for fact in found.history:
        details = ", ".join(_part(name, value) for name, value in _parts(fact.data).items() if _says(value))
        name = fact.type.removeprefix("lostfound.").rpartition(".")[0]
        history.add_row(str(fact.sequence), minute(fact.recorded), name, details)
    show(history)
    if found.status != Status.CLOSED:
        show(f"A decision made now is made on fact {found.material} (`--on {found.material}`).")
    if found.measures:
        show(measure_table(found.measures))
    if found.replacements:
        show(licence_table(found.replacements))


def _known(found: CaseView) -> Iterator[str]:
    """What somebody who decides must know, a line each; of a closed case what its end left open."""
    is_closed = found.status == Status.CLOSED
    if not is_closed or found.outcome in STILL_OUT:
        yield f"what was lost can run: {_runs(found.exposure)}"
    if found.value_cents is not None and not is_closed:
        yield f"what was lost is worth: {money(found.value_cents)}"
    if found.status in UNBLOCKED and not found.measures:
        yield "nothing is blocked yet"
    awaited = found.awaited
    if awaited:
        by = f" from {', '.join(awaited.by)}" if awaited.by else ""
        until = f" until {minute(awaited.until)} UTC" if awaited.until else ""
        yield f"awaited{by}{until}: {awaited.what}"
    if found.asked and not is_closed:
        yield f"evidence that a supervisor asked for and nobody gave yet: {', '.join(found.asked)}"
    if found.four_eyes and not is_closed:
        yield f"four eyes: {f'{found.first_approval} has approved' if found.first_approval else 'two must approve'}"
    if found.escalated_to and not is_closed:
        yield f"escalated to: {', '.join(found.escalated_to)}"
    if found.evidence:
        yield f"evidence: {', '.join(found.evidence)}"
    if found.condition and not is_closed:
        until = f", until {minute(found.condition_until)} UTC" if found.condition_until else ""
        yield f"on the condition: {found.condition}{until}"
    if found.goodwill:
        yield f"goodwill by: {found.goodwill}"
    if found.watch_until and not is_closed and not (awaited and awaited.until == found.watch_until):
        yield f"watched until: {minute(found.watch_until)} UTC"
    if found.replacement_lost:
        yield f"the replacement is lost too: case {found.replacement_lost}"
    if found.former:
        yield f"of the same loss was case {found.former}, which recovered nothing"
    if found.beside:
        yield f"a part of what was reported is of case {found.beside}"
    for flag in found.flags:
        yield f"holder {flag.holder} is flagged: {flag.verdict} in case {flag.case_id}"


def _runs(exposure: Exposure | None) -> str:
    if exposure is None:
        return "not known yet"
    if exposure.for_ever:
        return "for ever"
    return f"until {minute(exposure.until)} UTC" if exposure.until else "no longer"


def _parts(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a fact says, without a code that its cause begins with."""
    code, cause = data.get("code"), str(data.get("cause"))
    return {name: value for name, value in data.items() if name != "code" or not cause.startswith(f"{code}:")}


def _says(value: object) -> bool:
    return value not in (None, [], {}, "", False)


def _part(name: str, value: object) -> str:
    """A part of a fact, as name and value; money in units of the vendor's currency."""
    if name == "quotas" and isinstance(value, list):
        of = ("of the strictest rule", *(f"of rule {number} by strictness" for number in range(2, len(value) + 1)))
        return f"quotas {'; '.join(f'{whose} {_word(one)}' for whose, one in zip(of, value, strict=True))}"
    if name.endswith("_cents") and isinstance(value, int):
        return f"{name.removesuffix('_cents')} {money(value)}"
    return f"{name} {_word(value)}"


def money(cents: int) -> str:
    """An amount as people write it; which currency, only the vendor knows."""
    return f"{cents // 100:,}.{cents % 100:02}"


def _word(value: object) -> str:
    if isinstance(value, dict):
        return f"({', '.join(_part(name, part) for name, part in value.items() if _says(part))})"
    if isinstance(value, list):
        return "; ".join(map(_word, value))
    return "yes" if value is True else str(value)
