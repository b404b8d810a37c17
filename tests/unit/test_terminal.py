"""What a person reads when a service does not answer, and of the parts of a fact."""

import pytest
import typer
from aiokafka.errors import KafkaConnectionError

from portal.tables import _word
from portal.terminal import NOT_RUNNING, refusals


def test_a_kafka_that_does_not_answer_is_named_by_its_address_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end, refusals():
        raise KafkaConnectionError("Unable to bootstrap from [('127.0.0.1', 9092, <AddressFamily.AF_INET: 2>)]")
    assert end.value.exit_code == NOT_RUNNING
    assert capsys.readouterr().err.endswith("(no broker answers at 127.0.0.1:9092)\n")


def test_the_parts_of_a_fact_are_words_and_what_is_not_known_is_left_out() -> None:
    licences = [{"licence": "L-1", "generation": 1, "expires": None}, {"licence": "L-2", "borrowed": True}]
    assert _word(licences) == "(licence L-1, generation 1); (licence L-2, borrowed yes)"
