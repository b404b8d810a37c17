"""A new activity of a case touches four files: the protocol, the backend in SQL, that in memory, and the step."""

import ast
from collections.abc import Iterator
from functools import cache
from inspect import iscoroutinefunction
from pathlib import Path

import pytest

from activities.case_activities import CaseActivities
from activities.licensing.backend import EmbeddedBackend
from events.ports.licensing_backend import CASE_ORDERS, CaseOrders, signature_of
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
