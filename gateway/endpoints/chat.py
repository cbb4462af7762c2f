"""POST /v1/chat/completions: from a body to a hold, a relay and a settlement."""

from typing import Any

import msgspec

from billing.money import format_usd
from billing.pricing import Price, affordable_output_tokens, bound_nanos
from gateway.batch import Hold, MoneyUnknown
from gateway.body import INT_MAX, parse_object, take_count, take_flag, take_text
from gateway.call import Call, Outcome
from gateway.catalog import Model
from gateway.errors import BadRequest, NotFound, PaymentRequired, Unavailable
from gateway.estimate import FLOOR_OUTPUT_TOKENS, bound_input_tokens, bound_output_tokens
from gateway.providers import DIALECTS
from gateway.relay import Request
from gateway.services import Services
from gateway.settle import carry
from gateway.wire import Headers, Wire

CHOICES_MAX = 128
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
TIERS = {"auto": "standard", "default": "standard", "flex": "flex", "priority": "priority"}
# Fields by which a caller would name another provider, another credential or his own bill.
REFUSED_FIELDS = (
    "base_url",
    "api_base",
    "api_key",
    "api_version",
    "custom_llm_provider",
    "extra_headers",
    "usage",
    "cost",
)


async def create_completion(wire: Wire, services: Services) -> None:
    """The endpoint."""
    caller = await services.authenticator.authenticate(wire)
    raw = await wire.read_body(services.configuration.body_bytes_max)
    call = Call(wire.call_id, caller, "chat/completions")

    async def reserve_hold() -> Request:
        return await reserve(call, prepare(call, raw, services), services)

    await carry(call, reserve_hold, wire, services)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A chat body that was understood. `asked` is the client's own limit of output tokens for each choice."""

    body: dict[str, Any]
    raw: bytes
    choices: int
    asked: int | None
    limit_fields: tuple[str, ...]
    audio_output: bool


def prepare(call: Call, raw: bytes, services: Services) -> Prepared:
    """Understand the body and fill the call's model, price, tier and flags. Raises BadRequest or NotFound."""
    body = parse_object(raw)
    call.requested_model = take_text(body, "model")
    for name in REFUSED_FIELDS:
        if name in body:
            raise BadRequest(
                f"'{name}' cannot be set by the caller.", code="unsupported_parameter", param=name
            )
    model, price = _find_model(call, services)
    call.model, call.price = model, price
    call.stream = take_flag(body, "stream")
    call.tier = _tier(body, price)
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest("'messages' must be a list of at least one message.", param="messages")
    if body.get("web_search_options") is not None:
        raise BadRequest(
            "Web search by the provider is billed per search and cannot be metered here.",
            code="unsupported_parameter",
            param="web_search_options",
        )
    choices = take_count(body, "n", 1, CHOICES_MAX) or 1
    asked, limit_fields = _asked_limit(body, model, services)
    changed = _rename_model(body, model)
    changed = _ask_for_usage(call, body) or changed
    return Prepared(
        body=body,
        raw=msgspec.json.encode(body) if changed else raw,
        choices=choices,
        asked=asked,
        limit_fields=limit_fields,
        audio_output=_wants_audio(body),
    )


def _find_model(call: Call, services: Services) -> tuple[Model, Price]:
    name = call.requested_model
    model = services.catalog.models.get(name)
    price = (
        services.catalog.price_of(model, call.caller.group_id, services.now()) if model else None
    )
    if model is None or price is None:
        shown = name[:120]
        raise NotFound(
            f"The model '{shown}' does not exist. GET /v1/models lists what can be called.",
            code="model_not_found",
            param="model",
        )
    if model.mode != "chat":
        raise BadRequest(
            f"'{name[:120]}' cannot be called on /v1/chat/completions.",
            code="model_endpoint_mismatch",
            param="model",
        )
    return model, price


def _tier(body: dict[str, Any], price: Price) -> str:
    asked = body.get("service_tier")
    if asked is None:
        return "standard"
    tier = TIERS.get(asked) if isinstance(asked, str) else None
    if tier is None or all(table.tier != tier for table in price.tables):
        raise BadRequest(
            f"'{price.model}' has no price for this service tier.",
            code="unsupported_parameter",
            param="service_tier",
        )
    return tier


def _asked_limit(
    body: dict[str, Any], model: Model, services: Services
) -> tuple[int | None, tuple[str, ...]]:
    """The client's limit of output tokens, and the fields that carry it."""
    limits = {}
    for name in LIMIT_FIELDS:
        limit = take_count(body, name, 1, INT_MAX)
        if limit is not None:
            limits[name] = limit
    if len(set(limits.values())) > 1:
        raise BadRequest(
            f"{' and '.join(limits)} name two different limits.", param=LIMIT_FIELDS[0]
        )
    if limits:
        return min(limits.values()), tuple(limits)
    channels = services.catalog.channels.get(model.provider, ())
    return None, (DIALECTS[channels[0].dialect].output_limit if channels else LIMIT_FIELDS[0],)


def _wants_audio(body: dict[str, Any]) -> bool:
    modalities = body.get("modalities")
    if modalities is not None and not isinstance(modalities, list):
        raise BadRequest("'modalities' must be a list.", param="modalities")
    return "audio" in (modalities or ())


def _rename_model(body: dict[str, Any], model: Model) -> bool:
    if body["model"] == model.upstream_name:
        return False
    body["model"] = model.upstream_name
    return True


def _ask_for_usage(call: Call, body: dict[str, Any]) -> bool:
    """Streams are always asked for their usage; the client sees it only if he asked himself."""
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadRequest("'stream_options' must be an object.", param="stream_options")
    if not call.stream:
        return False
    call.include_usage = take_flag(options or {}, "include_usage", "stream_options.include_usage")
    if call.include_usage:
        return False
    body["stream_options"] = {**(options or {}), "include_usage": True}
    return True


async def reserve(call: Call, prepared: Prepared, services: Services) -> Request:
    """Hold the worst case, or what the wallet affords of it. Raises PaymentRequired or Unavailable.

    Answers what goes upstream: the limit of output tokens in it never costs more than what is held.
    """
    assert call.model is not None
    assert call.price is not None
    price, body, choices = call.price, prepared.body, prepared.choices
    call.input_tokens_max = bound_input_tokens(len(prepared.raw), body)
    each = bound_output_tokens(
        prepared.asked, call.model.max_completion_tokens, call.model.context_length
    )
    predicted = (
        len(msgspec.json.encode(body["prediction"])) if body.get("prediction") is not None else 0
    )
    floor_each = min(each, FLOOR_OUTPUT_TOKENS)

    def cost(output_tokens: int) -> int:
        return bound_nanos(
            price,
            call.input_tokens_max,
            output_tokens * choices + predicted,
            call.tier,
            audio_output=prepared.audio_output,
        )

    hold = Hold(
        call_id=call.id,
        account_id=call.caller.wallet_id,
        amount_nanos=max(cost(each), 1),
        floor_nanos=max(cost(floor_each), 1),
        memo=call.memo(),
        refusal=lambda: call.record(Outcome(status="refused", error=_money_unknown()), None),
    )
    try:
        result = await services.batcher.hold(hold)
    except MoneyUnknown:
        raise _money_unknown() from None
    call.hold_nanos = result.granted_nanos
    if result.granted_nanos == 0:
        raise _too_poor(hold, floor_each, result.available_nanos)
    headers: Headers = []
    raw = prepared.raw
    if result.granted_nanos < hold.amount_nanos:
        affordable = affordable_output_tokens(
            price,
            call.input_tokens_max,
            result.granted_nanos,
            call.tier,
            audio_output=prepared.audio_output,
        )
        each = max((affordable - predicted) // choices, floor_each)
        headers.append((b"x-tollgate-max-tokens", str(each).encode()))
    if each != prepared.asked and (headers or call.model.max_completion_tokens is None):
        # Unknown to the provider too, or lowered: then only a limit in the body makes the worst case fit the hold.
        raw = msgspec.json.encode({**body, **dict.fromkeys(prepared.limit_fields, each)})
    call.output_tokens_max = each * choices
    return Request(call=call, body=raw, headers=headers)


def _money_unknown() -> Unavailable:
    return Unavailable(
        "Credits cannot be checked right now; nothing was sent or charged. Try again shortly."
    )


def _too_poor(hold: Hold, floor_tokens: int, available_nanos: int) -> PaymentRequired:
    return PaymentRequired(
        f"Insufficient credits: ${format_usd(max(available_nanos, 0))} is available, and this request "
        f"with {floor_tokens} output tokens can cost up to ${format_usd(hold.floor_nanos)}. "
        "Add credits, or send less."
    )
