"""Moves the bytes of one call between its client and a provider, and says how it ended.

`relay` never raises for what a provider or a client does: it answers exactly one Outcome. The client's last bytes
(the whole of a plain answer, the end of a stream) are in the Outcome and are sent after the settlement is written:
a client that has its whole answer has a settled call, whatever happens to this process.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence

from gateway.attempt import Carrier, Chosen, Progress, estimate_usage, usage_of_stream
from gateway.call import Outcome
from gateway.catalog import Channel, Model
from gateway.errors import GatewayError, Unavailable, UpstreamTimedOut
from gateway.reserve import Request
from gateway.routing import order_channels
from gateway.services import Services
from gateway.wire import Wire


async def relay(request: Request, wire: Wire, services: Services) -> Outcome:
    """Try the model's channels in order and carry the answer of the first that gives one."""
    progress = Progress()
    remaining_s = services.configuration.call_timeout_s - request.call.age_s
    try:
        async with asyncio.timeout(max(remaining_s, 0)):
            if request.call.stream:
                outcome = await _watch_client(request, wire, services, progress)
            else:
                outcome = await _try_channels(request, wire, services, progress)
    except TimeoutError:
        if progress.is_held_up:
            # The provider is not to blame: a client that stops reading must not have what he read for nothing.
            outcome = _client_gone(request, progress)
        else:
            error = UpstreamTimedOut("The call took longer than is allowed.")
            outcome = Outcome(status="timed_out", error=error)
    if outcome.error is not None and wire.started:
        events = progress.watcher.events if progress.watcher else 0
        outcome.closing = request.prepared.surface.error_event(
            outcome.error, wire.request_id, events
        )
    return outcome


async def _watch_client(
    request: Request, wire: Wire, services: Services, progress: Progress
) -> Outcome:
    """Carry a stream with an eye on its client.

    When he leaves, the provider is read on for a bounded time, since its own report of usage comes last. Where that
    takes too long, or too many such streams are read already, the connection is closed, and what was generated so far
    is counted.
    """
    work = asyncio.ensure_future(_try_channels(request, wire, services, progress))
    client = asyncio.ensure_future(wire.wait_until_client_left())
    try:
        await asyncio.wait((work, client), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            progress.client_left = True
            await _drain(work, services)
        if not progress.client_left:
            return work.result()
    finally:
        # Whatever ends this call (its deadline, a stop of the process), nothing of it may go on unseen.
        for task in (work, client):
            task.cancel()
        await asyncio.gather(work, client, return_exceptions=True)
    return _client_gone(request, progress)


def _client_gone(request: Request, progress: Progress) -> Outcome:
    watcher = progress.watcher
    if watcher is None:
        return Outcome(status="client_gone")
    usage = usage_of_stream(watcher, request, progress)
    if usage is None and watcher.error is None:
        # The provider took the call, and what it reads and thinks before its first word is billed too.
        usage = estimate_usage(request, progress.sent_bytes, 0)
    return Outcome(
        status="client_gone",
        usage=usage,
        service_tier=watcher.service_tier,
    )


async def _drain(work: "asyncio.Future[Outcome]", services: Services) -> None:
    drains = services.drains
    if not drains.has_room:
        return
    drains.running += 1
    try:
        await asyncio.wait((work,), timeout=services.configuration.drain_timeout_s)
    finally:
        drains.running -= 1


async def _try_channels(
    request: Request, wire: Wire, services: Services, progress: Progress
) -> Outcome:
    model = request.call.model
    assert model is not None
    channels = [
        channel
        for channel in services.catalog.channels_of(model)
        if channel.id in request.prepared.ways and request.channel_name in (None, channel.label)
    ]
    failure: GatewayError | None = None
    for chosen in choose_channels(channels, model, services):
        answered = await Carrier(request, chosen, wire, services, progress).try_channel()
        if isinstance(answered, Outcome):
            return answered
        failure = answered
        if progress.client_left:
            break  # nobody waits for what another channel would be asked for
    return Outcome(status="upstream_failed", error=failure or no_channel(channels, model, services))


def choose_channels(
    channels: Sequence[Channel], model: Model, services: Services
) -> Iterator[Chosen]:
    """The channels that may be tried, in order. The leave for each is taken only when it is asked for."""
    breakers, moment = services.breakers, time.monotonic()
    limited = {one.id for one in channels if breakers.is_limited(one, model, moment)}
    found = False
    # Only where no channel was found fit for a try, those that fail are tried all the same.
    for last_resort in (False, True):
        for channel in order_channels(channels, services.chance, limited):
            admission = breakers.admit(channel, model, time.monotonic(), last_resort=last_resort)
            if admission is not None:
                found = True
                yield Chosen(channel, admission)
        if found:
            return


def no_channel(channels: Sequence[Channel], model: Model, services: Services) -> Unavailable:
    """The error where none of the channels may be tried."""
    return Unavailable(
        f"No channel is available for '{model.name}' right now.",
        code="no_channel_available",
        retry_after_s=services.breakers.retry_after_s(channels, model, time.monotonic()),
    )
