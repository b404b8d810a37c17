"""An operator's commands are asked as every door asks, and refused with a code and the values that it is about."""

from datetime import UTC, datetime

import pytest

from events.backend_facts import RecordSetAside
from events.envelope import INSTALLATION, UnknownRecord
from events.errors import Code, RefusalError
from events.log_errors import Damage, LogDamagedError, NewerReleaseError
from events.log_records import LogRecord, Position
from events.ports.register import SetAside
from events.principal import Principal, PrincipalRole
from events.terms import VendorId
from portal.cli.terminal import operator_of
from portal.operator import Operator

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOST_END = "lostfound.log/3"
PLACE = Position(3, 991)
DAMAGE = LogDamagedError(Damage.WRONG_KEY, PLACE, "acme/container/3-1", "it stands under another key", "ab")
NEWER = NewerReleaseError(PLACE, UnknownRecord(VendorId("acme"), "container/3-1", 2, b"", b"", "sold.v1", "0.9.0"))


class Parts:
    """An installation of which a register and one wrong record are known."""

    def __init__(self, *places: str, error: Exception | None = None) -> None:
        self.error = error
        self.places = list(places)
        self.recorded: list[RecordSetAside] = []

    @property
    def register(self) -> "Parts":
        return self

    async def entries(self, limit: int = 100) -> list[SetAside]:
        codes = (
            Damage.SHORTER if place.count("/") == 1 and place.startswith("lostfound.log") else "x"
            for place in self.places
        )
        return [SetAside("acme", place, code, "it is", NOW) for place, code in zip(self.places, codes, strict=True)]

    async def remove(self, *places: str) -> None:
        self.places = [one for one in self.places if one not in places]

    async def audit(self, until: object, progress: object) -> str:
        return await self.rebuild_views(progress)

    async def rebuild_views(self, progress: object) -> str:
        if self.error:
            raise self.error
        return "done"

    async def examine(self, position: Position) -> tuple[LogRecord, LogDamagedError]:
        return LogRecord(position, b"key", b"value"), DAMAGE

    async def set_record_aside(self, fact: RecordSetAside, at: datetime) -> None:
        self.recorded.append(fact)


async def test_who_has_a_role_with_one_vendor_only_operates_nothing() -> None:
    administrator = Principal(
        vendor="acme", subject="ann", roles=(PrincipalRole.ADMINISTRATOR, PrincipalRole.AUDITOR), door="a test"
    )

    for asked in (
        Operator(Parts()).audit(administrator, None, nothing),
        Operator(Parts()).rebuild_views(administrator, nothing),
        Operator(Parts()).retry_outbox(administrator, None),
        Operator(Parts()).set_record_aside(administrator, PLACE, "a test", NOW),
    ):
        with pytest.raises(RefusalError, match="needs one of the installation") as refused:
            await asked
        assert refused.value.code == Code.ROLE_MISSING


def nothing(done: int, of: int) -> None:
    """Nobody looks on."""


def test_an_operator_is_of_no_vendor() -> None:
    assert operator_of(by="ops") == Principal(
        vendor=INSTALLATION, subject="ops", roles=(PrincipalRole.ADMINISTRATOR,), door="command line"
    )


@pytest.mark.parametrize(
    ("error", "code", "known"),
    [
        (DAMAGE, Code.LOG_DAMAGED, {"log_code": "log_wrong_key", "stream": "acme/container/3-1"}),
        (NEWER, Code.NEWER_RELEASE, {"release": "0.9.0", "type": "sold.v1"}),
    ],
)
async def test_a_log_that_cannot_be_folded_is_refused_with_its_place(
    error: Exception, code: Code, known: dict[str, str]
) -> None:
    with pytest.raises(RefusalError) as refused:
        await Operator(Parts(error=error)).rebuild_views(operator_of(), nothing)

    assert (refused.value.code, str(refused.value)) == (code, str(error))
    assert refused.value.parameters.items() >= {"partition": 3, "offset": 991, **known}.items()


async def test_a_rebuild_forgets_the_lost_ends_and_nothing_else() -> None:
    parts = Parts(LOST_END, "lostfound.log/3/991", "outbox/acme/3-1")

    assert await Operator(parts).rebuild_views(operator_of(), nothing) == "done"
    assert parts.places == ["lostfound.log/3/991", "outbox/acme/3-1"]


async def test_only_facts_of_the_outbox_are_tried_again() -> None:
    parts = Parts("lostfound.log/3/991", "outbox/acme/3-1", "outbox/acme/3-2")
    operator, who = Operator(parts), operator_of()

    with pytest.raises(RefusalError, match="no fact of the key acme/3-9 is set aside") as refused:
        await operator.retry_outbox(who, "acme/3-9")
    assert (refused.value.code, refused.value.parameters) == (Code.NOT_SET_ASIDE, {"key": "acme/3-9"})
    assert await operator.retry_outbox(who, "acme/3-2") == ["acme/3-2"]
    assert await operator.retry_outbox(who, None) == ["acme/3-1"]
    assert parts.places == ["lostfound.log/3/991"]


async def test_who_sets_a_record_aside_is_the_principal() -> None:
    parts = Parts()
    operator = Operator(parts)

    with pytest.raises(RefusalError, match="why must say"):
        await operator.set_record_aside(operator_of(by="ops"), PLACE, " ", NOW)
    fact = await operator.set_record_aside(operator_of(by="ops"), PLACE, "a test of the broker", NOW)

    assert parts.recorded == [fact]
    assert (fact.partition, fact.offset, fact.by, fact.code) == (3, 991, "ops", Damage.WRONG_KEY)
