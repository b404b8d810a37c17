"""What a repeated statement of the inventory must agree with, and which revision counts."""

from datetime import timedelta

import pytest

from activities.licensing.inventory_rules import (
    ended,
    fields_of,
    is_news,
    must_agree,
    must_be_pseudonym,
    unknown_vendor,
)
from events.errors import Code, NotYetKnownError, RefusalError
from events.statements import ContainerStatement, LicenceEndStatement, LicenceStatement
from events.terms import Kind, VendorId
from tests.unit.contacts import licence
from tests.unit.facts import NOW

CONTAINER = ContainerStatement(serial="3-1", kind=Kind.DONGLE, holder="h-1")
LICENCE = LicenceStatement(licence="L-1", serial="3-1", product="cad", ticket="T-1", issued=NOW)


@pytest.mark.parametrize(
    ("first", "again", "what", "fields"),
    [
        (CONTAINER, CONTAINER.model_copy(update={"holder": "h-2"}), "container 3-1", "holder"),
        (LICENCE, LICENCE.model_copy(update={"ticket": "T-2", "product": "cam"}), "licence L-1", "product, ticket"),
    ],
)
def test_a_statement_that_says_something_else_is_refused_with_the_fields_that_differ(
    first: ContainerStatement | LicenceStatement,
    again: ContainerStatement | LicenceStatement,
    what: str,
    fields: str,
) -> None:
    known = fields_of(first)

    assert known.keys() == type(first).model_fields.keys()
    must_agree(known, first)
    must_agree({}, again)
    with pytest.raises(RefusalError) as refusal:
        must_agree(known, again)
    assert refusal.value.code is Code.CONTRADICTS_INVENTORY
    assert str(refusal.value).startswith(f"{what} was stated before with another ")
    assert refusal.value.parameters["what"] == what
    assert set(str(refusal.value.parameters["fields"]).split(", ")) == set(fields.split(", "))


def test_a_holder_who_is_called_by_an_address_is_refused_without_repeating_it() -> None:
    must_be_pseudonym(CONTAINER)
    with pytest.raises(RefusalError, match="the vendor's own pseudonym") as refusal:
        must_be_pseudonym(CONTAINER.model_copy(update={"holder": "ann@example.com"}))
    assert (refusal.value.code, refusal.value.parameters) == (Code.HOLDER_IS_AN_ADDRESS, {"serial": "3-1"})
    assert "ann" not in str(refusal.value)


def test_a_vendor_that_is_unknown_may_be_added() -> None:
    refusal = unknown_vendor(VendorId("acme"))

    assert isinstance(refusal, NotYetKnownError)
    assert str(refusal) == "vendor acme is unknown here"
    assert (refusal.code, refusal.parameters) == (Code.UNKNOWN_VENDOR, {"vendor": "acme"})


END = LicenceEndStatement(licence="L-1", revision=3, ended=NOW)


@pytest.mark.parametrize(("revision", "news"), [(2, False), (3, False), (4, True)])
def test_only_a_later_revision_is_news(revision: int, news: bool) -> None:
    said = END.model_copy(update={"revision": revision})

    assert is_news(END, said) is news
    assert is_news(None, said)


def test_a_revision_that_says_something_else_than_before_is_refused_with_what_differs() -> None:
    with pytest.raises(RefusalError) as refusal:
        is_news(END, END.model_copy(update={"ended": NOW - timedelta(days=1)}))

    assert refusal.value.code is Code.CONTRADICTS_INVENTORY
    assert refusal.value.parameters == {
        "what": "licence/L-1",
        "fields": "ended",
        "revision": 3,
        "name": "licence.ended",
    }


def test_a_contract_ends_no_later_than_now() -> None:
    over, fact = ended(licence("3-1", 2), END, NOW)

    assert (over.ended, fact.generation, fact.serial, fact.revision) == (NOW, 2, "3-1", 3)
    with pytest.raises(NotYetKnownError) as refusal:
        ended(licence("3-1", 2), END, NOW - timedelta(seconds=1))
    assert refusal.value.code is Code.LIES_AHEAD
