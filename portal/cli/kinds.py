"""What can be lost and what becomes of a case, told from the data that the product itself goes by."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from events.loss_table import LOSSES, Loss
from events.measure_life import FIRST, OPEN, STAGES
from events.terms import Action, ActivationBy, Aim, Outcome, Recovery, Scope, Status, Target, Watch
from portal.cli.sheet import Sheet
from portal.cli.terminal import show
from workflows.case_life import STAGES as CASE_STAGES
from workflows.case_life import STAYING, TRANSITIONS, Wait
from workflows.policy import WATCH_DAYS, Rule

RECOVERIES = {
    Recovery.NEXT_GENERATION: "the next generation of each licence",
    Recovery.STOP_GAP: "a stop-gap now, the full replacement when the broken one is returned",
    Recovery.REISSUE: "the next generation, for the same machine",
    Recovery.RESET: "new access data, set by the holder; no new licence",
    Recovery.ROTATION: "new access data at once, all sessions ended; licences stay",
}
TARGETS = {
    Target.EMPTY_CONTAINER: "an empty container of the holder",
    Target.OTHER_CONTAINER: "another container of the holder",
    Target.ACTIVATION: "the machine that activates next",
    Target.SAME_CONTAINER: "the same container",
}
AIMS = {
    Aim.CONTAINER: "the container",
    Aim.LICENCE: "the licences' generations",
    Aim.ACCESS_DATA: "the old access data",
}
WATCHES = {
    Watch.NONE: "none",
    Watch.SHORT: f"{WATCH_DAYS[Watch.SHORT]} days",
    Watch.LONG: f"{WATCH_DAYS[Watch.LONG]} days",
    Watch.UNTIL_RETURNED: f"until it is returned, at most {Rule().stop_gap_days} days",
}
STATUSES_READ = (
    "Of several things that a case may wait for the first one that applies counts. It looks again by itself at the"
    " earliest of the instants in these fields of its state. Where it is too late to cancel a case, its holder may say"
    " that the container was found."
)
OUTCOMES = {
    Outcome.REFUSED: "policy refused the report",
    Outcome.REJECTED: "a supervisor rejected it",
    Outcome.CANCELLED: "the loss is none: it was cancelled, or found, before anything was replaced",
    Outcome.GIVEN_UP: "it was stuck and a supervisor gave it up; its measures are lifted",
    Outcome.RESTORED: "the holder set new access data",
    Outcome.RETURNED: "the damaged container came back, and the full replacement was issued",
    Outcome.LAPSED: "what was owed never came: the damaged container, a condition met, or access data set; or no"
    " contract was left whose licence could be replaced",
    Outcome.LOST_FOR_EVER: "the watch ended and the original never turned up",
    Outcome.RETIRED: "every measure is confirmed: nothing of what was lost can run any more",
    Outcome.FOUND: "the original turned up: found",
    Outcome.DAMAGED: "the original turned up: damaged",
    Outcome.USED_AFTER_LOSS: "the original turned up: used after its loss",
    Outcome.CLONE: "the original turned up: a clone",
    Outcome.FRAUD: "the original turned up: fraud",
}

HEADINGS = ("reason", "scope", "recovery", "target", "measures", "watch (days)")


def rows() -> list[dict[str, Any]]:
    """One row for each kind, reason and scope that can be reported."""
    return [_row(loss, scope) for loss in LOSSES for scope in loss.scopes]


def _row(loss: Loss, scope: Scope) -> dict[str, Any]:
    return {
        "kind": loss.kind,
        "reason": loss.reason,
        "meaning": loss.meaning,
        "scope": scope,
        "recovery": loss.recovery,
        "target": loss.target(scope),
        "measures": list(loss.measures),
        "aim": loss.aim(scope) if loss.measures else None,
        "watch": loss.watch,
        "watch_days": Rule().watch_days_for(loss),
    }


def diagram() -> str:
    """The life of a case as a Mermaid state diagram."""
    order = [None, *Status]
    several = sorted(TRANSITIONS.items(), key=lambda item: order.index(item[0][0]))
    arrows = [f"    {_state(source)} --> {target}: {trigger}" for (source, trigger), target in several]
    return "\n".join(["stateDiagram-v2", *arrows, "    closed --> [*]"])


def _statuses() -> list[str]:
    """The table of the statuses of a case."""
    lines = ["| status | the case | what is awaited | looks again at | may be decided | cancel | may end |"]
    lines.append("|---|---|---|---|---|---|---|")
    for status, stage in CASE_STAGES.items():
        waits = [f"{_what(wait)}{_by(wait)}" for wait in stage.waits]
        does = stage.does or ("waits" if stage.waits else "is over")
        cells = (
            *(f"`{status}`", does, "; ".join(waits) or "-", _names(stage.alarms), _names(stage.actions)),
            *(stage.cancel, _names(stage.outcomes)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _what(wait: Wait) -> str:
    return wait.what.format(condition="what was asked for", target="what may take the replacement")


def _by(wait: Wait) -> str:
    if wait.by is None:
        return ""
    return f", from {f'who may `{wait.by}`' if isinstance(wait.by, Action) else wait.by}"


def _names(several: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in several) or "-"


def measure_diagram() -> str:
    """The life of a measure as a Mermaid state diagram."""
    arrows = [f"    {state} --> {after}" for state, stage in STAGES.items() for after in stage.follows]
    ends = [f"    {state} --> [*]" for state in STAGES if state not in OPEN]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {FIRST}", *arrows, *ends])


def _state(status: str | None) -> str:
    return "[*]" if status is None else status


def _where(loss: Loss, scope: Scope) -> str:
    """Where the replacement goes."""
    target = loss.target(scope)
    by_code = target is Target.ACTIVATION and Rule().activation_for(loss) is ActivationBy.CODE
    return f"{TARGETS[target]}{', with a one-time code' if by_code else ''}"


def document() -> str:
    """`docs/kinds.md`."""
    lines = ["# What can be lost, and what becomes of it", ""]
    lines += ["Made from the tables that the code goes by; `lostfound kinds --markdown` prints it.", ""]
    lines += [
        "| kind | reason | scope | what the holder gets | where | measures | watch |",
        "|---|---|---|---|---|---|---|",
    ]
    for loss in LOSSES:
        for scope in loss.scopes:
            aimed = f"{', then '.join(loss.measures)} of {AIMS[loss.aim(scope)]}" if loss.measures else "none"
            cells = (
                *(loss.kind, f"`{loss.reason}`: {loss.meaning}", scope, RECOVERIES[loss.recovery]),
                *(_where(loss, scope), aimed, WATCHES[loss.watch]),
            )
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "A rule of the vendor's policy may name other measures, delays and lengths.", ""]
    lines += ["## The life of a case", "", "```mermaid", diagram(), "```", ""]
    staying = ", ".join(f"`{name}`" for name in STAYING)
    lines += [f"Wherever an open case stands, it takes {staying} and stays, where no arrow says otherwise.", ""]
    lines += ["## The statuses of a case", "", *_statuses(), ""]
    lines += [STATUSES_READ, ""]
    lines += ["## The life of a blocking measure", "", "```mermaid", measure_diagram(), "```", ""]
    lines += ["| state | meaning | blocks |", "|---|---|---|"]
    lines += [f"| `{state}` | {one.meaning} | {'yes' if one.blocks else 'no'} |" for state, one in STAGES.items()]
    lines += ["", "A measure that blocks does so from its order on, or a delayed one from its time of effect on.", ""]
    lines += ["## Outcomes", "", "| outcome | meaning |", "|---|---|"]
    lines += [f"| `{outcome}` | {OUTCOMES[outcome]} |" for outcome in Outcome]
    return "\n".join(lines) + "\n"


def _tables() -> Iterator[str | Sheet]:
    """One for each kind; that fits a terminal of 80 columns."""
    for kind in dict.fromkeys(loss.kind for loss in LOSSES):
        table = Sheet(*HEADINGS)
        for row in rows():
            if row["kind"] == kind:
                table.add_row(*_cells(row))
        yield f"kind {kind}"
        yield table


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    words = (row["recovery"].replace("_", " "), row["target"].replace("_", " "))
    return row["reason"], row["scope"], *words, ", ".join(row["measures"]) or "none", str(row["watch_days"])


def register(app: typer.Typer) -> None:
    """Add `kinds` to the program's commands."""

    @app.command("kinds")
    def kinds(
        as_json: Annotated[bool, typer.Option("--json", help="A JSON list, one object a row.")] = False,
        markdown: Annotated[bool, typer.Option("--markdown", help="The page docs/kinds.md.")] = False,
    ) -> None:
        """Show what can be lost how, and what the product does about it."""
        if as_json:
            typer.echo(json.dumps(rows(), indent=2))
        elif markdown:
            typer.echo(document(), nl=False)
        else:
            show(*_tables())
