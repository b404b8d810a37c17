"""A recovery beyond its quota is named."""

from typing import Any

import pytest

from events.backend_facts import PolicyAdopted, RecoveryReserved
from events.ports.licensing_backend import Reservation
from events.terms import CaseId, Mode, Status
from tests.unit.facts import report
from tests.unit.lives import ACME, LOST, SPARE, approves, named, started, told
from tests.worlds import POLICY, QUOTA, Life
from workflows.commands import Report
from workflows.policy import Policy, Quota, Rule


def reserves(life: Life, ordinal: int = 1, limit: int = 1, **more: Any) -> None:
    told = {"case": life.case, "serial": life.serial, "subjects": (f"holder/{life.holder}",)}
    life.backend(life.serial, RecoveryReserved.model_validate({**told, "ordinal": ordinal, "limit": limit} | more))


def test_6_more_recoveries_in_a_term_than_the_quota_has_are_named() -> None:
    life = started(QUOTA)
    reserves(life)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))
    life.backend(SPARE, life.licence("L-2", 1, SPARE))
    other = Life(life.world, ACME, CaseId("c-2"), SPARE, life.holder, QUOTA)
    other.reports("R-2")
    reserves(other)
    other.assessed("L-2", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))

    assert named(told(life.world)) == [(6, "case c-2")]


@pytest.mark.parametrize(("of_another", "breaches"), [({}, [(6, "case c-2")]), ({"pot": "same_hardware"}, [])])
def test_6_recoveries_are_counted_in_their_pots(of_another: dict[str, str], breaches: list[tuple[int, str]]) -> None:
    life = started(QUOTA)
    reserves(life, term_days=30)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))
    life.backend(SPARE, life.licence("L-2", 1, SPARE))
    other = Life(life.world, ACME, CaseId("c-2"), SPARE, life.holder, QUOTA)
    other.reports("R-2")
    reserves(other, term_days=30, **of_another)
    other.assessed("L-2", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))

    assert named(told(life.world)) == breaches


def test_6_a_case_that_only_blocks_and_watches_uses_no_recovery() -> None:
    counted = Rule(mode=Mode.HYBRID, quota=Quota(recoveries=1))
    policy = Policy(policy_version=2, supervisors=POLICY.supervisors, rules=(counted,))
    life = started()
    adopted = PolicyAdopted(policy_version=2, policy=policy.model_dump_json())
    life.world.say(ACME, "vendor", None, adopted)
    watches = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder)
    watches.command(Report(report=report(report="R-2", serial=LOST, beside=life.case)))

    watches.assessed(policy=policy)

    assert watches.state is not None
    assert watches.state.status is Status.BLOCKING
    assert told(life.world) == []


def test_6_an_ordinal_beyond_the_limit_or_that_was_never_set_aside_is_named() -> None:
    life = started(QUOTA)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=2, limit=1))

    assert named(told(life.world)) == [(6, "case c-1"), (6, "case c-1")]


def test_6_approving_beyond_the_quota_without_goodwill_is_named_and_goodwill_by_whom_may_not_is_5() -> None:
    life = started(QUOTA)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=None, limit=1))
    assert told(life.world) == []
    approves(life, "bob")
    other = started(QUOTA)
    other.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=None, limit=1))
    approves(other, "ann", goodwill=True)

    assert named(told(life.world)) == [(6, "case c-1")]
    assert named(told(other.world)) == [(5, "case c-1")]
