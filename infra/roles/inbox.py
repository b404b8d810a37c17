"""The inbox: takes the vendors' statements in."""

from activities.register import PostgresRegister
from events.terms import VendorId
from events.topics import vendor_specs
from infra.roles import Ready
from infra.settings import Settings
from infra.topics import make_topics
from infra.wiring import open_backend, open_parking
from portal.commands import Doors
from portal.dead_letters import DeadLetters
from portal.inbox import Inbox


async def run(settings: Settings, ready: Ready) -> None:
    """Take statements in until cancelled."""

    async def make_again(vendor: VendorId) -> None:
        await make_topics(settings, vendor_specs(vendor, settings.replication_factor))

    async with open_backend(settings, patient=False) as backend, open_parking(settings) as parking:
        dead_letters = DeadLetters(settings.bootstrap, make_again, PostgresRegister(settings.dsn))
        await Inbox(settings.bootstrap, Doors(backend), parking, dead_letters, settings.hold_seconds).run(ready)
