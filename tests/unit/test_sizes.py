"""Sizes: the largest fact of each type that the models accept fits into a record; older ones stay readable."""

import types
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

import annotated_types
import orjson
import pytest
from pydantic import AwareDatetime, BaseModel, StringConstraints, ValidationError
from pydantic.fields import FieldInfo

from events.backend_facts import ContactRefused, PolicyAdopted
from events.case_facts import (
    ApprovalOverdue,
    BackendFacts,
    CaseDecided,
    CaseStuck,
    LossReported,
    ScopeKnown,
    TargetAwaited,
)
from events.catalogue import CATALOGUE
from events.envelope import Head, OversizedFactError, case_stream, record_key
from events.fact import Fact
from events.measure_subject import Subject
from events.sizes import (
    CONTAINER_LICENCES,
    LABEL_PATTERN,
    LIST_PART,
    POLICY_BYTES,
    REASON_CHARACTERS,
    REASONS,
    SEALED_BYTES,
    AtMost,
    in_parts,
    policy_bytes,
)
from events.terms import NAME_PATTERN, PERSON_PATTERN, Aim, CaseId, Mode, Scope, Serial, Ticket, Undecided, VendorId
from tests.unit.facts import NOW, facts, licence, report
from tests.worlds import CODEC
from workflows.case import CaseState, fold_all
from workflows.commands import Assessed, Elapsed, Failed, NoTarget, Report
from workflows.decider import decide
from workflows.limits import Limits
from workflows.policy import Approval, Policy, Rule

LONGEST_NAME = "A" * 80
LATEST = datetime(9999, 12, 30, 1, 1, 1, 999999, tzinfo=timezone(timedelta(hours=14)))
WORST_VENDOR, WORST_CASE = VendorId("v" * 32), CaseId(LONGEST_NAME)
ELSEWHERE: dict[tuple[type[BaseModel], str], Any] = {
    (BackendFacts, "licences"): (),  # only in older records; see the test of what decisions state
    (PolicyAdopted, "policy"): {"policy_version": 10**9, "supervisors": ["a" * (POLICY_BYTES - 20)]},
}
"""Lists whose bound is not in the model."""


def sealed(fact: Fact) -> bytes:
    """The record of a fact in the worst surroundings."""
    key = record_key(WORST_VENDOR, Serial(LONGEST_NAME))
    head = Head(2**31, "f" * 64)
    return CODEC.seal(WORST_VENDOR, case_stream(WORST_CASE), key, head, LATEST, fact).value


def longest(values: Iterable[Any]) -> Any:
    return max(values, key=lambda value: len(orjson.dumps(value, default=_plain)))


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def bound(metadata: Iterable[Any]) -> int | None:
    """How many items or characters these constraints allow."""
    flat = [one for each in metadata for one in (each.metadata if isinstance(each, FieldInfo) else [each])]
    counts = [one.count for one in flat if isinstance(one, AtMost)]
    counts += [one.max_length for one in flat if isinstance(one, annotated_types.MaxLen | StringConstraints)]
    return min((count for count in counts if count is not None), default=None)


def has_pattern(metadata: Iterable[Any], pattern: str) -> bool:
    return any(isinstance(one, StringConstraints) and one.pattern == pattern for one in metadata)


def largest(hint: Any, metadata: tuple[Any, ...] = (), where: str = "") -> Any:
    """The value of a type that takes most room as JSON."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        return largest(inner, (*metadata, *more), where)
    arguments = get_args(hint)
    match get_origin(hint):
        case origin if origin in (Union, types.UnionType):
            return longest(largest(one, metadata, where) for one in arguments if one is not type(None))
        case origin if origin is Literal:
            return longest(arguments)
        case origin if origin is tuple and arguments[-1] is Ellipsis:
            count = bound(metadata)
            assert count is not None, f"{where} has no bound"
            return (largest(arguments[0], (), where),) * count
        case origin if origin is dict:
            count = bound(metadata)
            assert count is not None, f"{where} has no bound"
            name, value = (largest(one, (), where) for one in arguments)
            return {f"{number:02}{name[2:]}": value for number in range(count)}
        case None:
            pass
        case other:
            raise AssertionError(f"{where} is a {other}")
    if hint is str:
        if has_pattern(metadata, NAME_PATTERN):
            return LONGEST_NAME
        if has_pattern(metadata, PERSON_PATTERN):
            return "A" * 255
        if has_pattern(metadata, LABEL_PATTERN):
            return "a" * 200
        count = bound(metadata)
        assert count is not None, f"{where} has no bound"
        patterned = any(isinstance(one, StringConstraints) and one.pattern for one in metadata)
        return ("\U0001f600" if patterned else "\x01") * count
    if hint is Subject:
        return Subject(longest(Aim), LONGEST_NAME, 2**63 - 1)
    if hint is bool:
        return False
    if hint is int:
        return 10**12 if any(isinstance(one, FieldInfo | annotated_types.Le) for one in metadata) else 2**63 - 1
    if hint is AwareDatetime:
        return LATEST
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return longest(hint)
    assert issubclass(hint, BaseModel), f"{where} is of {hint}"
    return hint.model_construct(
        **{
            name: ELSEWHERE[hint, name]
            if (hint, name) in ELSEWHERE
            else largest(field.annotation, tuple(field.metadata), f"{hint.__name__}.{name}")
            for name, field in hint.model_fields.items()
        }
    )


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
def test_the_largest_fact_of_each_type_fits_into_a_record(kind: type[Fact]) -> None:
    assert len(sealed(largest(kind))) <= SEALED_BYTES


def test_what_does_not_fit_is_named_with_its_type_and_size() -> None:
    decided = CaseDecided(
        decision="automatic", reasons=(), policy_version=1, facts=facts(*(licence(number) for number in range(999)))
    )

    with pytest.raises(OversizedFactError, match=r"lostfound\.case\.decided\.v2 in case/A+ has \d+ bytes; .* 65535"):
        sealed(decided)


@pytest.mark.parametrize(
    "oversized",
    [
        lambda: report(scope=Scope.LICENCES, licences=[f"L-{number}" for number in range(LIST_PART + 1)]),
        lambda: TargetAwaited(tickets=[f"T-{number}" for number in range(LIST_PART + 1)]),
        lambda: ContactRefused(
            contact="c", serial="s", occurred=NOW, cases=[f"c-{number}" for number in range(LIST_PART + 1)]
        ),
        lambda: CaseStuck(code="x", cause="x" * 1_001),
    ],
)
def test_nothing_is_stated_beyond_its_bound(oversized: Any) -> None:
    with pytest.raises(ValidationError):
        oversized()


def test_what_was_stated_before_there_were_bounds_stays_readable() -> None:
    kept = report().model_dump(mode="json") | {"licences": [f"L-{number}" for number in range(700)], "report": "R-1"}
    first = CODEC.seal(VendorId("acme"), "case/c-1", b"k", Head(), NOW, report())
    older = orjson.dumps(orjson.loads(first.value) | {"data": kept})
    text = PolicyAdopted(policy_version=1, policy='{"supervisors": ["ann"], "rules": [{"mode": "manual"}]}')

    found = CODEC.unseal(older).fact

    assert isinstance(found, LossReported)
    assert len(found.licences) == 700
    adopted = CODEC.unseal(CODEC.seal(VendorId("acme"), "vendor", b"k", Head(), NOW, text).value).fact
    assert isinstance(adopted, PolicyAdopted)
    assert adopted.document == {"supervisors": ["ann"], "rules": [{"mode": "manual"}]}


def decided(policy: Policy, count: int, inline: bool = False) -> tuple[list[Any], CaseState]:
    """What is stated of a case of so many licences once it is reported and decided on, and where it then stands."""
    opening = decide(None, Report(report=report()))
    known = facts(*(licence(number, product=f"p-{number}") for number in range(count)))
    assessed = Assessed(at=NOW, facts=known, policy=policy, reservation=None, inline=inline)
    written = decide(fold_all(opening), assessed)
    state = fold_all([*opening, *written])
    assert state is not None
    return written, state


@pytest.mark.parametrize("count", [0, 1, 120, 121, CONTAINER_LICENCES])
def test_the_licences_of_a_case_come_in_parts_before_the_decision_and_fold_as_a_list_within_it(count: int) -> None:
    written, state = decided(Policy(), count)
    (whole, *_), older = decided(Policy(), count, inline=True)

    assert [(type(one), one.part, one.parts) for one in written[: -1 if count else -2]] == [
        (ScopeKnown, number + 1, -(-count // 120)) for number in range(-(-count // 120))
    ]
    assert all(len(sealed(one)) <= SEALED_BYTES for one in written)
    assert whole.facts.licences == state.licences == older.licences
    assert state == older.model_copy(update={"sequence": state.sequence, "material": state.material})
    assert state.scope == ()


def test_a_decision_anew_keeps_the_licences() -> None:
    _, state = decided(Policy(), 3)
    again = state.facts.model_copy(update={"licences": ()}) if state.facts else None

    found = fold_all(
        [CaseDecided(decision="needs_approval", reasons=("x",), policy_version=1, facts=again)],
        state.model_copy(update={"status": "waiting"}),
    )

    assert found is not None
    assert found.licences == state.licences


def test_of_hundreds_of_reasons_some_are_stated_and_the_rest_counted() -> None:
    limits = [Limits(evidence=(f"{number}-{LONGEST_NAME[:70]}",) * 20) for number in range(REASONS + 5)]
    rules = tuple(Rule(products=(f"p-{number}",), mode=Mode.HYBRID, limits=one) for number, one in enumerate(limits))

    (*_, found), _ = decided(Policy(rules=rules), len(rules))

    assert len(found.reasons) == REASONS
    assert found.reasons[-1] == "and 6 more reasons"
    assert max(map(len, found.reasons)) == REASON_CHARACTERS
    assert all(one.endswith("...") for one in found.reasons[:-1])


def test_tickets_are_released_in_parts_and_the_case_waits_once() -> None:
    _, state = decided(Policy(), 450)
    state = state.model_copy(update={"status": "replacing"})
    tickets = tuple(Ticket(f"T-{number}") for number in range(450))

    written = decide(state, NoTarget(at=NOW, tickets=tickets))

    assert [(one.part, one.parts, len(one.tickets)) for one in written] == [(1, 3, 200), (2, 3, 200), (3, 3, 50)]  # type: ignore[attr-defined]
    after = fold_all(written, state)
    assert after is not None
    assert after.status == "awaiting_target"


def test_a_long_cause_is_cut_and_a_case_is_escalated_to_some() -> None:
    many = tuple(f"person-{number}" for number in range(300))
    approval = Approval(due_hours=1, undecided=Undecided.ESCALATE, escalate_to=many)
    policy = Policy(supervisors=many, rules=(Rule(mode=Mode.MANUAL, approval=approval),))
    _, state = decided(policy, 1)

    (overdue,) = decide(state, Elapsed(at=NOW + timedelta(days=1), policy=policy))
    (stuck,) = decide(state, Failed(code="x", cause="\x01" * 5_000))

    assert isinstance(overdue, ApprovalOverdue)
    assert overdue.escalated_to == many[:200]
    assert isinstance(stuck, CaseStuck)
    assert len(sealed(stuck)) < SEALED_BYTES


def test_parts_hold_everything_once_in_its_order() -> None:
    for count in (0, 1, 4, 5, 9):
        parts = list(in_parts(range(count), 4))
        assert [item for _, _, some in parts for item in some] == list(range(count))
        assert [part for part, _, _ in parts] == list(range(1, parts[0][1] + 1))


def test_a_policy_is_as_long_as_its_json_in_bytes_without_its_version() -> None:
    assert policy_bytes({"policy_version": 12, "name": "é", "rules": []}) == len('{"name":"é","rules":[]}'.encode())
