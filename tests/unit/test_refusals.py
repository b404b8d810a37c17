"""Every refusal's sentence can be said anew from its code and its parameters: each value in it is one of these."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("events", "workflows", "activities", "projections", "audit", "portal", "simulation", "infra")
REFUSALS = {"RefusalError", "NotYetKnownError"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def refused(tree: ast.Module) -> Iterator[tuple[ast.Call, Function]]:
    """Where a refusal is made, with the innermost function that makes it."""
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
            around = [one for one in functions if node in set(ast.walk(one))]
            yield node, max(around, key=lambda one: one.lineno)


def values(node: ast.AST) -> set[str]:
    """What an expression is made of: names and attributes of names, without what is called or looked up in."""
    match node:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute():
            return {ast.unparse(node)}
        case ast.Call(func=ast.Attribute(value=of)):
            within = set() if isinstance(of, ast.Name) and of.id.isupper() else values(of)
            return within.union(*map(values, [*node.args, *(one.value for one in node.keywords)]))
        case ast.Call():
            return set().union(*map(values, [*node.args, *(one.value for one in node.keywords)]))
        case ast.Subscript(value=ast.Name(id=name), slice=index) if name.isupper():
            return values(index)
        case ast.IfExp(body=body, orelse=other):
            return values(body) | values(other)
        case ast.GeneratorExp() | ast.ListComp() | ast.SetComp():
            own = set().union(*(values(one.target) for one in node.generators))
            inner = set().union(values(node.elt), *(values(one.iter) for one in node.generators))
            return {name for name in inner if name.partition(".")[0] not in own}
        case _:
            return set().union(*map(values, ast.iter_child_nodes(node)))


def texts(function: Function, name: str) -> list[ast.expr]:
    """What a local name may stand for."""
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets)
    ]


def unnamed(call: ast.Call, function: Function) -> set[str]:
    """The values in a refusal's sentence that are none of its parameters."""
    code, sentence = call.args
    known = values(code).union(*(values(one.value) for one in call.keywords))
    known |= {name.removesuffix(".parameters") for name in known}
    missing: set[str] = set()
    sought, seen = values(sentence), set[str]()
    while sought:
        name = sought.pop()
        if name in known or name in seen:
            continue
        seen.add(name)
        meant = texts(function, name)
        if not meant:
            missing.add(name)
        sought |= set().union(*map(values, meant))
    return missing


FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_value_in_a_refusals_sentence_is_a_parameter_of_it(file: Path) -> None:
    found = {
        f"{file.relative_to(ROOT)}:{call.lineno}": lacking
        for call, function in refused(ast.parse(file.read_text()))
        if (lacking := unnamed(call, function))
    }

    assert found == {}


@pytest.mark.parametrize(
    ("said", "lacking"),
    [
        ("raise RefusalError(Code.X, 'it is so')", set()),
        ("raise RefusalError(Code.X, f'no {case}')", {"case"}),
        ("raise RefusalError(Code.X, f'no {case}', case=case)", set()),
        ("raise RefusalError(Code.X, f'{size:,} of {LIMIT}', size=size)", {"LIMIT"}),
        ("raise RefusalError(Code.X, f'no {one.serial}', serial=other.serial)", {"one.serial"}),
        ("told = f'no {case}'\n raise NotYetKnownError(Code.X, told)", {"case"}),
        ("told = f'no {case}'\n raise NotYetKnownError(Code.X, told, case=case)", set()),
        ("raise RefusalError(Code.X, str(error))", {"error"}),
        ("raise RefusalError(Code.X, str(error), **error.parameters)", set()),
        ("raise RefusalError(Code.X, f'no {\", \".join(one.name for one in them)}', names=', '.join(them))", set()),
    ],
)
def test_a_value_that_is_no_parameter_is_seen(said: str, lacking: set[str]) -> None:
    ((call, function),) = refused(ast.parse(f"def f():\n {said}"))

    assert unnamed(call, function) == lacking
