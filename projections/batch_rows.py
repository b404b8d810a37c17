"""The rows that one batch of facts works on, in memory."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from events.case_facts import CaseFact
from events.sizes import READING
from projections.tables import CASES, FOLDED, CaseRow, Json, Key, R, Table
from workflows.case import CaseState, changes, fold


def _by_table() -> dict[Table[Any], dict[Key, Any]]:
    return {table: {} for table in FOLDED}


@dataclass
class Rows:
    """Rows by table and key: `loaded` as the store had them, `fresh` of streams that the store does not know, and
    `changed` of streams that it knows.

    Rows of a stream that the store does not know cannot be in the store either: they are written without a look.
    """

    loaded: dict[Table[Any], dict[Key, Any]] = field(default_factory=_by_table)
    fresh: dict[Table[Any], dict[Key, Any]] = field(default_factory=_by_table)
    changed: dict[Table[Any], dict[Key, Any]] = field(default_factory=_by_table)
    _cases: dict[Key, "_Case"] = field(default_factory=dict)

    def get(self, table: Table[R], key: Key) -> R | None:
        """The row, or None."""
        found: R | None = self.fresh[table].get(key) or self.changed[table].get(key) or self.loaded[table].get(key)
        return found

    def put(self, table: Table[R], row: R, fresh: bool) -> None:
        """Set a row of a stream; `fresh` says that the store does not know the stream."""
        (self.fresh if fresh else self.changed)[table][table.key_of(row)] = row

    def fold_case(self, key: Key, fact: CaseFact, fresh: bool) -> None:
        """Fold a fact into the state of its case (vendor, case). The row is made once, by `finish`, however many facts
        the batch has of the case. Raises `UnexpectedFactError`."""
        case = self._cases.get(key)
        if case is not None:
            case.take(fact)
        elif row := self.get(CASES, key):
            self._cases[key] = case = _Case(CaseState.model_validate_json(row.state, context=READING), fresh)
            case.take(fact)
        else:
            self._cases[key] = _Case(fold(None, fact), fresh)

    def finish(self) -> None:
        """Make the rows of the cases."""
        for key, case in self._cases.items():
            self.put(CASES, _case_row(key, case.state), case.fresh)
        self._cases.clear()


class _Case:
    """A case while its facts are folded. What is known of it stands in a namespace that changes with each fact: to make
    a new state of each takes longer than all else here."""

    def __init__(self, state: CaseState, fresh: bool) -> None:
        self.fresh = fresh
        self._before = state
        self._known = SimpleNamespace(**vars(state))

    def take(self, fact: CaseFact) -> None:
        """Fold a fact. Raises `UnexpectedFactError`."""
        for name, value in changes(cast(CaseState, self._known), fact).items():
            setattr(self._known, name, value)

    @property
    def state(self) -> CaseState:
        """The state after the facts so far."""
        return self._before.model_copy(update=vars(self._known))


def _case_row(key: Key, state: CaseState) -> CaseRow:
    report = state.report
    return CaseRow(
        vendor=key[0],
        case_id=key[1],
        status=state.status,
        outcome=state.outcome,
        serial=report.serial,
        kind=report.kind,
        reason=report.reason,
        holder=state.holder,
        received=report.received,
        target=state.target,
        watch_until=state.watch_until,
        material=state.material,
        due=state.due,
        state=Json(state.model_dump_json()),
    )
