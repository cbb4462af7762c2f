"""The data plane: a raw ASGI application. It knows neither Django nor Celery and starts from a Configuration.

create_app(configuration, outside) -> application; the lifespan opens and closes everything that it works with.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import unquote
from uuid import UUID

from gateway.auth import Authenticator
from gateway.batch import Batcher
from gateway.breaker import Breakers
from gateway.call import new_call_id
from gateway.catalog import Catalog
from gateway.configuration import Configuration
from gateway.endings import Endings
from gateway.endpoints import (
    account,
    calls,
    counting,
    files,
    health,
    images,
    inference,
    metrics,
    models,
    openai_images,
    quotes,
    tasks,
)
from gateway.envelopes import Envelope, anthropic_envelope, google_envelope, openai_envelope
from gateway.errors import GatewayError, MethodNotAllowed, NotFound, Unavailable
from gateway.metrics.board import Board
from gateway.metrics.counting import Key, Metrics, Totals
from gateway.metrics.gauges import DatabaseGauges
from gateway.outside import Outside
from gateway.probe import Prober
from gateway.recovery import Recovery
from gateway.services import Drains, Services
from gateway.store import DISCONNECTED, Store
from gateway.task_store import TaskStore
from gateway.upstream import Upstream
from gateway.watch import Listeners, Watch
from gateway.wire import ClientLeft, Receive, Scope, Send, Wire, is_google_client

logger = logging.getLogger(__name__)

Endpoint = Callable[[Wire, Services], Awaitable[None]]
NamedEndpoint = Callable[[Wire, Services, str], Awaitable[None]]
T = TypeVar("T")

ROUTES: dict[str, dict[str, Endpoint]] = {
    "/v1/chat/completions": {"POST": inference.create_completion},
    "/v1/responses": {"POST": inference.create_response},
    "/v1/messages": {"POST": inference.create_message},
    "/v1/messages/count_tokens": {"POST": counting.count_message_tokens},
    "/v1/embeddings": {"POST": inference.create_embedding},
    "/v1/text_to_image": {"POST": images.create_text_to_image},
    "/v1/edit_image": {"POST": images.create_edit_image},
    "/v1/upscale_image": {"POST": images.create_upscale_image},
    "/v1/images/generations": {"POST": openai_images.create_image},
    "/v1/images/edits": {"POST": openai_images.edit_image},
    "/v1/tasks": {"GET": tasks.list_tasks},
    "/v1/files": {"POST": files.create_file},
    "/v1/price_quotes": {"POST": quotes.quote_price},
    "/v1/models": {"GET": models.list_models},
    "/v1beta/models": {"GET": models.list_gemini_models},
    "/v1/me": {"GET": account.get_me},
    "/v1/balance": {"GET": account.get_balance},
    "/v1/calls": {"GET": calls.list_calls},
    "/healthz": {"GET": health.get_health},
    "/readyz": {"GET": health.get_readiness},
    "/metrics": {"GET": metrics.get_metrics},
}
NAMED_ROUTES: tuple[tuple[str, dict[str, NamedEndpoint]], ...] = (
    # Google's clients take either version of its API.
    ("/v1/models/", {"GET": models.get_model, "POST": inference.call_gemini}),
    ("/v1/calls/", {"GET": calls.get_call}),
    ("/v1/tasks/", {"GET": tasks.get_task, "POST": tasks.cancel_task}),
    ("/v1/text_to_image/", {"GET": tasks.get_task}),
    ("/v1/edit_image/", {"GET": tasks.get_task}),
    ("/v1/upscale_image/", {"GET": tasks.get_task}),
    ("/v1/files/", {"GET": files.get_file, "DELETE": files.delete_file}),
    ("/v1beta/models/", {"GET": models.get_gemini_model, "POST": inference.call_gemini}),
)


class Gateway:
    """The application of one process."""

    def __init__(self, configuration: Configuration, outside: Outside) -> None:
        self._configuration = configuration
        self._outside = outside
        self._endings = Endings()
        self._metrics = Metrics()
        self._board = Board(configuration.metrics_folder, self._read_totals)
        self._routes = dict(ROUTES)
        self._services: Services | None = None
        self._watch: Watch | None = None
        self._recovery: Recovery | None = None
        self._prober: Prober | None = None
        self._running: dict[UUID, float] = {}
        self._ended = asyncio.Event()
        self._ended.set()

    def add_route(self, path: str, methods: dict[str, Endpoint]) -> None:
        """Serve one more path, by an endpoint that is made of this application itself."""
        self._routes[path] = methods

    async def start(self) -> None:
        """Open connections and load the catalog. Raises where the database cannot be reached."""
        configuration = self._configuration
        store = Store(configuration)
        await store.open()
        batcher = Batcher(store.connect_money, configuration.money_timeout_s, self._metrics)
        await batcher.start()
        watch = Watch(
            store.connect,
            store.owner_id,
            Listeners(self._forget_key, self._reload_catalog, self._endings.announce),
            self._busy_since,
        )
        self._services = Services(
            configuration=configuration,
            store=store,
            batcher=batcher,
            authenticator=Authenticator(
                store.find_caller,
                lambda: watch.is_fresh,
                configuration.key_pepper,
                configuration.trust_proxy,
            ),
            upstream=Upstream(configuration),
            drains=Drains(configuration.drains_max),
            catalog=Catalog(),
            breakers=Breakers(),
            chance=random.Random(),  # noqa: S311 - spreads load, guards nothing
            tasks=TaskStore(store.pool),
            endings=self._endings,
            outside=self._outside,
            metrics=self._metrics,
            board=self._board,
            gauges=DatabaseGauges(store.pool),
        )
        await self._reload_catalog()
        self._watch = watch
        await watch.start()
        self._recovery = Recovery(store)
        await self._recovery.start()
        self._prober = Prober(self._services.breakers, self._services.upstream)
        await self._prober.start()
        await self._board.start()

    async def stop(self, timeout_s: float = 30.0) -> None:
        """Take no new calls, let running ones end and settle, write what is queued, close."""
        services = self._services
        if services is None:
            return
        services.draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            logger.warning("stopping with %d calls running", len(self._running))
        if self._prober is not None:
            await self._prober.stop()
        if self._recovery is not None:
            await self._recovery.stop()
        await services.batcher.stop()
        await self._board.stop()
        if self._watch is not None:
            await self._watch.stop()
        await services.upstream.close()
        await services.store.close()
        self._services = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        wire = Wire(scope, receive, send, new_call_id())
        self._running[wire.call_id] = time.time()
        self._ended.clear()
        try:
            await self._answer(wire)
        finally:
            del self._running[wire.call_id]
            path = self._path_of(wire)
            self._metrics.counters["tollgate_requests_total", path, str(wire.status)] += 1
            if not self._running:
                self._ended.set()

    async def _answer(self, wire: Wire) -> None:
        """The one place that turns errors into envelopes."""
        try:
            services = self._services
            if services is None:
                raise Unavailable("The gateway is starting.")
            await self._dispatch(wire, services)
        except GatewayError as error:
            await self._send_error(wire, error)
        except ClientLeft:
            pass
        except DISCONNECTED as error:
            logger.warning("%s: the database is away: %s", wire.request_id, error)
            await self._send_error(wire, Unavailable("The database is away. Try again shortly."))
        except Exception:
            logger.exception("%s failed", wire.request_id)
            if wire.started:
                raise
            await self._send_error(
                wire, GatewayError("Something went wrong on our side; nothing was charged.")
            )

    async def _send_error(self, wire: Wire, error: GatewayError) -> None:
        self._metrics.count_error(error)
        headers = error.headers()
        if wire.method == "POST" and not wire.has_read_body:
            # The server closes a connection whose request was not read to its end: a client that is not told would send
            # its next call into the closing.
            headers = [*headers, (b"connection", b"close")]
        body = _envelope_for(wire)(error, wire.request_id)
        await wire.send_json(error.status, body, headers)

    async def _dispatch(self, wire: Wire, services: Services) -> None:
        path = str(wire.scope["path"])
        methods = self._routes.get(path)
        if methods is not None:
            await self._find(methods, wire, services)(wire, services)
            return
        for prefix, named in NAMED_ROUTES:
            if path.startswith(prefix) and len(path) > len(prefix):
                endpoint = self._find(named, wire, services)
                await endpoint(wire, services, unquote(path[len(prefix) :]))
                return
        raise NotFound(f"No such path: {wire.method} {path[:200]}.")

    def _find(self, methods: dict[str, T], wire: Wire, services: Services) -> T:
        """The endpoint for the request's method. Raises MethodNotAllowed, or Unavailable for a late call."""
        endpoint = methods.get(wire.method)
        if endpoint is None:
            raise MethodNotAllowed(list(methods))
        if wire.method == "POST" and (
            services.draining or len(self._running) > self._configuration.calls_max
        ):
            raise Unavailable("The gateway is not taking calls right now. Try again shortly.")
        return endpoint

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:
                    logger.exception("the gateway cannot start")
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _path_of(self, wire: Wire) -> str:
        """The path as it stands in the table: what callers make up is `other`."""
        path = str(wire.scope["path"])
        if path in self._routes:
            return path
        return next(
            (f"{prefix}{{id}}" for prefix, _ in NAMED_ROUTES if path.startswith(prefix)), "other"
        )

    def _read_totals(self) -> Totals:
        """What this process counted, and how it stands."""
        gauges: dict[Key, float] = {("tollgate_processes",): 1}
        gauges["tollgate_calls_in_flight",] = len(self._running)
        services, counted = self._services, self._metrics.counters
        if services is not None and self._watch is not None:
            counted["tollgate_authentications_total", "cache"] = services.authenticator.cached
            counted["tollgate_authentications_total", "database"] = services.authenticator.looked_up
            gauges["tollgate_drains_running",] = services.drains.running
            gauges["tollgate_money_operations_waiting",] = services.batcher.waiting
            gauges["tollgate_money_connected",] = int(services.batcher.is_connected)
            gauges["tollgate_caches_fresh",] = int(self._watch.is_fresh)
            for channel in services.breakers.open_channels():
                gauges["tollgate_channel_open", channel.provider, channel.name] = 1
        return self._metrics.totals(gauges)

    def _busy_since(self) -> float:
        # The dictionary keeps the order of arrival: its first call is the oldest.
        return next(iter(self._running.values()), time.time())

    def _forget_key(self, public_id: str) -> None:
        if self._services is not None:
            self._services.authenticator.forget(public_id)

    async def _reload_catalog(self) -> None:
        if self._services is not None:
            self._services.catalog = await self._services.store.load_catalog()
            self._services.breakers.follow(self._services.catalog)


def _envelope_for(wire: Wire) -> Envelope:
    """The form of errors that the client knows."""
    path = str(wire.scope["path"])
    if path.startswith("/v1/messages"):
        return anthropic_envelope
    is_generate = wire.method == "POST" and path.startswith("/v1/models/")
    if path.startswith("/v1beta") or is_generate or is_google_client(wire):
        return google_envelope
    return openai_envelope


def create_app(configuration: Configuration, outside: Outside) -> Gateway:
    """The application for one process."""
    return Gateway(configuration, outside)
