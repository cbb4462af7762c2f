"""The front door: the data plane's paths go to gateway/app.py, everything else to Django, in the same process."""

import gc
import os
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http.request import split_domain_port, validate_host

from config.process import die_with_parent
from gateway.addresses import Policy
from gateway.app import Gateway, create_app
from gateway.configuration import Configuration
from gateway.images.links import derive_link_key
from gateway.mcp import server as mcp_server

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# Agents probe these on hosts they do not know; only a plain JSON 404 tells them that this is none of those servers.
NOT_OURS = frozenset({"/api/v1/models", "/api/tags", "/props", "/version", "/api/show"})
OUR_PREFIXES = ("/v1/", "/v1beta/")
OUR_PATHS = frozenset({"/v1", "/v1beta", "/healthz", "/readyz", "/metrics", mcp_server.PATH})

Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def configuration_from_settings() -> Configuration:
    """The data plane's configuration, out of Django's settings."""
    return Configuration(
        database_url=settings.DATABASE_URL,
        key_pepper=settings.KEY_PEPPER,
        credential_keys=settings.CREDENTIAL_KEYS,
        trust_proxy=settings.TRUST_PROXY,
        body_bytes_max=settings.GATEWAY_BODY_BYTES_MAX,
        connect_timeout_s=settings.GATEWAY_CONNECT_TIMEOUT_S,
        first_byte_timeout_s=settings.GATEWAY_FIRST_BYTE_TIMEOUT_S,
        between_bytes_timeout_s=settings.GATEWAY_BETWEEN_BYTES_TIMEOUT_S,
        call_timeout_s=settings.GATEWAY_CALL_TIMEOUT_S,
        drain_timeout_s=settings.GATEWAY_DRAIN_TIMEOUT_S,
        drains_max=settings.GATEWAY_DRAINS_MAX,
        money_timeout_s=settings.GATEWAY_MONEY_TIMEOUT_S,
        calls_max=settings.GATEWAY_CALLS_MAX,
        task_timeout_s=settings.TASK_TIMEOUT_S,
        picture_bytes_max=settings.PICTURE_BYTES_MAX,
        source_pixels_max=settings.SOURCE_PIXELS_MAX,
        link_key=derive_link_key(settings.SECRET_KEY),
        public_url=settings.PUBLIC_URL,
        address_policy=Policy(allow_loopback=settings.ALLOW_LOOPBACK_URLS),
        metrics_token=settings.METRICS_TOKEN,
        metrics_folder=settings.TOLLGATE_HOME / "metrics",
    )


def is_our_host(host: str) -> bool:
    """Whether a `Host` header names this server, by the rule that pages go by."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def make_gateway() -> Gateway:
    """The data plane, with what agents ask it over MCP."""
    gateway = create_app(configuration_from_settings(), ProcessOutside())
    doors = mcp_server.Doors(is_our_host, tuple(settings.CSRF_TRUSTED_ORIGINS))
    server = mcp_server.McpServer(gateway, doors)
    gateway.add_route(mcp_server.PATH, {"POST": server.answer})
    return gateway


def keep_garbage_collection_small() -> None:
    """Take what was imported out of the collector's sight and let it look less often.

    Django's hundred thousand objects live for ever; walking them again and again cost a tenth of the data plane's
    time. Calls leave few cycles behind, so that a rare look is enough.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def front_door(gateway: Gateway, pages: Asgi) -> Asgi:
    """One application out of the two."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            keep_garbage_collection_small()
            await gateway(scope, receive, send)
            return
        path = scope["path"]
        if path.startswith(OUR_PREFIXES) or path in OUR_PATHS or path in NOT_OURS:
            await gateway(scope, receive, send)
        else:
            await pages(scope, receive, send)

    return application


die_with_parent()
pages = get_asgi_application()

# Only now are Django's models there, on which the storage's module depends.
from config.outside import ProcessOutside  # noqa: E402

application = front_door(make_gateway(), pages)
