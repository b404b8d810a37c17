"""The digest of facts, by which what a case believes is compared with what the log took: SHA-256 over a canonical form.

The canonical form is written here and by no library, so that it never changes: JSON as RFC 8785 has it, of what a fact
says. An instant is in UTC with six digits of a second and a Z, a whole number in decimal digits of any length, and a
field that is as by default is left out: so a fact stays what it was when a later release gives it one more field.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any, NamedTuple
from zlib import crc32

from pydantic import BaseModel

from events.fact import PREFIX, Fact
from events.terms import Value

TIME = "(time)"
"""What the time of record is marked as, beside a fact's own fields."""
UNMARKED = "(unmarked)"
"""What is named where no mark shows a difference."""


class Digest(Value):
    """The digest of facts that were appended together, in the versions in which they were appended. Of each it has the
    type and a mark of each field, its CRC-32, by which a difference is named."""

    sha256: str
    facts: tuple[tuple[str, dict[str, int]], ...]


class Difference(NamedTuple):
    """Where what was appended is not what is believed: the number of a fact, its type, and the names of fields."""

    sequence: int
    type: str
    fields: tuple[str, ...]


Dated = tuple[Fact, datetime]
"""A fact and its time of record."""
Writer = Callable[[Any], str]


def digest(sequence: int, facts: Sequence[Dated]) -> Digest:
    """The digest of facts that stand in their stream from this number on."""
    written, marked = [], []
    for number, (fact, at) in enumerate(facts, sequence):
        fields, type_, time = list(_fields(fact)), fact.type(), _instant(at)
        written.append(_entry(number, type_, time, _object(fields)))
        marked.append((type_, {TIME: _mark(time), **_marks(fact, fields)}))
    return Digest(sha256=_hash(f"[{','.join(written)}]"), facts=tuple(marked))


def difference(appended: Digest, sequence: int, facts: Sequence[Dated]) -> Difference | None:
    """Where these facts, from this number on, are not what was appended; None where they are.

    A fact of a newer version is compared as the version that was appended would state it. A time of record that alone
    differs is no difference: it is Temporal's clock at a workflow task, which may be another one when a task that
    failed is done again. Nothing that a case believes follows from it, and the log has the time that was appended.
    """
    theirs = [type_ for type_, _ in appended.facts]
    if len(facts) != len(theirs):
        common = min(len(facts), len(theirs))
        further = theirs[common:] or [fact.type() for fact, _ in facts[common:]]
        return Difference(sequence + common, further[0], ("sequence",))
    believed = [(as_in(fact, type_), at) for (fact, at), type_ in zip(facts, theirs, strict=True)]
    if _hash(_appended(sequence, believed)) == appended.sha256:
        return None
    other_time = False
    for number, ((type_, there), (fact, at)) in enumerate(zip(appended.facts, believed, strict=True), start=sequence):
        if type_ != fact.type():
            return Difference(number, type_, ("type",))
        names = _differing(there, {TIME: _mark(_instant(at)), **_marks(fact, _fields(fact))})
        if said := tuple(name for name in names if name != TIME):
            return Difference(number, type_, said)
        other_time |= TIME in names
    return None if other_time else Difference(sequence, theirs[0], (UNMARKED,))


def value_digest(value: BaseModel) -> Digest:
    """The digest of a value that is carried on."""
    return Digest(sha256=_hash(canonical(value)), facts=((type(value).__name__, _marks(value, _fields(value))),))


def value_difference(carried: Digest, value: BaseModel) -> tuple[str, ...]:
    """The names of the fields in which a value is not what was carried on; none where it is."""
    if _hash(canonical(value)) == carried.sha256:
        return ()
    return _differing(carried.facts[0][1], _marks(value, _fields(value))) or (UNMARKED,)


def canonical(value: Any) -> str:
    """The canonical form of a fact, or of a value within one. Raises `TypeError` for what no fact holds."""
    return _writer(type(value))(value)


def as_in(fact: Fact, type_: str) -> Fact:
    """The fact as the version that was appended states it; itself where that is no version of it."""
    if type_ == fact.type():
        return fact
    name, _, version = type_.removeprefix(PREFIX).rpartition(".v")
    return fact.in_version(int(version)) if name == fact.name and version.isdecimal() else fact


def _differing(there: dict[str, int], here: dict[str, int]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys((*there, *here)) if there.get(name) != here.get(name))


def _appended(sequence: int, facts: Iterable[Dated]) -> str:
    """The canonical form of facts that are appended together: of each its number, type and time, and what it says."""
    written = [
        _entry(number, fact.type(), _instant(at), canonical(fact)) for number, (fact, at) in enumerate(facts, sequence)
    ]
    return f"[{','.join(written)}]"


def _entry(number: int, type_: str, time: str, fact: str) -> str:
    return f'[{number},"{type_}",{time},{fact}]'


def _marks(value: BaseModel, fields: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The mark of each field; of a field that has fields of its own the marks of those."""
    marks: dict[str, int] = {}
    for name, written in fields:
        inner = getattr(value, name)
        if isinstance(inner, BaseModel):
            marks |= {f"{name}.{below}": _mark(text) for below, text in _fields(inner)}
        else:
            marks[name] = _mark(written)
    return marks


def _fields(value: BaseModel) -> Iterator[tuple[str, str]]:
    """The fields of a model that are not as by default, in the order of RFC 8785, in canonical form."""
    given = value.__dict__
    for name, default, default_written in _defaults(type(value)):
        found = given[name]
        if found is not default:
            written = _writer(type(found))(found)
            if written != default_written:
                yield name, written


@cache
def _defaults(model: type[BaseModel]) -> tuple[tuple[str, Any, str | None], ...]:
    """The fields of a model in their order, each with its default, plain and in canonical form, where it has one."""
    fields = sorted(model.model_fields.items(), key=lambda field: _utf16(field[0]))
    defaults = ((name, field.get_default(call_default_factory=True), field) for name, field in fields)
    return tuple(
        (name, object(), None) if field.is_required() else (name, default, canonical(default))
        for name, default, field in defaults
    )


def _writer(of: type[Any]) -> Writer:
    """What writes values of a type in canonical form."""
    writer = WRITERS.get(of)
    if writer is None:
        if issubclass(of, StrEnum):
            writer = WRITERS[of] = lambda value: encode_basestring(value.value)
        elif issubclass(of, BaseModel):
            writer = WRITERS[of] = lambda value: _object(_fields(value))
        else:
            raise TypeError(f"a fact holds no {of.__name__}")
    return writer


def _instant(value: datetime) -> str:
    offset = value.utcoffset()
    at = value.replace(tzinfo=None)
    return f'"{(at - offset if offset else at).isoformat(timespec="microseconds")}Z"'


def _array(values: Sequence[Any]) -> str:
    return f"[{','.join([_writer(type(value))(value) for value in values])}]"


def _object(fields: Iterable[tuple[str, str]]) -> str:
    return f"{{{','.join([f'{encode_basestring(name)}:{written}' for name, written in fields])}}}"


def _members(value: dict[str, Any]) -> str:
    return _object((name, canonical(value[name])) for name in sorted(value, key=_utf16))


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")


def _mark(written: str) -> int:
    return crc32(written.encode())


def _hash(written: str) -> str:
    return sha256(written.encode()).hexdigest()


WRITERS: dict[type[Any], Writer] = {
    str: encode_basestring,
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    datetime: _instant,
    tuple: _array,
    list: _array,
    dict: _members,
}
"""What writes values of each type in canonical form; those of the domain are added as they come."""
