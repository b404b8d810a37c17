"""A refusal says what is wrong at every door; what to do next each door says in words of its own."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
import typer

from events.errors import Code, NotYetKnownError, RefusalError
from events.ports.loss_cases import DecisionOrder
from events.terms import Action, CaseId, Verdict
from portal.cli.terminal import refusals
from portal.codes import CODES
from portal.denials import DENIALS, denied
from portal.wording import COMMAND_LINE, INBOX, Wording
from projections.read.views import CaseLine

ROOT = Path(__file__).parents[2]
BEHIND_THE_DOORS = ("events", "workflows", "activities", "projections", "simulation")
ALL = (*BEHIND_THE_DOORS, "portal", "infra")


def raised(*rooms: str) -> Iterator[tuple[str, ast.Call]]:
    """Where refusals are made."""
    for room in rooms:
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                match node:
                    case ast.Call(func=ast.Name(id="RefusalError" | "NotYetKnownError")):
                        yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def test_no_refusal_from_behind_the_doors_has_the_words_of_one() -> None:
    sites = dict(raised(*BEHIND_THE_DOORS))

    assert len(sites) > 40
    for place, call in sites.items():
        said = ast.unparse(call)
        assert "`lostfound" not in said, place
        assert "--" not in said, place
        assert ".type()" not in said, place


@pytest.mark.parametrize("wording", [COMMAND_LINE, INBOX], ids=["command line", "inbox"])
def test_every_remedy_is_heard_somewhere(wording: Wording) -> None:
    given: dict[str, list[set[str]]] = {}
    for _, call in raised(*ALL):
        match call.args:
            case [ast.Attribute(attr=name), *_]:
                given.setdefault(name, []).append({one.arg or "" for one in call.keywords})
    for code in DENIALS:
        given.setdefault(code.name, []).append({"case", "by", "decision", "on"})

    for code, remedy in wording.remedies.items():
        needed = {name for _, name, _, _ in Formatter().parse(remedy) if name}
        assert any(needed <= parameters for parameters in given[code.name]), code


def test_a_door_adds_its_remedy_where_the_refusal_has_the_values_for_it() -> None:
    wording = Wording({Code.NO_CASE: "look at {serial}", Code.STALE: "look again"})

    assert wording.sentence(RefusalError(Code.NO_CASE, "there is none", serial="3-1")) == "there is none; look at 3-1"
    assert wording.sentence(RefusalError(Code.NO_CASE, "there is none")) == "there is none"
    assert wording.sentence(RefusalError(Code.BUSY, "it is busy", serial="3-1")) == "it is busy"
    again = wording.worded(NotYetKnownError(Code.STALE, "it moved on", case="c-1"))
    assert (type(again), again.code, str(again)) == (NotYetKnownError, Code.STALE, "it moved on; look again")
    assert again.parameters == {"case": "c-1"}


def test_a_refusal_is_carried_whole_between_processes() -> None:
    refusal = pickle.loads(pickle.dumps(NotYetKnownError(Code.NO_CASE, "there is none", serial="3-1", generation=2)))

    assert (type(refusal), refusal.code, str(refusal)) == (NotYetKnownError, Code.NO_CASE, "there is none")
    assert refusal.parameters == {"serial": "3-1", "generation": 2}


@pytest.mark.parametrize("code", DENIALS)
def test_a_denied_decision_is_told_with_what_to_type_next(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    order = DecisionOrder(decision="d-1", action=Action.APPROVE, by="ann", on=3)

    with pytest.raises(typer.Exit) as end, refusals():
        raise denied(code, CaseId("c-1"), order)

    said = capsys.readouterr().err
    assert end.value.exit_code == CODES[code].exit_code
    assert said.endswith(f" [{code}]\n")
    assert "{" not in said


def test_a_fact_that_is_not_there_yet_and_an_original_that_cannot_be_reinstated_are_told_as_such() -> None:
    known = CaseLine.model_construct(material=12, status="resurfaced")
    order = DecisionOrder(decision="d-1", action=Action.RULE, by="ann", on=99, verdict=Verdict.FOUND, reinstate=True)

    ahead, behind = (denied(Code.STALE, CaseId("c-1"), order.model_copy(update={"on": on}), known) for on in (99, 3))
    assert str(ahead) == "the case has no material fact 99 to decide on; its last one is 12"
    assert str(behind) == DENIALS[Code.STALE]
    nothing = denied(Code.NOTHING_TO_DECIDE, CaseId("c-1"), order, known)
    assert str(nothing).startswith("nothing can be reinstated in this case")
    elsewhere = known.model_copy(update={"status": "watching"})
    assert str(denied(Code.NOTHING_TO_DECIDE, CaseId("c-1"), order, elsewhere)) == DENIALS[Code.NOTHING_TO_DECIDE]
