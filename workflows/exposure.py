"""Exposure: until when a lost licence can still run somewhere. Pure; shown wherever somebody decides."""

from collections.abc import Mapping, Sequence

from events.case_facts import LicenceInScope
from events.measure_subject import Subject
from events.terms import Aim, Instant, LicenceId, Value


class LicenceExposure(Value):
    """One lost generation of a licence; `until` None: for ever."""

    licence: LicenceId
    generation: int
    until: Instant | None


class Exposure(Value):
    """Of a case: the latest instant at which anything lost can still run. `until` None: for ever where `for_ever` says
    so, else nothing can."""

    for_ever: bool
    until: Instant | None
    licences: tuple[LicenceExposure, ...]


def exposure(licences: Sequence[LicenceInScope], confirmed: Mapping[Subject, Instant]) -> Exposure:
    """The exposure by lost licences as they were last renewed.

    `confirmed` says when measures on a subject were confirmed: nothing that it names runs from then on. A measure on a
    container or on access data names all licences of the case, for they were in it.
    """
    whole = [at for name, at in confirmed.items() if name.aim is not Aim.LICENCE]
    found = []
    for item in licences:
        named = confirmed.get(Subject(Aim.LICENCE, item.licence, item.generation))
        stops = [*whole, *([named] if named else [])]
        until = min([*stops, *_ends(item)], default=None)
        found.append(LicenceExposure(licence=item.licence, generation=item.generation, until=until))
    for_ever = any(one.until is None for one in found)
    last = max((one.until for one in found if one.until), default=None)
    return Exposure(for_ever=for_ever, until=None if for_ever else last, licences=tuple(found))


def _ends(item: LicenceInScope) -> list[Instant]:
    """The end of its file, or of a loan out of it, whichever is later; none where its file runs for ever."""
    if item.expires is None:
        return []
    return [max(item.expires, item.borrowed_until) if item.borrowed_until else item.expires]
