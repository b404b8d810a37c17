"""The inbox: takes the vendors' statements in."""

from infra.roles import Ready
from infra.settings import Settings
from infra.wiring import open_backend, open_temporal
from portal.cases import TemporalCases
from portal.commands import Doors
from portal.inbox import Inbox


async def run(settings: Settings, ready: Ready) -> None:
    """Take statements in until cancelled."""
    client = await open_temporal(settings)
    async with open_backend(settings) as backend:
        doors = Doors(backend, TemporalCases(client, settings.task_queue))
        await Inbox(settings.bootstrap, doors, settings.hold_seconds).run(ready)
