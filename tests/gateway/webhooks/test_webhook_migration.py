"""What becomes of the alerts' one webhook: a database as it was before, migrated by the command."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from psycopg.types.json import Jsonb

from accounts.ids import uuid7
from gateway.credentials import seal, unseal
from tests.world import Database, run_command

HOOK = "https://hooks.example/balance?token=abc"
BEFORE = (("billing", "0005_notices"), ("gateway", "0010_history"))
LOG = [{"at": 1.5, "status": 200, "ms": 3, "error": ""}]


@pytest.fixture
def old(server_url: str) -> Iterator[Database]:
    """A database of the release before, without people."""
    made = Database(server_url, "template0")
    for step in BEFORE:
        done = run_command(made.url, "migrate", "-v0", *step)
        assert done.returncode == 0, done.stderr
    yield made
    made.drop()


def add_group(connection: psycopg.Connection[Any], url: str, **secrets: bytes) -> UUID:
    organization, group = uuid7(), uuid7()
    connection.execute(
        "INSERT INTO accounts_organization (id, name, created_at) VALUES (%s, %s, now())",
        (organization, f"Organization of {group}"),
    )
    connection.execute(
        "INSERT INTO accounts_group (id, organization_id, name, created_at) VALUES (%s, %s, 'G', now())",
        (group, organization),
    )
    connection.execute(
        "INSERT INTO billing_alertsettings (group_id, base_url, webhook_url, rotated_at)"
        " VALUES (%s, 'https://gate.example', %s, now())",
        (group, url),
    )
    for name, secret in secrets.items():
        sealed = seal(secret.decode(), settings.CREDENTIAL_KEY, f"alerts:{group}")
        connection.execute(
            f"UPDATE billing_alertsettings SET {name} = %s WHERE group_id = %s", (sealed, group)
        )
    return group


def add_notice(connection: psycopg.Connection[Any], group: UUID, url: str, state: str) -> UUID:
    notice = uuid7()
    connection.execute(
        "INSERT INTO billing_notice (id, group_id, is_test, threshold_nanos, balance_nanos, url, payload, state, log,"
        " ended_at) VALUES (%s, %s, false, 1, 0, %s, %s, %s, %s, CASE %s WHEN 'waiting' THEN NULL ELSE now() END)",
        (notice, group, url, '{"type":"balance.low"}', state, Jsonb(LOG), state),
    )
    return notice


def migrate(database: Database) -> None:
    done = run_command(database.url, "migrate", "-v0")
    assert done.returncode == 0, done.stderr


def test_an_alert_s_webhook_becomes_one_of_the_group_with_its_secrets_and_log(
    old: Database,
) -> None:
    with psycopg.connect(old.url, autocommit=True) as connection:
        group = add_group(connection, HOOK, sealed=b"whsec_bmV3", previous=b"whsec_b2xk")
        without = add_group(connection, "")
        sent = add_notice(connection, group, HOOK, "delivered")
        waits = add_notice(connection, group, HOOK, "waiting")
        elsewhere = add_notice(connection, group, "https://old.example/", "waiting")
        add_notice(connection, without, HOOK, "failed")
    migrate(old)
    (endpoint,) = old.query("SELECT * FROM gateway_webhookendpoint")
    assert (endpoint["group_id"], endpoint["url"], endpoint["events"]) == (
        group, HOOK, ["balance.low"],
    )  # fmt: skip
    assert (endpoint["is_enabled"], endpoint["base_url"]) == (True, "https://gate.example")
    for name, secret in (("sealed", "whsec_bmV3"), ("previous", "whsec_b2xk")):
        owner = f"webhook:{endpoint['id']}"
        assert unseal(bytes(endpoint[name]), settings.CREDENTIAL_KEYS, owner) == secret
    rows = old.query("SELECT * FROM gateway_delivery ORDER BY id")
    assert [(row["id"], row["event_id"], row["state"]) for row in rows] == [
        (sent, sent, "delivered"), (waits, waits, "waiting"), (elsewhere, elsewhere, "failed"),
    ]  # fmt: skip
    assert rows[0]["log"] == LOG
    payloads = old.query("SELECT DISTINCT payload, type FROM gateway_webhookevent")
    assert payloads == [{"payload": '{"type":"balance.low"}', "type": "balance.low"}]
    assert old.query("SELECT * FROM billing_notice") == []


def test_a_secret_that_opens_under_no_key_is_kept_and_one_that_is_missing_made(
    old: Database,
) -> None:
    with psycopg.connect(old.url, autocommit=True) as connection:
        lost = add_group(connection, HOOK)
        connection.execute("UPDATE billing_alertsettings SET sealed = 'nonsense'")
        add_group(connection, HOOK)
    migrate(old)
    rows = old.query("SELECT id, group_id, sealed FROM gateway_webhookendpoint")
    assert len(rows) == 2
    for row in rows:
        if row["group_id"] == lost:
            assert bytes(row["sealed"]) == b"nonsense"
        else:
            owner = f"webhook:{row['id']}"
            made = unseal(bytes(row["sealed"]), settings.CREDENTIAL_KEYS, owner)
            assert made.startswith("whsec_")
