"""What becomes of a contact, from what the backend knows."""

from datetime import UTC, datetime

from activities.judgement import Judgement, Known, judge
from activities.measures import Standing
from activities.rows import Container, Licence
from events.inbox import ContactStatement
from events.terms import Kind, Measure, MeasureState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WITHDRAWN = Standing("case-1", Measure.WITHDRAWAL, "licence/L-1/1", "3-1", MeasureState.DELIVERED)
BLACKLISTED = Standing("case-1", Measure.BLACKLISTING, "licence/L-1/1", "3-1", MeasureState.ORDERED)


def licence(serial: str, generation: int) -> Licence:
    return Licence(
        licence="L-1",
        generation=generation,
        serial=serial,
        product="cad",
        ticket="T-1",
        value_cents=0,
        lease={},
        issued=NOW,
        expires=None,
        borrowed_until=None,
        ends=None,
        status_index=None,
        lease_stage=None,
        first_issued=NOW,
    )


def contact_of(serial: str) -> Judgement:
    """A container shows the first generation of a licence that was lost from 3-1, and says that it is removed."""
    known = Known(
        vendor="acme",
        container=Container(serial, Kind.DONGLE, "h-1", 0, None, 1, None, 0),
        licences={"L-1": licence("3-2", 2)},
        measures=(WITHDRAWN, BLACKLISTED),
        superseded={},
        activations={},
    )
    presented = [{"licence": "L-1", "generation": 1}]
    stated = ContactStatement.model_validate(
        {"contact": "C-1", "serial": serial, "occurred": NOW, "licences": presented, "confirms": True}
    )
    return judge(known, stated)


def test_the_container_itself_confirms_that_a_licence_was_removed_from_it() -> None:
    judgement = contact_of("3-1")

    assert judgement.confirmed == (WITHDRAWN, BLACKLISTED)


def test_another_container_is_refused_and_told_but_confirms_nothing_for_the_lost_one() -> None:
    judgement = contact_of("3-9")

    assert judgement.refused is not None
    assert judgement.told == (WITHDRAWN, BLACKLISTED)
    assert (judgement.delivered, judgement.confirmed) == ((), ())
