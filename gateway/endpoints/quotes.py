"""POST /v1/price_quotes: what a call would cost at most, without making it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from billing.money import format_usd
from gateway.body import parse_object, take_text
from gateway.call import Call, Caller
from gateway.endpoints.inference import parse_gemini_path
from gateway.errors import BadRequest
from gateway.images.openai_request import parse_generation
from gateway.images.request import parse_image_request
from gateway.ordering import read_model_name, read_order
from gateway.prepare import Named, prepare
from gateway.reserve import bound_call, find_previous
from gateway.services import Services
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Surface
from gateway.wire import Wire

GENERATIONS = "/v1/images/generations"
PICTURE_ENDPOINTS = ("/v1/text_to_image", "/v1/edit_image", "/v1/upscale_image", GENERATIONS)
GEMINI_PREFIXES = ("/v1beta/models/", "/v1/models/")


class _Quote(msgspec.Struct):
    body: msgspec.Raw


_decoder = msgspec.json.Decoder(_Quote)


async def quote_price(wire: Wire, services: Services) -> None:
    """The bound that the call's hold would have, and the limits that it is made of. Nothing is held or sent."""
    caller = await services.authenticator.authenticate(wire)
    raw = await wire.read_body(services.configuration.body_bytes_max)
    asked = parse_object(raw)
    endpoint = take_text(asked, "endpoint")
    if not isinstance(asked.get("body"), dict):
        raise BadRequest("'body' must be an object: the call's own body.", param="body")
    if endpoint in PICTURE_ENDPOINTS:
        quote = _quote_pictures(endpoint, asked["body"], caller, wire, services)
        await wire.send_json(200, msgspec.json.encode(quote))
        return
    surface, named = _surface_of(endpoint)
    call = Call(wire.call_id, caller, surface.endpoint)
    # The call's own bytes, spaces and all: holds are bounded by their number.
    body = bytes(_decoder.decode(raw).body)
    prepared = prepare(call, body, surface, services, named)
    _, earlier_tokens = await find_previous(call, prepared, services)
    bounds = bound_call(call, prepared, earlier_tokens)
    assert call.model is not None
    assert call.price is not None
    answer: Mapping[str, Any] = {
        "object": "price_quote",
        "endpoint": endpoint,
        "model": call.model.name,
        "service_tier": call.tier,
        "exact": False,
        "upper_bound": format_usd(bounds.cost(bounds.output_each)),
        "currency": "USD",
        "input_tokens_max": bounds.input_tokens,
        "output_tokens_max": bounds.output_each * prepared.ask.choices,
        "price_id": call.price.id,
    }
    await wire.send_json(200, msgspec.json.encode(answer))


def _quote_pictures(
    endpoint: str, body: dict[str, Any], caller: Caller, wire: Wire, services: Services
) -> Mapping[str, Any]:
    """What a task would cost, exactly: what is held for it is what it is charged when all its pictures come."""
    call = Call(wire.call_id, caller, endpoint.removeprefix("/v1/"), source="task")
    read_model_name(body, call)
    if endpoint == GENERATIONS:
        order = read_order(
            call, "text_to_image", services, lambda offer: parse_generation(body, offer)
        )
    else:
        action = call.endpoint
        order = read_order(
            call, action, services, lambda offer: parse_image_request(action, body, offer)
        )
    assert call.model is not None
    assert call.price is not None
    price = format_usd(order.amount_nanos)
    return {
        "object": "price_quote",
        "endpoint": endpoint,
        "model": call.model.name,
        "exact": True,
        "price": price,
        "upper_bound": price,
        "currency": "USD",
        "images": order.request.output_count,
        "price_key": order.price_key,
        "price_id": call.price.id,
    }


def _surface_of(endpoint: str) -> tuple[Surface, Named | None]:
    for surface in SURFACES.values():
        if endpoint == surface.path:
            return surface, None
    for prefix in GEMINI_PREFIXES:
        named = parse_gemini_path(endpoint.removeprefix(prefix))
        if named is not None and endpoint.startswith(prefix):
            return SURFACES["generate"], named
    paths = ", ".join([*(surface.path for surface in SURFACES.values()), *PICTURE_ENDPOINTS])
    raise BadRequest(f"'endpoint' must be one of {paths}.", param="endpoint")
