"""Divergence: what a running case believes is not what its facts in the log say. Pure.

A case whose rules were changed under it works out again, from its history, other facts than it appended. Nothing is
done on such facts: the workflow task fails, again and again, until a release that agrees with the log goes on.
"""

from collections.abc import Sequence

from pydantic import BaseModel, TypeAdapter, ValidationError

from events import rules
from events.digest import Dated, Digest, difference, value_difference
from events.ports.loss_cases import Message
from events.terms import CaseId

MESSAGES = TypeAdapter(tuple[Message, ...])
WHAT_TO_DO = "no rule may change under a running case (docs/changing-a-rule.md): run a release that agrees with the log"


class DivergenceError(Exception):
    """A case believes something else than it appended. The message names the case, the number of the fact and its
    fields, and no values."""


def must_know_rules(case: CaseId, version: int) -> None:
    """Raise `DivergenceError` for a case that is under newer rules than this release has: a newer worker goes on."""
    if version > rules.RULES_VERSION:
        raise DivergenceError(
            f"case {case} is under version {version} of the rules, and this release knows {rules.RULES_VERSION}: run a"
            " worker of the newer release"
        )


def must_read(case: CaseId, messages: Sequence[object]) -> tuple[Message, ...]:
    """The messages to a case. Raises `DivergenceError` for what only a later release knows: a newer worker goes on."""
    try:
        return MESSAGES.validate_python(messages)
    except ValidationError as error:
        places = {".".join(map(str, one["loc"])) for one in error.errors(include_input=False, include_url=False)}
        raise DivergenceError(
            f"case {case} was sent a message that this release cannot read ({', '.join(sorted(places))}): run a worker"
            " of the release that sent it"
        ) from error


def must_agree(case: CaseId, sequence: int, facts: Sequence[Dated], appended: Digest | None) -> None:
    """Raise `DivergenceError` unless these facts, from this number on, are what was appended. What a release appended
    that made no digests cannot be compared."""
    if appended is None:
        return
    if found := difference(appended, sequence, facts):
        fields = ", ".join(found.fields)
        raise DivergenceError(
            f"case {case} believes something else than the log says: fact {found.sequence} ({found.type}) differs in"
            f" {fields}; {WHAT_TO_DO}"
        )


def must_be_as_carried(case: CaseId, sequence: int, state: BaseModel, carried: Digest | None) -> None:
    """Raise `DivergenceError` unless a state, after the fact of this number, is what was carried into this history."""
    if carried is None:
        return
    if fields := value_difference(carried, state):
        raise DivergenceError(
            f"case {case} does not read what it carried into a new history as it was: its state after fact {sequence}"
            f" differs in {', '.join(fields)}; {WHAT_TO_DO}"
        )
