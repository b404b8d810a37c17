"""Who is entrusted with what: the product in memory against the oracle, on every interleaving that Hypothesis finds."""

from hypothesis import HealthCheck, settings

from tests.machine.delegations import Delegations

TestDelegations = Delegations.TestCase
TestDelegations.settings = settings(
    stateful_step_count=30, deadline=None, derandomize=True, print_blob=True, suppress_health_check=list(HealthCheck)
)
