"""A case is under rules that its worker knows; what it believes and what was appended is compared in `test_digest`."""

import pytest

from events.rules import RULES_VERSION
from events.terms import CaseId
from workflows.divergence import DivergenceError, must_know_rules

CASE = CaseId("c-1")


def test_a_case_under_newer_rules_waits_for_a_worker_that_knows_them() -> None:
    must_know_rules(CASE, 1)
    must_know_rules(CASE, RULES_VERSION)
    with pytest.raises(DivergenceError) as refused:
        must_know_rules(CASE, RULES_VERSION + 1)

    assert str(refused.value) == (
        f"case c-1 is under version {RULES_VERSION + 1} of the rules, and this release knows {RULES_VERSION}:"
        " run a worker of the newer release"
    )
