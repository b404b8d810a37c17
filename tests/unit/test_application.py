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
from events.statements import STATEMENTS, LossStatement, Statement
from events.terms import VendorId
from portal.application import ASKED_BY, Application
from portal.operator import Operator

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


def example(statement: type[Statement]) -> Statement:
    return TypeAdapter(statement).validate_python(statement.example)


@pytest.mark.parametrize(("door", "name"), [one for one in DOORS if one[1] not in ASK_FOR_NO_ACT])
async def test_every_command_and_query_asks_first_whether_the_role_may(door: type[Any], name: str) -> None:
    act = ACTS[name]
    known = [example(one) for one in STATEMENTS.values()] if act is None else [None]
    for one in known:
        allowed = MAY[ASKED_BY[type(one)] if act is None else act]
        may = [role for role in PrincipalRole if await may_ask(role, door, name, *([one] if one else []))]
        assert may == list(allowed)


def test_what_asks_for_no_act_is_there_and_says_why() -> None:
    assert ASK_FOR_NO_ACT.keys() <= {name for _, name in DOORS}
    assert ACTS.keys() | ASK_FOR_NO_ACT.keys() == {name for _, name in DOORS}


def test_every_statement_asks_for_an_act() -> None:
    assert ASKED_BY.keys() == set(STATEMENTS.values())


async def test_whoever_may_not_is_told_which_roles_may() -> None:
    auditor = Principal(vendor=VendorId("acme"), subject="eve", roles=(PrincipalRole.AUDITOR,), door="a test")
    with pytest.raises(RefusalError, match="needs one of holder, delegate, back_office") as refused:
        await Application(Unopened()).report(auditor, example(LossStatement), None)
    assert refused.value.code == Code.ROLE_MISSING
