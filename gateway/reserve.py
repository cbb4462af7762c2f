"""The hold of a call: the worst case that it can cost, or what the wallet affords of it."""

import re
from collections.abc import Callable

import msgspec

from billing.money import format_usd
from billing.pricing import affordable_output_tokens, bound_nanos
from gateway.batch import Hold, HoldResult, MoneyUnknown
from gateway.call import Call, Outcome
from gateway.errors import BadRequest, PaymentRequired, Unavailable
from gateway.estimate import (
    FLOOR_OUTPUT_TOKENS,
    bound_input_tokens,
    bound_output_tokens,
    expect_input_tokens,
)
from gateway.limits import rate_headers, refusal_error
from gateway.prepare import Prepared
from gateway.services import Services
from gateway.wire import Headers

HEADER_CHARS_MAX = 1000
_UNPRINTABLE = re.compile("[^ -~]")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call whose hold stands. `limit` is the most output tokens of each answer that may be asked of the provider,
    None where the body's own limit, or the model's, fits the hold and the model; `headers` are part of our answer from
    its start; `channel_name` is set where only that channel can serve the call."""

    call: Call
    prepared: Prepared
    limit: int | None
    headers: Headers
    channel_name: str | None = None


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The worst case: tokens in, tokens out of each answer (`output_each`), and the least that is worth a call."""

    input_tokens: int
    output_each: int
    floor_each: int
    cost: Callable[[int], int]
    """Nano-dollars for so many output tokens of each answer."""


def bound_call(call: Call, prepared: Prepared, earlier_tokens: int = 0) -> Bounds:
    """What the call can cost at most. `earlier_tokens`: input that the provider adds from an earlier answer."""
    assert call.model is not None
    assert call.price is not None
    price, tier, ask, model = call.price, call.tier, prepared.ask, call.model
    input_tokens = ask.rounds * (
        earlier_tokens + bound_input_tokens(len(prepared.raw), ask.media, model.context_length)
    )
    each = 0
    if ask.has_output:
        each = bound_output_tokens(
            ask.output_tokens, model.max_completion_tokens, model.context_length
        )

    def cost(output_tokens: int) -> int:
        outputs = output_tokens * ask.choices * ask.rounds + ask.extra_output_tokens
        return bound_nanos(price, input_tokens, outputs, tier, audio_output=ask.audio_output)

    return Bounds(
        input_tokens=input_tokens,
        output_each=each,
        floor_each=min(each, FLOOR_OUTPUT_TOKENS),
        cost=cost,
    )


async def reserve(call: Call, prepared: Prepared, services: Services) -> Request:
    """Hold the worst case, or what wallet and budgets afford of it. Raises PaymentRequired, RateLimited, BadRequest or
    Unavailable.

    Answers what may go upstream: its limit of output tokens never costs more than what is held.
    """
    assert call.model is not None
    channel_name, earlier_tokens = await find_previous(call, prepared, services)
    bounds = bound_call(call, prepared, earlier_tokens)
    call.input_tokens_max = bounds.input_tokens
    hold = Hold(
        call_id=call.id,
        account_id=call.caller.wallet_id,
        amount_nanos=max(bounds.cost(bounds.output_each), 1),
        floor_nanos=max(bounds.cost(bounds.floor_each), 1),
        memo=call.memo(),
        refusal=lambda: call.record(Outcome(status="refused", error=_money_unknown()), None),
        key_limit_id=call.caller.key_limit_id,
        group_limit_id=call.caller.group_limit_id,
        tokens=earlier_tokens
        + expect_input_tokens(len(prepared.raw), prepared.ask.media)
        + bounds.output_each * prepared.ask.choices,
    )
    try:
        result = await services.batcher.hold(hold)
    except MoneyUnknown:
        services.metrics.counters["tollgate_holds_total", "unknown"] += 1
        raise _money_unknown() from None
    call.hold_nanos = result.granted_nanos
    lowered = result.granted_nanos < hold.amount_nanos
    granted = "lowered" if lowered else "granted"
    held = granted if result.granted_nanos else result.refusal or "credits"
    services.metrics.counters["tollgate_holds_total", held] += 1
    if result.granted_nanos == 0:
        if result.refusal not in ("", "credits"):
            raise refusal_error(result, hold.floor_nanos)
        raise _too_poor(hold, bounds.floor_each, result.available_nanos)
    headers: Headers = rate_headers(result.rate)
    dropped = prepared.dropped
    if dropped:
        headers.append((b"x-tollgate-dropped", _header_text(", ".join(dropped))))
    each, asked = bounds.output_each, prepared.ask.output_tokens
    # Agents ask for 65,536 tokens out of habit, also of models that give less and refuse to be asked for more.
    exceeds_model = prepared.ask.has_output and asked is not None and asked > each
    if lowered:
        each = _affordable(call, prepared, bounds, result)
    if lowered or exceeds_model:
        headers.append((b"x-tollgate-max-tokens", str(each).encode()))
    outputs = prepared.ask.choices * prepared.ask.rounds
    call.output_tokens_max = each * outputs + prepared.ask.extra_output_tokens
    # Unknown to the provider too, or lowered: then only a limit in the body makes the worst case fit the hold.
    must_be_set = lowered or exceeds_model or call.model.max_completion_tokens is None
    is_set = each == asked or not prepared.ask.has_output
    return Request(
        call=call,
        prepared=prepared,
        limit=each if must_be_set and not is_set else None,
        headers=headers,
        channel_name=channel_name,
    )


def _header_text(text: str) -> bytes:
    """Text that came in a body, fit for a header."""
    return _UNPRINTABLE.sub("?", text)[:HEADER_CHARS_MAX].encode()


def _affordable(call: Call, prepared: Prepared, bounds: Bounds, result: HoldResult) -> int:
    assert call.price is not None
    ask = prepared.ask
    affordable = affordable_output_tokens(
        call.price,
        bounds.input_tokens,
        result.granted_nanos,
        call.tier,
        audio_output=ask.audio_output,
    )
    outputs = ask.choices * ask.rounds
    return max((affordable - ask.extra_output_tokens) // outputs, bounds.floor_each)


async def find_previous(
    call: Call, prepared: Prepared, services: Services
) -> tuple[str | None, int]:
    """The channel that keeps the answer which this call continues, and how many tokens that brings in.

    An answer is known by the record of its call, and only to the group that paid for it: the provider's account, where
    it is stored, is shared by all groups.
    """
    name = prepared.ask.previous_response
    if name is None:
        return None, 0
    found = await services.store.find_response(call.caller.group_id, name)
    if found is None:
        raise BadRequest(
            f"Previous response with id '{name[:120]}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return found.channel_name, found.tokens


def _money_unknown() -> Unavailable:
    return Unavailable(
        "Credits cannot be checked right now; nothing was sent or charged. Try again shortly."
    )


def _too_poor(hold: Hold, floor_tokens: int, available_nanos: int) -> PaymentRequired:
    output = f" with {floor_tokens} output tokens" if floor_tokens else ""
    return PaymentRequired(
        f"Insufficient credits: ${format_usd(max(available_nanos, 0))} is available, and this request"
        f"{output} can cost up to ${format_usd(hold.floor_nanos)}. Add credits, or send less."
    )
