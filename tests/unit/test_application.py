"""Whatever is asked of the application or the operator is asked for by an act that a role may ask for, before anything
is opened."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter

from events.envelope import INSTALLATION
from events.errors import Code, RefusalError
from events.principal import Principal, PrincipalRole
from events.roles import MAY, Act
from events.statements import STATEMENTS, EvidenceStatement, FoundStatement, LossStatement, Statement
from events.terms import Role, VendorId
from portal.application import ASKED_BY, Application
from portal.operator import Operator
from tests.unit.facts import NOW

ASK_FOR_NO_ACT = {
    "set_access": "whoever has the link may",
    "sign_in": "the password says who may",
    "wait_for": "a position is the answer to a command, and says nothing",
    "first_vendor": "how the installation is set up",
    "keys": "public keys, and files that their holder shows",
    "knows": "a door asks before it knows who acts",
}
"""What anybody may ask for, and why."""
ACTS = {
    "take": None,  # by the statement
    "turn_up": None,  # by the statement
    "report": Act.REPORT_LOSS,
    "decide": Act.DECIDE,
    "activation_code": Act.FETCH_CODE,
    "access_link": Act.FETCH_CODE,
    "triage": Act.TRY_MACHINE,
    "keep_file": Act.GIVE_EVIDENCE,
    "file": Act.SEE_ALL,
    "send": Act.STATE_INVENTORY,
    "add_vendor": Act.RUN_VENDOR,
    "adopt_policy": Act.WRITE_POLICY,
    "views": Act.SEE_ALL,
    "dead_letters": Act.RUN_VENDOR,
    "audit": Act.AUDIT,
    "rebuild_views": Act.RUN_INSTALLATION,
    "retry_outbox": Act.RUN_INSTALLATION,
    "set_record_aside": Act.RUN_INSTALLATION,
}
DOORS = [(Application, name) for name in vars(Application) if not name.startswith("_")]
DOORS += [(Operator, name) for name in vars(Operator) if not name.startswith("_")]


class OpenedError(Exception):
    """A part was opened: whoever asks may."""


class Unopened:
    """Parts that must not be touched before it is known who asks."""

    def __getattr__(self, name: str) -> Any:
        raise OpenedError(name)


async def asked(door: type[Any], name: str, *known: object) -> None:
    """Ask for something with no more than what is known; the rest is nothing."""
    question: Callable[..., Any] = getattr(door(Unopened()), name)
    missing = len(inspect.signature(question).parameters) - len(known)
    answer = question(*known, *[None] * missing)
    if inspect.isawaitable(answer):
        await answer


def whoever(role: PrincipalRole) -> Principal:
    return Principal(vendor=INSTALLATION, subject="ann", roles=(role,), door="a test")


async def may_ask(role: PrincipalRole, door: type[Any], name: str, *known: object) -> bool:
    """Whether a role may ask for it; what is amiss with an answer to nothing is not asked here."""
    try:
        await asked(door, name, whoever(role), *known)
    except RefusalError as refusal:
        return refusal.code != Code.ROLE_MISSING
    except (OpenedError, AttributeError, TypeError):
        return True
    raise AssertionError(f"{name} opened nothing")


def example(statement: type[Statement], role: PrincipalRole = PrincipalRole.BACK_OFFICE) -> Statement:
    """A valid one; where it says what somebody reports, that is whoever acts."""
    data = dict(statement.example)
    if "reporter" in data and role in {*Role}:
        data["reporter"] = {"role": role.value, "name": "ann"}
    return TypeAdapter(statement).validate_python(data)


@pytest.mark.parametrize(("door", "name"), [one for one in DOORS if one[1] not in ASK_FOR_NO_ACT])
async def test_every_command_and_query_asks_first_whether_the_role_may(door: type[Any], name: str) -> None:
    act = ACTS[name]
    known: list[type[Statement]] = [*STATEMENTS.values()] if act is None else [LossStatement]
    for one in known:
        allowed = MAY[ASKED_BY[one] if act is None else act]
        said = {role: [example(one, role)] if name in ("take", "report", "turn_up") else [] for role in PrincipalRole}
        may = [role for role in PrincipalRole if await may_ask(role, door, name, *said[role])]
        assert may == list(allowed)


def test_what_asks_for_no_act_is_there_and_says_why() -> None:
    assert ASK_FOR_NO_ACT.keys() <= {name for _, name in DOORS}
    assert ACTS.keys() | ASK_FOR_NO_ACT.keys() == {name for _, name in DOORS}


def test_every_statement_asks_for_an_act() -> None:
    assert ASKED_BY.keys() == set(STATEMENTS.values())


HOLDER, DELEGATE, BACK_OFFICE = PrincipalRole.HOLDER, PrincipalRole.DELEGATE, PrincipalRole.BACK_OFFICE


@pytest.mark.parametrize("statement", [LossStatement, FoundStatement, EvidenceStatement])
@pytest.mark.parametrize(
    ("roles", "reporter", "may"),
    [
        ((HOLDER,), ("holder", "h-1"), True),  # for whom the door says that they act
        ((HOLDER,), ("holder", "ann"), True),
        ((HOLDER,), ("holder", "h-2"), False),
        ((HOLDER,), ("back_office", "ann"), False),
        ((HOLDER,), ("delegate", "ann"), False),
        ((DELEGATE,), ("delegate", "ann"), True),
        ((DELEGATE,), ("delegate", "bob"), False),
        ((DELEGATE,), ("delegate", "h-1"), False),
        ((DELEGATE,), ("holder", "h-1"), False),
        ((DELEGATE, HOLDER), ("holder", "h-1"), True),
        ((BACK_OFFICE,), ("holder", "h-2"), True),
        ((BACK_OFFICE,), ("delegate", "bob"), True),
    ],
)
async def test_only_the_back_office_says_what_others_report(
    statement: type[Statement], roles: tuple[PrincipalRole, ...], reporter: tuple[str, str], may: bool
) -> None:
    ann = Principal(vendor=VendorId("acme"), subject="ann", roles=roles, door="a test", on_behalf_of="h-1")
    said = {**statement.example, "reporter": {"role": reporter[0], "name": reporter[1]}}
    stated = TypeAdapter(statement).validate_python(said)

    with pytest.raises(OpenedError if may else RefusalError) as answer:
        await Application(Unopened()).take(ann, stated, NOW)
    assert may or answer.value.code == Code.ROLE_MISSING  # type: ignore[union-attr]


async def test_whoever_may_not_is_told_which_roles_may() -> None:
    auditor = Principal(vendor=VendorId("acme"), subject="eve", roles=(PrincipalRole.AUDITOR,), door="a test")
    with pytest.raises(RefusalError, match="needs one of holder, delegate, back_office") as refused:
        await Application(Unopened()).report(auditor, example(LossStatement), None)
    assert refused.value.code == Code.ROLE_MISSING
