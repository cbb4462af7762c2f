"""How long the pages of usage take on the server for a group with very many calls in a month.

    python -m config.embedded exec --tests -- python -m benchmarks.usage --calls 1000000

Writes into the database of DATABASE_URL, which must be empty.
"""

import argparse
import os
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from django.apps import apps

import tests.environment  # noqa: F401 - secrets for a throw-away installation, before settings are read

if not apps.ready:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.rollups import roll_up
from tests.people import People, make_people
from tests.sign_in import force_fresh_login

ROUNDS = 7
KEYS, MODELS = 10, 12
SEED = """
    INSERT INTO gateway_callrecord (
        id, organization_id, group_id, api_key_id, source, endpoint, model, status, stream, service_tier, created_at,
        duration_ms, first_token_ms, input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, images, basis, hold_nanos, list_nanos,
        amount_nanos, written_off_nanos, error_code, error_message, attempts)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || substr(md5(i::text), 1, 16)
        )::uuid,
        %(organization)s, %(group)s, (%(keys)s::uuid[])[1 + floor(random() * cardinality(%(keys)s::uuid[]))::int],
        'api', 'chat/completions', 'vendor/model-' || floor(random() * random() * %(models)s),
        CASE WHEN i %% 25 = 0 THEN 'upstream_failed' ELSE 'completed' END, true, 'standard', at,
        exp(7 + random() * 3)::int, exp(5 + random() * 3)::int, 1000, 200, 0, 0, 300, 50, 0, 0, 0, 'reported', 0,
        200000, CASE WHEN i %% 25 = 0 THEN 0 ELSE 100000 END, 0, '', '', '[{"channel": "openai:main"}]'
    FROM (SELECT i, %(since)s::timestamptz + i * (%(length)s::interval / %(calls)s) AS at
          FROM generate_series(0, %(calls)s - 1) i) AS calls
"""


def seed(people: People, keys: list[APIKey], calls: int) -> None:
    """As many calls as asked in each of the last two months, evenly spread."""
    month = timedelta(days=30)
    for months_ago in (2, 1):
        parameters = {
            "organization": people.organization.pk,
            "group": people.group.pk,
            "keys": [key.pk for key in keys],
            "models": MODELS,
            "since": datetime.now(UTC) - months_ago * month,
            "length": month,
            "calls": calls,
        }
        with connection.cursor() as cursor:
            cursor.execute(SEED, parameters)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def measure(client: Client, title: str, url: str, query: dict[str, str]) -> None:
    """The median time of the page in milliseconds, after one round to warm up."""
    times_ms = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        response: Any = client.get(url, query)
        times_ms.append((time.perf_counter() - began) * 1000)
        assert response.status_code == 200
    counted = sorted(times_ms[1:])
    middle = statistics.median(counted)
    say(
        f"{title:<44} fastest {counted[0]:6.1f}  median {middle:6.1f}  slowest {counted[-1]:6.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000, help="in each of two months")
    calls = parser.parse_args().calls
    call_command("migrate", verbosity=0)
    people = make_people()
    owners = (people.alice, people.bob)
    keys = [issue_key(people.group, owners[n % 2], f"key {n}")[0] for n in range(KEYS)]
    seed(people, keys, calls)
    began = time.perf_counter()
    while roll_up():
        pass
    took_s = time.perf_counter() - began
    say(f"{2 * calls:,} calls rolled up: {took_s:.1f} s, {took_s / calls / 2 * 1e6:.1f} us a call")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # autovacuum does it in an installation
    client = Client(headers={"host": "localhost"})
    force_fresh_login(client, people.alice)
    group = reverse("group_usage", args=[people.group.pk])
    organization = reverse("organization_usage", args=[people.organization.pk])
    for zone in ("UTC", "Asia/Seoul", "Asia/Kolkata"):
        client.cookies["timezone"] = zone
        measure(client, f"{zone}: group, 30 days, spend by model", group, {})
        measure(
            client,
            f"{zone}: group, 30 days, tokens by key",
            group,
            {"by": "key", "measure": "tokens"},
        )
        measure(client, f"{zone}: group, 30 days, latency", group, {"measure": "latency"})
        measure(client, f"{zone}: group, 12 months", group, {"range": "12m"})
        measure(client, f"{zone}: one key, 30 days", group, {"key": str(keys[0].pk)})
        measure(client, f"{zone}: organization, 30 days", organization, {})


if __name__ == "__main__":
    main()
