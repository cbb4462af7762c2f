"""OpenAI Embeddings (OpenAI's API reference, "Embeddings"). Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.envelopes import data_event, openai_envelope
from gateway.errors import BadRequest, GatewayError
from gateway.surfaces.base import Ask, PlainAnswer, Watcher, decode
from gateway.usage import UsageReader


class Embeddings:
    """POST /v1/embeddings."""

    name = "embeddings"
    endpoint = "embeddings"
    path = "/v1/embeddings"
    forwarded_headers: tuple[bytes, ...] = ()

    def read_request(self, body: dict[str, Any], *, stream: bool = False) -> Ask:
        given = body.get("input")
        if not isinstance(given, str | list) or not given:
            raise BadRequest("'input' must be a text, or a list of texts or tokens.", param="input")
        if body.get("stream"):
            raise BadRequest("Embeddings cannot be streamed.", param="stream")
        return Ask(has_output=False)

    def changes(
        self, body: Mapping[str, Any], upstream_name: str, limit: int | None, limit_field: str
    ) -> dict[str, Any]:
        return {} if body["model"] == upstream_name else {"model": upstream_name}

    def watch(self, read_usage: UsageReader, ask: Ask) -> Watcher:
        raise AssertionError("embeddings are never streamed")

    def read_answer(self, body: bytes, read_usage: UsageReader) -> PlainAnswer | None:
        answer = decode(body, _decoder)
        if answer is None or (answer.error is None and not isinstance(answer.data, list)):
            return None
        return PlainAnswer(
            usage=read_usage(answer.usage), error=answer.error, delivered=bool(answer.data)
        )

    def error_event(self, error: GatewayError, request_id: str, events: int) -> bytes:
        return data_event(openai_envelope(error, request_id))


class _Answer(msgspec.Struct):
    data: Any = None
    usage: Any = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Answer)
