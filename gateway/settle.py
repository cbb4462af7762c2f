"""One settlement for each call, whatever became of it; and the answer that follows."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from billing.money import format_usd
from gateway.batch import Settlement, SettleResult
from gateway.call import Call, Outcome
from gateway.errors import GatewayError, Unavailable
from gateway.relay import relay
from gateway.reserve import Request
from gateway.services import Services
from gateway.wire import Headers, Wire

logger = logging.getLogger(__name__)

Reserve = Callable[[], Awaitable[Request]]


def settle(call: Call, outcome: Outcome, services: Services) -> "asyncio.Future[SettleResult]":
    """Queue the settlement of a call that has ended. To be called once per call."""
    charge = call.charge(outcome)
    services.metrics.count_call(call, outcome, charge)
    amount = charge.amount_nanos if charge else 0
    return services.batcher.settle(
        Settlement(
            call_id=call.id,
            account_id=call.caller.wallet_id if call.hold_nanos else None,
            amount_nanos=amount,
            tokens=outcome.usage.total_input_tokens + outcome.usage.output_tokens
            if outcome.usage
            else 0,
            record=call.record(outcome, charge),
        )
    )


@contextlib.asynccontextmanager
async def recorded_refusals(call: Call, services: Services) -> AsyncIterator[None]:
    """Record a call that is refused before anything is held for it, as `carry` does. An Unavailable is not recorded:
    the database is away."""
    try:
        yield
    except Unavailable:
        raise
    except GatewayError as error:
        await settle(call, Outcome(status="refused", error=error), services)
        raise


async def carry(call: Call, reserve: Reserve, wire: Wire, services: Services) -> None:
    """Hold, relay, settle, answer. Raises GatewayError where the answer has not begun yet.

    The outcome of a call that ends by an exception (a bug, or the process being stopped) is `lost`: released, recorded.
    """
    outcome = Outcome(status="lost")
    headers: Headers = []
    unknown = False
    try:
        try:
            request = await reserve()
        except Unavailable:
            # The database is away: there is no hold to resolve, and records of refusals must not pile up in memory.
            unknown = True
            raise
        except GatewayError as error:
            outcome = Outcome(status="refused", error=error)
        else:
            headers = request.headers
            outcome = await relay(request, wire, services)
    finally:
        settled = None if unknown else settle(call, outcome, services)
    # Written before the client has everything: whoever got a whole answer has a settled call, even if this process is
    # killed the moment after.
    taken_nanos = (await settled).taken_nanos if settled else None
    # A client that does not take his last bytes must not keep a settled call in memory.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(services.configuration.between_bytes_timeout_s):
            await _answer(outcome, taken_nanos, wire, headers)


async def _answer(outcome: Outcome, taken_nanos: int | None, wire: Wire, headers: Headers) -> None:
    error = outcome.error
    if outcome.status == "client_gone":
        return
    if error is None and not wire.started:
        if taken_nanos is not None:
            headers = [*headers, (b"x-tollgate-charge", format_usd(taken_nanos).encode())]
        await wire.send_json(200, outcome.closing, headers)
    elif error is None or wire.started:
        await wire.end_stream(outcome.closing)
    else:
        raise error
