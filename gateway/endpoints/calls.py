"""GET /v1/calls and /v1/calls/{id}: the history of the key that asks."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from accounts.ids import first_id_at
from billing.picture_pricing import charge_pictures
from billing.pricing import Line, Price, Usage, charge_usage
from gateway.call import parse_call_id, public_call_id
from gateway.call_objects import USAGE_FIELDS, call_object, explained_call_object
from gateway.errors import BadRequest, NotFound
from gateway.services import Services
from gateway.wire import Wire

LIMIT_DEFAULT = 20
MOMENT_MIN = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT_MAX = datetime(9000, 1, 1, tzinfo=UTC)
LIMIT_MAX = 100
SOURCES = ("api", "task")
STATUSES = ("completed", "upstream_failed", "client_gone", "timed_out", "lost", "refused")


async def list_calls(wire: Wire, services: Services) -> None:
    """Newest first; `after` is the id of the last call of the page before."""
    caller = await services.authenticator.authenticate(wire)
    query = wire.query()
    limit = read_limit(query.pop("limit", None))
    filters = _filters(query)
    rows = await services.store.calls(caller.key_id, filters, limit + 1)
    page = rows[:limit]
    more = len(rows) > limit
    answer = {
        "object": "list",
        "data": [call_object(row, caller.key_id, caller.key_name) for row in page],
        "has_more": more,
        "next": public_call_id(page[-1]["id"]) if more else None,
    }
    await wire.send_json(200, msgspec.json.encode(answer))


async def get_call(wire: Wire, services: Services, name: str) -> None:
    """One call, with the lines of its charge."""
    caller = await services.authenticator.authenticate(wire)
    call_id = parse_call_id(name)
    row = await services.store.call(caller.key_id, call_id) if call_id else None
    if row is None:
        raise NotFound(f"The call '{name[:60]}' does not exist.", code="call_not_found")
    lines = _lines(row, services)
    answer = explained_call_object(row, caller.key_id, caller.key_name, lines)
    await wire.send_json(200, msgspec.json.encode(answer))


def read_limit(text: str | None) -> int:
    """The length of a page that a list's `limit` asks for. Raises BadRequest."""
    if text is None:
        return LIMIT_DEFAULT
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= LIMIT_MAX:
        raise BadRequest(f"'limit' must be between 1 and {LIMIT_MAX}.", param="limit")
    return int(text)


def _filters(query: dict[str, str]) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    for name, value in query.items():
        if name == "source" and value in SOURCES:
            filters["source"] = value
        elif name == "status" and value in STATUSES:
            filters["status"] = value
        elif name == "model" and "\x00" not in value:
            filters["model"] = value
        elif name == "since":
            filters["since_id"] = first_id_at(_moment(name, value))
        elif name == "until":
            filters["before_id"] = first_id_at(_moment(name, value))
        elif name == "after" and (after := parse_call_id(value)) is not None:
            filters["after_id"] = after
        else:
            raise BadRequest(
                f"'{name[:60]}' is unknown here, or has no such value.", param=name[:60]
            )
    if "after_id" in filters:
        after = filters.pop("after_id")
        filters["before_id"] = min(after, filters.get("before_id", after))
    return filters


def _moment(name: str, text: str) -> datetime:
    """ISO 8601, or seconds since 1970; without a zone it is UTC."""
    try:
        moment = (
            datetime.fromtimestamp(int(text), UTC)
            if text.isdecimal()
            else datetime.fromisoformat(text)
        )
    except (ValueError, OverflowError, OSError):
        raise BadRequest(
            f"'{name}' must be a time such as 2026-11-21T09:00:00Z.", param=name
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not MOMENT_MIN <= moment <= MOMENT_MAX:
        raise BadRequest(f"'{name}' must be a time such as 2026-11-21T09:00:00Z.", param=name)
    return moment


def _lines(row: dict[str, Any], services: Services) -> tuple[Line, ...]:
    """The lines of the charge, worked out again from the price that the record names."""
    price = _price_by_id(services, row["model"], row["price_id"])
    if price is None or row["amount_nanos"] + row["list_nanos"] == 0:
        return ()
    if row["source"] == "task":
        return charge_pictures(price, row["images"], row["price_key"]).lines
    usage = Usage(**{name: row[name] for name in USAGE_FIELDS})
    return charge_usage(price, usage, row["service_tier"]).lines


def _price_by_id(services: Services, model: str, price_id: int | None) -> Price | None:
    for (name, _), prices in services.catalog.prices.items():
        if name == model:
            for price in prices:
                if price.id == price_id:
                    return price
    return None
