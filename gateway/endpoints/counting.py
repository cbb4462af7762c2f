"""Counting tokens at the provider: passed through, uncharged, since nothing is generated."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.attempt import Chosen
from gateway.body import parse_object, take_text
from gateway.breaker import read_retry_after
from gateway.call import Call
from gateway.catalog import Channel, Model
from gateway.errors import GatewayError, UpstreamFailed, UpstreamTimedOut
from gateway.exchange import refuse_mismatch
from gateway.prepare import find_model, forwarded_headers
from gateway.providers import DIALECTS
from gateway.refusals import ERROR_BYTES_MAX, may_try_elsewhere, refusal_error
from gateway.relay import choose_channels, no_channel
from gateway.services import Services
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Surface, decode, refuse_fields
from gateway.upstream import NotReached, TooSlow, UpstreamError
from gateway.wire import Wire


async def count_message_tokens(wire: Wire, services: Services) -> None:
    """POST /v1/messages/count_tokens, as Anthropic answers it."""
    await count_tokens(SURFACES["messages"], wire, services)


async def count_tokens(
    surface: Surface, wire: Wire, services: Services, named: str | None = None
) -> None:
    """Ask the first channel that counts on this surface. `named`: the model, where the path says it."""
    caller = await services.authenticator.authenticate(wire)
    raw = await wire.read_body(services.configuration.body_bytes_max)
    call = Call(wire.call_id, caller, f"{surface.endpoint}/count_tokens")
    body = parse_object(raw)
    call.requested_model = named or take_text(body, "model")
    refuse_fields(body)
    _refuse_foreign(surface, body)
    model = find_model(call, services)
    able = _able_channels(surface, model, services)
    failure: GatewayError | None = None
    for chosen in choose_channels(able, model, services):
        name = chosen.channel.upstream_name(model)
        sent = raw if named else msgspec.json.encode({**body, "model": name})
        counted = await _count_at(chosen, name, sent, surface, wire, services)
        if isinstance(counted, bytes):
            await wire.send_json(200, counted)
            return
        failure = counted
    raise failure or no_channel(able, model, services)


def _able_channels(surface: Surface, model: Model, services: Services) -> Sequence[Channel]:
    """The model's channels that count on this surface. Raises BadRequest where it has others only."""
    channels = services.catalog.channels_of(model)
    counting = _counting(surface)
    able = [channel for channel in channels if counting in DIALECTS[channel.dialect].paths]
    if channels and not able:
        raise refuse_mismatch(surface, model, channels)
    return able


def _counting(surface: Surface) -> str:
    return f"{surface.name}/count_tokens"


async def _count_at(
    chosen: Chosen, name: str, sent: bytes, surface: Surface, wire: Wire, services: Services
) -> bytes | GatewayError:
    """The channel's answer; or an error after which another may be asked: nothing is generated twice by that. Raises
    GatewayError where another would say the same."""
    channel, admission = chosen
    breakers, dialect = services.breakers, DIALECTS[channel.dialect]
    url = dialect.url(channel.base_url, _counting(surface), name, stream=False)
    try:
        answer = await services.upstream.open(url, _headers(channel, surface, wire), sent)
        async with answer:
            counted = await answer.read(ERROR_BYTES_MAX)
    except NotReached as error:
        breakers.record_not_reached(admission, str(error), time.monotonic())
        return UpstreamFailed("The provider could not be reached.")
    except TooSlow as error:
        breakers.record_failure(admission, str(error), time.monotonic())
        raise UpstreamTimedOut("The provider did not answer in time.") from None
    except UpstreamError as error:
        breakers.record_failure(admission, str(error), time.monotonic())
        return UpstreamFailed("The provider's answer broke off.")
    if answer.status == 200:
        if decode(counted, _object_decoder) is None:
            breakers.record_failure(admission, "no answer in a 200", time.monotonic())
            return UpstreamFailed("The provider answered with something else than JSON.")
        breakers.record_success(admission, time.monotonic())
        return counted
    wait_s = read_retry_after(answer.header("retry-after"), services.now())
    if answer.status != 429:
        # Counting has limits of its own (Anthropic, "Token counting"): that they are reached says nothing of calls.
        breakers.record_status(admission, answer.status, wait_s, time.monotonic())
    failure = refusal_error(answer.status, counted, wait_s)
    if not may_try_elsewhere(answer.status):
        raise failure
    return failure


_object_decoder = msgspec.json.Decoder(dict[str, Any])


def _headers(channel: Channel, surface: Surface, wire: Wire) -> list[tuple[str, str]]:
    own = DIALECTS[channel.dialect].headers(surface.name, channel.credential)
    forwarded = dict(forwarded_headers(surface, wire))
    return [
        ("content-type", "application/json"),
        ("x-client-request-id", wire.request_id),
        *((name, value) for name, value in own if name not in forwarded),
        *forwarded.items(),
    ]


def _refuse_foreign(surface: Surface, body: dict[str, Any]) -> None:
    """Raise BadRequest for what a call may not name either: the provider's account is shared by all groups.

    Gemini's countTokens may wrap the call's own body (its API reference, "Counting tokens").
    """
    for name in ("generateContentRequest", "generate_content_request"):
        inner = body.get(name)
        if isinstance(inner, dict):
            body = inner
    surface.read_request({"max_tokens": 1, **body})
