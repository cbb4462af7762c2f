"""From a body to what a call needs: its model, its price, what it asks for, and a body for each way to a provider."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.body import parse_object, take_text
from gateway.call import Call
from gateway.catalog import Channel, Model
from gateway.errors import BadRequest, NotFound, Unavailable
from gateway.exchange import Exchange, choose_exchange, refuse_mismatch
from gateway.limits import check_model
from gateway.providers import DIALECTS
from gateway.services import Services
from gateway.surfaces.base import Ask, Surface, refusal, refuse_fields
from gateway.wire import Wire

TIERS = {"auto": "standard", "default": "standard", "flex": "flex", "priority": "priority"}
SHORT_TTL = "30m"
"""How long OpenAI keeps what it wrote to its cache at the price of `cache_write`."""


class Named(msgspec.Struct, frozen=True):
    """What the path says already, on surfaces whose body does not: the model, and whether it is a stream."""

    model: str
    stream: bool


class Way(msgspec.Struct, frozen=True):
    """One way to a provider: the exchange, and the client's body as its surface takes it."""

    exchange: Exchange
    body: dict[str, Any]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was understood. `ways` by channel id; `raw` is the body as it came."""

    surface: Surface
    ask: Ask
    body: dict[str, Any]
    raw: bytes
    ways: Mapping[int, Way]
    forwarded: tuple[tuple[str, str], ...] = ()

    @property
    def dropped(self) -> tuple[str, ...]:
        """What was left out of the body, for the caller to know."""
        dropped = list(self.ask.dropped)
        for way in self.ways.values():
            if way.exchange.translation is not None:
                dropped += way.exchange.translation.dropped_fields(self.body)
                break
        return tuple(dict.fromkeys(dropped))

    def encode(self, channel: Channel, upstream_name: str, limit: int | None) -> bytes:
        """The body for that channel: the model by its name there, and `limit` output tokens unless it is None."""
        way = self.ways[channel.id]
        field = DIALECTS[channel.dialect].output_limit
        changes = way.exchange.surface.changes(way.body, upstream_name, limit, field)
        if not changes and way.body is self.body and not self.ask.dropped:
            return self.raw
        changed = {**way.body, **changes}
        return msgspec.json.encode(
            {name: value for name, value in changed.items() if value is not msgspec.UNSET}
        )


def prepare(
    call: Call, raw: bytes, surface: Surface, services: Services, named: Named | None = None
) -> Prepared:
    """Understand the body and fill the call's model, price, tier and flags.

    Raises BadRequest, NotFound, Forbidden or Unavailable.
    """
    body = parse_object(raw)
    call.requested_model = named.model if named else take_text(body, "model")
    refuse_fields(body)
    model = find_model(call, services)
    ask = surface.read_request(body, stream=named is not None and named.stream)
    call.stream, call.include_usage = ask.stream, ask.include_usage
    call.tier = _tier(ask.service_tier, call)
    _refuse_retention(body, call)
    channels = services.catalog.channels_of(model)
    if not channels:
        raise Unavailable(
            f"No channel is available for '{model.name}' right now.", code="no_channel_available"
        )
    ways = _ways(surface, model, channels, body)
    return Prepared(surface=surface, ask=ask, body=body, raw=raw, ways=ways)


def forwarded_headers(surface: Surface, wire: Wire) -> tuple[tuple[str, str], ...]:
    """The client's headers that belong to the surface and go on to the provider."""
    found = []
    for name in surface.forwarded_headers:
        value = wire.header(name)
        if value is not None:
            found.append((name.decode(), value.decode("latin-1")))
    return tuple(found)


def find_model(call: Call, services: Services) -> Model:
    """The model that the call names, and its price: filled in. Raises NotFound, or Forbidden for a model that the key
    or its group may not call."""
    name = call.requested_model
    model = services.catalog.models.get(name)
    price = (
        services.catalog.price_of(model, call.caller.group_id, services.now()) if model else None
    )
    if model is None or price is None:
        raise NotFound(
            f"The model '{name[:120]}' does not exist. GET /v1/models lists what can be called.",
            code="model_not_found",
            param="model",
        )
    check_model(call.caller, model.name, model.aliases)
    call.model, call.price = model, price
    return model


def _tier(asked: Any, call: Call) -> str:
    if asked is None:
        return "standard"
    assert call.price is not None
    tier = TIERS.get(asked) if isinstance(asked, str) else None
    if tier is None or all(table.tier != tier for table in call.price.tables):
        raise BadRequest(
            f"'{call.price.model}' has no price for this service tier.",
            code="unsupported_parameter",
            param="service_tier",
        )
    return tier


def _refuse_retention(body: Mapping[str, Any], call: Call) -> None:
    """A provider's report does not say how long what it wrote to its cache is kept: where that has a price of its own,
    the longer one would be billed as the shorter."""
    assert call.price is not None
    if all("cache_write_12h" not in table.rates for table in call.price.tables):
        return
    if body.get("prompt_cache_retention") not in (None, "in_memory", "in-memory"):
        raise refusal("prompt_cache_retention", "is priced apart and cannot be metered here")
    options = body.get("prompt_cache_options")
    if isinstance(options, dict) and options.get("ttl") not in (None, SHORT_TTL):
        raise refusal("prompt_cache_options.ttl", "is priced apart and cannot be metered here")
    if any(ttl not in (None, SHORT_TTL) for ttl in _breakpoint_ttls(body)):
        raise refusal("prompt_cache_breakpoint.ttl", "is priced apart and cannot be metered here")


def _breakpoint_ttls(value: Any) -> Iterator[Any]:
    """The lifetimes of all `prompt_cache_breakpoint`s, wherever they stand."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            mark = value.get("prompt_cache_breakpoint")
            if isinstance(mark, dict):
                yield mark.get("ttl")
            waiting += value.values()


def _ways(
    surface: Surface, model: Model, channels: tuple[Channel, ...], body: dict[str, Any]
) -> dict[int, Way]:
    """A way for each channel that can serve the call. A body that no channel's surface can carry is refused."""
    ways: dict[int, Way] = {}
    translated: dict[str, Way | BadRequest] = {}
    refused: BadRequest | None = None
    for channel in channels:
        exchange = choose_exchange(surface, model, channel)
        if exchange is None:
            continue
        if exchange.translation is None:
            ways[channel.id] = Way(exchange, body)
            continue
        spoken = exchange.surface.name
        if spoken not in translated:
            translated[spoken] = _translate(exchange, body)
        way = translated[spoken]
        if isinstance(way, BadRequest):
            refused = refused or way
        else:
            ways[channel.id] = way
    if not ways:
        raise refused or refuse_mismatch(surface, model, channels)
    return ways


def _translate(exchange: Exchange, body: dict[str, Any]) -> Way | BadRequest:
    assert exchange.translation is not None
    try:
        return Way(exchange, exchange.translation.translate_request(body))
    except BadRequest as error:
        return error
