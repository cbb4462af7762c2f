"""From a request for pictures to a task: its model, its exact price, its row; and placing it."""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from billing.money import format_usd
from billing.picture_pricing import quote_pictures
from gateway.addresses import UnsafeAddress, check_url
from gateway.batch import HoldResult
from gateway.body import take_text
from gateway.call import Call
from gateway.errors import BadRequest, Conflict, GatewayError, PaymentRequired, Unavailable
from gateway.exchange import offered_paths
from gateway.images.links import BadLink, read_link
from gateway.images.offers import OFFERS, Offer, image_paths, price_key, refuse_action
from gateway.images.request import ImageRequest
from gateway.images.shape import parse_file_id
from gateway.limits import refusal_error
from gateway.prepare import find_model
from gateway.services import Services
from gateway.store import DISCONNECTED
from gateway.task_store import Created, TaskRow
from gateway.wire import Wire

IDEMPOTENCY_KEY_CHARS_MAX = 512
RESOLVE_EVERY_S = 0.2
_VISIBLE = re.compile(r"[ -~]+")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,190}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")

ReadRequest = Callable[[Offer], ImageRequest]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A request for pictures that was understood and priced: `amount_nanos` is what it costs, exactly."""

    request: ImageRequest
    price_key: str
    amount_nanos: int


def read_order(call: Call, action: str, services: Services, read: ReadRequest) -> Order:
    """The order for the model that `call` names, which is filled in; `read` reads the body for the model's offer.

    Raises BadRequest, NotFound, Forbidden, or Unavailable where no channel serves the model.
    """
    model = find_model(call, services)
    offer = OFFERS.get(model.name)
    if offer is None or action not in offer.actions:
        channels = services.catalog.channels_of(model)
        elsewhere = image_paths(model.name) or offered_paths(model, channels)
        raise refuse_action(model.name, f"/v1/{call.endpoint}", elsewhere)
    request = read(offer)
    for source in request.sources:
        if parse_file_id(source) is None and not _is_own_picture(source, services):
            check_address(source, "source_image_urls", services)
    if not services.catalog.channels_of(model):
        raise Unavailable(
            f"No channel is available for '{model.name}' right now.", code="no_channel_available"
        )
    assert call.price is not None
    key = price_key(offer, request)
    return Order(
        request=request,
        price_key=key,
        amount_nanos=quote_pictures(call.price, request.output_count, key),
    )


def _is_own_picture(url: str, services: Services) -> bool:
    """Whether the URL is a link to a picture of ours, which is read from storage instead of fetched. Raises BadRequest
    for one that has expired."""
    try:
        return read_link(services.configuration.link_key, url, time.time()) is not None
    except BadLink:
        raise BadRequest(
            "'source_image_urls': the link to the picture has expired.", param="source_image_urls"
        ) from None


def read_model_name(body: dict[str, Any], call: Call) -> None:
    """Note which model the body names."""
    call.requested_model = take_text(body, "model")


def read_callback_url(body: dict[str, Any], services: Services) -> str:
    """The address that is told of the task's end; empty where there is none."""
    url = body.get("callback_url")
    if url is None:
        return ""
    if not isinstance(url, str):
        raise BadRequest("'callback_url' must be a text.", param="callback_url")
    return check_address(url, "callback_url", services)


def check_address(url: str, param: str, services: Services) -> str:
    """The URL, which may be asked for, as far as can be told without asking for its name. Raises BadRequest."""
    try:
        check_url(url, services.configuration.address_policy)
    except UnsafeAddress as error:
        raise BadRequest(f"'{param}': {error}", param=param) from None
    return url


def read_idempotency_key(wire: Wire) -> str:
    """The header `Idempotency-Key`; empty where there is none. Raises BadRequest."""
    raw = wire.header(b"idempotency-key")
    if raw is None:
        return ""
    key = raw.decode("latin-1")
    if not _VISIBLE.fullmatch(key) or len(key) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise BadRequest(
            f"The header Idempotency-Key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters.",
            param="Idempotency-Key",
        )
    return key


def base_url_of(wire: Wire, services: Services) -> str:
    """The address that links to pictures begin with: the configured one, or else where this request was sent to."""
    configuration = services.configuration
    if configuration.public_url:
        return configuration.public_url
    host = (wire.header(b"host") or b"").decode("latin-1")
    if not _HOST.fullmatch(host):
        raise BadRequest("The header Host names no host.", param="Host")
    scheme = str(wire.scope.get("scheme", "http"))
    if configuration.trust_proxy and wire.header(b"x-forwarded-proto") in (b"http", b"https"):
        scheme = (wire.header(b"x-forwarded-proto") or b"").decode()
    return f"{scheme}://{host}"


async def place_order(
    call: Call,
    order: Order,
    wire: Wire,
    services: Services,
    *,
    callback_url: str = "",
    content: bytes = b"",
) -> Created:
    """Make the task and hold its price, in one transaction; or find the one that the idempotency key made before.

    `content` stands for what the request was made of beyond its fields (uploaded pictures), so that the same request
    is known again. Raises PaymentRequired, RateLimited, Conflict, or Unavailable where nobody knows.
    """
    row = _make_row(call, order, wire, services, callback_url, content)
    try:
        async with asyncio.timeout(services.configuration.money_timeout_s):
            created = await services.tasks.create(row, call.caller)
    except DISCONNECTED as error:
        created = await _resolve(row, services, error)
    call.hold_nanos = created.hold.granted_nanos
    if created.outcome == "conflict":
        raise Conflict(
            "This Idempotency-Key was used with another request.",
            code="idempotency_conflict",
            param="Idempotency-Key",
        )
    if created.outcome == "refused":
        raise _refusal(created, order)
    if created.outcome == "created":
        services.nudge()
    return created


def _make_row(
    call: Call, order: Order, wire: Wire, services: Services, callback_url: str, content: bytes
) -> TaskRow:
    assert call.model is not None
    assert call.price is not None
    request = order.request
    # The ids of uploads differ each time; what they hold stands in `content`.
    same = msgspec.structs.replace(request, sources=(), mask="") if content else request
    identity = [call.endpoint, call.requested_model, callback_url, same]
    return TaskRow(
        id=call.id,
        organization_id=call.caller.organization_id,
        group_id=call.caller.group_id,
        api_key_id=call.caller.key_id,
        account_id=call.caller.wallet_id,
        action=request.action,
        endpoint=call.endpoint,
        requested_model=call.requested_model,
        model=call.model.name,
        request=request,
        count=request.output_count,
        price_id=call.price.id,
        price_key=order.price_key,
        hold_nanos=max(order.amount_nanos, 1),
        base_url=base_url_of(wire, services),
        callback_url=callback_url,
        idempotency_key=read_idempotency_key(wire),
        request_digest=hashlib.sha256(msgspec.json.encode(identity) + content).hexdigest(),
        timeout_s=services.configuration.task_timeout_s,
    )


async def _resolve(row: TaskRow, services: Services, error: BaseException) -> Created:
    """What became of a creation that got no answer. Raises Unavailable, unless the task was made."""
    message = (
        "The database is away, and whether the task was made is not known. Send the same request again with the same "
        "Idempotency-Key, or look at GET /v1/tasks first."
    )
    deadline = asyncio.get_running_loop().time() + services.configuration.money_timeout_s
    while asyncio.get_running_loop().time() < deadline:
        try:
            if await services.tasks.exists(row):
                return Created("created", row.id, HoldResult(row.hold_nanos, 0))
            message = "Credits cannot be checked right now; no task was made. Try again shortly."
            break
        except DISCONNECTED:
            await asyncio.sleep(RESOLVE_EVERY_S)
    raise Unavailable(message) from error


def _refusal(created: Created, order: Order) -> GatewayError:
    hold = created.hold
    if hold.refusal != "credits":
        return refusal_error(hold, order.amount_nanos)
    return PaymentRequired(
        f"Insufficient credits: ${format_usd(max(hold.available_nanos, 0))} is available, and this request costs "
        f"${format_usd(order.amount_nanos)}. Add credits, or ask for less."
    )


def task_path(task_id: UUID) -> str:
    """Where a task can be asked after."""
    return f"/v1/tasks/tsk_{task_id.hex}"
