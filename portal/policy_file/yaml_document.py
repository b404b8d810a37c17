"""Reads a YAML document as JSON has it, with the place of every part, and bounded in size.

What a plain word means is as in JSON and YAML 1.2: `no` and `2026-01-01` are words, `010` is ten. Anchors and aliases
are read; tags, merges (`<<`) and a second document are not.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import yaml

CHARACTERS_LIMIT: Final = 131_072
PARTS_LIMIT: Final = 20_000
"""Keys and values, each counted as often as aliases repeat it."""
DEPTH_LIMIT: Final = 20

Path = tuple[str | int, ...]
WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]{1,30}(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


class BadYaml(StrEnum):
    """The codes of what is wrong with a document whatever it is about."""

    TOO_LARGE = "too_large"
    NOT_YAML = "not_yaml"
    REPEATED_SETTING = "repeated_setting"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; both count from 1."""

    line: int = 1
    column: int = 1

    @classmethod
    def of(cls, mark: Any) -> "Place":
        """The place of a mark, which counts from 0."""
        return cls(mark.line + 1, mark.column + 1) if mark else cls()


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with the document itself."""

    code: BadYaml
    sentence: str
    place: Place


class FlawedError(Exception):
    """The document cannot be read any further."""

    def __init__(self, code: BadYaml, sentence: str, place: Place) -> None:
        super().__init__(sentence)
        self.flaw = Flaw(code, sentence, place)


@dataclass
class Document:
    """What a document says, as JSON has it, and where. `keys` has the place of each key and list item, `values` that of
    each value."""

    value: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def key(self, path: Path) -> Place:
        """Where a setting stands, or else the nearest one around it."""
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys.get(path, Place())

    def place(self, path: Path) -> Place:
        """Where the value of a setting stands, or else that of the nearest one around it."""
        return self.values[path] if path in self.values else self.key(path)


def read(text: str) -> Document:
    """The document in a text. Raises `FlawedError` where it is too large or no YAML; lesser flaws are in the answer."""
    if len(text) > CHARACTERS_LIMIT:
        sentence = f"this has more than {CHARACTERS_LIMIT:,} characters; write less"
        raise FlawedError(BadYaml.TOO_LARGE, sentence, Place())
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        where, why = error.problem_mark or error.context_mark, " ".join(filter(None, (error.context, error.problem)))
        raise FlawedError(BadYaml.NOT_YAML, f"this is no YAML: {why}", Place.of(where)) from None
    except yaml.reader.ReaderError as error:
        before, unfit = text[: error.position], text[error.position]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        sentence = f"this is no YAML: the character U+{ord(unfit):04X} may not stand in it"
        raise FlawedError(BadYaml.NOT_YAML, sentence, place) from None
    document = Document()
    if node is not None:
        document.value = _plain(node, (), document)
        document.keys[()] = Place.of(node.start_mark)
    return document


class _Loader(yaml.SafeLoader):
    """Composes nodes and counts what they come to with their aliases written out."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._sizes: dict[yaml.Node, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        place = Place.of(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if node not in self._sizes:
                raise FlawedError(BadYaml.NOT_YAML, f"the alias *{event.anchor} stands within what it names", place)
            return node
        if event.tag is not None:
            raise FlawedError(BadYaml.NOT_YAML, f"tags such as {event.tag} are not read; leave it out", place)
        self._level = getattr(self, "_level", 0) + 1
        if self._level > DEPTH_LIMIT:
            raise FlawedError(BadYaml.TOO_LARGE, f"this is nested deeper than {DEPTH_LIMIT} levels", place)
        node = super().compose_node(parent, index)
        self._level -= 1
        assert node is not None
        parts = [self._sizes[part] for part in _parts(node)]
        size, depth = 1 + sum(one for one, _ in parts), 1 + max((deep for _, deep in parts), default=0)
        if size > PARTS_LIMIT or depth > DEPTH_LIMIT:
            sentence = f"with its aliases written out this has more than {PARTS_LIMIT:,} parts or {DEPTH_LIMIT} levels"
            raise FlawedError(BadYaml.TOO_LARGE, sentence, place)
        self._sizes[node] = size, depth
        return node


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _plain(node: yaml.Node, path: Path, document: Document) -> Any:
    document.values[path] = Place.of(node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            document.keys[*path, number] = Place.of(item.start_mark)
        return [_plain(item, (*path, number), document) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _word(node.value) if node.style is None else node.value
    found: dict[str, Any] = {}
    for key, value in node.value:
        place = Place.of(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            raise FlawedError(BadYaml.NOT_YAML, "a setting's name must be a word", place)
        if key.value in found:
            first = document.keys[*path, key.value]
            sentence = f"{key.value} is given already at line {first.line}; keep one of them"
            document.flaws.append(Flaw(BadYaml.REPEATED_SETTING, sentence, place))
            continue
        document.keys[*path, key.value] = place
        found[key.value] = _plain(value, (*path, key.value), document)
    return found


def _word(said: str) -> Any:
    if said.lower() in WORDS:
        return WORDS[said.lower()]
    if INTEGER.fullmatch(said):
        return int(said)
    if not NUMBER.fullmatch(said):
        return said
    number = float(said)
    return int(number) if number.is_integer() else number
