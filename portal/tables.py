"""Answers as tables for people."""

from collections.abc import Sequence

from rich.table import Table

from portal.terminal import day, minute, show, table_of
from projections.queries import CaseView, ContainerView, LicenceView, MeasureView


def licence_table(licences: Sequence[LicenceView]) -> Table:
    table = table_of("licence", "no.", "effective", "container", "product", "issued", "runs until")
    for one in licences:
        told = (one.licence, str(one.generation), "yes" if one.effective else "no", one.serial, one.product)
        table.add_row(*told, day(one.issued), day(one.expires) or "for ever")
    return table


def measure_table(measures: Sequence[MeasureView]) -> Table:
    table = table_of("aims at", "measure", "effective", "state", "case")
    for measure in measures:
        table.add_row(measure.subject, measure.measure, minute(measure.effective), measure.state, measure.case_id)
    return table


def print_container(found: ContainerView) -> None:
    show(f"{found.kind} {found.serial} of {found.holder}: {found.status}", licence_table(found.licences))
    if found.measures:
        show(measure_table(found.measures))


def print_case(found: CaseView) -> None:
    stands = f"{found.status}: {found.outcome}" if found.outcome else found.status
    show(f"case {found.case_id}: {found.reason} {found.kind} {found.serial} of {found.holder or '?'}, {stands}")
    runs = "for ever" if found.exposure.for_ever else minute(found.exposure.until) or "no longer"
    show(f"what was lost can run: {runs if runs in ('for ever', 'no longer') else f'until {runs}'}")
    history = table_of("", "recorded", "fact", "what it says")
    for fact in found.history:
        told = ", ".join(f"{name} {_word(value)}" for name, value in fact.data.items() if not isinstance(value, dict))
        name = fact.type.removeprefix("lostfound.").rpartition(".")[0]
        history.add_row(str(fact.sequence), minute(fact.recorded), name, told)
    show(history)
    if found.measures:
        show(measure_table(found.measures))
    if found.replacements:
        show(licence_table(found.replacements))


def _word(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
