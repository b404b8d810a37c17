"""What a repeated statement of the inventory must agree with: pure functions."""

from collections.abc import Mapping

from events.errors import Code, NotYetKnownError, RefusalError
from events.statements import ContainerStatement, LicenceStatement
from events.terms import VendorId


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
