"""set_limits: what is written, what it starts with, who hears of it, and what it must not disturb."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from psycopg.types.json import Jsonb

from accounts.ids import uuid7
from accounts.models import APIKey, Group
from billing.limits import set_limits
from billing.models import LIMIT_NAMES, Limit
from tests.billing.bank import (
    Connection,
    connect,
    in_parallel,
    new_owner,
    open_tenancy,
    orm_on,
    row_of,
    violations,
    wait_until,
)
from tests.billing.limiting import End, Order, end, open_key, place
from tests.people import make_people
from tests.world import Database, World


class Bank(NamedTuple):
    """A wallet with 1,000 nanos, a key of its group, and a living owner of holds; the ORM reads the same database."""

    database: Database
    connection: Connection
    owner: int
    wallet: int
    group: Group
    key: APIKey

    def call(self, amount: int, charge: int | None, limit: Limit | None = None) -> UUID:
        """A call of the key that held `amount`; ended with `charge` unless that is None."""
        side = (
            {} if limit is None else {"key_limit" if limit.api_key_id else "group_limit": limit.pk}
        )
        order = Order(uuid7(), self.wallet, amount, **side)
        place(self.connection, self.owner, [order])
        if charge is not None:
            end(self.connection, self.owner, End(order.id, self.wallet, charge))
            self.connection.execute(
                "INSERT INTO gateway_callrecord SELECT (jsonb_populate_record(NULL::gateway_callrecord, %s)).*",
                (Jsonb(self._record(order.id, charge)),),
            )
        return order.id

    def _record(self, call_id: UUID, charge: int) -> dict[str, Any]:
        columns = self.connection.execute(
            "SELECT column_name AS name, data_type AS type FROM information_schema.columns"
            " WHERE table_name = 'gateway_callrecord' AND is_nullable = 'NO'"
        )
        blank: dict[str, Any] = {
            "boolean": False,
            "jsonb": [],
            "character varying": "",
            "timestamp with time zone": "now",
        }
        return {
            **{column["name"]: blank.get(column["type"], 0) for column in columns},
            "id": str(call_id),
            "organization_id": str(self.group.organization_id),
            "group_id": str(self.group.pk),
            "api_key_id": str(self.key.pk),
            "status": "completed",
            "amount_nanos": charge,
        }


@pytest.fixture
def bank(fresh_world: World, django_db_blocker: Any) -> Iterator[Bank]:
    database = fresh_world.database
    with connect(database) as connection, orm_on(database, django_db_blocker):
        tenancy = open_tenancy(connection, 1_000)
        key_id = open_key(connection, tenancy.group_ids[0])
        owner, wallet = new_owner(connection), tenancy.wallets[0]
        yield in_thread(
            lambda: Bank(
                database,
                connection,
                owner,
                wallet,
                Group.objects.get(pk=tenancy.group_ids[0]),
                APIKey.objects.get(pk=key_id),
            )
        )
        assert violations(connection) == {}


def in_thread(work: Any) -> Any:
    """What the work answers or raises, with a connection of its own to the test's database."""
    (answer,) = in_parallel(work)
    if isinstance(answer, Exception):
        raise answer
    return answer


def spent(limit: Limit) -> tuple[int, int, int, int]:
    return (
        limit.day_spent_nanos,
        limit.month_spent_nanos,
        limit.lifetime_spent_nanos,
        limit.seeded_nanos,
    )


def test_limits_are_set_one_by_one_and_the_others_stay(bank: Bank) -> None:
    def work() -> None:
        for owner in (bank.key, bank.group):
            made = set_limits(owner, requests_per_minute=60, day_nanos=500)
            assert made is not None
            changed = set_limits(owner, day_nanos=None, concurrent_calls=3)
            assert changed == made == Limit.objects.get(pk=made.pk)
            stored = Limit.objects.get(pk=made.pk)
            assert {name: getattr(stored, name) for name in LIMIT_NAMES} == {
                **dict.fromkeys(LIMIT_NAMES),
                "requests_per_minute": 60,
                "concurrent_calls": 3,
            }
        assert Limit.objects.count() == 2

    in_thread(work)


@pytest.mark.parametrize("value", [0, -1, 2**62, 1.5, "5", True])
def test_what_is_no_positive_integer_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        set_limits(Group(), day_nanos=5, month_nanos=value)
    assert caught.value.message_dict == {"month_nanos": ["A limit is a positive number."]}


def test_a_limit_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="calls_per_week"):
        set_limits(Group(), calls_per_week=5)  # type: ignore[call-arg]


def test_a_first_limit_starts_with_what_the_key_or_the_group_has_spent(bank: Bank) -> None:
    today, yesterday, last_year, open_one = (
        bank.call(100, 30),
        bank.call(100, 200),
        bank.call(100, 7),
        bank.call(90, None),
    )
    # What a transfer's and a record's time would have been; the tables refuse a change of the past.
    bank.connection.execute("ALTER TABLE billing_transfer DISABLE TRIGGER ALL")
    for call_id, age in ((yesterday, "1 day"), (last_year, "1 year")):
        for table in ("billing_transfer", "gateway_callrecord"):
            bank.connection.execute(
                f"UPDATE {table} SET created_at = created_at - interval '{age}' WHERE id = '{call_id}'"
            )
    bank.connection.execute("ALTER TABLE billing_transfer ENABLE TRIGGER ALL")
    first = row_of(
        bank.connection, "SELECT extract(day FROM now() AT TIME ZONE 'UTC') = 1 AS today"
    )["today"]
    month = 30 if first else 230

    def work() -> None:
        for owner in (bank.key, bank.group):
            made = set_limits(owner, lifetime_nanos=1_000)
            assert made is not None
            assert spent(made) == (30, month, 237, 237)
            assert (made.held_nanos, made.running_calls) == (0, 0)

    in_thread(work)
    assert today != open_one


def test_another_keys_and_another_groups_calls_are_not_counted(bank: Bank) -> None:
    bank.call(100, 30)
    other = open_tenancy(bank.connection, 100)
    key_id = open_key(bank.connection, bank.group.pk)

    def work() -> None:
        made = set_limits(APIKey.objects.get(pk=key_id), day_nanos=5)
        assert made is not None
        assert spent(made) == (0, 0, 0, 0)
        made = set_limits(Group.objects.get(pk=other.group_ids[0]), day_nanos=5)
        assert made is not None
        assert spent(made) == (0, 0, 0, 0)

    in_thread(work)


def test_a_later_change_leaves_what_was_counted(bank: Bank) -> None:
    limit = in_thread(lambda: set_limits(bank.key, day_nanos=500))
    bank.call(100, 60, limit)
    bank.call(100, None, limit)
    changed = in_thread(lambda: set_limits(bank.key, day_nanos=400, lifetime_nanos=900))
    assert spent(changed) == (60, 60, 60, 0)
    assert (changed.running_calls, changed.held_nanos) == (1, 100)


def test_without_any_limit_the_row_goes_once_nothing_runs(bank: Bank) -> None:
    limit = in_thread(lambda: set_limits(bank.key, concurrent_calls=5))
    call_id = bank.call(100, None, limit)
    assert in_thread(lambda: set_limits(bank.key, concurrent_calls=None)) is None
    row = row_of(bank.connection, "SELECT * FROM billing_limit WHERE id = %s", limit.pk)
    assert (row["concurrent_calls"], row["running_calls"]) == (None, 1)
    end(bank.connection, bank.owner, End(call_id, bank.wallet, 10))
    assert in_thread(lambda: set_limits(bank.key, concurrent_calls=None)) is None
    assert row_of(bank.connection, "SELECT count(*) AS n FROM billing_limit")["n"] == 0


def test_no_limits_of_somebody_without_limits_make_no_row(bank: Bank) -> None:
    assert in_thread(lambda: set_limits(bank.key, day_nanos=None)) is None
    assert in_thread(lambda: set_limits(bank.key)) is None
    assert row_of(bank.connection, "SELECT count(*) AS n FROM billing_limit")["n"] == 0


def test_a_change_waits_for_the_batch_that_counts_and_loses_nothing_of_it(bank: Bank) -> None:
    limit = in_thread(lambda: set_limits(bank.key, day_nanos=500))
    order = Order(uuid7(), bank.wallet, 100, key_limit=limit.pk, tokens=5)

    def count_slowly() -> None:
        with connect(bank.database) as connection, connection.transaction():
            place(connection, bank.owner, [order])
            wait_until(
                bank.connection,
                "SELECT count(*) > 0 AS waits FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'",
            )

    def change() -> Limit | None:
        wait_until(
            bank.connection,
            "SELECT count(*) > 0 AS begun FROM pg_locks WHERE relation = 'billing_hold'::regclass",
        )
        return set_limits(bank.key, day_nanos=400)

    _, changed = in_parallel(count_slowly, change)
    assert isinstance(changed, Limit), changed
    assert (changed.day_nanos, changed.running_calls, changed.window_tokens) == (400, 1, 5)


def test_first_limits_that_are_set_at_the_same_time_become_one_row(bank: Bank) -> None:
    works = [lambda name=name: set_limits(bank.key, **{name: 9}) for name in LIMIT_NAMES]
    answers = in_parallel(*works)
    assert all(isinstance(answer, Limit) for answer in answers), answers
    rows = bank.connection.execute("SELECT * FROM billing_limit").fetchall()
    assert [[row[name] for name in LIMIT_NAMES] for row in rows] == [[9] * len(LIMIT_NAMES)]


def test_gateways_hear_of_changed_limits_and_not_of_counters(bank: Bank) -> None:
    def heard() -> list[str]:
        return [note.payload for note in listener.notifies(timeout=0.2)]

    with connect(bank.database) as listener:
        listener.execute("LISTEN tollgate_keys")
        limit = in_thread(lambda: set_limits(bank.key, day_nanos=500))
        assert heard() == [bank.key.public_id]
        bank.call(100, 60, limit)
        assert heard() == []
        in_thread(lambda: set_limits(bank.key, day_nanos=None))
        assert set(heard()) == {bank.key.public_id}
        in_thread(lambda: set_limits(bank.group, day_nanos=500))
        assert heard() == ["*"]


def test_limits_that_are_rolled_back_were_never_set(db: None) -> None:
    people = make_people()
    with transaction.atomic():
        set_limits(people.group, day_nanos=5)
        transaction.set_rollback(True)
    assert not Limit.objects.exists()
