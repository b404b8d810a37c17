"""The version of the product's own rules. A case keeps the version that it was opened under, as it keeps its policy's:
docs/changing-a-rule.md says how a rule is changed."""

from collections.abc import Mapping
from typing import Final, TypeVar

Rule = TypeVar("Rule")

RULES_VERSION: Final = 2
"""The rules that cases are opened under from now on. It is raised with every change of what a case does or states.

Version 2: what happens while a case is stuck takes effect when it is resumed, and what is found before anything was
issued cancels it; a case that was overtaken goes to a person before its full replacement too; an un-loss whose
replacement is lost is not resumed; evidence given while a case was stuck counts; the quotas of all rules for a loss are
asked, whatever else sends a case to a person; what the backend answers again takes effect no earlier than the last fact
of the case."""


def as_of(version: int, changes: Mapping[int, Rule]) -> Rule:
    """What a rule says for cases of a version; `changes` has each of its wordings by the version that brought it."""
    return changes[max(since for since in changes if since <= version)]
