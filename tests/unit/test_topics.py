"""The topics: how they are named and kept."""

import pytest

from events.topics import LOG_BATCH_BYTES, log_spec, vendor_of


def test_the_log_is_kept_for_ever_in_sync_and_takes_what_its_producers_send() -> None:
    config = log_spec(6, 3).config

    assert (config["retention.ms"], config["retention.bytes"], config["cleanup.policy"]) == ("-1", "-1", "delete")
    assert (config["min.insync.replicas"], config["unclean.leader.election.enable"]) == ("2", "false")
    assert config["max.message.bytes"] == str(LOG_BATCH_BYTES)


def test_the_vendor_comes_from_the_topic() -> None:
    assert vendor_of("lostfound.acme.inbox") == "acme"
    with pytest.raises(ValueError, match="nobody"):
        vendor_of("lostfound.A B.inbox")
