"""The inbox: takes the vendors' statements in."""

from activities.register import PostgresRegister
from events.terms import VendorId
from events.topics import vendor_specs
from infra.parts import open_application
from infra.roles import Ready
from infra.settings import Settings
from infra.topic_provisioning import make_topics
from infra.wiring import open_parking
from portal.inbox.consumer import Inbox
from portal.inbox.dead_letters import DeadLetters


async def run(settings: Settings, ready: Ready) -> None:
    """Take statements in until cancelled."""

    async def make_again(vendor: VendorId) -> None:
        await make_topics(settings, vendor_specs(vendor, settings.replication_factor))

    async with open_application(settings, patient=False) as application, open_parking(settings) as parking:
        dead_letters = DeadLetters(settings.bootstrap, make_again, PostgresRegister(settings.dsn))
        await Inbox(settings.bootstrap, application, parking, dead_letters, settings.hold_seconds).run(ready)
