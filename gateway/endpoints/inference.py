"""The endpoints that call models: each is one surface, and all take the same way from a body to a settlement."""

from types import MappingProxyType

import msgspec

from gateway.call import Call
from gateway.endpoints.counting import count_tokens
from gateway.errors import BadRequest, NotFound
from gateway.prepare import Named, forwarded_headers, prepare
from gateway.reserve import Request, reserve
from gateway.services import Services
from gateway.settle import carry
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Surface
from gateway.wire import Wire

METHODS = MappingProxyType({"generateContent": False, "streamGenerateContent": True})
"""Whether the method answers with a stream."""


async def create_completion(wire: Wire, services: Services) -> None:
    """POST /v1/chat/completions."""
    await _call_model(SURFACES["chat"], wire, services)


async def create_response(wire: Wire, services: Services) -> None:
    """POST /v1/responses."""
    await _call_model(SURFACES["responses"], wire, services)


async def create_message(wire: Wire, services: Services) -> None:
    """POST /v1/messages."""
    await _call_model(SURFACES["messages"], wire, services)


async def create_embedding(wire: Wire, services: Services) -> None:
    """POST /v1/embeddings."""
    await _call_model(SURFACES["embeddings"], wire, services)


async def call_gemini(wire: Wire, services: Services, text: str) -> None:
    """POST /v1beta/models/{model}:generateContent, :streamGenerateContent and :countTokens."""
    named = parse_gemini_path(text)
    if named is None:
        model, _, method = text.rpartition(":")
        if method != "countTokens" or not model:
            raise NotFound(f"No such method: {text[:200]}.")
        await count_tokens(SURFACES["generate"], wire, services, model)
        return
    if named.stream and wire.query().get("alt") != "sse":
        raise BadRequest("Streams are event streams here: add '?alt=sse'.", param="alt")
    await _call_model(SURFACES["generate"], wire, services, named)


def parse_gemini_path(text: str) -> Named | None:
    """The model and method in `{model}:{method}`; None for a method that generates nothing."""
    model, _, method = text.rpartition(":")
    if not model or method not in METHODS:
        return None
    return Named(model, stream=METHODS[method])


async def _call_model(
    surface: Surface, wire: Wire, services: Services, named: Named | None = None
) -> None:
    caller = await services.authenticator.authenticate(wire)
    raw = await wire.read_body(services.configuration.body_bytes_max)
    call = Call(wire.call_id, caller, surface.endpoint)

    async def reserve_hold() -> Request:
        prepared = prepare(call, raw, surface, services, named)
        forwarded = forwarded_headers(surface, wire)
        if forwarded:
            prepared = msgspec.structs.replace(prepared, forwarded=forwarded)
        return await reserve(call, prepared, services)

    await carry(call, reserve_hold, wire, services)
