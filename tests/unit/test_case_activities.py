"""A new activity of a case touches four files: the protocol, the backend in SQL, that in memory, and the step. Attempts
while a service is away are not counted among those that fail."""

import ast
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import cache
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from psycopg import OperationalError
from psycopg.errors import ReadOnlySqlTransaction
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import case_activities
from activities.case_activities import UNFORESEEN_TRIES, CaseActivities
from activities.licensing.backend import EmbeddedBackend
from events.errors import Code
from events.ports.licensing_backend import CASE_ORDERS, CaseOrders, signature_of
from events.ports.register import SetAside
from events.terms import CaseKey
from simulation.memory_backend import MemoryBackend
from workflows.steps import Request

ROOT = Path(__file__).parents[2]
ROOMS = ("events", "workflows", "activities", "projections", "audit", "portal", "simulation", "infra")
FILES_OF_AN_ACTIVITY = 4


SENT = {signature_of(getattr(CaseOrders, name))[0].__name__ for name in CASE_ORDERS}
NAMED_BY = {"defn", "OrderKind"}


def places(tree: ast.Module) -> Iterator[str]:
    """The activities for which a module has a method that takes their order, a step, a registration or a kind."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                match node.args.args:
                    case [ast.arg(arg="self"), ast.arg(annotation=ast.Name(id=kind)), *_] if kind in SENT:
                        yield name
            case ast.AnnAssign(target=ast.Name(id="activity"), value=ast.Constant(value=str(name))):
                yield name
            case ast.Assign(targets=[ast.Name(id="activity")], value=ast.Constant(value=str(name))):
                yield name
            case ast.Call(func=ast.Name(id=by) | ast.Attribute(attr=by)) if by in NAMED_BY:
                given = [*node.args, *(one.value for one in node.keywords)]
                yield from (str(one.value) for one in given if isinstance(one, ast.Constant))


@cache
def all_places() -> dict[str, set[str]]:
    """By file of the product."""
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    return {str(file.relative_to(ROOT)): set(places(ast.parse(file.read_text()))) for file in files}


@pytest.mark.parametrize("name", CASE_ORDERS)
def test_an_activity_touches_at_most_four_files(name: str) -> None:
    files = [file for file, names in all_places().items() if name in names]

    assert len(files) <= FILES_OF_AN_ACTIVITY, files


def test_what_a_case_asks_is_registered_by_its_name_with_its_types() -> None:
    registered = {
        one.__temporal_activity_definition.name: one
        for one in CaseActivities(None, None, None).registered()  # type: ignore[arg-type]
    }

    assert registered.keys() == {*CASE_ORDERS, "append", "sweep_leases"}
    for name in CASE_ORDERS:
        sent, answered = signature_of(getattr(CaseOrders, name))
        assert registered[name].__annotations__ == {"order": sent, "return": answered}


@pytest.mark.parametrize("name", CASE_ORDERS)
@pytest.mark.parametrize("backend", [EmbeddedBackend, MemoryBackend])
def test_each_backend_answers_what_a_case_asks(backend: type, name: str) -> None:
    assert iscoroutinefunction(vars(backend)[name])


def test_every_step_that_asks_names_what_the_backend_is_asked() -> None:
    assert {step.activity for step in Request.__args__} <= set(CASE_ORDERS)


KEY = CaseKey(vendor="acme", case="c-1", serial="3-1")


class Entered:
    """A register that is away as often as said."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.places: set[str] = set()
        self.entered = 0

    async def add(self, entry: SetAside, most: int | None = None) -> None:
        if self.away:
            self.away -= 1
            raise OperationalError("away")
        self.places.add(entry.place)
        self.entered += 1

    async def remove(self, *places: str) -> None:
        self.places -= {*places}


class Attempts:
    """The attempts at an activity, one after the other, as Temporal makes them."""

    def __init__(self) -> None:
        self.number = 0
        self.beats: tuple[Any, ...] = ()

    async def one(self, call: Callable[[Awaitable[None]], Awaitable[None]], error: Exception | None = None) -> None:
        """The next attempt, which meets this error."""
        self.number += 1
        env = ActivityEnvironment()
        env.info = replace(env.info, attempt=self.number, heartbeat_details=self.beats)
        env.on_heartbeat = self._beaten

        async def activity() -> None:
            await call(_meets(error))

        await env.run(activity)

    def _beaten(self, *details: Any) -> None:
        self.beats = details


async def _meets(error: Exception | None) -> None:
    if error is not None:
        raise error


def surely(register: Entered) -> Callable[[Awaitable[None]], Awaitable[None]]:
    activities = CaseActivities(None, None, None, register)  # type: ignore[arg-type]
    return lambda done: activities._surely(KEY, done)


@pytest.mark.parametrize("away", [0, 1, UNFORESEEN_TRIES, 3 * UNFORESEEN_TRIES])
async def test_what_fails_for_good_once_a_service_is_back_stands_in_the_register_until_it_works(away: int) -> None:
    register, attempts = Entered(away=1), Attempts()
    call = surely(register)
    for _ in range(away):
        with pytest.raises(KafkaConnectionError):
            await attempts.one(call, KafkaConnectionError())
    for _ in range(UNFORESEEN_TRIES):
        assert not register.places
        with pytest.raises(AssertionError):
            await attempts.one(call, AssertionError("never taken"))
    assert not register.places  # the register was away
    with pytest.raises(AssertionError):
        await attempts.one(call, AssertionError("never taken"))
    assert register.places == {"case/acme/c-1"}

    await attempts.one(call)

    assert not register.places


@pytest.mark.parametrize(
    "away", [OperationalError("away"), ReadOnlySqlTransaction(), TimeoutError(), ConnectionError()]
)
async def test_only_what_nobody_foresaw_makes_an_activity_fail_for_good(away: Exception) -> None:
    attempts = Attempts()
    for _ in range(2 * UNFORESEEN_TRIES):
        with pytest.raises(type(away)):
            await attempts.one(case_activities._attempt, away)
    for _ in range(UNFORESEEN_TRIES - 1):
        with pytest.raises(KeyError):
            await attempts.one(case_activities._attempt, KeyError("nobody foresaw this"))
        with pytest.raises(type(away)):
            await attempts.one(case_activities._attempt, away)

    with pytest.raises(ApplicationError) as final:
        await attempts.one(case_activities._attempt, KeyError("nobody foresaw this"))

    assert (final.value.type, final.value.non_retryable) == (Code.INTERNAL_ERROR, True)
