"""A recovery beyond its quota is named."""

from collections.abc import Sequence
from typing import Any

import pytest

from events.backend_facts import PolicyAdopted, RecoveryReserved
from events.case_facts import QuotaAnswer
from events.ports.licensing_backend import Reservation
from events.terms import CaseId, HolderId, Mode, Serial, Status
from tests.unit.facts import report
from tests.unit.lives import ACME, LOST, SPARE, approves, breaches_of, named, started
from tests.worlds import COUNTED, POLICY, QUOTA, Life, World
from workflows.commands import Report
from workflows.policy import Policy, Quota, Rule


def reserves(life: Life, ordinal: int = 1, limit: int = 1, **more: Any) -> None:
    fields = {"case": life.case, "serial": life.serial, "subjects": (f"holder/{life.holder}",)}
    life.backend(life.serial, RecoveryReserved.model_validate({**fields, "ordinal": ordinal, "limit": limit} | more))


def test_6_more_recoveries_in_a_term_than_the_quota_has_are_named() -> None:
    life = started(QUOTA)
    reserves(life)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))
    life.backend(SPARE, life.licence("L-2", 1, SPARE))
    other = Life(life.world, ACME, CaseId("c-2"), SPARE, life.holder, QUOTA)
    other.reports("R-2")
    reserves(other)
    other.assessed("L-2", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))

    assert named(breaches_of(life.world)) == [(6, "case c-2")]


@pytest.mark.parametrize(
    ("of_another", "sentence"),
    [
        (
            {},
            "2 recoveries of holder/h-1 were set aside in the pot recoveries in a term of 30 days, and 1 is the limit",
        ),
        ({"pot": "same_hardware"}, "it does not count for holder/h-1 in the pot recoveries"),
    ],
)
def test_6_recoveries_are_counted_in_their_pots(of_another: dict[str, str], sentence: str) -> None:
    life = started(QUOTA)
    reserves(life, term_days=30)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))
    life.backend(SPARE, life.licence("L-2", 1, SPARE))
    other = Life(life.world, ACME, CaseId("c-2"), SPARE, life.holder, QUOTA)
    other.reports("R-2")
    reserves(other, term_days=30, **of_another)
    other.assessed("L-2", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))

    (breach,) = breaches_of(life.world)

    assert (breach.invariant, breach.about) == (6, "case c-2")
    assert breach.sentence == sentence


BOTH = (
    RecoveryReserved(case="c-9", serial="D-9", subjects=("holder/h-1",), ordinal=1, limit=1, term_days=365),
    RecoveryReserved(
        case="c-9", serial="D-9", subjects=("container/D-9",), ordinal=1, limit=2, term_days=365, pot="sim"
    ),
)


def divided(reserved: Sequence[RecoveryReserved], answers: Sequence[QuotaAnswer]) -> Life:
    """A loss under two rules with a quota each, of which these were set aside."""
    world, lost = World(), Serial("D-9")
    world.add_vendor(ACME)
    life = Life(world, ACME, CaseId("c-9"), lost, HolderId("h-1"), QUOTA)
    life.registers(lost)
    life.backend(lost, life.licence("L-1", 1, lost), life.licence("L-2", 1, lost, product=COUNTED))
    life.reports("R-9", rules_version=2)
    plain = {"generation": 1, "ticket": "T", "value_cents": 0}
    scope = [{"licence": "L-1", "product": QUOTA} | plain, {"licence": "L-2", "product": COUNTED} | plain]
    known = {"serial": lost, "kind": "dongle", "holder": "h-1", "last_contact": None, "licences": scope}
    if reserved:
        life.backend(lost, *reserved)
    life.assessed(facts=known, reservation=Reservation.of(world.at, answers))
    return life


@pytest.mark.parametrize(("missing", "pot", "subject"), [(0, "recoveries", "holder/h-1"), (1, "sim", "container/D-9")])
def test_6_a_case_under_two_rules_that_does_not_count_in_the_quota_of_one_is_named(
    missing: int, pot: str, subject: str
) -> None:
    answers = [QuotaAnswer(ordinal=1, limit=1), QuotaAnswer(ordinal=1, limit=2)]
    whole, half = divided(BOTH, answers), divided(BOTH[1 - missing :][:1], answers)

    (breach,) = breaches_of(half.world)

    assert breaches_of(whole.world) == []
    assert (breach.invariant, breach.sentence) == (6, f"it does not count for {subject} in the pot {pot}")


def test_6_a_case_counts_once_for_a_subject_though_two_quotas_set_it_aside() -> None:
    twice = BOTH[0].model_copy(update={"limit": 2, "term_days": 30})

    life = divided((*BOTH, twice), [QuotaAnswer(ordinal=1, limit=1), QuotaAnswer(ordinal=1, limit=2)])

    assert breaches_of(life.world) == []


@pytest.mark.parametrize(("used_up", "by", "breaches"), [((True, False), "ann", [5]), ((False, True), "ann", [])])
def test_5_goodwill_beyond_one_quota_of_two_is_granted_by_whom_that_one_names(
    used_up: tuple[bool, bool], by: str, breaches: list[int]
) -> None:
    answers = [QuotaAnswer(ordinal=None, limit=limit, used_up=one) for limit, one in zip((1, 2), used_up, strict=True)]
    life = divided((), answers)
    approves(life, by, goodwill=True)

    assert [breach.invariant for breach in breaches_of(life.world)] == breaches


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
    assert breaches_of(life.world) == []


def test_6_an_ordinal_beyond_the_limit_or_that_was_never_set_aside_is_named() -> None:
    life = started(QUOTA)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=2, limit=1))

    assert named(breaches_of(life.world)) == [(6, "case c-1"), (6, "case c-1")]


def test_6_approving_beyond_the_quota_without_goodwill_is_named_and_goodwill_by_whom_may_not_is_5() -> None:
    life = started(QUOTA)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=None, limit=1))
    assert breaches_of(life.world) == []
    approves(life, "bob")
    other = started(QUOTA)
    other.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=None, limit=1))
    approves(other, "ann", goodwill=True)

    assert named(breaches_of(life.world)) == [(6, "case c-1")]
    assert named(breaches_of(other.world)) == [(5, "case c-1")]
