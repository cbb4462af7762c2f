"""Limits as tests of the ledger's SQL use them: rows of limits, batches of calls that have some, and their counters.

Amounts are nano-dollars.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from accounts.ids import uuid7
from tests.billing.bank import APPLY, Connection, row_of

LIMITED_APPLY = (
    APPLY.removesuffix(")") + ", %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])"
)
COUNTERS = (
    "window_requests",
    "window_tokens",
    "running_calls",
    "held_nanos",
    "day_spent_nanos",
    "month_spent_nanos",
    "lifetime_spent_nanos",
)


class Order(NamedTuple):
    """A hold of a call whose key or group has limits."""

    id: UUID
    account: int
    amount: int
    floor: int = 1
    key_limit: int | None = None
    group_limit: int | None = None
    tokens: int = 0


class End(NamedTuple):
    """The end of a hold: what it costs (0 releases) and the tokens that it used."""

    id: UUID
    account: int
    amount: int
    tokens: int = 0


class Answer(NamedTuple):
    """What became of an order. `requests` and `tokens`: limit, left and seconds to the end of the window."""

    granted: int
    refusal: str
    retry_s: int
    left: int
    requests: tuple[int, int, int] | None
    tokens: tuple[int, int, int] | None


def open_key(connection: Connection, group_id: UUID) -> UUID:
    """A new key of the group."""
    key_id = uuid7()
    user = row_of(
        connection,
        "INSERT INTO accounts_user (email, name, password, is_active, is_staff, is_superuser, joined_at)"
        " VALUES (%s, 'Alice', '', true, false, false, now()) RETURNING id",
        f"{key_id}@example.com",
    )
    connection.execute(
        "INSERT INTO accounts_apikey (id, group_id, created_by_id, name, public_id, prefix, digest, created_at)"
        " VALUES (%s, %s, %s, 'CI', %s, 'tollgate', '', now())",
        (key_id, group_id, user["id"], key_id.hex[-16:]),
    )
    return key_id


def put_limit(
    connection: Connection, *, key: UUID | None = None, group: UUID | None = None, **limits: int
) -> int:
    """A new row of limits."""
    names = ", ".join(["api_key_id", "group_id", *limits])
    marks = ", ".join(["%s"] * (2 + len(limits)))
    row = row_of(
        connection,
        f"INSERT INTO billing_limit ({names}) VALUES ({marks}) RETURNING id",
        key,
        group,
        *limits.values(),
    )
    return int(row["id"])


def limited_arguments(
    owner: int, ends: Sequence[End], orders: Sequence[Order]
) -> tuple[int | list[Any], ...]:
    """What stands for the placeholders of LIMITED_APPLY."""
    return (
        owner,
        [end.id for end in ends],
        [end.account for end in ends],
        [end.amount for end in ends],
        [order.id for order in orders],
        [order.account for order in orders],
        [order.amount for order in orders],
        [order.floor for order in orders],
        ["{}"] * len(orders),
        [end.tokens for end in ends],
        [order.key_limit for order in orders],
        [order.group_limit for order in orders],
        [order.tokens for order in orders],
    )


def place(
    connection: Connection, owner: int, orders: Sequence[Order], ends: Sequence[End] = ()
) -> list[Answer]:
    """One batch; what became of its orders."""
    row = row_of(connection, LIMITED_APPLY, *limited_arguments(owner, ends, orders))
    if row["h_refusals"] is None:
        return [
            Answer(granted, "" if granted else "credits", 0, 0, None, None)
            for granted in row["h_granted"] or ()
        ]
    requests, tokens = (
        zip(
            row[f"h_{name}_limits"],
            row[f"h_{name}s_left"],
            row[f"h_{name}s_reset_s"],
            strict=True,
        )
        for name in ("request", "token")
    )
    columns = ("h_granted", "h_refusals", "h_retry_s", "h_left")
    return [
        Answer(*fields, *(None if rate[0] is None else rate for rate in rates))
        for *fields, rates in zip(
            *(row[name] for name in columns), zip(requests, tokens, strict=True), strict=True
        )
    ]


def end(connection: Connection, owner: int, *ends: End) -> tuple[int, ...]:
    """One batch of settlements; what was taken."""
    row = row_of(connection, LIMITED_APPLY, *limited_arguments(owner, ends, ()))
    return tuple(row["s_taken"])


def counters(connection: Connection, limit: int) -> dict[str, int]:
    """What the limit counts right now."""
    row = row_of(
        connection,
        "SELECT (billing_limit_at(l, clock_timestamp())).* FROM billing_limit l WHERE l.id = %s",
        limit,
    )
    return {name: row[name] for name in COUNTERS}


def pass_time(connection: Connection, *limits: int, day: bool = False, month: bool = False) -> None:
    """As if the window of these limits had ended, or their day or month as well."""
    connection.execute(
        "UPDATE billing_limit SET window_started_at = window_started_at - interval '60 s',"
        " day = day - %s::int, month = (month - make_interval(months => %s))::date WHERE id = ANY(%s)",
        (40 if month else int(day), int(month), list(limits)),
    )
