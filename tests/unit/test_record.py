"""What is missing from the record, and what another vendor has, are named."""

from datetime import timedelta

from audit.invariants import check, judge
from audit.log_index import Ledger
from events.backend_facts import ContactRefused, PolicyAdopted
from events.envelope import Head, container_stream, record_key
from events.terms import VendorId
from tests.unit.facts import report
from tests.unit.lives import ACME, LOST, ZETA, breaches_of, decided, replaced, started
from tests.worlds import CODEC
from workflows.policy import Policy


def test_8_a_missing_fact_a_broken_chain_and_a_copy_with_other_bytes_are_named() -> None:
    world = replaced().world
    facts = [CODEC.unseal(record.value) for stream in world.streams.values() for record in stream]
    third = next(fact for fact in facts if fact.stream == "case/c-1" and fact.sequence == 3)
    without = [fact for fact in facts if fact is not third]
    broken = [fact._replace(previous_hash=bytes(32)) if fact is third else fact for fact in facts]
    differing = [*facts, third._replace(hash=bytes(32))]

    for log, sentence in (
        (without, "fact 3 before it is missing"),
        (broken, "fact 3 does not carry the hash of the one before it"),
        (differing, "fact 3 stands there twice, with other bytes"),
    ):
        breaches = [one for one in check(log) if one.about == "case/c-1"]
        assert [(one.invariant, one.sentence) for one in breaches] == [(8, sentence)]


def test_8_a_policy_version_that_is_missing_or_cannot_be_read_is_named() -> None:
    life = started()
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=3, policy=Policy().model_dump_json()))
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=4, policy="[17]"))
    facts = replaced().state
    assert facts is not None
    life.case_says([decided(facts=facts.facts, policy_version=2)])

    assert [(one.invariant, one.sentence) for one in breaches_of(life.world)] == [
        (8, "it was decided under policy version 2, which is missing"),
        (8, "policy version 2 is missing"),
        (8, "policy version 4 cannot be read"),
    ]


def test_9_what_is_another_vendors_or_nobodys_is_named() -> None:
    life = replaced()
    life.world.add_vendor(ZETA)
    contact = ContactRefused(contact="C-1", serial=LOST, occurred=life.world.at, cases=(life.case,))
    foreign = CODEC.seal(ZETA, container_stream(LOST), record_key(ZETA, LOST), Head(), life.world.at, contact)
    life.world.streams[ZETA, container_stream(LOST)].append(foreign)
    life.world.streams[VendorId("nobody"), "case/c-9"].append(
        CODEC.seal(VendorId("nobody"), "case/c-9", b"nobody/3-1", Head(), life.world.at, report())
    )

    assert [(one.invariant, one.vendor, one.sentence) for one in breaches_of(life.world)] == [
        (9, "nobody", "nobody has added vendor nobody"),
        (9, "nobody", "vendor nobody has no container 3-1"),
        (9, "zeta", "vendor zeta has no case c-1"),
    ]


def test_9_a_case_that_has_said_nothing_yet_is_named_after_a_day_and_one_of_another_vendor_at_once() -> None:
    """Blocking and issuing may be in the log before the report: the worker that is to append it may be down."""
    world = replaced().world
    facts = [CODEC.unseal(record.value) for stream in world.streams.values() for record in stream]
    silent, foreign = Ledger(), Ledger()
    for fact in facts:
        if not fact.stream.startswith("case/"):
            silent.take(fact)
        foreign.take(fact._replace(vendor=ZETA) if fact.stream.startswith("case/") else fact)
    until = max(fact.recorded for fact in facts)

    def named(ledger: Ledger, later: timedelta = timedelta()) -> bool:
        return "vendor acme has no case c-1" in {one.sentence for one in judge(ledger, until + later)}

    assert (named(silent), named(silent, timedelta(days=1)), named(foreign)) == (False, True, True)
