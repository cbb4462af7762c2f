"""GET /healthz and /readyz, for supervisors and load balancers."""

from gateway.errors import Unavailable
from gateway.services import Services
from gateway.store import DISCONNECTED
from gateway.wire import Wire


async def get_health(wire: Wire, services: Services) -> None:
    """Alive: the event loop turns."""
    await wire.send_json(200, b'{"status":"ok"}')


async def get_readiness(wire: Wire, services: Services) -> None:
    """Ready: the database answers, its schema is there, money can be held, and this process is not stopping."""
    if services.draining:
        raise Unavailable("draining")
    try:
        await services.store.ping()
    except DISCONNECTED:
        raise Unavailable("the database does not answer") from None
    if not services.batcher.is_connected:
        raise Unavailable("the money connection is down")
    await wire.send_json(200, b'{"status":"ready"}')
