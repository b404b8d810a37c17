"""The durable round over leases: a schedule starts it, and it states what leases have come to run out meanwhile.

It looks only at leases whose next time has come, by an index of the backend, however many licences there are.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from events.ports.case_activities import CaseActivities, SweepOrder

LIMIT = 500
ROUNDS = 200
"""So many leases are looked through in one go, and so many goes make a round; the next round goes on from there."""


@workflow.defn(name="LeaseSweep")
class LeaseSweep:
    """One round over the leases."""

    @workflow.run
    async def run(self) -> int:
        leases = 0
        for _ in range(ROUNDS):
            swept = await workflow.execute_activity_method(
                CaseActivities.sweep_leases,
                SweepOrder(limit=LIMIT),
                start_to_close_timeout=timedelta(seconds=60),
                heartbeat_timeout=timedelta(seconds=15),
                retry_policy=RetryPolicy(maximum_interval=timedelta(seconds=10)),
            )
            leases += swept.leases
            if swept.leases < LIMIT:
                break
        return leases
