"""An answer says where what it wrote stands: so whoever asked waits for that, and for nobody else's facts."""

from events.statements import ContactStatement, ContainerStatement
from events.stream_position import StreamPosition
from events.terms import Contact, Kind
from tests.contract.stock import NOW, Stock


def at(sequence: int) -> StreamPosition:
    return StreamPosition("container/D-1", sequence)


async def test_each_answer_says_where_its_own_facts_stand(stock: Stock) -> None:
    first = ContainerStatement(serial="D-1", kind=Kind.DONGLE, holder="h-1")
    contact = ContactStatement(contact="C-1", serial="D-1", occurred=NOW, how=Contact.CHECK_IN)

    registered = await stock.backend.register_container(stock.vendor, first, NOW)
    answer = await stock.backend.contact(stock.vendor, contact, NOW)
    again = await stock.backend.register_container(stock.vendor, first, NOW)

    assert (registered, answer.position, again) == (at(1), at(2), at(2))


async def test_a_policy_that_is_adopted_stands_after_what_was_before(stock: Stock) -> None:
    before = await stock.backend.adopt_policy(stock.vendor, {"supervisors": ["ann"], "rules": [{}]}, NOW)
    same = await stock.backend.adopt_policy(stock.vendor, {"supervisors": ["ann"], "rules": [{}]}, NOW)
    after = await stock.backend.adopt_policy(stock.vendor, {"supervisors": ["bob"], "rules": [{}]}, NOW)

    assert same == before
    assert (after.version, after.position.stream) == (before.version + 1, "vendor")
    assert after.position.sequence == before.position.sequence + 1
