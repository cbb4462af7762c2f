"""Sums of calls: each call once, at every moment, in whatever order transactions commit."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction

from accounts.ids import uuid7
from billing.audit import count_violations
from gateway import rollups, tasks
from gateway.audit import USAGE_INVARIANTS
from gateway.rollup_models import UsageSum
from gateway.rollups import forget, roll_up
from gateway.usage_analytics import (
    Scope,
    Span,
    Totals,
    one_snapshot,
    read_series,
    read_top,
    read_totals,
)
from tests.billing.bank import orm_on
from tests.gateway.usage_rows import NOW, Row, add_up, insert_calls, make_call, settle_batch
from tests.world import Tenant, World

ALL = Span(NOW - timedelta(days=4), NOW + timedelta(days=1), UTC)


@pytest.fixture
def world(fresh_world: World) -> World:
    return fresh_world


@pytest.fixture(autouse=True)
def _orm(world: World, django_db_blocker: Any) -> Iterator[None]:
    kept = connections["default"]
    del connections["default"]
    with orm_on(world.database, django_db_blocker):
        yield
        connections["default"].close()
    connections["default"] = kept


@pytest.fixture
def alice(world: World) -> Tenant:
    return world.add_tenant("Alice")


@pytest.fixture
def bob(world: World, alice: Tenant) -> Tenant:
    return world.add_tenant("Bob", organization_id=alice.organization_id)


@pytest.fixture
def line(world: World) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(world.database.url, autocommit=True) as opened:
        yield opened


def waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM gateway_uncounted")
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def assert_exact(calls: list[Row], scope: Scope, span: Span = ALL) -> None:
    """The reader's totals, series and top lists are what the committed calls add up to."""
    inside = [call for call in calls if span.since <= call["created_at"] < span.until]
    assert read_totals(scope, span) == add_up(inside)
    top = read_top(scope, span, "model")
    assert dict(top) == {
        model: add_up(call for call in inside if call["model"] == model)
        for model in {call["model"] for call in inside}
    }
    series = read_series(scope, span, step="hour", by="source", measure="tokens")
    assert {key: sum(values) for key, values in series.rows} == {
        source: add_up(call for call in inside if call["source"] == source).tokens
        for source in {call["source"] for call in inside}
    }


def test_calls_move_from_the_tail_into_the_sums(
    alice: Tenant, line: psycopg.Connection[Any]
) -> None:
    chance = random.Random(1)
    calls = [make_call(alice, chance) for _ in range(200)]
    insert_calls(line, calls)
    assert waiting() == 200
    assert_exact(calls, Scope.everything())
    assert roll_up(120) == 120
    assert waiting() == 80
    assert_exact(calls, Scope.everything())
    assert roll_up() == 80
    assert roll_up() == 0
    assert_exact(calls, Scope.everything())
    for minutes in rollups.TIERS:
        amounts = UsageSum.objects.filter(minutes=minutes).values_list("amount_nanos", flat=True)
        assert sum(amounts) == add_up(calls).amount_nanos


def test_a_call_is_summed_for_its_key_member_model_source_and_channel(
    world: World, alice: Tenant, line: psycopg.Connection[Any]
) -> None:
    chance = random.Random(2)
    attempts = psycopg.types.json.Jsonb([{"channel": "gone"}, {"channel": "openai:simulator"}])
    at = NOW.replace(minute=44, second=59)
    call = make_call(
        alice, chance, created_at=at, attempts=attempts, model="openai/gpt-5.5", source="task"
    )
    insert_calls(line, [call])
    assert roll_up() == 1
    kept = {row.minutes: row for row in UsageSum.objects.all()}
    assert kept.keys() == {15, 60, 240, 1440}
    channel = world.database.one("SELECT id FROM gateway_channel")
    member = world.database.one(
        "SELECT created_by_id FROM accounts_apikey WHERE id = %s", alice.key_id
    )
    for row in kept.values():
        assert row.organization_id == alice.organization_id
        assert row.group_id == alice.group_id
        assert row.api_key_id == alice.key_id
        assert (row.model, row.source) == ("openai/gpt-5.5", "task")
        assert (row.channel_id, row.member_id) == (channel, member)
    assert kept[15].began_at == at.replace(minute=30, second=0, microsecond=0)
    assert kept[60].began_at == at.replace(minute=0, second=0, microsecond=0)
    assert kept[240].began_at == at.replace(hour=16, minute=0, second=0, microsecond=0)
    assert kept[1440].began_at == at.replace(hour=0, minute=0, second=0, microsecond=0)


def test_a_batch_of_a_gateway_process_is_noted_and_a_batch_sent_twice_once(
    alice: Tenant, line: psycopg.Connection[Any]
) -> None:
    chance = random.Random(3)
    calls = [make_call(alice, chance, amount_nanos=0, list_nanos=0) for _ in range(50)]
    settle_batch(line, alice, calls)
    roll_up(30)
    settle_batch(line, alice, calls)
    assert waiting() == 20
    roll_up()
    assert read_totals(Scope.everything(), ALL).refused == 50


def test_what_is_rolled_back_is_not_counted(alice: Tenant, line: psycopg.Connection[Any]) -> None:
    chance = random.Random(4)
    with line.transaction(force_rollback=True):
        insert_calls(line, [make_call(alice, chance)])
    assert waiting() == 0
    assert roll_up() == 0
    assert read_totals(Scope.everything(), ALL) == Totals()


def test_a_roll_up_that_fails_leaves_everything_as_it_was(
    alice: Tenant, line: psycopg.Connection[Any]
) -> None:
    chance = random.Random(5)
    calls = [make_call(alice, chance) for _ in range(20)]
    insert_calls(line, calls)
    with transaction.atomic():
        assert roll_up() == 20
        transaction.set_rollback(True)
    assert waiting() == 20
    assert_exact(calls, Scope.everything())


def test_only_one_process_rolls_up_at_a_time(alice: Tenant, line: psycopg.Connection[Any]) -> None:
    insert_calls(line, [make_call(alice, random.Random(6))])
    with line.transaction():
        line.execute("SELECT pg_advisory_xact_lock(%s, 0)", [rollups.LOCK_CLASS])
        assert roll_up() == 0
        assert waiting() == 1
    assert roll_up() == 1


def test_a_page_reads_one_moment(alice: Tenant, line: psycopg.Connection[Any]) -> None:
    chance = random.Random(11)
    insert_calls(line, [make_call(alice, chance) for _ in range(10)])
    with one_snapshot():
        before = read_totals(Scope.everything(), ALL)
        insert_calls(line, [make_call(alice, chance) for _ in range(10)])
        line.execute(rollups._ADD_UP, [15, list(rollups.TIERS)])
        assert sum(totals.calls for _key, totals in read_top(Scope.everything(), ALL, "key")) == 10
        assert read_totals(Scope.everything(), ALL) == before
    assert read_totals(Scope.everything(), ALL).calls == 20


def test_sums_can_be_made_anew(alice: Tenant, line: psycopg.Connection[Any]) -> None:
    chance = random.Random(7)
    calls = [make_call(alice, chance) for _ in range(60)]
    insert_calls(line, calls)
    roll_up(40)
    assert forget() == 60
    assert UsageSum.objects.count() == 0
    assert waiting() == 60
    assert_exact(calls, Scope.everything())
    assert roll_up() == 60
    assert_exact(calls, Scope.everything())


def test_the_command_makes_the_sums_anew(
    alice: Tenant, line: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(8)
    calls = [make_call(alice, chance) for _ in range(30)]
    insert_calls(line, calls)
    roll_up()
    UsageSum.objects.update(completed=99)
    call_command("rebuild_rollups")
    assert capsys.readouterr().out.splitlines() == ["30 calls to count", "30 counted"]
    assert waiting() == 0
    assert_exact(calls, Scope.everything())


def test_the_audit_compares_each_tier_with_the_records(
    alice: Tenant, line: psycopg.Connection[Any]
) -> None:
    chance = random.Random(9)
    insert_calls(line, [make_call(alice, chance) for _ in range(80)])
    assert count_violations(USAGE_INVARIANTS) == {"usage_sums": 0}
    roll_up(50)
    assert count_violations(USAGE_INVARIANTS) == {"usage_sums": 0}
    roll_up()
    assert count_violations(USAGE_INVARIANTS) == {"usage_sums": 0}
    some = UsageSum.objects.filter(minutes=60).first()
    assert some is not None
    for name, value in (("reasoning_tokens", some.reasoning_tokens + 1), ("lost", some.lost + 1)):
        UsageSum.objects.filter(pk=some.pk).update(**{name: value})
        assert count_violations(USAGE_INVARIANTS) == {"usage_sums": 1}
    UsageSum.objects.filter(minutes=15, began_at=some.began_at).delete()
    line.execute("DELETE FROM gateway_usagesum WHERE minutes = 1440")
    days = len(UsageSum.objects.datetimes("began_at", "day"))
    assert count_violations(USAGE_INVARIANTS)["usage_sums"] >= days + 1


def test_the_job_takes_slice_after_slice(
    alice: Tenant, line: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(10)
    calls = [make_call(alice, chance) for _ in range(30)]
    insert_calls(line, calls)
    monkeypatch.setattr(tasks, "SLICE", 10)
    monkeypatch.setattr(tasks, "roll_up", lambda: roll_up(10))
    monkeypatch.setattr(tasks, "ROLL_UP_MAX_S", -1.0)
    assert tasks.roll_up_calls() == 10, "the time is over: the next job goes on"
    monkeypatch.setattr(tasks, "ROLL_UP_MAX_S", 60.0)
    assert tasks.roll_up_calls() == 20
    assert_exact(calls, Scope.everything())


@pytest.mark.parametrize("seed", range(4))
def test_readers_are_exact_whatever_transactions_are_open(
    world: World, alice: Tenant, bob: Tenant, seed: int
) -> None:
    """Calls begin, end and commit in any order; a roll-up may be open, committed or taken back at any step."""
    chance = random.Random(seed)
    stage = Stage(world, [alice, bob], chance)
    scopes = {
        Scope.everything(): lambda call: True,
        Scope(group_id=bob.group_id): lambda call: call["group_id"] == bob.group_id,
        Scope(organization_id=alice.organization_id): lambda call: True,
        Scope(group_id=alice.group_id, key_id=alice.key_id): lambda call: (
            call["api_key_id"] == alice.key_id
        ),
    }
    try:
        for _step in range(150):
            stage.do_something()
            scope = chance.choice(list(scopes))
            shown = [call for call in stage.committed if scopes[scope](call)]
            quarters = sorted(chance.sample(range(5 * 96), 2))
            since, until = (ALL.since.replace(minute=15, second=0, microsecond=0)
                            + timedelta(minutes=15 * quarter) for quarter in quarters)  # fmt: skip
            assert_exact(shown, scope, Span(since, until, UTC))
        stage.settle()
        while roll_up(100):
            assert_exact(stage.committed, Scope.everything())
        assert len(stage.committed) > 100
        assert waiting() == 0
    finally:
        stage.close()


class Stage:
    """Connections with transactions in every state."""

    def __init__(self, world: World, tenants: list[Tenant], chance: random.Random) -> None:
        self._chance = chance
        self._tenants = tenants
        self._lines = [psycopg.connect(world.database.url) for _ in range(4)]
        self._open: list[list[Row]] = [[] for _ in self._lines]
        self._runner = psycopg.connect(world.database.url)
        self.committed: list[Row] = []

    def do_something(self) -> None:
        chance = self._chance
        number = chance.randrange(len(self._lines))
        act = chance.choice(("insert",) * 4 + ("commit",) * 3 + ("back", "roll", "run", "end run"))
        if act == "insert":
            tenant = chance.choice(self._tenants)
            calls = [make_call(tenant, chance) for _ in range(chance.randrange(1, 9))]
            insert_calls(self._lines[number], calls)
            self._open[number] += calls
        elif act == "commit":
            self._commit(number)
        elif act == "back":
            self._lines[number].rollback()
            self._open[number] = []
        elif act == "roll":
            roll_up(chance.randrange(1, 30))
        elif act == "run":
            # As another process would that is slow to commit; the lock keeps others out.
            got = self._runner.execute(
                "SELECT pg_try_advisory_xact_lock(%s, 0)", [rollups.LOCK_CLASS]
            ).fetchone()
            assert got is not None
            if got[0]:
                self._runner.execute(
                    rollups._ADD_UP, [chance.randrange(1, 30), list(rollups.TIERS)]
                )
        else:
            chance.choice((self._runner.commit, self._runner.rollback))()

    def _commit(self, number: int) -> None:
        self._lines[number].commit()
        self.committed += self._open[number]
        self._open[number] = []

    def settle(self) -> None:
        """Nothing stays open."""
        self._runner.commit()
        for number in range(len(self._lines)):
            self._commit(number)

    def close(self) -> None:
        for line in (*self._lines, self._runner):
            line.close()


RECORDS = "SELECT count(*), coalesce(sum(amount_nanos), 0), coalesce(sum(duration_ms) FILTER (WHERE status = 'completed'), 0) FROM gateway_callrecord"  # noqa: E501


def test_readers_are_exact_while_processes_write_and_roll_up(world: World, alice: Tenant) -> None:
    """Two write, two roll up, and one snapshot after the other is compared with the records that it shows."""
    stop = threading.Event()

    def write(seed: int) -> int:
        chance, written = random.Random(seed), 0
        with psycopg.connect(world.database.url) as own:
            while not stop.is_set():
                calls = [
                    make_call(alice, chance, id=uuid7()) for _ in range(chance.randrange(1, 40))
                ]
                insert_calls(own, calls)
                if chance.random() < 0.9:
                    own.commit()
                    written += len(calls)
                else:
                    own.rollback()
        return written

    def roll() -> int:
        count = 0
        while not stop.is_set():
            count += roll_up(200)
        connections["default"].close()
        return count

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, seed) for seed in (1, 2)]
        rollers = [pool.submit(roll) for _ in range(2)]
        deadline, looked = time.monotonic() + 2.5, 0
        try:
            while time.monotonic() < deadline:
                looked += compare_in_one_snapshot()
        finally:
            stop.set()
    while count := roll_up():
        assert count
    compare_in_one_snapshot()
    assert looked > 5
    assert sum(future.result() for future in writers) == read_totals(Scope.everything(), ALL).calls
    assert sum(future.result() for future in rollers) > 0


def compare_in_one_snapshot() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(RECORDS)
        counted = cursor.fetchone()
        totals = read_totals(Scope.everything(), ALL)
    assert counted == (totals.calls, totals.amount_nanos, totals.duration_ms)
    return 1
