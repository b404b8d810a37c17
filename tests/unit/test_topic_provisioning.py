"""What a topic must be, and what becomes of one that is not."""

from dataclasses import replace

import pytest

from events.log import partition_of
from events.terms import VendorId
from events.topics import LOG, TopicSpec, log_spec, vendor_specs
from infra.problem import Problem
from infra.topic_provisioning import Found, misfits, refuse_moved

INBOX, DEAD_LETTERS = vendor_specs(VendorId("acme"))


def as_wanted(spec: TopicSpec, copies: int = 1) -> Found:
    return Found(spec.partitions, copies, dict(spec.config), {})


@pytest.mark.parametrize("spec", [log_spec(6, 3, embedded=True), INBOX, DEAD_LETTERS], ids=lambda spec: spec.name)
def test_a_topic_as_it_must_be_has_nothing_wrong_and_every_setting_counts(spec: TopicSpec) -> None:
    assert misfits(spec, as_wanted(spec), 1) == []
    for setting in spec.config:
        found = replace(as_wanted(spec), config={**spec.config, setting: "otherwise"})
        (wrong,) = misfits(spec, found, 1)
        assert (wrong.setting, wrong.found, wrong.wanted) == (setting, "otherwise", spec.config[setting])
        assert wrong.repairable


def test_a_log_of_fewer_partitions_or_copies_than_wanted_is_refused_with_what_to_do() -> None:
    spec = log_spec(6)
    partitions, copies = misfits(spec, replace(as_wanted(spec), partitions=3), 3)

    assert not partitions.repairable
    assert not copies.repairable
    assert "lostfound.log has partitions 3, and must have 6: set LOSTFOUND_LOG_PARTITIONS=3" in partitions.sentence
    assert "LOSTFOUND_REPLICATION_FACTOR to 1" in copies.sentence


def test_partitions_that_were_added_stay_empty_and_an_inbox_may_have_more() -> None:
    for spec in (log_spec(6), INBOX):
        assert misfits(spec, replace(as_wanted(spec), partitions=9), 1) == []


def test_a_setting_by_which_streams_would_move_is_refused_with_the_right_one() -> None:
    streams = [("acme", f"container/3-{n}", partition_of(f"acme/3-{n}".encode(), 6)) for n in range(50)]

    refuse_moved(streams, 6, 9)
    refuse_moved([], 3, 9)
    with pytest.raises(Problem) as caught:
        refuse_moved(streams, 9, 9)

    assert f"LOSTFOUND_LOG_PARTITIONS is 9, but {LOG} was written in 6 partitions" in caught.value.sentence
    assert "set LOSTFOUND_LOG_PARTITIONS=6" in caught.value.sentence


def test_a_stream_that_strayed_keeps_no_process_from_its_start() -> None:
    streams = [("acme", f"container/3-{n}", partition_of(f"acme/3-{n}".encode(), 6)) for n in range(50)]
    strayed = ("acme", "container/3-99", (partition_of(b"acme/3-99", 6) + 1) % 6)

    refuse_moved([*streams, strayed], 6, 9)
    with pytest.raises(Problem, match="set LOSTFOUND_LOG_PARTITIONS=6"):
        refuse_moved([*streams, strayed], 5, 9)
