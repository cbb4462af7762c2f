"""The SQL functions of migration 0007 in each other's way: a task is made once, ended once, and its hold with it."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from accounts.ids import uuid7
from tests.world import Tenant, World

Connection = psycopg.Connection[dict[str, Any]]
CREATE = "SELECT * FROM gateway_create_task(%s::jsonb, NULL, NULL)"
END = "SELECT gateway_end_task(%s, %s, %s, '', '', %s, %s::jsonb, %s) AS done"
CANCEL = "SELECT gateway_cancel_task(%s, %s, %s) AS done"
FORGET = "SELECT gateway_forget_task(%s, %s) AS known"
PRICE = 100


@pytest.fixture
def connection(world: World) -> Iterator[Connection]:
    with connect(world) as opened:
        yield opened


def connect(world: World) -> Connection:
    return psycopg.connect(world.database.url, autocommit=True, row_factory=dict_row)


def row(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "organization_id": str(tenant.organization_id),
        "group_id": str(tenant.group_id),
        "api_key_id": str(tenant.key_id),
        "account_id": tenant.wallet_id,
        "action": "text_to_image",
        "endpoint": "text_to_image",
        "requested_model": "gpt-image-2",
        "model": "openai/gpt-image-2",
        "request": {"action": "text_to_image", "prompt": "A bottle"},
        "count": 1,
        "price_id": 1,
        "price_key": "1k",
        "hold_nanos": PRICE,
        "base_url": "http://localhost",
        "callback_url": "",
        "idempotency_key": "",
        "request_digest": "one",
        "timeout_s": 900,
        **fields,
    }


def create(connection: Connection, task: dict[str, Any]) -> dict[str, Any]:
    made = connection.execute(CREATE, (json.dumps(task),)).fetchone()
    assert made is not None
    return made


def record(task: dict[str, Any], status: str) -> str:
    counts = (
        "duration_ms input_tokens cached_input_tokens cache_write_tokens cache_write_1h_tokens output_tokens"
        " reasoning_tokens audio_input_tokens audio_output_tokens images list_nanos"
    )
    names = ("id", "organization_id", "group_id", "api_key_id", "endpoint", "model", "price_id")
    return json.dumps(
        [
            {
                **dict.fromkeys(counts.split(), 0),
                **{name: task[name] for name in names},
                **{"source": "task", "status": status, "stream": False, "basis": ""},
                **{"service_tier": "standard", "created_at": time.time(), "hold_nanos": PRICE},
                **{"error_code": "", "error_message": "", "attempts": []},
            }
        ]
    )


def end(connection: Connection, task: dict[str, Any], amount: int, fence: int = 0) -> bool:
    status = "completed" if amount else "failed"
    call = "completed" if amount else "upstream_failed"
    parameters = (task["id"], fence, status, amount, record(task, call), uuid7())
    ended = connection.execute(END, parameters).fetchone()
    return bool(ended and ended["done"])


def account(world: World, tenant: Tenant) -> tuple[int, int]:
    """Balance and what is held."""
    found = world.database.query(
        "SELECT balance_nanos, held_nanos FROM billing_account WHERE id = %s", tenant.wallet_id
    )[0]
    return found["balance_nanos"], found["held_nanos"]


def test_a_refused_hold_leaves_no_task(world: World, connection: Connection) -> None:
    poor = world.add_tenant("Dora")
    made = create(connection, row(poor))
    assert (made["outcome"], made["refusal"], made["task_id"]) == ("refused", "credits", None)
    assert (
        world.database.one("SELECT count(*) FROM gateway_task WHERE group_id = %s", poor.group_id)
        == 0
    )


def test_a_task_that_was_refused_may_be_made_later_with_the_same_key(
    world: World, connection: Connection
) -> None:
    tenant = world.add_tenant("Erin")
    task = row(tenant, idempotency_key="later")
    assert create(connection, task)["outcome"] == "refused"
    world.fund(tenant, PRICE)
    assert create(connection, task)["outcome"] == "created"


def test_of_many_ends_one_counts(world: World, connection: Connection, alice: Tenant) -> None:
    balance, held = account(world, alice)
    task = row(alice)
    create(connection, task)
    start = threading.Barrier(12)

    def race(number: int) -> bool:
        with connect(world) as own:
            start.wait()
            if number % 3 == 0:
                done = own.execute(CANCEL, (task["id"], alice.group_id, uuid7())).fetchone()
                return bool(done and done["done"])
            return end(own, task, PRICE if number % 3 == 1 else 0)

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(race, range(12))) == 1
    charged = world.database.one("SELECT amount_nanos FROM gateway_task WHERE id = %s", task["id"])
    assert account(world, alice) == (balance - charged, held)


def test_a_run_that_was_taken_for_dead_ends_nothing(
    world: World, connection: Connection, alice: Tenant
) -> None:
    task = row(alice)
    create(connection, task)
    connection.execute(
        "UPDATE gateway_task SET status = 'processing', attempts = 2 WHERE id = %s", (task["id"],)
    )
    before = account(world, alice)
    assert not end(connection, task, PRICE, fence=1)
    assert account(world, alice) == before
    assert end(connection, task, PRICE, fence=2)
    assert account(world, alice) == (before[0] - PRICE, before[1] - PRICE)


def test_a_task_that_has_ended_stays_as_it_is(connection: Connection, alice: Tenant) -> None:
    task = row(alice)
    create(connection, task)
    assert end(connection, task, 0)
    for change in ("status = 'completed'", "amount_nanos = 1", "error_code = 'x'"):
        with pytest.raises(psycopg.errors.IntegrityError):
            connection.execute(f"UPDATE gateway_task SET {change} WHERE id = %s", (task["id"],))


def test_nothing_is_ended_whose_hold_is_not_as_it_should_be(
    world: World, connection: Connection, alice: Tenant
) -> None:
    task = row(alice)
    create(connection, task)
    with pytest.raises(psycopg.errors.IntegrityError):
        end(connection, task, PRICE + 10**12)
    status = world.database.one("SELECT status FROM gateway_task WHERE id = %s", task["id"])
    assert status == "pending"
    assert end(connection, task, PRICE)


def test_another_group_cancels_nothing(
    connection: Connection, alice: Tenant, charlie: Tenant
) -> None:
    task = row(alice)
    create(connection, task)
    for group_id in (charlie.group_id, uuid7()):
        done = connection.execute(CANCEL, (task["id"], group_id, uuid7())).fetchone()
        assert done == {"done": False}
    done = connection.execute(CANCEL, (task["id"], alice.group_id, uuid7())).fetchone()
    assert done == {"done": True}


def test_the_end_leaves_one_message_for_the_callback(
    world: World, connection: Connection, alice: Tenant
) -> None:
    task = row(alice, callback_url="https://example.com/hook")
    create(connection, task)
    end(connection, task, 0)
    end(connection, task, 0)
    found = world.database.query("SELECT * FROM gateway_delivery WHERE task_id = %s", task["id"])
    assert [(one["url"], one["state"]) for one in found] == [
        ("https://example.com/hook", "waiting")
    ]


def test_a_creation_that_is_given_up_never_comes_late(
    world: World, connection: Connection, alice: Tenant
) -> None:
    before = account(world, alice)
    task = row(alice)
    known = connection.execute(FORGET, (task["id"], alice.wallet_id)).fetchone()
    assert known == {"known": False}
    with pytest.raises(psycopg.errors.UniqueViolation):
        create(connection, task)
    assert account(world, alice) == before


@pytest.mark.parametrize("commits", [True, False])
def test_a_creation_whose_answer_was_lost_is_waited_for(
    world: World, connection: Connection, alice: Tenant, commits: bool
) -> None:
    task = row(alice)
    known: list[Any] = []

    def ask() -> None:
        with connect(world) as own:
            known.append(own.execute(FORGET, (task["id"], alice.wallet_id)).fetchone())

    with connect(world) as slow:
        slow.autocommit = False
        create(slow, task)
        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.3)
        assert not known
        slow.commit() if commits else slow.rollback()
        asking.join(10)
    assert known == [{"known": commits}]
    count = world.database.one("SELECT count(*) FROM gateway_task WHERE id = %s", UUID(task["id"]))
    assert count == int(commits)


def test_the_books_are_clean_after_all_that(world: World, connection: Connection) -> None:
    connection.execute(
        "INSERT INTO gateway_picture (task_id, position, name, thumbnail, content_type, extension, width, height,"
        " size_bytes, expires_at) SELECT id, 0, '', '', '', '', 1, 1, 1, now() FROM gateway_task"
        " WHERE status = 'completed'"
    )
    world.audit()
