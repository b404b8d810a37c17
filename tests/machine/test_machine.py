"""The nine invariants, on every interleaving that Hypothesis finds: the product in memory against the oracle."""

import os
from typing import Any
from unittest import TestCase

from hypothesis import HealthCheck, settings

from tests.machine.closing import Closing
from tests.machine.faults import Faults
from tests.machine.inventory import Inventory

SOAK = os.environ.get("LOSTFOUND_SOAK") == "1"
RUNS = 10_000
SOAK_PARTS = 20
"""What was tried is remembered until a test ends: all runs in one took five gigabytes."""


class LossMachine(Closing, Faults, Inventory):
    """Says things to the product and to the oracle, and compares."""


def machine(of: type[LossMachine] = LossMachine, **more: Any) -> type[TestCase]:
    """A machine as a test."""
    chosen = settings(
        stateful_step_count=60, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck), **more
    )
    return type("Losses", (of.TestCase,), {"settings": chosen})


if SOAK:  # others every time
    each = {"max_examples": RUNS // SOAK_PARTS, "derandomize": False}
    globals().update({f"TestLosses{part}": machine(**each) for part in range(SOAK_PARTS)})
else:
    TestLosses = machine(max_examples=2 * settings.default.max_examples, derandomize=True)
