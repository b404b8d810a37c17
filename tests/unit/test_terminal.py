"""What a person reads when a service does not answer, and of the parts of a fact."""

import asyncio
from typing import Any

import pytest
import typer
from aiokafka.errors import KafkaConnectionError
from typer.main import get_command

from events.errors import Code, RefusalError
from events.terms import CaseId
from infra.cli.operation import _failing, _misfits
from infra.main import app
from infra.settings import PREFIX, Settings
from portal.cli.answer_tables import _part, _parts, _word, case_table, print_case
from portal.cli.dead_letter_commands import _about
from portal.cli.decisions import STILL_WAITING, patience
from portal.cli.terminal import (
    NEED_NO_VENDOR,
    NOT_RUNNING,
    OWN_SERVICES,
    TAKE_A_VENDOR,
    _remedy,
    for_vendor,
    refusals,
    shortened,
    vendor_name,
)
from portal.inbox.dead_letter_reader import StoredDeadLetter
from projections.read.pending_action import PendingAction
from projections.read.views import CaseLine, CaseView, to_decide
from tests.unit.test_pending_action import life
from tests.worlds import NOW
from workflows.case import CaseState
from workflows.exposure import Exposure


def test_a_kafka_that_does_not_answer_is_named_by_its_address_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end, refusals():
        raise KafkaConnectionError("Unable to bootstrap from [('127.0.0.1', 9092, <AddressFamily.AF_INET: 2>)]")
    assert end.value.exit_code == NOT_RUNNING
    assert capsys.readouterr().err.endswith("(no broker answers at 127.0.0.1:9092)\n")


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_a_service_of_ones_own_is_not_one_that_up_starts(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = OWN_SERVICES[service]
    assert setting.removeprefix(PREFIX).lower() in Settings.model_fields
    monkeypatch.delenv(setting, raising=False)
    assert "`lostfound up`" in _remedy(service)

    monkeypatch.setenv(setting, "elsewhere:1")

    assert _remedy(service) == f"it is your own, at the address in {setting}; see that it runs and the address is right"


def test_a_code_is_not_told_twice() -> None:
    assert _parts({"code": "superseded", "cause": "superseded: it has a newer one"}) == {
        "cause": "superseded: it has a newer one"
    }
    assert _parts({"code": "superseded", "cause": "it has a newer one"}) == {
        "code": "superseded",
        "cause": "it has a newer one",
    }


def test_the_parts_of_a_fact_are_words_and_what_is_not_known_is_left_out() -> None:
    licences = [{"licence": "L-1", "generation": 1, "expires": None}, {"licence": "L-2", "borrowed": True}]
    assert _word(licences) == "(licence L-1, generation 1); (licence L-2, borrowed yes)"


def case_view(state: CaseState, **fields: Any) -> CaseView:
    empty: dict[str, Any] = dict.fromkeys(CaseView.model_fields)
    lists = dict.fromkeys(("flags", "history", "measures", "replacements", "escalated_to"), ())
    return CaseView.model_construct(**{**empty, **to_decide(state, []), **lists, **fields})


def test_a_closed_case_shows_nothing_that_is_still_to_come(capsys: pytest.CaptureFixture[str]) -> None:
    state = life().state
    assert state is not None
    for_ever = Exposure(for_ever=True, until=None, licences=())
    closed = {"exposure": for_ever, "watch_until": NOW, "material": 13, "four_eyes": True, "condition": "a report"}

    print_case(case_view(state, status="closed", outcome="found", **closed))
    title, _, headings, _ = capsys.readouterr().out.strip().splitlines()
    assert (title.endswith("closed: found"), headings.split()[0]) == (True, "fact")
    print_case(case_view(state, status="closed", outcome="lost_for_ever", **closed))
    assert "what was lost can run: for ever" in capsys.readouterr().out
    print_case(case_view(state, status="awaiting_approval", **closed))
    waiting = capsys.readouterr().out
    assert "nothing is blocked yet" in waiting
    assert "A decision made now is made on fact 13" in waiting


def test_money_is_told_in_units_and_each_quota_with_the_rule_that_it_is_of() -> None:
    assert _part("value_cents", 123_405) == "value 1,234.05"
    assert _part("facts", {"value_cents": 500_000}) == "facts (value 5,000.00)"
    several = [{"ordinal": None, "limit": 1, "used_up": True}, {"ordinal": None, "limit": 2}]
    assert _part("quotas", several) == (
        "quotas of the strictest rule (limit 1, used_up yes); of rule 2 by strictness (limit 2)"
    )


def test_a_case_is_shown_with_the_former_one_of_its_loss_and_the_one_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = life()
    assert started.state is not None
    report = started.state.report.model_copy(update={"former": CaseId("case-a"), "beside": CaseId("case-b")})

    def shown(state: CaseState) -> str:
        print_case(case_view(state))
        return " ".join(capsys.readouterr().out.split())

    text = shown(started.state.model_copy(update={"report": report}))
    assert "of the same loss was case case-a, which recovered nothing" in text
    assert "a part of what was reported is of case case-b" in text
    assert "of the same loss" not in shown(started.state)


def test_a_command_that_is_advised_names_the_vendor_that_was_typed() -> None:
    advice = "`lostfound case show c-1` says more, `lostfound status` what runs, `lostfound policy check FILE` why"

    assert for_vendor(advice, None) == advice
    assert for_vendor(advice, "initech") == (
        "`lostfound case show c-1 --vendor initech` says more, `lostfound status` what runs,"
        " `lostfound policy check FILE` why"
    )
    assert for_vendor("`lostfound case list --vendor a`", "b") == "`lostfound case list --vendor a`"


def test_a_refusal_advises_with_the_vendor_that_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(vendor: str | None) -> None:
        with refusals():
            if vendor:
                vendor_name(lambda: pytest.fail("nothing is opened for a name"), vendor)
            raise RefusalError(Code.UNKNOWN_CASE, "no case c-1 is known", case="c-1")

    for named in ("initech", None):
        with pytest.raises(typer.Exit):
            refused(named)
    vendors, first = capsys.readouterr().err.splitlines()
    assert "`lostfound case list --vendor initech` names" in vendors
    assert "`lostfound case list` names" in first


def test_the_commands_that_are_advised_with_a_vendor_are_those_that_take_one() -> None:
    takes: set[str] = set()

    def walk(group: Any, *words: str) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, *words, name)
            elif any(one.name == "vendor" and one.param_type_name == "option" for one in command.params):
                takes.add(" ".join((*words, name)))
            elif words and words[0] in TAKE_A_VENDOR:
                assert " ".join((*words, name)) in NEED_NO_VENDOR

    walk(get_command(app))
    assert {words.split()[0] for words in takes} == TAKE_A_VENDOR
    assert not takes & NEED_NO_VENDOR


def test_what_is_awaited_is_told_with_whom_and_until_when_first_and_evidence_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = life().state
    assert state is not None
    awaited = PendingAction(what="the condition: police report shown", by=("ann", "bob"), until=NOW)
    given = {"status": "awaiting_approval", "awaited": awaited, "asked": ["photo"], "value_cents": 123_400}

    print_case(case_view(state, **given))

    shown = capsys.readouterr().out
    assert f"awaited from ann, bob until {NOW:%Y-%m-%d %H:%M} UTC: the condition: police report shown\n" in shown
    assert "evidence that a supervisor asked for and nobody gave yet: photo\n" in shown
    assert "what was lost is worth: 1,234.00\n" in shown


def test_a_case_in_a_list_says_whose_it_is_what_it_is_worth_and_why_it_waits() -> None:
    line = CaseLine.model_validate(
        dict.fromkeys(CaseLine.model_fields)
        | {"case_id": "c-1", "status": "awaiting_approval", "serial": "3-1", "kind": "dongle", "reason": "lost"}
        | {"holder": "h-1", "received": NOW, "material": 3, "due": NOW, "value_cents": 5_00, "reasons": ["too dear"]}
    )
    at = f"{NOW:%Y-%m-%d %H:%M}"

    (waits,) = case_table([line]).rows
    (over,) = case_table([CaseLine.model_validate(line.model_dump() | {"status": "closed"})]).rows

    assert waits == ("c-1", at, "3-1: lost dongle", "h-1", "5.00", "awaiting_approval", "", at, "3", "too dear")
    assert over == ("c-1", at, "3-1: lost dongle", "h-1", "5.00", "closed", "", "", "3", "")


def test_what_was_typed_is_quoted_where_it_is_no_plain_name_and_never_told_at_length(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [shortened(typed) for typed in ("3-1", "", "a b")] == ["3-1", '""', '"a b"']
    with pytest.raises(typer.Exit), refusals():
        raise RefusalError(Code.UNKNOWN_CONTAINER, f"no container {'x' * 100_000} is known")
    assert len(capsys.readouterr().err) < 200


async def test_whoever_waits_for_a_decision_is_told_so_after_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    with patience(0.0):
        for _ in range(3):
            await asyncio.sleep(0)  # a turn of the loop
    assert capsys.readouterr().err == f"{STILL_WAITING}\n"
    with patience(60.0):
        await asyncio.sleep(0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("value", "about"),
    [
        (b'{"type": "lostfound.inbox.loss.reported.v1", "data": {"serial": "3-1"}}', "loss.reported.v1 3-1"),
        (b'{"type": "x", "data": []}', "key-1"),
        (b"[1]", "key-1"),
        (None, "key-1"),
    ],
)
def test_a_dead_letter_in_a_list_says_what_it_is_about_as_far_as_it_can_be_read(
    value: bytes | None, about: str
) -> None:
    fields: dict[str, Any] = dict.fromkeys(StoredDeadLetter.__dataclass_fields__)
    assert _about(StoredDeadLetter(**fields | {"key": b"key-1", "value": value})) == about


async def test_a_service_that_does_not_answer_is_told_from_one_with_nothing_to_say() -> None:
    nowhere = Settings(kafka_bootstrap="127.0.0.1:1", temporal_address="127.0.0.1:1")
    assert (await _misfits(nowhere), await _failing(nowhere)) == (None, None)
