"""What is typed as the value of an option or argument and cannot be: one sentence that says what it must be."""

from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from portal.codes import WRONGLY_TYPED
from portal.misfits import misfit_of_value

NUMBERS = {"int": "integer", "float": "number"}


class PlainGroup(TyperGroup):
    """The program's commands; a value that cannot be ends with exit code 2 and a sentence, as every refusal does."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if not error.message:  # nothing was given, which Typer says itself
                raise
            typer.echo(sentence_of(error), err=True)
            raise typer.Exit(WRONGLY_TYPED) from None


def sentence_of(error: typer.BadParameter) -> str:
    """What is wrong with a value."""
    cause, parameter = error.__cause__, error.param
    if not isinstance(cause, ValidationError) or parameter is None:
        return f"{error.message}"
    name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
    wanted, given = _schema(parameter.type_descriptor), cause.errors()[0]["input"]
    return misfit_of_value(name, wanted, _number(given) if "type" in wanted else given)


def _number(given: Any) -> Any:
    """What was typed, as a number where it is one."""
    try:
        return float(given) if "." in given else int(given)
    except ValueError:
        return given


def _schema(described: Any) -> dict[str, Any]:
    """What a parameter takes, as JSON Schema."""
    if described.is_choice:
        return {"enum": [str(one) for one in described.choices]}
    bounds = {"minimum": described.parameter_info.min, "maximum": described.parameter_info.max}
    kind = NUMBERS.get(getattr(described.annotation, "__name__", ""), "")
    return {"type": kind} | {name: bound for name, bound in bounds.items() if bound is not None}
