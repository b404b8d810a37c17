"""The command that says what can be done on a machine, before a loss is reported."""

from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from events.errors import Code, RefusalError
from events.fingerprint import BoundedFingerprint
from events.ports.licensing_backend import Advice, Triage
from events.principal import PrincipalRole
from events.terms import Serial
from portal.cli.terminal import AsJson, OfVendor, Opened, principal_of, print_json, refusals, run, tell, vendor_named

FINGERPRINT = TypeAdapter(BoundedFingerprint)
WHY = {
    "fingerprint_mismatch": "this is not the machine that {serial} is bound to",
    "superseded": "{serial} was bound to another machine since",
    "returned": "the activation of {serial} was given back",
}
SETTLE = {
    "blocked": "{serial} is blocked for case {cases}. Do you have it again? Then say that it was found",
    "machine_stolen": "case {cases} calls this machine stolen. Do you have it again? Then say that it was found",
    "fingerprint_mismatch": "case {cases} waits for the known machine of {serial}, and this is another one",
}


def register(app: typer.Typer, opened: Opened) -> None:
    """Add `triage` to the program's commands."""

    @app.command("triage")
    def triage(
        serial: Annotated[str, typer.Argument(help="The act container.")],
        factor: Annotated[
            list[str], typer.Option("--factor", help="What the machine shows, as NAME=VALUE; may be given again.")
        ],
        by: Annotated[str, typer.Option(help="Who asks: a back-office system, or the holder.")] = "command-line",
        role: Annotated[PrincipalRole, typer.Option(help="In which role.")] = PrincipalRole.BACK_OFFICE,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Say what can be done on a machine before a loss is reported: to activate again may be enough."""
        with refusals():
            shown = _fingerprint(factor)
            principal = principal_of(vendor_named(opened, vendor), role, by)
            found = run(opened, lambda application: application.triage(principal, Serial(serial), shown))
            must_name_what_is_known(serial, shown, found)
            print_json(found) if as_json else tell(in_words(serial, found))


def must_name_what_is_known(serial: str, shown: Mapping[str, str], found: Triage) -> None:
    """Refuse to advise a report where none of the known factors was shown: a name was mistyped. Names are no secret,
    and values are."""
    known = sorted({*found.same, *found.changed})
    if found.advice is Advice.REPORT and known and not shown.keys() & set(known):
        sentence = f"none of the factors that are known of {serial} was shown; they are called {', '.join(known)}"
        raise RefusalError(Code.INVALID_DATA, sentence, serial=serial, factors=", ".join(known))


def in_words(serial: str, found: Triage) -> str:
    """What to do, and why, for whoever sits at the machine."""
    known = {"serial": serial, "cases": ", ".join(found.cases)}
    match found.advice:
        case Advice.ACTIVATE if found.code:
            advice = (
                f"Activate {serial} on this machine with the one-time code: case {known['cases']} waits for it."
                f" `lostfound activation code {serial}` prints it."
            )
        case Advice.ACTIVATE:
            advice = f"Activate {serial} again on this machine; nothing needs to be reported."
        case Advice.REPORT:
            advice = (
                f"Report a loss with the reason {found.reason}: {WHY[found.code or ''].format(**known)}."
                f" `lostfound report {serial} --kind act --reason {found.reason}` does."
            )
        case Advice.SETTLE:
            advice = f"Report nothing more: {SETTLE[found.code or ''].format(**known)}."
        case Advice.RENEW:
            advice = (
                f"Report nothing: the contract of a licence in {serial} has ended, and has to be renewed. What else is"
                " in it can be activated on this machine."
            )
    return f"{advice}\n{_factors(found)}" if found.same or found.changed else advice


def _factors(found: Triage) -> str:
    """How the machine differs from the one that the container is bound to."""
    if not found.changed:
        return "All that is known of the machine is as it was."
    changed = f"other than on the known machine, or not shown: {', '.join(found.changed)}"
    same = ", ".join(found.same)
    return f"As on the known machine: {same}; {changed}." if same else f"{changed[0].upper()}{changed[1:]}."


def _fingerprint(factors: list[str]) -> dict[str, str]:
    """The fingerprint that was typed."""
    shown = dict(one.partition("=")[::2] for one in factors)
    if len(shown) != len(factors):
        raise RefusalError(Code.INVALID_DATA, "a factor was given twice; give each once, as --factor NAME=VALUE")
    try:
        if all(shown.values()):
            return FINGERPRINT.validate_python(shown)
    except ValidationError:
        pass
    raise RefusalError(
        Code.INVALID_DATA, "a factor is typed as NAME=VALUE, such as --factor board=b-77, with neither of them empty"
    )
