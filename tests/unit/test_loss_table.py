"""The table of losses."""

from events.loss_table import LOSSES, Loss
from events.terms import Kind, Reason


def test_a_loss_is_found_by_kind_and_reason() -> None:
    assert all(Loss.of(row.kind, row.reason) is row for row in LOSSES)
    assert Loss.of(Kind.CLOUD, Reason.LOST) is None
