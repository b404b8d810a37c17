"""What a repeated statement of the inventory must agree with, and what later ones make of containers and licences: pure
functions."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from activities.licensing.containers import Licence, LostLicence
from activities.licensing.replacement import left_of
from events.backend_facts import LicenceChanged, LicenceEnded
from events.errors import Code, NotYetKnownError, RefusalError
from events.statements import (
    ContainerStatement,
    InventoryChange,
    LicenceChangeStatement,
    LicenceEndStatement,
    LicenceStatement,
)
from events.terms import LicenceId, VendorId


def must_agree(first: Mapping[str, object], again: ContainerStatement | LicenceStatement) -> None:
    """Refuse a statement that says something else than the first one of its subject; `first` holds the fields of that,
    as far as they are known. Whatever became of the subject since changes nothing about what was said."""
    differing = [name for name, value in first.items() if getattr(again, name) != value]
    if differing:
        named = f"licence {again.licence}" if isinstance(again, LicenceStatement) else f"container {again.serial}"
        raise RefusalError(
            Code.CONTRADICTS_INVENTORY,
            f"{named} was stated before with another {', '.join(differing)}; state it again as it was, or another one"
            " under another name",
            what=named,
            fields=", ".join(differing),
        )


def must_be_pseudonym(statement: ContainerStatement) -> None:
    """Refuse a holder who is new here and is called by an e-mail address: facts are kept for ever, and the address of a
    person is none that must be. It is not in the answer either."""
    if "@" in statement.holder:
        raise RefusalError(
            Code.HOLDER_IS_AN_ADDRESS,
            f"the holder of container {statement.serial} is called by an address; state the vendor's own pseudonym,"
            " such as a customer number, which has no @ in it",
            serial=statement.serial,
        )


def fields_of(statement: ContainerStatement | LicenceStatement) -> dict[str, object]:
    """What a statement says, field by field."""
    return {name: getattr(statement, name) for name in type(statement).model_fields}


def unknown_vendor(vendor: VendorId) -> NotYetKnownError:
    """The answer for a vendor that was not taken in."""
    return NotYetKnownError(Code.UNKNOWN_VENDOR, f"vendor {vendor} is unknown here", vendor=vendor)


def is_news(latest: InventoryChange | None, statement: InventoryChange) -> bool:
    """Whether a statement is of a later revision than the `latest` of its thing and type. One that comes late, and the
    latest again, change nothing; `RefusalError` where that says something else than it said before."""
    if latest is None or statement.revision > latest.revision:
        return True
    if statement.revision == latest.revision and statement != latest:
        differing = ", ".join(
            name for name in type(statement).model_fields if getattr(statement, name) != getattr(latest, name)
        )
        raise RefusalError(
            Code.CONTRADICTS_INVENTORY,
            f"revision {statement.revision} of {statement.name} of {statement.thing} was stated before with another"
            f" {differing}; give what is new a higher revision",
            what=statement.thing,
            fields=differing,
            revision=statement.revision,
            name=statement.name,
        )
    return False


def unknown_licence(licence: LicenceId) -> NotYetKnownError:
    """The answer for a licence that nobody has stated yet."""
    return NotYetKnownError(Code.UNKNOWN_LICENCE, f"no licence {licence} is known here", licences=licence)


def changed(licence: Licence, statement: LicenceChangeStatement) -> tuple[Licence, LicenceChanged]:
    """A licence with other terms, and the fact that it has them. The file that is out stays as it is."""
    fact = LicenceChanged(
        licence=licence.licence,
        generation=licence.generation,
        serial=licence.serial,
        revision=statement.revision,
        product=statement.product,
        value_cents=statement.value_cents,
        lease=statement.lease,
        borrowed_until=statement.borrowed_until,
    )
    other = replace(
        licence,
        product=statement.product,
        value_cents=statement.value_cents,
        lease=statement.lease.model_dump(mode="json"),
        borrowed_until=statement.borrowed_until,
    )
    return other, fact


def ended(licence: Licence, statement: LicenceEndStatement, now: datetime) -> tuple[Licence, LicenceEnded]:
    """A licence whose contract is over, and the fact that it is. `NotYetKnownError` for an end that is still to come:
    until then the licence is good."""
    if statement.ended > now:
        raise NotYetKnownError(
            Code.LIES_AHEAD,
            f"licence {statement.licence} ends at {statement.ended:%Y-%m-%d %H:%M} UTC, which is still to come;"
            " say so then",
            licence=statement.licence,
            ended=f"{statement.ended:%Y-%m-%d %H:%M}",
        )
    fact = LicenceEnded(
        licence=licence.licence,
        generation=licence.generation,
        serial=licence.serial,
        revision=statement.revision,
        ended=statement.ended,
    )
    return replace(licence, ended=statement.ended), fact


def waits_in_vain(lost: Iterable[LostLicence]) -> bool:
    """Whether a case that waits for something to take these licences has none left to issue."""
    return not left_of(lost)
