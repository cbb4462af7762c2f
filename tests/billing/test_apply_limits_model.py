"""Limits against a model of them: whatever happens, counters are what the holds say, and no limit is passed."""

from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.ids import uuid7
from tests.billing.bank import Connection, connect, new_owner, open_tenancy, violations
from tests.billing.limiting import (
    LIMITED_APPLY,
    Answer,
    End,
    Order,
    counters,
    limited_arguments,
    open_key,
    pass_time,
    place,
    put_limit,
)
from tests.world import World

BALANCE = 400
PERIODS = ("day", "month", "lifetime")
FIELDS = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_calls",
    *(f"{period}_nanos" for period in PERIODS),
)


class Held:
    """An open hold, and in which window of each limit it was admitted."""

    def __init__(self, order: Order, granted: int, windows: dict[int, int]) -> None:
        self.order = order
        self.granted = granted
        self.windows = windows


class Limit:
    """One row in plain Python. `window` is a number that grows; None while none is open."""

    def __init__(self, side: str, limits: dict[str, int]) -> None:
        self.side = side
        self.limits = limits
        self.window: int | None = None
        self.opened = 0
        self.requests = self.tokens = self.running = self.held = 0
        self.spent = dict.fromkeys(PERIODS, 0)

    def full(self, tokens: int) -> str:
        get = self.limits.get
        if self.requests >= get("requests_per_minute", 10**9):
            return "requests"
        most = get("tokens_per_minute", 10**9)
        if self.tokens + min(tokens, most) > most:
            return "tokens"
        return "concurrency" if self.running >= get("concurrent_calls", 10**9) else ""

    def rooms(self) -> dict[str, int]:
        return {
            period: self.limits[f"{period}_nanos"] - self.spent[period] - self.held
            for period in PERIODS
            if f"{period}_nanos" in self.limits
        }

    def admit(self, granted: int, tokens: int) -> int:
        if self.window is None:
            self.opened += 1
            self.window = self.opened
        self.requests += 1
        self.tokens += tokens
        self.running += 1
        self.held += granted
        return self.window

    def leave(self, held: Held, window: int, taken: int, used: int) -> None:
        if window == self.window:
            self.tokens = max(self.tokens + used - held.order.tokens, 0)
        self.running -= 1
        self.held -= held.granted
        for period in PERIODS:
            self.spent[period] += taken

    def end_window(self) -> None:
        self.window = None
        self.requests = self.tokens = 0

    @property
    def counters(self) -> dict[str, int]:
        return {
            "window_requests": self.requests,
            "window_tokens": self.tokens,
            "running_calls": self.running,
            "held_nanos": self.held,
            **{f"{period}_spent_nanos": self.spent[period] for period in PERIODS},
        }


SMALL = st.integers(1, 60)
LIMITS = st.dictionaries(st.sampled_from(FIELDS), SMALL, max_size=4)
ORDER = st.tuples(st.sampled_from(["", "k", "g", "kg"]), SMALL, SMALL, st.integers(0, 40))
END = st.tuples(st.integers(0, 40), st.integers(0, 70), st.integers(0, 50))


class Limited(RuleBasedStateMachine):
    """Two keys of one group: each has its limits, and the group has some."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.open: dict[UUID, Held] = {}
        self.last: list[End] = []

    @initialize(limits=st.tuples(LIMITS, LIMITS, LIMITS))
    def begin(self, limits: tuple[dict[str, int], ...]) -> None:
        tenancy = open_tenancy(self.connection, BALANCE)
        (group,), (self.wallet,) = tenancy.group_ids, tenancy.wallets
        self.owner = new_owner(self.connection, 1_000)
        self.available = BALANCE
        self.limits: dict[int, Limit] = {}
        for number in (0, 1):
            key = open_key(self.connection, group)
            row = put_limit(self.connection, key=key, **limits[number])
            self.limits[row] = Limit("key", limits[number])
        self.keys = list(self.limits)
        self.group = put_limit(self.connection, group=group, **limits[2])
        self.limits[self.group] = Limit("group", limits[2])

    @rule(
        pick=st.integers(0, 1),
        orders=st.lists(ORDER, max_size=6),
        ends=st.lists(END, max_size=4),
    )
    def batch(
        self, pick: int, orders: list[tuple[str, int, int, int]], ends: list[tuple[int, int, int]]
    ) -> None:
        chosen: dict[UUID, End] = {}
        for number, amount, tokens in ends:
            if self.open:
                call_id = list(self.open)[number % len(self.open)]
                chosen.setdefault(call_id, End(call_id, self.wallet, amount, tokens))
        asked = [
            Order(
                uuid7(),
                self.wallet,
                amount,
                min(floor, amount),
                self.keys[(pick + index) % 2] if "k" in sides else None,
                self.group if "g" in sides else None,
                tokens,
            )
            for index, (sides, amount, floor, tokens) in enumerate(orders)
        ]
        self.last = list(chosen.values()) or self.last
        answers = place(self.connection, self.owner, asked, self.last if chosen else ())
        for call_id, each in chosen.items():
            self._leave(call_id, each.amount, each.tokens)
        expected = [self._admit(order) for order in asked]
        assert [(answer.granted, answer.refusal) for answer in answers] == expected
        self._check_left(asked, answers)

    def _leave(self, call_id: UUID, charge: int, used: int) -> None:
        held = self.open.pop(call_id)
        taken = min(charge, held.granted + self.available)
        self.available += held.granted - taken
        for row, window in held.windows.items():
            self.limits[row].leave(held, window, taken, used)

    def _admit(self, order: Order) -> tuple[int, str]:
        rows = [row for row in (order.key_limit, order.group_limit) if row is not None]
        for row in rows:
            if full := self.limits[row].full(order.tokens):
                return 0, f"{self.limits[row].side}_{full}"
        granted, why = min(order.amount, self.available), "credits"
        for row in rows:
            # Of two that leave the same, the one that lasts longer is named.
            for period, room in reversed(self.limits[row].rooms().items()):
                if room < granted:
                    granted, why = room, f"{self.limits[row].side}_{period}"
        if granted < max(order.floor, 1):
            return 0, why
        self.available -= granted
        windows = {row: self.limits[row].admit(granted, order.tokens) for row in rows}
        self.open[order.id] = Held(order, granted, windows)
        return granted, ""

    def _check_left(self, orders: list[Order], answers: list[Answer]) -> None:
        """What the last of the batch was told is what the model has left now."""
        if not orders:
            return
        rows = [row for row in (orders[-1].key_limit, orders[-1].group_limit) if row is not None]
        for name, told in (("requests", answers[-1].requests), ("tokens", answers[-1].tokens)):
            limit = f"{name}_per_minute"
            left = [
                max(self.limits[row].limits[limit] - getattr(self.limits[row], name), 0)
                for row in rows
                if limit in self.limits[row].limits
            ]
            assert (told[1] if told else None) == min(left, default=None)

    @rule()
    def the_last_settlements_arrive_again(self) -> None:
        arguments = limited_arguments(self.owner, self.last, ())
        row = self.connection.execute(LIMITED_APPLY, arguments).fetchone()
        assert row is not None
        assert set(row["s_taken"] or ()) <= {-1}

    @rule()
    def the_process_is_lost(self) -> None:
        sql = "UPDATE billing_holdowner SET closed_at = NULL WHERE id = %s"
        self.connection.execute(sql, (self.owner,))
        rows = self.connection.execute("SELECT * FROM billing_release_lost('1 s', 500)").fetchall()
        assert {row["id"] for row in rows} == set(self.open)
        for call_id in list(self.open):
            self._leave(call_id, 0, 0)

    @rule(pick=st.integers(0, 2), period=st.sampled_from(["window", "day", "month"]))
    def time_passes(self, pick: int, period: str) -> None:
        row = list(self.limits)[pick]
        pass_time(self.connection, row, day=period == "day", month=period == "month")
        limit = self.limits[row]
        limit.end_window()
        if period != "window":
            limit.spent["day"] = 0
        if period == "month":
            limit.spent["month"] = 0

    @rule(pick=st.integers(0, 2), field=st.sampled_from(FIELDS), value=st.none() | SMALL)
    def a_limit_changes(self, pick: int, field: str, value: int | None) -> None:
        row = list(self.limits)[pick]
        sql = f"UPDATE billing_limit SET {field} = %s WHERE id = %s"
        self.connection.execute(sql, (value, row))
        self.limits[row].limits = {**self.limits[row].limits, field: value or 0}
        if value is None:
            del self.limits[row].limits[field]

    @invariant()
    def the_database_counts_the_same(self) -> None:
        for row, limit in self.limits.items():
            assert counters(self.connection, row) == limit.counters, limit.side

    def teardown(self) -> None:
        if self.open:
            ends = [End(call_id, self.wallet, 0) for call_id in self.open]
            place(self.connection, self.owner, (), ends)
        assert violations(self.connection) == {}


def test_any_sequence_of_batches_counts_what_a_model_of_the_limits_counts(
    fresh_world: World,
) -> None:
    with connect(fresh_world.database) as connection:
        connection.execute("SET synchronous_commit = off")
        machine: Any = partial(Limited, connection)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=60,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
