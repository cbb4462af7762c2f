"""GET /v1/me and /v1/balance: who the key is, and what it can spend."""

from datetime import UTC, datetime

import msgspec

from billing.money import format_usd
from gateway.services import Services
from gateway.store import month_start
from gateway.wire import Wire


async def get_me(wire: Wire, services: Services) -> None:
    """The key, its group and its organization. Answers keys of every scope."""
    caller = await services.authenticator.authenticate(wire, any_scope=True)
    now = services.now()
    spent = await services.store.spent_by_key(caller.key_id, month_start(now))
    limits = await services.store.limits(caller, now)
    expires_at = caller.expires_at
    answer = {
        "key": {
            "id": caller.key_id,
            "name": caller.key_name,
            "prefix": f"{caller.prefix}-v1-{caller.public_id}",
            "scopes": [caller.scope],
            "expires_at": None
            if expires_at is None
            else datetime.fromtimestamp(expires_at, UTC).isoformat(),
        },
        "group": {"id": caller.group_id, "name": caller.group_name},
        "organization": {"id": caller.organization_id, "name": caller.organization_name},
        "limits": limits,
        "spent_this_month": format_usd(spent),
    }
    await wire.send_json(200, msgspec.json.encode(answer))


async def get_balance(wire: Wire, services: Services) -> None:
    """The wallet of the key's group, in USD."""
    caller = await services.authenticator.authenticate(wire)
    figures = await services.store.balance(caller, services.now())
    answer = {
        "balance": format_usd(figures["balance_nanos"]),
        "held": format_usd(figures["held_nanos"]),
        "available": format_usd(figures["available_nanos"]),
        "spent_today": format_usd(figures["day_nanos"]),
        "spent_this_month": format_usd(figures["month_nanos"]),
        "currency": "USD",
    }
    await wire.send_json(200, msgspec.json.encode(answer))
