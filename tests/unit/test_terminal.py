"""What a person reads when a service does not answer, and of the parts of a fact."""

from typing import Any

import pytest
import typer
from aiokafka.errors import KafkaConnectionError

from events.terms import CaseId
from infra.settings import PREFIX, Settings
from portal.cli.answer_tables import _parts, _word, print_case
from portal.cli.terminal import NOT_RUNNING, OWN_SERVICES, _remedy, refusals
from projections.read.views import CaseView, to_decide
from tests.unit.test_pending_action import life
from workflows.case import CaseState


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


def test_a_case_is_shown_with_the_former_one_of_its_loss_and_the_one_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = life()
    assert started.state is not None
    report = started.state.report.model_copy(update={"former": CaseId("case-a"), "beside": CaseId("case-b")})

    def shown(state: CaseState) -> str:
        empty: dict[str, Any] = dict.fromkeys(CaseView.model_fields)
        lists = dict.fromkeys(("flags", "history", "measures", "replacements", "escalated_to"), ())
        print_case(CaseView.model_construct(**{**empty, **to_decide(state, []), **lists}))
        return " ".join(capsys.readouterr().out.split())

    text = shown(started.state.model_copy(update={"report": report}))
    assert "of the same loss was case case-a, which recovered nothing" in text
    assert "a part of what was reported is of case case-b" in text
    assert "of the same loss" not in shown(started.state)
