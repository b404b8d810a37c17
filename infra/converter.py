"""How Temporal's payloads become models and back."""

from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)

JSON = PydanticJSONPlainPayloadConverter()


class PayloadConverter(CompositePayloadConverter):
    """As the SDK's own for pydantic, but its type adapters are made once, not for every workflow anew."""

    def __init__(self) -> None:
        known = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(JSON if isinstance(one, JSONPlainPayloadConverter) else one for one in known))


CONVERTER = DataConverter(payload_converter_class=PayloadConverter)
