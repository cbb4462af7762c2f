"""What limits and restrictions say of a call, in words and headers. Pure: the decision on a limit itself is made by
`billing_apply`, in the transaction that places the hold.
"""

import ipaddress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import msgspec

from billing.money import format_usd
from gateway.call import Caller
from gateway.errors import Forbidden, GatewayError, PaymentRequired, RateLimited

WINDOW_S = 60
BUDGETS = {
    "day": ("daily budget", "It starts again at 00:00 UTC."),
    "month": ("monthly budget", "It starts again on the first of the month, UTC."),
    "lifetime": ("budget", "It does not start again; whoever manages it can raise it."),
}
_OWNERS = {"key": "This key", "group": "The group of this key"}


class Rate(msgspec.Struct, frozen=True):
    """One limit per minute: what it allows, what is left of it, and when its window ends."""

    limit: int
    remaining: int
    reset_s: int


class RateState(msgspec.Struct, frozen=True):
    """The tighter of the key's and the group's limits per minute; None where neither has one."""

    requests: Rate | None
    tokens: Rate | None


class Refused(Protocol):
    """A hold that was not granted (`batch.HoldResult`)."""

    @property
    def refusal(self) -> str: ...
    @property
    def retry_after_s(self) -> int: ...
    @property
    def left_nanos(self) -> int: ...
    @property
    def rate(self) -> RateState | None: ...


def refusal_error(result: Refused, floor_nanos: int) -> GatewayError:
    """What a caller is told whose hold a limit of his key or group refused. `floor_nanos` is what his call needed.

    Not for `refusal` '' or 'credits'.
    """
    owner, _, reason = result.refusal.partition("_")
    if reason in BUDGETS:
        name, next_start = BUDGETS[reason]
        return PaymentRequired(
            f"{_OWNERS[owner]} has ${format_usd(result.left_nanos)} left of its {name}, and this request can cost "
            f"${format_usd(floor_nanos)} or more. {next_start}",
            code="key_budget_exceeded",
        )
    headers = rate_headers(result.rate)
    if reason == "concurrency":
        return RateLimited(
            f"{_OWNERS[owner]} has as many calls running as it may. Try again when one has ended.",
            code="concurrency_limited",
            retry_after_s=result.retry_after_s,
            headers=headers,
        )
    return RateLimited(
        f"{_OWNERS[owner]} has used its {reason} of this minute. Try again in {result.retry_after_s} s.",
        retry_after_s=result.retry_after_s,
        headers=headers,
    )


def rate_headers(rate: RateState | None) -> list[tuple[bytes, bytes]]:
    """`x-ratelimit-*` in OpenAI's form: `limit`, `remaining` and `reset` (such as `12s`) of requests and of tokens."""
    if rate is None:
        return []
    headers = []
    for name, state in ((b"requests", rate.requests), (b"tokens", rate.tokens)):
        if state is not None:
            headers += [
                (b"x-ratelimit-limit-" + name, b"%d" % state.limit),
                (b"x-ratelimit-remaining-" + name, b"%d" % state.remaining),
                (b"x-ratelimit-reset-" + name, b"%ds" % state.reset_s),
            ]
    return headers


def check_address(caller: Caller, address: str | None) -> None:
    """Raises Forbidden unless the key and its group may be used from there."""
    if caller.allowed_networks and not all(
        _is_inside(address, networks) for networks in caller.allowed_networks
    ):
        raise Forbidden("This key cannot be used from this address.", code="ip_not_allowed")


def check_model(caller: Caller, model_name: str, aliases: tuple[str, ...]) -> None:
    """Raises Forbidden unless the key and its group may call the model."""
    if not caller.allowed_models:
        return
    provider = model_name.partition("/")[0]
    names = {model_name, f"{provider}/*", *aliases}
    if any(names.isdisjoint(allowed) for allowed in caller.allowed_models):
        raise Forbidden(
            f"This key may not call '{model_name}'.", code="model_not_allowed", param="model"
        )


def _is_inside(address: str | None, networks: tuple[str, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    # A socket that serves both families shows IPv4 clients as ::ffff:192.0.2.1.
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in ipaddress.ip_network(network) for network in networks)


def describe_limits(row: dict[str, Any], now: datetime) -> dict[str, dict[str, Any]]:
    """The limits that are set in a row of `billing_limit`, ready for JSON; money as USD texts, moments in ISO form.

    A window, a day or a month that has ended by `now` counts as unused.
    """
    shown: dict[str, dict[str, Any]] = {}
    window_end = (row["window_started_at"] or datetime.min.replace(tzinfo=UTC)) + timedelta(
        seconds=WINDOW_S
    )
    is_open = now < window_end
    for name, counter in (
        ("requests_per_minute", "window_requests"),
        ("tokens_per_minute", "window_tokens"),
    ):
        limit = row[name]
        if limit is not None:
            used = row[counter] if is_open else 0
            shown[name] = {
                "limit": limit,
                "used": used,
                "remaining": max(limit - used, 0),
                "resets_at": window_end.isoformat() if is_open else None,
            }
    if row["concurrent_calls"] is not None:
        limit, used = row["concurrent_calls"], row["running_calls"]
        shown["concurrent_calls"] = {
            "limit": limit,
            "used": used,
            "remaining": max(limit - used, 0),
        }
    today = now.astimezone(UTC).date()
    month = today.replace(day=1)
    # The 28th and four days is in the next month, whatever the month.
    next_month = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    for period, begins, ends in (
        ("day", today, today + timedelta(days=1)),
        ("month", month, next_month),
        ("lifetime", None, None),
    ):
        if row[f"{period}_nanos"] is not None:
            spent = row[f"{period}_spent_nanos"]
            if begins is not None and (row[period] is None or row[period] < begins):
                spent = 0
            shown[f"{period}_usd"] = _budget(row[f"{period}_nanos"], spent, row["held_nanos"], ends)
    return shown


def _budget(limit: int, spent: int, held: int, ends: date | None) -> dict[str, Any]:
    return {
        "limit": format_usd(limit),
        "used": format_usd(spent),
        "held": format_usd(held),
        "remaining": format_usd(max(limit - spent - held, 0)),
        "resets_at": None if ends is None else f"{ends.isoformat()}T00:00:00+00:00",
    }
