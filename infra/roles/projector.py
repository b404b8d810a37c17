"""The projector: folds the log into the views."""

from activities.register import PostgresRegister
from infra.facts import fact_codec
from infra.roles import Ready
from infra.settings import Driver, Settings


async def run(settings: Settings, ready: Ready) -> None:
    """Fold until cancelled, by the driver that is set; the other one is not loaded."""
    register, codec = PostgresRegister(settings.dsn), fact_codec()
    if settings.projector is Driver.PLAIN:
        from projections.drivers.consumer import run_plain

        await run_plain(settings.bootstrap, settings.dsn, codec, ready, register)
    else:
        from projections.drivers.faust import run_live

        await run_live(settings.bootstrap, settings.dsn, codec, ready, register, settings.data_dir)
