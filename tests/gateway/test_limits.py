"""What a caller is told of limits and restrictions, and who is let in."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from uvloop import run as run_loop

from accounts import keys
from gateway.batch import HoldResult
from gateway.call import Caller
from gateway.errors import Forbidden, GatewayError, RateLimited
from gateway.limits import (
    Rate,
    RateState,
    check_address,
    check_model,
    describe_limits,
    rate_headers,
    refusal_error,
)
from gateway.store import Store
from tests.gateway.batching import bank, put_limit
from tests.world import Tenant, World

RATE = RateState(Rate(60, 0, 12), Rate(9_000, 8_500, 12))
RATE_HEADERS = {
    b"x-ratelimit-limit-requests": b"60",
    b"x-ratelimit-remaining-requests": b"0",
    b"x-ratelimit-reset-requests": b"12s",
    b"x-ratelimit-limit-tokens": b"9000",
    b"x-ratelimit-remaining-tokens": b"8500",
    b"x-ratelimit-reset-tokens": b"12s",
}
NOW = datetime(2026, 11, 30, 23, 59, 30, tzinfo=UTC)
GPT, ALIASES = "openai/gpt-5.5", ("gpt-5.5",)


def caller(**changes: Any) -> Caller:
    fields: dict[str, Any] = {
        "key_id": str(uuid4()),
        "key_name": "A key",
        "public_id": "abcdefghjkmn",
        "prefix": "tollgate",
        "digest": bytes(32),
        "expires_at": None,
        "group_id": str(uuid4()),
        "group_name": "A group",
        "organization_id": str(uuid4()),
        "organization_name": "An organization",
        "wallet_id": 1,
    }
    return Caller(**{**fields, **changes})


# Refusals


@pytest.mark.parametrize(
    ("refusal", "code", "words"),
    [
        (
            "key_requests",
            "rate_limited",
            "This key has used its requests of this minute. Try again in 12 s.",
        ),
        (
            "group_tokens",
            "rate_limited",
            "The group of this key has used its tokens of this minute. Try again in 12 s.",
        ),
        (
            "group_concurrency",
            "concurrency_limited",
            "The group of this key has as many calls running as it may. Try again when one has ended.",
        ),
    ],
)
def test_a_limit_that_frees_itself_is_a_429_with_when_to_come_back(
    refusal: str, code: str, words: str
) -> None:
    error = refusal_error(HoldResult(0, 10**9, refusal, 12, 0, RATE), 5)
    assert isinstance(error, RateLimited)
    assert (error.status, error.type, error.code, error.message) == (
        429,
        "rate_limit_error",
        code,
        words,
    )
    assert dict(error.headers()) == {b"retry-after": b"12", **RATE_HEADERS}


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            "key_day",
            "This key has $0.20 left of its daily budget, and this request can cost $0.50 or more. "
            "It starts again at 00:00 UTC.",
        ),
        (
            "group_month",
            "The group of this key has $0.20 left of its monthly budget, and this request can cost $0.50 or more. "
            "It starts again on the first of the month, UTC.",
        ),
        (
            "key_lifetime",
            "This key has $0.20 left of its budget, and this request can cost $0.50 or more. "
            "It does not start again; whoever manages it can raise it.",
        ),
    ],
)
def test_a_spent_budget_is_a_402_that_says_what_is_left(refusal: str, words: str) -> None:
    error = refusal_error(HoldResult(0, 10**9, refusal, 0, 200_000_000), 500_000_000)
    assert (error.status, error.code, error.message) == (402, "key_budget_exceeded", words)
    assert error.headers() == []


def test_headers_are_there_for_the_limits_that_there_are() -> None:
    assert rate_headers(None) == []
    assert dict(rate_headers(RATE)) == RATE_HEADERS
    only = rate_headers(RateState(None, Rate(9_000, 8_500, 12)))
    assert {name for name, _ in only} == {
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-tokens",
    }


# Who is let in


def refused(who: Caller, address: str | None = "192.0.2.7") -> str | None:
    try:
        check_address(who, address)
        check_model(who, GPT, ALIASES)
    except GatewayError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("allowed", "code"),
    [
        ((), None),
        ((("openai/gpt-5.5",),), None),
        ((("gpt-5.5",),), None),
        ((("openai/*",),), None),
        ((("anthropic/*", "openai/*"),), None),
        ((("openai/gpt-5.5-pro",),), "model_not_allowed"),
        ((("anthropic/*",),), "model_not_allowed"),
        ((("OpenAI/GPT-5.5",),), "model_not_allowed"),
        ((("openai/gpt-5.5",), ("openai/*",)), None),
        ((("openai/gpt-5.5",), ("anthropic/*",)), "model_not_allowed"),
        ((("*",),), "model_not_allowed"),
    ],
)
def test_every_list_of_models_has_to_name_the_model(
    allowed: tuple[tuple[str, ...], ...], code: str | None
) -> None:
    assert refused(caller(allowed_models=allowed)) == code


@pytest.mark.parametrize(
    ("allowed", "address", "code"),
    [
        ((), None, None),
        ((("192.0.2.0/24",),), "192.0.2.7", None),
        ((("198.51.100.0/24", "192.0.2.7/32"),), "192.0.2.7", None),
        ((("192.0.2.0/24",),), "192.0.3.7", "ip_not_allowed"),
        ((("192.0.2.0/24",),), "::ffff:192.0.2.7", None),
        ((("2001:db8::/32",),), "2001:db8::7", None),
        ((("2001:db8::/32",),), "192.0.2.7", "ip_not_allowed"),
        ((("0.0.0.0/0",),), "2001:db8::7", "ip_not_allowed"),
        ((("192.0.2.0/24",),), None, "ip_not_allowed"),
        ((("192.0.2.0/24",),), "", "ip_not_allowed"),
        ((("192.0.2.0/24",),), "unix:", "ip_not_allowed"),
        ((("192.0.2.0/24",), ("192.0.2.0/28",)), "192.0.2.7", None),
        ((("192.0.2.0/24",), ("192.0.2.0/30",)), "192.0.2.7", "ip_not_allowed"),
    ],
)
def test_every_list_of_networks_has_to_contain_the_address(
    allowed: tuple[tuple[str, ...], ...], address: str | None, code: str | None
) -> None:
    assert refused(caller(allowed_networks=allowed), address) == code


def test_a_refusal_names_the_model_by_its_own_name() -> None:
    with pytest.raises(Forbidden, match=r"'openai/gpt-5\.5'") as caught:
        check_model(caller(allowed_models=(("x",),)), GPT, ALIASES)
    assert (caught.value.status, caught.value.param) == (403, "model")


# What /v1/me shows


def row(**changes: Any) -> dict[str, Any]:
    limits = "requests_per_minute tokens_per_minute concurrent_calls day_nanos month_nanos lifetime_nanos"
    return {
        **dict.fromkeys(limits.split()),
        "window_started_at": NOW - timedelta(seconds=20),
        "window_requests": 7,
        "window_tokens": 700,
        "running_calls": 2,
        "held_nanos": 10**8,
        "day": NOW.date(),
        "day_spent_nanos": 3 * 10**8,
        "month": NOW.date().replace(day=1),
        "month_spent_nanos": 5 * 10**8,
        "lifetime_spent_nanos": 7 * 10**8,
        **changes,
    }


def test_only_limits_that_are_set_are_shown() -> None:
    assert describe_limits(row(), NOW) == {}


def test_limits_are_shown_with_what_is_used_and_when_they_start_again() -> None:
    limits = {"requests_per_minute": 60, "tokens_per_minute": 600, "concurrent_calls": 3}
    budgets = {"day_nanos": 10**9, "month_nanos": 10**9, "lifetime_nanos": 75 * 10**7}
    assert describe_limits(row(**limits, **budgets), NOW) == {
        "requests_per_minute": {
            "limit": 60,
            "used": 7,
            "remaining": 53,
            "resets_at": "2026-12-01T00:00:10+00:00",
        },
        "tokens_per_minute": {
            "limit": 600,
            "used": 700,
            "remaining": 0,
            "resets_at": "2026-12-01T00:00:10+00:00",
        },
        "concurrent_calls": {"limit": 3, "used": 2, "remaining": 1},
        "day_usd": {
            "limit": "1.00",
            "used": "0.30",
            "held": "0.10",
            "remaining": "0.60",
            "resets_at": "2026-12-01T00:00:00+00:00",
        },
        "month_usd": {
            "limit": "1.00",
            "used": "0.50",
            "held": "0.10",
            "remaining": "0.40",
            "resets_at": "2026-12-01T00:00:00+00:00",
        },
        "lifetime_usd": {
            "limit": "0.75",
            "used": "0.70",
            "held": "0.10",
            "remaining": "0.00",
            "resets_at": None,
        },
    }


def test_what_has_ended_counts_as_unused() -> None:
    later = NOW + timedelta(seconds=41)
    shown = describe_limits(
        row(requests_per_minute=60, day_nanos=10**9, month_nanos=10**9, lifetime_nanos=10**9), later
    )
    assert {name: limit["used"] for name, limit in shown.items()} == {
        "requests_per_minute": 0,
        "day_usd": "0.00",
        "month_usd": "0.00",
        "lifetime_usd": "0.70",
    }
    assert shown["requests_per_minute"]["resets_at"] is None
    assert shown["month_usd"]["resets_at"] == "2027-01-01T00:00:00+00:00"


def test_a_limit_that_nobody_used_yet_is_whole() -> None:
    fresh = row(requests_per_minute=60, day_nanos=10**9, window_started_at=None, day=None)
    shown = describe_limits({**fresh, "held_nanos": 0}, NOW)
    assert shown["requests_per_minute"]["remaining"] == 60
    assert shown["day_usd"]["remaining"] == "1.00"


# From the database


@pytest.fixture
def payer(world: World) -> Tenant:
    return world.add_tenant("Payer", balance="1")


def found(world: World, tenant: Tenant) -> tuple[Caller, dict[str, Any]]:
    """The caller and his limits, as a gateway process reads them."""

    async def run() -> tuple[Caller, dict[str, Any]]:
        async with bank(world) as made:
            store: Store = made._store
            who = await store.find_caller(str(keys.public_id_of(tenant.key)))
            assert who is not None
            return who, await store.limits(who, datetime.now(UTC))

    return run_loop(run())


def test_a_key_without_limits_and_restrictions_has_none(world: World, payer: Tenant) -> None:
    who, limits = found(world, payer)
    assert (who.key_limit_id, who.group_limit_id, who.expires_at) == (None, None, None)
    assert (who.allowed_models, who.allowed_networks, limits) == ((), (), {})


def test_a_callers_limits_and_restrictions_are_those_of_his_key_and_of_his_group(
    world: World, payer: Tenant
) -> None:
    key = put_limit(world, key=payer, requests_per_minute=5)
    group = put_limit(world, group=payer, day_nanos=10**9)
    update = "UPDATE accounts_{} SET allowed_models = %s, allowed_networks = %s, expires_at = %s WHERE id = %s"
    for table, model, network, years, row_id in (
        ("apikey", "gpt-5.5", "10.0.0.0/8", 3, payer.key_id),
        ("group", "openai/*", "10.1.0.0/16", 2, payer.group_id),
    ):
        expires_at = datetime.now(UTC) + timedelta(days=365 * years)
        world.database.query(
            update.format(table), f'["{model}"]', f'["{network}"]', expires_at, row_id
        )
    who, limits = found(world, payer)
    assert (who.key_limit_id, who.group_limit_id) == (key, group)
    assert who.allowed_models == (("gpt-5.5",), ("openai/*",))
    assert who.allowed_networks == (("10.0.0.0/8",), ("10.1.0.0/16",))
    assert who.expires_at == pytest.approx(time.time() + 2 * 365 * 86_400, abs=60)
    assert {owner: list(shown) for owner, shown in limits.items()} == {
        "key": ["requests_per_minute"],
        "group": ["day_usd"],
    }
    assert refused(who, "10.1.2.3") is None


def test_the_expiry_of_either_alone_counts(world: World, payer: Tenant) -> None:
    moment = datetime.now(UTC) + timedelta(days=1)
    world.database.query(
        "UPDATE accounts_group SET expires_at = %s WHERE id = %s", moment, payer.group_id
    )
    assert found(world, payer)[0].expires_at == pytest.approx(moment.timestamp())
