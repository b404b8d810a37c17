"""What an operator can ask for: commands about the installation, which concern no vendor, whatever the door.

It stands beside `portal.application` and has its shape: a principal says who asks, parts are handed in, and what cannot
be done is refused with a code and parameters.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from events.backend_facts import RecordSetAside
from events.envelope import INSTALLATION
from events.errors import Code, RefusalError
from events.log_errors import Damage, LogDamagedError, NewerReleaseError
from events.ports.register import Register
from events.principal import Principal
from events.roles import Act, must_be_allowed
from portal.misfits import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.audit import Audit
    from events.log_records import LogRecord, Position
    from projections.rebuild_report import RebuildReport

    Progress = Callable[[int, int], None]
    """Called with the number of records read so far, and of those to read."""

OUTBOX = "outbox/"
"""What the place of a fact begins with that the log did not take."""
ENTRIES_READ = 10_000


class InstallationParts(Protocol):
    """What an operator's commands stand on. Nothing of it is open before it is asked."""

    @property
    def register(self) -> Register:
        """The register of what is set aside."""

    async def audit(self, until: datetime | None, progress: "Progress") -> "Audit":
        """Judge the log by itself, as `audit.audit.audit` does."""

    async def rebuild_views(self, progress: "Progress") -> "RebuildReport":
        """Fold the views anew and switch to them, as `projections.rebuild.rebuild` does; `RefusalError` where another
        rebuild is under way."""

    async def examine(self, position: "Position") -> "tuple[LogRecord, LogDamagedError]":
        """The record at a position and what is wrong with it, as `projections.log_repair.examine` does."""

    async def set_record_aside(self, fact: RecordSetAside, at: datetime) -> None:
        """State that a record is set aside."""


class Operator:
    """Everything that an operator can ask for. Raises `events.errors.RefusalError` for what cannot be done; a
    connection's errors mean that a service is away."""

    def __init__(self, parts: InstallationParts) -> None:
        self._parts = parts

    async def audit(self, principal: Principal, until: datetime | None, progress: "Progress") -> "Audit":
        """What the log alone shows; what only shows after `until` is left out."""
        _must_operate(principal, Act.AUDIT)
        try:
            return await self._parts.audit(until, progress)
        except NewerReleaseError as newer:
            raise RefusalError(newer.code, str(newer), **newer.parameters) from newer

    async def rebuild_views(self, principal: Principal, progress: "Progress") -> "RebuildReport":
        """Fold the whole log anew beside the views in use, compare them, and switch. What the log had lost of its end
        is not in the views any more, so the projectors go on."""
        _must_operate(principal, Act.RUN_INSTALLATION)
        try:
            report = await self._parts.rebuild_views(progress)
        except LogDamagedError as damage:
            raise RefusalError(Code.LOG_DAMAGED, str(damage), **damage.parameters) from damage
        except NewerReleaseError as newer:
            raise RefusalError(newer.code, str(newer), **newer.parameters) from newer
        register = self._parts.register
        lost = [entry.place for entry in await register.entries(ENTRIES_READ) if entry.code == Damage.SHORTER]
        if lost:
            await register.remove(*lost)
        return report

    async def retry_outbox(self, principal: Principal, key: str | None) -> Sequence[str]:
        """Have facts tried again that the log did not take, of one key or of all; the keys that were set aside."""
        _must_operate(principal, Act.RUN_INSTALLATION)
        register = self._parts.register
        keys = [
            entry.place.removeprefix(OUTBOX)
            for entry in await register.entries(ENTRIES_READ)
            if entry.place.startswith(OUTBOX) and key in (None, entry.place.removeprefix(OUTBOX))
        ]
        if key is not None and not keys:
            raise RefusalError(Code.NOT_SET_ASIDE, f"no fact of the key {key} is set aside", key=key)
        await register.remove(*(f"{OUTBOX}{one}" for one in keys))
        return keys

    async def set_record_aside(
        self, principal: Principal, position: "Position", why: str, at: datetime
    ) -> RecordSetAside:
        """Set a record of the log aside that cannot be read or does not fit its stream, so that its partition goes on
        after it. This is itself recorded, for ever. A record that is sound is refused."""
        _must_operate(principal, Act.RUN_INSTALLATION)
        if not why.strip():
            raise RefusalError(Code.INVALID_DATA, "why must say how the record came there, as far as known")
        record, damage = await self._parts.examine(position)
        place = {"partition": position.partition, "offset": position.offset}
        said = {"digest": sha256(record.value or b"").hexdigest(), "code": damage.code, "why": why}
        try:
            fact = RecordSetAside.model_validate({**place, **said, "by": principal.subject})
        except ValidationError as error:
            raise invalid(error, RecordSetAside) from None
        await self._parts.set_record_aside(fact, at)
        return fact


def _must_operate(principal: Principal, act: Act) -> None:
    """Refuse whoever has no such role, or has it for one vendor only: what is asked for concerns all of them."""
    must_be_allowed(principal.roles, act)
    if principal.vendor != INSTALLATION:
        raise RefusalError(
            Code.ROLE_MISSING,
            f"a role of vendor {principal.vendor} does not do to {act.value}; that needs one of the installation",
            vendor=principal.vendor,
            act=act.value,
        )
