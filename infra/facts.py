"""The codec by which this installation's facts are sealed and read."""

from events.codec import FactCodec


def fact_codec() -> FactCodec:
    """A codec for all facts of the catalogue, in all versions."""
    return FactCodec()
