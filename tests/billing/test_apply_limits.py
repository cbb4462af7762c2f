"""billing_apply with limits: what each refuses, clamps and counts, and when it counts no more."""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from accounts.ids import uuid7
from tests.billing.bank import (
    Connection,
    Tenancy,
    figures,
    hold_of,
    new_owner,
    open_tenancy,
    row_of,
    violations,
)
from tests.billing.bank import connect as connect_to
from tests.billing.limiting import (
    LIMITED_APPLY,
    Answer,
    End,
    Order,
    counters,
    end,
    limited_arguments,
    open_key,
    pass_time,
    place,
    put_limit,
)
from tests.world import World

USED_UP = {"window_requests": 0, "window_tokens": 0, "running_calls": 0, "held_nanos": 0}


class Bank(NamedTuple):
    """A wallet with 1,000 nanos, a key of its group, and a living owner of holds."""

    connection: Connection
    owner: int
    tenancy: Tenancy
    key: UUID

    @property
    def wallet(self) -> int:
        return self.tenancy.wallets[0]

    def limit_key(self, **limits: int) -> int:
        return put_limit(self.connection, key=self.key, **limits)

    def limit_group(self, **limits: int) -> int:
        return put_limit(self.connection, group=self.tenancy.group_ids[0], **limits)

    def order(self, key: int | None = None, group: int | None = None, **fields: int) -> Order:
        values = {"amount": 10, **fields}
        return Order(uuid7(), self.wallet, key_limit=key, group_limit=group, **values)

    def place(self, *orders: Order) -> list[Answer]:
        return place(self.connection, self.owner, orders)

    def end(self, order: Order, amount: int = 0, tokens: int = 0) -> int:
        (taken,) = end(self.connection, self.owner, End(order.id, order.account, amount, tokens))
        return taken

    def counters(self, limit: int) -> dict[str, int]:
        return counters(self.connection, limit)


@pytest.fixture
def bank(world: World) -> Iterator[Bank]:
    with connect_to(world.database) as connection:
        connection.execute("SET synchronous_commit = off")
        tenancy = open_tenancy(connection, 1_000)
        key = open_key(connection, tenancy.group_ids[0])
        yield Bank(connection, new_owner(connection), tenancy, key)
        assert violations(connection) == {}


def refusals(answers: list[Answer]) -> list[str]:
    return [answer.refusal for answer in answers]


# Requests


def test_requests_are_admitted_up_to_the_limit_and_the_next_is_told_when_to_come_back(
    bank: Bank,
) -> None:
    limit = bank.limit_key(requests_per_minute=3)
    answers = bank.place(*(bank.order(limit) for _ in range(5)))
    assert refusals(answers) == ["", "", "", "key_requests", "key_requests"]
    assert [answer.granted for answer in answers] == [10, 10, 10, 0, 0]
    assert [answer.requests for answer in answers] == [(3, left, 60) for left in (2, 1, 0, 0, 0)]
    assert [answer.retry_s for answer in answers] == [0, 0, 0, 60, 60]
    assert bank.counters(limit)["window_requests"] == 3


def test_a_request_that_failed_was_a_request(bank: Bank) -> None:
    limit = bank.limit_key(requests_per_minute=1)
    order = bank.order(limit)
    bank.place(order)
    assert bank.end(order) == 0
    assert refusals(bank.place(bank.order(limit))) == ["key_requests"]


def test_a_window_ends_after_a_minute_and_the_first_call_after_it_opens_the_next(
    bank: Bank,
) -> None:
    limit = bank.limit_key(requests_per_minute=1)
    began = "SELECT window_started_at AS began, clock_timestamp() AS now FROM billing_limit WHERE id = %s"
    assert row_of(bank.connection, began, limit)["began"] is None
    bank.place(bank.order(limit))
    move = "UPDATE billing_limit SET window_started_at = clock_timestamp() - make_interval(secs => %s) WHERE id = %s"
    bank.connection.execute(move, (58, limit))
    (refused,) = bank.place(bank.order(limit))
    assert (refused.refusal, refused.retry_s) == ("key_requests", 2)
    bank.connection.execute(move, (60, limit))
    assert refusals(bank.place(bank.order(limit), bank.order(limit))) == ["", "key_requests"]
    row = row_of(bank.connection, began, limit)
    assert (row["now"] - row["began"]).total_seconds() < 10


def test_a_refused_call_opens_no_window_and_counts_nowhere(bank: Bank) -> None:
    limit = bank.limit_key(requests_per_minute=5, tokens_per_minute=50, concurrent_calls=5)
    (answer,) = bank.place(bank.order(limit, amount=5_000, floor=5_000, tokens=9))
    assert (answer.refusal, answer.granted) == ("credits", 0)
    assert (answer.requests, answer.tokens) == ((5, 5, 0), (50, 50, 0))
    assert set(bank.counters(limit).values()) == {0}
    row = row_of(bank.connection, "SELECT * FROM billing_limit WHERE id = %s", limit)
    assert row["window_started_at"] is None


# Tokens


def test_tokens_are_admitted_only_as_far_as_they_fit(bank: Bank) -> None:
    limit = bank.limit_key(tokens_per_minute=100)
    orders = [bank.order(limit, tokens=tokens) for tokens in (60, 50, 40, 1)]
    answers = bank.place(*orders)
    assert refusals(answers) == ["", "key_tokens", "", "key_tokens"]
    assert [answer.tokens for answer in answers] == [
        (100, 40, 60),
        (100, 40, 60),
        (100, 0, 60),
        (100, 0, 60),
    ]
    assert answers[1].retry_s == 60


def test_a_short_answer_gives_back_the_tokens_that_it_did_not_use(bank: Bank) -> None:
    limit = bank.limit_key(tokens_per_minute=100)
    first = bank.order(limit, tokens=100)
    bank.place(first)
    assert refusals(bank.place(bank.order(limit, tokens=1))) == ["key_tokens"]
    bank.end(first, 5, tokens=30)
    assert bank.counters(limit)["window_tokens"] == 30
    assert refusals(bank.place(bank.order(limit, tokens=71))) == ["key_tokens"]
    assert refusals(bank.place(bank.order(limit, tokens=70))) == [""]


def test_a_call_that_used_more_tokens_than_it_brought_is_counted_in_full(bank: Bank) -> None:
    limit = bank.limit_key(tokens_per_minute=100)
    order = bank.order(limit, tokens=10)
    bank.place(order)
    bank.end(order, 5, tokens=130)
    (answer,) = bank.place(bank.order(limit, tokens=1))
    assert (answer.refusal, answer.tokens) == ("key_tokens", (100, 0, 60))


def test_a_call_larger_than_the_whole_limit_needs_an_unused_window(bank: Bank) -> None:
    limit = bank.limit_key(tokens_per_minute=100)
    small, large = bank.order(limit, tokens=1), bank.order(limit, tokens=5_000)
    assert refusals(bank.place(small, large)) == ["", "key_tokens"]
    pass_time(bank.connection, limit)
    assert refusals(bank.place(large, bank.order(limit, tokens=1))) == ["", "key_tokens"]
    bank.end(large, 5, tokens=80)
    assert refusals(bank.place(bank.order(limit, tokens=20))) == [""]


def test_tokens_of_an_ended_window_are_not_given_back_to_the_next(bank: Bank) -> None:
    limit = bank.limit_key(tokens_per_minute=100)
    late = bank.order(limit, tokens=90)
    bank.place(late)
    pass_time(bank.connection, limit)
    bank.place(bank.order(limit, tokens=50))
    bank.end(late, 5, tokens=10)
    assert bank.counters(limit)["window_tokens"] == 50


# Calls at a time


def test_no_more_calls_run_than_may_and_an_end_makes_room(bank: Bank) -> None:
    limit = bank.limit_key(concurrent_calls=2)
    orders = [bank.order(limit) for _ in range(3)]
    answers = bank.place(*orders)
    assert refusals(answers) == ["", "", "key_concurrency"]
    assert answers[2].retry_s == 1
    assert (answers[0].requests, answers[0].tokens) == (None, None)
    bank.end(orders[0], 10)
    assert bank.counters(limit)["running_calls"] == 1
    assert refusals(bank.place(bank.order(limit), bank.order(limit))) == ["", "key_concurrency"]


def test_what_ends_in_a_batch_makes_room_for_what_begins_in_it(bank: Bank) -> None:
    limit = bank.limit_key(concurrent_calls=1, lifetime_nanos=25)
    first = bank.order(limit, amount=20)
    bank.place(first)
    (answer,) = place(
        bank.connection,
        bank.owner,
        [bank.order(limit, amount=20)],
        [End(first.id, first.account, 5)],
    )
    assert (answer.granted, answer.refusal) == (20, "")


# Budgets


@pytest.mark.parametrize("period", ["day", "month", "lifetime"])
def test_a_budget_clamps_a_hold_as_the_wallet_does_and_refuses_below_the_floor(
    bank: Bank, period: str
) -> None:
    limit = bank.limit_key(**{f"{period}_nanos": 100})
    orders = [
        bank.order(limit, amount=amount, floor=floor)
        for amount, floor in ((70, 70), (70, 20), (70, 1))
    ]
    answers = bank.place(*orders)
    assert [answer.granted for answer in answers] == [70, 30, 0]
    assert refusals(answers) == ["", "", f"key_{period}"]
    assert [(answer.left, answer.retry_s) for answer in answers] == [(0, 0)] * 3
    bank.end(orders[0], 25)
    (answer,) = bank.place(bank.order(limit, amount=50, floor=46))
    assert (answer.granted, answer.refusal, answer.left) == (0, f"key_{period}", 45)
    assert bank.counters(limit) == {
        **USED_UP,
        "window_requests": 2,
        "running_calls": 1,
        "held_nanos": 30,
        "day_spent_nanos": 25,
        "month_spent_nanos": 25,
        "lifetime_spent_nanos": 25,
    }


def test_the_tightest_of_wallet_and_budgets_decides_and_is_named(bank: Bank) -> None:
    key = bank.limit_key(day_nanos=600, month_nanos=500, lifetime_nanos=700)
    group = bank.limit_group(day_nanos=400, month_nanos=450)
    (answer,) = bank.place(bank.order(key, group, amount=900, floor=401))
    assert (answer.refusal, answer.left) == ("group_day", 400)
    (answer,) = bank.place(bank.order(key, amount=900, floor=501))
    assert (answer.refusal, answer.left) == ("key_month", 500)
    (answer,) = bank.place(bank.order(key, group, amount=900, floor=400))
    assert (answer.granted, answer.refusal) == (400, "")


def test_what_a_day_spent_is_free_the_next_day_and_a_month_the_next_month(bank: Bank) -> None:
    limit = bank.limit_key(day_nanos=50, month_nanos=100, lifetime_nanos=130)
    for expected in ("key_day", "key_month"):
        first = bank.order(limit, amount=50)
        bank.place(first)
        bank.end(first, 50)
        assert refusals(bank.place(bank.order(limit))) == [expected]
        pass_time(bank.connection, limit, day=True)
    assert refusals(bank.place(bank.order(limit))) == ["key_month"]
    pass_time(bank.connection, limit, month=True)
    (answer,) = bank.place(bank.order(limit, amount=50, floor=31))
    assert (answer.refusal, answer.left) == ("key_lifetime", 30)


def test_a_charge_counts_in_the_day_of_its_settlement(bank: Bank) -> None:
    limit = bank.limit_key(day_nanos=50)
    order = bank.order(limit, amount=50)
    bank.place(order)
    pass_time(bank.connection, limit, day=True)
    assert refusals(bank.place(bank.order(limit))) == ["key_day"]
    bank.end(order, 30)
    (answer,) = bank.place(bank.order(limit, amount=50, floor=21))
    assert (answer.refusal, answer.left) == ("key_day", 20)


def test_what_was_written_off_was_not_spent(bank: Bank) -> None:
    limit = bank.limit_key(lifetime_nanos=2_000)
    order = bank.order(limit, amount=1_000)
    bank.place(order)
    assert bank.end(order, 1_500) == 1_000
    assert bank.counters(limit)["lifetime_spent_nanos"] == 1_000


def test_a_budget_below_what_is_spent_refuses_and_says_that_nothing_is_left(bank: Bank) -> None:
    limit = bank.limit_key(lifetime_nanos=100)
    order = bank.order(limit, amount=80)
    bank.place(order)
    bank.end(order, 80)
    bank.connection.execute("UPDATE billing_limit SET lifetime_nanos = 30 WHERE id = %s", (limit,))
    (answer,) = bank.place(bank.order(limit))
    assert (answer.refusal, answer.left, answer.granted) == ("key_lifetime", 0, 0)


# Key and group


def test_both_the_keys_and_the_groups_limits_hold_and_the_tighter_rate_is_told(
    bank: Bank,
) -> None:
    key = bank.limit_key(requests_per_minute=2, tokens_per_minute=1_000)
    group = bank.limit_group(requests_per_minute=3, tokens_per_minute=100)
    answers = bank.place(*(bank.order(key, group, tokens=10) for _ in range(3)))
    assert refusals(answers) == ["", "", "key_requests"]
    assert [answer.requests for answer in answers] == [(2, 1, 60), (2, 0, 60), (2, 0, 60)]
    assert [answer.tokens for answer in answers] == [(100, left, 60) for left in (90, 80, 80)]
    answers = bank.place(*(bank.order(group=group, tokens=10) for _ in range(2)))
    assert refusals(answers) == ["", "group_requests"]
    assert answers[0].requests == (3, 0, 60)
    assert (bank.counters(key)["running_calls"], bank.counters(group)["running_calls"]) == (2, 3)


def test_holds_with_and_without_limits_share_a_batch(bank: Bank) -> None:
    limit = bank.limit_key(requests_per_minute=1)
    poor = bank.order(amount=5_000, floor=5_000)
    answers = bank.place(bank.order(), bank.order(limit), bank.order(limit), bank.order(), poor)
    assert refusals(answers) == ["", "", "key_requests", "", "credits"]
    assert [answer.requests is None for answer in answers] == [True, False, False, True, True]


def test_a_batch_without_limits_answers_nothing_about_them(bank: Bank) -> None:
    arguments = list(limited_arguments(bank.owner, [], [bank.order()]))
    row = row_of(bank.connection, LIMITED_APPLY, *arguments[:9], None, None, None, None)
    assert row["h_granted"] == [10]
    assert {value for name, value in row.items() if name not in ("h_granted", "h_available")} == {
        None
    }


def test_a_limit_that_is_gone_limits_nothing_and_is_not_remembered(bank: Bank) -> None:
    limit = bank.limit_key(requests_per_minute=1)
    before = bank.order(limit)
    bank.place(before)
    bank.connection.execute("DELETE FROM billing_limit WHERE id = %s", (limit,))
    after = [bank.order(limit, tokens=5) for _ in range(2)]
    answers = bank.place(*after)
    assert [answer.granted for answer in answers] == [10, 10]
    row = hold_of(bank.connection, after[0].id)
    assert (row["key_limit_id"], row["key_window_at"]) == (None, None)
    assert [bank.end(order, 3) for order in (before, *after)] == [3, 3, 3]


# Ends


def test_a_settlement_sent_again_counts_once(bank: Bank) -> None:
    key, group = bank.limit_key(concurrent_calls=5), bank.limit_group(concurrent_calls=5)
    order, other = (bank.order(key, group, tokens=40) for _ in range(2))
    bank.place(order, other)
    assert bank.end(order, 6, tokens=15) == 6
    once = [bank.counters(limit) for limit in (key, group)]
    assert once[0]["window_tokens"] == 55
    for amount, tokens in ((6, 15), (0, 0), (9, 40)):
        assert bank.end(order, amount, tokens) == -1
    assert [bank.counters(limit) for limit in (key, group)] == once


def test_a_hold_that_was_never_placed_frees_nothing(bank: Bank) -> None:
    limit = bank.limit_key(concurrent_calls=1)
    bank.place(bank.order(limit))
    assert bank.end(bank.order(limit), 0) == -1
    assert bank.counters(limit)["running_calls"] == 1


def test_a_hold_that_arrives_twice_counts_once(bank: Bank) -> None:
    limit = bank.limit_key(concurrent_calls=9)
    order = bank.order(limit)
    bank.place(order)
    with pytest.raises(psycopg.errors.UniqueViolation):
        bank.place(order)
    assert bank.counters(limit)["running_calls"] == 1


def test_lost_holds_give_back_calls_credits_and_tokens_but_no_requests(
    bank: Bank,
) -> None:
    key = bank.limit_key(concurrent_calls=2, tokens_per_minute=100, requests_per_minute=9)
    group = bank.limit_group(lifetime_nanos=20, tokens_per_minute=500)
    gone = new_owner(bank.connection, 100)
    place(bank.connection, gone, [bank.order(key, group, tokens=50) for _ in range(2)])
    assert refusals(bank.place(bank.order(key, group, tokens=1))) == ["key_tokens"]
    pass_time(bank.connection, group)
    place(bank.connection, gone, [bank.order(None, None, tokens=1)])
    rows = bank.connection.execute("SELECT * FROM billing_release_lost('1 s', 500)").fetchall()
    # Owners of earlier tests in this database may be gone by now as well.
    assert len([row for row in rows if row["account_id"] == bank.wallet]) == 3
    assert figures(bank.connection, bank.wallet) == (1_000, 0)
    for limit, requests in ((key, 2), (group, 0)):
        expected = {**USED_UP, "window_requests": requests}
        found = bank.counters(limit)
        assert {name: found[name] for name in expected} == expected
    assert refusals(bank.place(bank.order(key, group, amount=20))) == [""]


def test_lost_holds_take_nothing_from_a_window_that_began_after_them(bank: Bank) -> None:
    limit = bank.limit_key(tokens_per_minute=100)
    gone = new_owner(bank.connection, 100)
    place(bank.connection, gone, [bank.order(limit, tokens=90)])
    pass_time(bank.connection, limit)
    bank.place(bank.order(limit, tokens=40))
    bank.connection.execute("SELECT * FROM billing_release_lost('1 s', 500)").fetchall()
    assert bank.counters(limit)["window_tokens"] == 40
    assert bank.counters(limit)["running_calls"] == 1


# What PostgreSQL refuses


@pytest.mark.parametrize(
    ("position", "values"),
    [(9, [-1]), (9, [None]), (9, []), (12, [-1]), (12, [None]), (12, []), (10, []), (11, [1, 2])],
)
def test_a_batch_with_wrong_tokens_or_limits_is_refused(
    bank: Bank, position: int, values: list[int | None]
) -> None:
    order = bank.order()
    arguments = list(
        limited_arguments(bank.owner, [End(order.id, order.account, 0)], [bank.order()])
    )
    arguments[position] = values
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        bank.connection.execute(LIMITED_APPLY, arguments)


@pytest.mark.parametrize("value", [0, -1, 2**62])
def test_a_limit_is_positive(bank: Bank, value: int) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        bank.limit_key(day_nanos=value)


def test_a_limit_is_of_one_key_or_one_group(bank: Bank) -> None:
    group = bank.tenancy.group_ids[0]
    for owners in ({}, {"key": bank.key, "group": group}):
        with pytest.raises(psycopg.errors.CheckViolation):
            put_limit(bank.connection, **owners, day_nanos=5)  # type: ignore[arg-type]
    for owners in ({"key": bank.key}, {"group": group}):
        put_limit(bank.connection, **owners, day_nanos=5)  # type: ignore[arg-type]
        with pytest.raises(psycopg.errors.UniqueViolation):
            put_limit(bank.connection, **owners, day_nanos=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", ["seeded_nanos = 5", "group_id = '{group}', api_key_id = NULL"])
def test_a_limit_stays_with_its_owner_and_its_start(bank: Bank, change: str) -> None:
    limit = bank.limit_key(day_nanos=5)
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        bank.connection.execute(
            f"UPDATE billing_limit SET {change.format(group=bank.tenancy.group_ids[0])} WHERE id = {limit}"
        )


@pytest.mark.parametrize(
    "change",
    ["key_limit_id = NULL", "group_limit_id = 5", "tokens = 6", "key_window_at = now()"],
)
def test_a_hold_keeps_the_limits_that_count_it(bank: Bank, change: str) -> None:
    order = bank.order(bank.limit_key(day_nanos=50), tokens=5)
    bank.place(order)
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        bank.connection.execute(f"UPDATE billing_hold SET {change} WHERE id = '{order.id}'")


def test_counting_rewrites_no_index_of_limits(bank: Bank) -> None:
    """Room on the page and no index on a counter: each new version of the row stays on its page (HOT)."""
    limit = bank.limit_key(requests_per_minute=1_000)
    place_of = "SELECT split_part(trim('()' FROM ctid::text), ',', 1)::int AS page FROM billing_limit WHERE id = %s"
    page = row_of(bank.connection, place_of, limit)["page"]
    for _ in range(30):
        bank.place(bank.order(limit, amount=1))
    assert row_of(bank.connection, place_of, limit)["page"] == page
    options = row_of(
        bank.connection, "SELECT reloptions AS o FROM pg_class WHERE relname = 'billing_limit'"
    )["o"]
    assert "fillfactor=30" in options
