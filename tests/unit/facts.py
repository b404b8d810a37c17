"""Valid facts and statements, drawn by Hypothesis."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from events.case_facts import BackendFacts, LicenceInScope, LossReported, QuotaAnswer, ScopeKnown
from events.evidence import FILE_BYTES, EvidenceFile, MediaType
from events.fact import Fact
from events.lease import Lease
from events.measure_subject import Subject
from events.terms import Aim, Kind, Reporter, Role, Scope

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def report(**changes: Any) -> LossReported:
    """A loss report, with changes."""
    return LossReported(
        **{
            "report": "R-1",
            "serial": "3-1",
            "kind": "dongle",
            "reason": "lost",
            "scope": Scope.CONTAINER,
            "reporter": Reporter(role=Role.BACK_OFFICE, name="crm"),
            "door": "lostfound.acme.inbox",
            "occurred": NOW - timedelta(days=1),
            "received": NOW,
            **changes,
        }
    )


def licence(number: int = 1, **changes: Any) -> LicenceInScope:
    """A licence in the scope of a loss."""
    return LicenceInScope(
        **{
            "licence": f"L-{number}",
            "generation": 1,
            "product": "cad",
            "ticket": f"T-{number}",
            "value_cents": 10_000,
            **changes,
        }
    )


def facts(*licences: LicenceInScope, **changes: Any) -> BackendFacts:
    """What a backend knows of a container with these licences."""
    return BackendFacts(
        **{"serial": "3-1", "kind": "dongle", "holder": "h-1", "last_contact": None, "licences": licences, **changes}
    )


names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:@+-]{0,20}\Z")
instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))
generations = st.integers(1, 100)

st.register_type_strategy(datetime, instants)


def fact_of(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    """Any valid fact of a type."""
    scope = st.lists(
        st.builds(
            LicenceInScope,
            licence=names,
            generation=generations,
            product=names,
            ticket=names,
            value_cents=st.integers(0, 10**12),
            first_issued=st.none() | instants,
        ),
        max_size=3,
    ).map(tuple)
    by_name: dict[str, st.SearchStrategy[Any]] = {
        "generation": generations,
        "policy_version": generations,
        "policy": st.dictionaries(names, names, max_size=3),
        "value_cents": st.integers(0, 10**12),
        "lease": st.just(Lease()),
        "reporter": st.builds(Reporter, role=st.sampled_from(Role), name=names),
        "reasons": st.lists(st.text(st.characters(exclude_characters="\0"), max_size=40), max_size=3).map(tuple),
        "ordinal": generations,
        "limit": generations,
        "quotas": st.lists(
            st.builds(QuotaAnswer, ordinal=st.none() | generations, limit=generations, used_up=st.booleans()),
            max_size=3,
        ).map(tuple),
        "evidence": st.lists(names, max_size=3).map(tuple),
        "files": st.lists(
            st.builds(
                EvidenceFile,
                sha256=st.from_regex(r"\A[0-9a-f]{64}\Z"),
                media_type=st.sampled_from(MediaType),
                size=st.integers(1, FILE_BYTES),
            ),
            max_size=2,
        ).map(tuple),
        "escalated_to": st.lists(names, max_size=3).map(tuple),
        "holders": st.lists(names, max_size=3).map(tuple),
        "cases": st.lists(names, max_size=3).map(tuple),
        "subjects": st.lists(names, max_size=3).map(tuple),
        "tickets": st.lists(names, max_size=3).map(tuple),
        "licences": scope if kind is ScopeKnown else st.lists(names, max_size=3).map(tuple),
        "fingerprint": st.dictionaries(names, names, min_size=1, max_size=3),
        "sessions": st.integers(0, 100),
        "role": st.none() | st.sampled_from(Role),
        **dict.fromkeys(("stop_gap", "goodwill", "reinstate", "four_eyes"), st.booleans()),
        "condition_days": st.none() | st.integers(1, 366),
        "facts": st.builds(
            BackendFacts,
            serial=names,
            kind=st.sampled_from(Kind),
            holder=names,
            last_contact=st.none() | instants,
            licences=scope,
            losses=st.lists(instants, max_size=3).map(tuple),
        ),
    }
    drawn: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in kind.model_fields.items():
        if name in by_name:
            drawn[name] = by_name[name]
        elif "datetime" in str(field.annotation).lower():
            drawn[name] = st.none() | instants if "None" in str(field.annotation) else instants
        elif "int" in str(field.annotation).replace("Constraints", ""):
            drawn[name] = generations
        elif field.annotation is Subject:
            drawn[name] = st.builds(Subject, st.sampled_from(Aim), names, generations)
        elif field.annotation is bool:
            drawn[name] = st.booleans()
        elif isinstance(field.annotation, type) and issubclass(field.annotation, str) and field.annotation is not str:
            drawn[name] = st.sampled_from(list(field.annotation))  # type: ignore[call-overload]
        else:
            drawn[name] = names
    return st.builds(kind, **drawn)
