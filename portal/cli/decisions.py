"""The commands by which a supervisor decides on a case.

A decision names the last material fact that it was made on, `--on N`, and is refused when there is a newer one. Without
`--on` it is made on what the views show now, and that number is printed.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer
from pydantic import ValidationError

from events.errors import Code, RefusalError
from events.ports.loss_cases import DecisionContent, DecisionTaken
from events.principal import PrincipalRole
from events.terms import Action, CaseId, VendorId, Verdict
from portal.cli.terminal import (
    AsJson,
    OfVendor,
    Opened,
    ask,
    principal_of,
    print_json,
    refusals,
    run,
    shortened,
    vendor_named,
)
from portal.misfits import invalid

if TYPE_CHECKING:
    from portal.application import Application

By = Annotated[str, typer.Option("--by", help="The supervisor who decides.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the history.")]
DecisionName = Annotated[
    str | None, typer.Option("--decision", help="A number of your own: the same number is the same decision.")
]
On = Annotated[
    int | None,
    typer.Option(
        "--on", min=1, help="The number of the last material fact that you decide on; the newest, if not given."
    ),
]

PATIENCE_SECONDS = 3.0
STILL_WAITING = "The case has not answered yet; it is waited for, for half a minute at most."
TYPED = {name: f"--{name}" for name in ("why", "decision", "on", "goodwill", "condition", "reinstate")}
TYPED["condition_days"] = "--days"

PLAIN = {
    Action.REJECT: "Reject a case that waits for a supervisor.",
    Action.MEET: "Say that the condition of an approval is met: the full replacement is issued.",
    Action.CANCEL: "Cancel a case before its replacement is begun: the loss is none.",
    Action.RESUME: "Have a stuck case try again what failed.",
    Action.GIVE_UP: "Give a stuck case up; its measures are lifted.",
}


def register(app: typer.Typer, opened: Opened) -> None:
    """Add the commands to the group `case`."""

    def decide(case: str, on: int | None, vendor: str | None, as_json: bool, by: str, **fields: Any) -> None:
        with refusals():
            named = vendor_named(opened, vendor)
            number = on or _newest(opened, named, CaseId(case))
            principal = principal_of(named, PrincipalRole.SUPERVISOR, by)
            content = _content(on=number, **fields)

            async def decided(application: "Application") -> DecisionTaken:
                with patience():
                    taken = await application.decide(principal, CaseId(case), content)
                await application.wait_for(
                    named, taken.position
                )  # so that the next command shows it, and decides on it
                return taken

            taken = run(opened, decided)
            if as_json:
                print_json(taken)
                return
            typer.echo(f"Decision {taken.decision}, on fact {taken.on}, is taken; the case is now at {taken.status}.")

    @app.command("approve")
    def approve(
        case: str,
        by: By,
        why: Why = "",
        goodwill: Annotated[bool, typer.Option("--goodwill", help="Beyond the quota; needs a reason.")] = False,
        condition: Annotated[
            str | None, typer.Option(help="What must still be met; until then there is a stop-gap.")
        ] = None,
        days: Annotated[int | None, typer.Option(help="How long the stop-gap of a condition runs.")] = None,
        on: On = None,
        decision: DecisionName = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Approve a case that waits for a supervisor."""
        more = {"goodwill": goodwill, "condition": condition, "condition_days": days}
        decide(case, on, vendor, as_json, by, action=Action.APPROVE, why=why, decision=decision, **more)

    @app.command("ask")
    def ask_evidence(
        case: str,
        evidence: Annotated[list[str], typer.Argument(help="What must be shown, such as police_report.")],
        by: By,
        why: Why = "",
        on: On = None,
        decision: DecisionName = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Ask for evidence before deciding; `lostfound evidence` gives it."""
        fields = {"action": Action.ASK, "why": why, "decision": decision}
        decide(case, on, vendor, as_json, by, **fields, evidence=evidence)

    @app.command("verdict")
    def verdict(
        case: str,
        verdict: Verdict,
        by: By,
        why: Why = "",
        reinstate: Annotated[
            bool,
            typer.Option("--reinstate", help="With found: once the replacement is withdrawn, the original is good."),
        ] = False,
        on: On = None,
        decision: DecisionName = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Rule on a container that resurfaced; unless it is reinstated, this closes the case."""
        fields = {"action": Action.RULE, "why": why, "decision": decision}
        decide(case, on, vendor, as_json, by, **fields, verdict=verdict, reinstate=reinstate)

    def plain(action: Action) -> Callable[..., None]:
        def command(
            case: str,
            by: By,
            why: Why = "",
            on: On = None,
            decision: DecisionName = None,
            vendor: OfVendor = None,
            as_json: AsJson = False,
        ) -> None:
            decide(case, on, vendor, as_json, by, action=action, why=why, decision=decision)

        return command

    for action, help_text in PLAIN.items():
        app.command(action.replace("_", "-"), help=help_text)(plain(action))


@contextmanager
def patience(seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Say that nothing hangs, where an answer takes longer than that."""
    word = asyncio.get_running_loop().call_later(seconds, lambda: typer.echo(STILL_WAITING, err=True))
    try:
        yield
    finally:
        word.cancel()


def _newest(opened: Opened, vendor: VendorId, case: CaseId) -> int:
    """The number of the case's last material fact, as the views have it."""
    found = ask(opened, lambda views: views.line(vendor, case))
    if found is None:
        raise RefusalError(Code.UNKNOWN_CASE, f"no case {shortened(case)} is known", case=case)
    return found.material


def _content(decision: str | None, **fields: Any) -> DecisionContent:
    try:
        return DecisionContent.model_validate({"decision": decision or str(uuid4()), **fields})
    except ValidationError as error:
        raise invalid(error, DecisionContent, TYPED) from None
