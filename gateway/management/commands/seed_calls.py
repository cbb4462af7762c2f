"""Fills the history with many calls: to see, and to measure, how the pages do with ten million."""

import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone

from accounts import key_services, services
from accounts.ids import uuid7
from accounts.models import APIKey, Group, Organization, User
from billing import ledger
from billing.models import HoldOwner, Price
from billing.pricing import BPS, MILLION

ORGANIZATION = "Seeded calls"
MODELS = (
    "openai/gpt-5.4-mini",
    "openai/gpt-5.5",
    "anthropic/claude-sonnet-4-6",
    "deepseek/deepseek-v4-pro",
    "gemini/gemini-2.5-pro",
    "gemini/gemini-2.5-flash",
    "anthropic/claude-opus-4-5",
)
BUCKETS = ("input", "cached_input", "output")
TASK_MODEL = "openai/gpt-image-2"

# One row for each call of a slice. Calls grow more frequent with time; groups, keys and models are used unevenly, the
# first of each most; the last model hardly ever. `n` counts calls from 0, `charged` is the first one that is charged.
DRAW = """
CREATE TEMP TABLE seeded AS
WITH drawn AS (
    SELECT (%(start_ms)s + %(span_ms)s * power((n + random()) / %(calls)s, 0.75))::bigint AS ms,
           1 + floor(power(random(), 3) * %(groups)s)::int AS g,
           1 + floor(power(random(), 2) * %(keys_each)s)::int AS k,
           CASE WHEN random() < 0.00002 THEN %(models)s ELSE 1 + floor(power(random(), 2.2) * (%(models)s - 1))::int
           END AS m,
           n >= %(charged_from)s AS is_charged, random() AS luck, random() < 0.005 AS is_task, random() < 0.7 AS stream,
           (20 + power(random(), 4) * 12000)::bigint AS tokens_in, (power(random(), 3) * 9000)::bigint AS cached,
           (1 + power(random(), 3) * 4000)::bigint AS tokens_out
    FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS n
), judged AS (
    SELECT *, (%(key_ids)s::uuid[])[(g - 1) * %(keys_each)s + k] AS key_id, (%(group_ids)s::uuid[])[g] AS group_id,
           CASE WHEN luck < 0.965 THEN 'completed' WHEN luck < 0.975 THEN 'client_gone'
                WHEN luck < 0.988 THEN 'upstream_failed' WHEN luck < 0.9925 THEN 'timed_out'
                WHEN luck < 0.9999 THEN 'refused' ELSE 'lost' END AS status,
           lpad(to_hex(ms), 12, '0') AS digits
    FROM drawn
), counted AS (
    SELECT *, is_charged AND NOT is_task AND status IN ('completed', 'client_gone') AS pays,
           tokens_in * (%(input)s::bigint[])[m] + cached * (%(cached_input)s::bigint[])[m]
           + tokens_out * (%(output)s::bigint[])[m] AS weight,
           (%(sell_bps)s::bigint[])[m] AS bps
    FROM judged
), priced AS (
    SELECT *, div(weight::numeric * bps, %(scale)s) AS whole, mod(weight::numeric * bps, %(scale)s) * 2 AS twice,
           div(weight::numeric, %(million)s) AS list_whole, mod(weight::numeric, %(million)s) * 2 AS list_twice
    FROM counted
)
SELECT overlay(gen_random_uuid()::text PLACING substr(digits, 1, 8) || '-' || substr(digits, 9, 4) || '-7' FROM 1 FOR 15
       )::uuid AS id, group_id, key_id, to_timestamp(ms / 1000.0) AS at, status, is_task, stream, is_charged, pays, m,
       tokens_in, cached, tokens_out, 200 + tokens_out * 9 AS took_ms,
       CASE WHEN pays THEN (whole + (twice > %(scale)s OR twice = %(scale)s AND mod(whole, 2) = 1)::int)::bigint
       ELSE 0 END AS amount,
       CASE WHEN pays THEN (list_whole
            + (list_twice > %(million)s OR list_twice = %(million)s AND mod(list_whole, 2) = 1)::int)::bigint
       ELSE 0 END AS list
FROM priced
"""
HELD = "pays AND amount > 0"
RECORDS = f"""
INSERT INTO gateway_callrecord (
    id, organization_id, group_id, api_key_id, source, endpoint, model, status, stream, service_tier, created_at,
    duration_ms, first_token_ms, input_tokens, cached_input_tokens, cache_write_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, images, basis, price_id, hold_nanos,
    list_nanos, amount_nanos, written_off_nanos, error_code, error_message, attempts)
SELECT id, %(organization)s, group_id, key_id, CASE WHEN is_task THEN 'task' ELSE 'api' END,
       CASE WHEN is_task THEN 'images/generations' WHEN m %% 3 = 2 THEN 'responses' WHEN m %% 3 = 0 THEN 'messages'
            ELSE 'chat/completions' END,
       CASE WHEN is_task THEN %(task_model)s ELSE (%(names)s::text[])[m] END, status, stream AND NOT is_task,
       'standard', at, took_ms, CASE WHEN stream AND NOT is_task THEN 180 + took_ms / 20 END,
       CASE WHEN pays THEN tokens_in ELSE 0 END, CASE WHEN pays THEN cached ELSE 0 END, 0, 0,
       CASE WHEN pays THEN tokens_out ELSE 0 END, 0, 0, 0, 0,
       CASE WHEN status = 'completed' AND NOT is_task OR pays THEN 'reported' ELSE '' END,
       CASE WHEN pays THEN (%(price_ids)s::bigint[])[m] END, CASE WHEN {HELD} THEN amount + amount / 2 ELSE 0 END,
       list, amount, 0,
       CASE status WHEN 'upstream_failed' THEN 'upstream_error' WHEN 'timed_out' THEN 'upstream_timeout'
            WHEN 'refused' THEN CASE WHEN took_ms %% 9 = 0 THEN 'rate_limit_exceeded' ELSE 'insufficient_credits' END
            WHEN 'lost' THEN 'gateway_lost' ELSE '' END,
       '', '[]'
FROM seeded
"""  # noqa: S608 - a constant of this module
HOLDS = f"""
INSERT INTO billing_hold (id, account_id, owner_id, amount_nanos, state, memo, created_at, resolved_at)
SELECT s.id, a.id, %(owner)s, amount + amount / 2, 'captured', '', at, at + took_ms * interval '1 ms'
FROM seeded s JOIN billing_account a ON a.group_id = s.group_id AND a.kind = 'wallet' WHERE {HELD}
"""  # noqa: S608 - a constant of this module
CAPTURES = f"""
INSERT INTO billing_transfer (id, kind, debit_account_id, credit_account_id, amount_nanos, call_id, reason, created_at)
SELECT s.id, 'capture', a.id, r.id, amount, s.id, '', at + took_ms * interval '1 ms'
FROM seeded s JOIN billing_account a ON a.group_id = s.group_id AND a.kind = 'wallet'
JOIN billing_account r ON r.organization_id = a.organization_id AND r.kind = 'revenue' WHERE {HELD}
"""  # noqa: S608 - a constant of this module
SPENT = "SELECT group_id, sum(amount)::bigint FROM seeded GROUP BY group_id HAVING sum(amount) > 0"
BALANCES = """
UPDATE billing_account a SET balance_nanos = balance_nanos + CASE a.kind WHEN 'wallet' THEN -s.spent ELSE s.spent END
FROM (SELECT group_id, sum(amount)::bigint AS spent FROM seeded GROUP BY group_id
      UNION ALL SELECT NULL, sum(amount)::bigint FROM seeded) s
WHERE a.organization_id = %(organization)s AND s.spent > 0
  AND (a.kind = 'wallet' AND a.group_id = s.group_id OR a.kind = 'revenue' AND s.group_id IS NULL)
"""


class Place(NamedTuple):
    """Where the calls go."""

    organization: Organization
    groups: list[Group]
    keys: list[APIKey]


class Command(BaseCommand):
    help = (
        "Write many records of calls into an organization of their own. They cannot be told from real ones, nor taken"
        " away again: for installations to try and to measure."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--calls", type=int, required=True)
        parser.add_argument(
            "--charged",
            type=int,
            default=0,
            help="so many of the newest have quantities, hold and capture; the others counted nothing and were free",
        )
        parser.add_argument("--owner", required=True, help="e-mail of the user who will administer")
        parser.add_argument("--months", type=int, default=6, help="over how many months, until now")
        parser.add_argument("--groups", type=int, default=12)
        parser.add_argument("--keys", type=int, default=6, help="of each group")
        parser.add_argument("--slice", type=int, default=100_000, help="calls in one transaction")
        parser.add_argument("--yes", action="store_true", help="yes, write into this database")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("calls", "months", "groups", "keys", "slice"):
            if options[name] < 1:
                raise CommandError(f"--{name} must be at least 1.")
        if not options["yes"]:
            database = connection.settings_dict["NAME"]
            raise CommandError(
                f"This writes {options['calls']:,} calls into the database '{database}' for good. Say --yes."
            )
        owner = User.objects.filter(email=options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no user {options['owner']}.")
        place = open_place(owner, options["groups"], options["keys"])
        parameters = _parameters(place, options)
        begun = time.monotonic()
        for first in range(0, options["calls"], options["slice"]):
            last = min(first + options["slice"], options["calls"])
            write_slice(place, owner, parameters | {"first": first, "last": last})
            rate = last / (time.monotonic() - begun)
            self.stdout.write(
                f"{last:,} of {options['calls']:,} calls ({last * 100 // options['calls']}%), {rate:,.0f}/s"
            )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE gateway_callrecord, billing_hold, billing_transfer")


@transaction.atomic
def open_place(owner: User, groups: int, keys: int) -> Place:
    """The organization with its groups and keys; what is there from an earlier run is used again."""
    organization = Organization.objects.filter(name=ORGANIZATION, memberships__user=owner).first()
    if organization is None:
        organization = services.create_organization(owner, ORGANIZATION)
    found = list(Group.objects.filter(organization=organization).order_by("pk")[:groups])
    for number in range(len(found) + 1, groups + 1):
        found.append(services.create_group(organization, f"Seeded {number:02d}", owner))
    issued: list[APIKey] = []
    for group in found:
        own = list(APIKey.objects.filter(group=group).order_by("pk")[:keys])
        while len(own) < keys:
            own.append(key_services.issue_key(group, owner, f"seeded {len(own) + 1}")[0])
        issued += own
    return Place(organization, found, issued)


def _parameters(place: Place, options: dict[str, Any]) -> dict[str, Any]:
    now = timezone.now()
    span = timedelta(days=30 * options["months"])
    prices = [_find_price(name) for name in MODELS]
    rates = [_base_rates(price) for price in prices]
    return {
        "calls": options["calls"],
        "charged_from": options["calls"] - options["charged"],
        "start_ms": int((now - span).timestamp() * 1000),
        "span_ms": span // timedelta(milliseconds=1),
        "organization": place.organization.pk,
        "groups": len(place.groups),
        "group_ids": [group.pk for group in place.groups],
        "keys_each": options["keys"],
        "key_ids": [key.pk for key in place.keys],
        "models": len(MODELS),
        "names": list(MODELS),
        "price_ids": [price.pk for price in prices],
        "sell_bps": [price.sell_bps for price in prices],
        **{name: [table[name] for table in rates] for name in BUCKETS},
        "million": MILLION,
        "scale": MILLION * BPS,
        "task_model": TASK_MODEL,
        "owner": HoldOwner.objects.create(closed_at=now).pk,
    }


def _find_price(model: str) -> Price:
    prices = Price.objects.in_force(timezone.now())
    price = prices.filter(model=model, group=None).first()
    if price is None:
        raise CommandError(f"The price book has no {model}: run load_price_book first.")
    return price


def _base_rates(price: Price) -> dict[str, int]:
    """List rates of the buckets that are seeded. Calls are kept below the thresholds of higher ones."""
    rates = price.rates.filter(tier="standard", above_input_tokens=0, bucket__in=BUCKETS)
    return dict(rates.values_list("bucket", "list_nanos"))


@transaction.atomic
def write_slice(place: Place, owner: User, parameters: dict[str, Any]) -> None:
    """One slice of calls. Each group is granted before what its calls take."""
    with connection.cursor() as cursor:
        cursor.execute(DRAW, parameters)
        cursor.execute(SPENT)
        spent: dict[UUID, int] = dict(cursor.fetchall())
        if spent:
            total = sum(spent.values())
            ledger.deposit(
                place.organization, total, operation_id=uuid7(), actor=owner, reason=ORGANIZATION
            )
        for group in place.groups:
            if group.pk in spent:
                ledger.grant(group, spent[group.pk], operation_id=uuid7(), actor=owner)
        for statement in (RECORDS, HOLDS, CAPTURES, BALANCES):
            cursor.execute(statement, parameters)
        cursor.execute("DROP TABLE seeded")
