"""What `benchmarks.history` measures, in a process whose DATABASE_URL is the database to fill and to look at."""

import argparse
import os
import re
import resource
import statistics
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import tests.environment  # noqa: F401 - secrets for a throw-away installation, before settings are read

if not apps.ready:
    django.setup()

from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import APIKey, Group, User
from gateway.management.commands.seed_calls import MODELS, ORGANIZATION, TASK_MODEL
from gateway.models import CallRecord
from tests.sign_in import force_fresh_login

EMAIL = "seed@example.com"
CHARGED_SHARE = 20  # one of so many calls has quantities, hold and transfer
NEW_INDEXES = ("of_model", "of_status", "of_error", "of_tasks")
BATCH = 64  # records that one batch of the gateway writes under load
FIRST_MAX_MS, PAGE_MAX_MS = 100, 50
ROW = '<tr id="call_'
# Copies of calls of every group with ids and times of now.
BATCH_OF_RECORDS = """
INSERT INTO gateway_callrecord (
    id, organization_id, group_id, api_key_id, source, endpoint, model, status, stream, service_tier, created_at,
    duration_ms, first_token_ms, input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, images, basis, price_id, hold_nanos,
    list_nanos, amount_nanos, written_off_nanos, error_code, error_message, attempts)
SELECT overlay(gen_random_uuid()::text
               PLACING to_char(clock_timestamp(), 'YYYYMMDD-HH24MI') || '-7' FROM 1 FOR 15)::uuid,
       organization_id, group_id, api_key_id, source, endpoint, model, status, stream, service_tier,
       clock_timestamp(), duration_ms, first_token_ms, input_tokens, cached_input_tokens, cache_write_tokens,
       cache_write_1h_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, images, basis,
       price_id, hold_nanos, list_nanos, amount_nanos, written_off_nanos, error_code, error_message, attempts
FROM (SELECT * FROM gateway_callrecord ORDER BY id DESC LIMIT %s) AS newest
"""


class Figures(NamedTuple):
    """What one kind of page took, each time: milliseconds on the clock, and of CPU in this process."""

    wall_ms: list[float]
    cpu_ms: list[float]
    note: str

    def show(self, name: str) -> None:
        wall, cpu = statistics.median(self.wall_ms), statistics.median(self.cpu_ms)
        print(
            f"{name:<48} median {wall:6.1f} ms  worst {max(self.wall_ms):6.1f} ms  CPU {cpu:5.1f} ms  {self.note}",
            flush=True,
        )


def prepare(calls: int) -> Any:
    """The largest of the seeded groups; what is missing is written first."""
    call_command("migrate", verbosity=0)
    call_command("load_price_book", verbosity=0)
    if not User.objects.filter(email=EMAIL).exists():
        User.objects.create_user(EMAIL, None, name="Seed")
    if not CallRecord.objects.exists():
        begun = time.monotonic()
        call_command(
            "seed_calls", calls=calls, charged=calls // CHARGED_SHARE, owner=EMAIL, yes=True
        )
        print(f"seeded in {time.monotonic() - begun:.0f} s", flush=True)
        execute("VACUUM (ANALYZE) gateway_callrecord")
    return Group.objects.filter(organization__name=ORGANIZATION).order_by("pk")[0]


def execute(statement: str, parameters: Iterable[Any] = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(parameters) or None)
        return cursor.fetchall() if cursor.description else []


def print_size(group: Any) -> None:
    [[total, own]] = execute(
        "SELECT count(*), count(*) FILTER (WHERE group_id = %s) FROM gateway_callrecord", [group.pk]
    )
    print(f"{total:,} records, {own:,} of them in the group that is looked at")
    for name, size in execute(
        "SELECT relname, pg_size_pretty(pg_relation_size(oid)) FROM pg_class WHERE relname LIKE 'gateway_callrecord%'"
        " ORDER BY pg_relation_size(oid) DESC"
    ):
        print(f"    {name:<40} {size}")


def filters(group: Any) -> dict[str, dict[str, Any]]:
    """Filters of every kind: common ones, rare ones, ones that nothing fits, and several at once."""
    keys = list(APIKey.objects.filter(group=group).order_by("pk"))
    member = User.objects.get(email=EMAIL)
    return {
        "everything": {},
        "key": {"key": keys[0].pk},
        "member": {"member": member.pk},
        "model, common": {"model": MODELS[0]},
        "model, rare": {"model": MODELS[-1]},
        "model, never called": {"model": "no/such"},
        "status completed": {"status": "completed"},
        "status lost, rare": {"status": "lost"},
        "statuses, all that failed": {"status": ["upstream_failed", "timed_out", "lost", "refused"]},
        "source task": {"source": "task"},
        "source api": {"source": "api"},
        "error code, common": {"error": "insufficient_credits"},
        "error code, rare": {"error": "gateway_lost"},
        "endpoint": {"endpoint": "messages"},
        "not streamed": {"stream": "no"},
        "charge of $0.01 and more": {"charge_min": "0.01"},
        "charge of $5 and more, none": {"charge_min": "5"},
        "duration of 30 s and more": {"duration_min": "30"},
        "duration of 10 min and more, none": {"duration_min": "600"},
        "last 24 hours": {"period": "24h"},
        "one old week": {"period": "custom", **old_week()},
        "key + rare model": {"key": keys[0].pk, "model": MODELS[-1]},
        "last key + common model": {"key": keys[-1].pk, "model": MODELS[0]},
        "model + lost": {"model": MODELS[1], "status": "lost"},
        "task + lost": {"source": "task", "status": "lost"},
        "rare model + timed out": {"model": MODELS[-1], "status": "timed_out"},
        "task + model of texts, none": {"source": "task", "model": MODELS[0]},
        "image model": {"model": TASK_MODEL},
        "key + completed + 24 hours": {"key": keys[0].pk, "status": "completed", "period": "24h"},
        "everything at once": {
            "key": keys[0].pk, "model": MODELS[0], "status": "completed", "source": "api", "stream": "yes",
            "charge_min": "0.001", "duration_min": "1", "period": "30d",
        },
    }  # fmt: skip


def old_week() -> dict[str, str]:
    since = timezone.localtime() - timedelta(days=120)
    until = since + timedelta(days=7)
    return {"since": f"{since:%Y-%m-%dT%H:%M}", "until": f"{until:%Y-%m-%dT%H:%M}"}


def measure_pages(group: Any, rounds: int) -> None:
    client = sign_in()
    url = reverse("group_calls", args=[group.pk])
    client.get(url)
    slow = []
    for name, query in filters(group).items():
        first, html = ask(client, url, query, rounds)
        first.show(f"first page: {name}")
        if statistics.median(first.wall_ms) > FIRST_MAX_MS:
            slow.append(f"first page: {name}")
        for which in ("older", "newer"):
            link = re.search(rf'id="pager-{which}"[^>]*href="\?([^"]+)"', html)
            if link is None or "further=" in link[1]:
                break
            paged, html = ask(client, f"{url}?{link[1].replace('&amp;', '&')}", {}, rounds)
            paged.show(f"    {which}: {name}")
            if statistics.median(paged.wall_ms) > PAGE_MAX_MS:
                slow.append(f"{which}: {name}")
    call = CallRecord.objects.of_group(group).filter(amount_nanos__gt=0)[0]
    for name, digits in {"id of a call": call.pk.hex, "its beginning": call.pk.hex[:13]}.items():
        ask(client, url, {"find": digits}, rounds)[0].show(f"search: {name}")
    page = reverse("call", args=[group.pk, call.public_id])
    ask(client, page, {}, rounds)[0].show("one call")
    print(
        f"median over {FIRST_MAX_MS} ms (first page) or {PAGE_MAX_MS} ms (paging): {', '.join(slow) or 'none'}"
    )


def sign_in() -> Any:
    client = Client(headers={"host": "localhost"})
    force_fresh_login(client, User.objects.get(email=EMAIL))
    return client


def ask(client: Any, url: str, query: dict[str, Any], rounds: int) -> tuple[Figures, str]:
    """The same page so often, and its HTML."""
    wall_ms, cpu_ms = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        response = client.get(url, query) if query else client.get(url)
        wall_ms.append((time.perf_counter() - wall) * 1000)
        cpu_ms.append((time.process_time() - cpu) * 1000)
    if response.status_code not in (200, 302):
        sys.exit(f"{url} {query}: {response.status_code}")
    html = response.content.decode()
    note = f"{html.count(ROW)} rows" if response.status_code == 200 else "redirects"
    if "Search further back" in html:
        note += ", searched in part"
    return Figures(wall_ms, cpu_ms, note), html


def measure_export(group: Any, rows_max: int) -> None:
    """Streams files of the group's calls until so many rows have passed; memory is this process's peak."""
    client = sign_in()
    for name in ("csv", "ndjson", "json"):
        before = peak_mb()
        begun = time.monotonic()
        response = client.get(reverse("export_calls", args=[group.pk]), {"format": name})
        rows = size = 0
        for piece in response.streaming_content:
            rows += piece.count(b"call_")
            size += len(piece)
            if rows >= rows_max:
                break
        response.close()
        seconds = time.monotonic() - begun
        print(
            f"export {name:<7} {rows:,} rows, {size / 2**20:,.0f} MB in {seconds:.0f} s ({rows / seconds:,.0f} rows/s);"
            f" peak memory {before:.0f} -> {peak_mb():.0f} MB",
            flush=True,
        )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_inserts(batches: int) -> None:
    """What a batch of records costs with the indexes of the history and without them. Nothing of it stays."""
    times: dict[str, list[float]] = {}
    for name in ("with", "without", "with", "without"):
        with transaction.atomic():
            if name == "without":
                for index in NEW_INDEXES:
                    execute(f"DROP INDEX gateway_callrecord_{index}")
            for _ in range(batches):
                begun = time.perf_counter()
                execute(BATCH_OF_RECORDS, [BATCH])
                times.setdefault(name, []).append((time.perf_counter() - begun) * 1000)
            transaction.set_rollback(True)
    for name, found in times.items():
        print(
            f"insert of {BATCH} records {name} the indexes of the history: median {statistics.median(found):.2f} ms,"
            f" mean {statistics.mean(found):.2f} ms",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("calls", "rounds", "export", "batches"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    group = prepare(options.calls)
    print_size(group)
    measure_pages(group, options.rounds)
    measure_export(group, options.export)
    measure_inserts(options.batches)


if __name__ == "__main__":
    main()
