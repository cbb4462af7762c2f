"""Fills a database with what a busy organization looks like after two months: for screenshots and Chromium tests.

`python -m tests.browser.scenery` writes into the database of DATABASE_URL, which must be migrated and empty. What it
writes holds in the audit: every charge has its hold and its capture, every balance is the sum of its transfers.
"""

import random
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import django

if __name__ == "__main__":
    django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from accounts import key_services, services
from accounts.ids import uuid7
from accounts.models import APIKey, Group, User
from billing import codes, ledger
from billing.models import Account, Hold, HoldOwner, Price, Transfer
from billing.money import NANOS_PER_USD
from billing.notice_models import Order
from billing.pricing import Charge, Usage, charge_usage
from gateway.credentials import seal
from gateway.models import CallRecord, Channel
from tests.browser.gallery import hang
from tests.gateway.webhook_rows import furnish
from tests.people import PASSWORD, People, make_people

SCRIPT = "<script>alert(1)</script>"
LONG = (
    "nightly evaluation of the retrieval pipeline against the long-context benchmark (do not stop)"
)
MODELS = [
    ("openai/gpt-5.5", 9),
    ("anthropic/claude-sonnet-4-6", 7),
    ("openai/gpt-5.4-mini", 10),
    ("gemini/gemini-2.5-pro", 5),
    ("deepseek/deepseek-v4-pro", 6),
    ("gemini/gemini-2.5-flash", 5),
    ("anthropic/claude-opus-4-5", 2),
]
STATUSES = [
    ("completed", 84),
    ("client_gone", 6),
    ("upstream_failed", 4),
    ("timed_out", 2),
    ("refused", 3),
    ("lost", 1),
]
ERRORS = {
    "upstream_failed": (
        "upstream_error",
        "The provider answered 500: Internal server error. Nothing was charged.",
    ),
    "timed_out": (
        "upstream_timeout",
        "The provider did not answer within 600 s. Nothing was charged.",
    ),
    "refused": ("insufficient_credits", "This call may need $0.42; $0.11 is available."),
    "lost": (
        "gateway_lost",
        "The gateway process ended before this call did. Nothing was charged.",
    ),
}
DAYS = 58


class Place(NamedTuple):
    """A group, its keys, and how much it calls."""

    group: Group
    keys: list[APIKey]
    calls: int


def build(calls: int = 620, *, seed: int = 7) -> People:
    """Everything. The same seed makes the same calls, only the times move with the clock."""
    chance = random.Random(seed)
    call_command("load_price_book", verbosity=0)
    people = make_people(password=PASSWORD)
    _give_credits(people)
    places = _open_places(people, calls)
    owner = HoldOwner.objects.create()
    prices = {
        name: Price.objects.prefetch_related("rates").get(model=name, group=None)
        for name, _weight in MODELS
    }
    for place in places:
        _record_calls(place, prices, owner, chance)
    hang(places[0].keys)
    furnish(people.group, people.alice)
    _open_counters(people)
    return people


def _open_counters(people: People) -> None:
    """What operators and buyers have begun: a batch of codes, a purchase, a channel that is not used yet."""
    until = timezone.now() + timedelta(days=60)
    offer = codes.Offer("wallet", 5 * NANOS_PER_USD, None, 1, until, "Meetup in Daejeon")
    codes.make_codes(offer, 3, operation_id=uuid7(), actor=people.olga)
    Order.objects.create(
        organization=people.organization, buyer=people.alice, amount_nanos=50 * NANOS_PER_USD
    )
    Channel.objects.create(
        provider_id="openai",
        name="spare",
        base_url="https://spare.example/v1",
        credential=seal("sk-none", settings.CREDENTIAL_KEY, "openai:spare"),
        is_enabled=False,
    )


def _give_credits(people: People) -> None:
    organization, olga = people.organization, people.olga
    for dollars, reason in ((4000, "Invoice 2026-0917"), (2500, "Invoice 2026-1031"), (250, "")):
        ledger.deposit(
            organization, dollars * NANOS_PER_USD, operation_id=uuid7(), actor=olga, reason=reason
        )


def _open_places(people: People, calls: int) -> list[Place]:
    alice, bob = people.alice, people.bob
    production = services.create_group(people.organization, "Production – 고객 지원 봇", alice)
    hostile = services.create_group(people.organization, SCRIPT, alice)
    services.create_group(people.organization, "Empty group", alice)
    for group, dollars in ((people.group, 640), (production, 1500), (hostile, 25)):
        ledger.grant(
            group, dollars * NANOS_PER_USD, operation_id=uuid7(), actor=alice, reason="Budget"
        )
    ledger.reclaim(
        production,
        118_250_000_000,
        operation_id=uuid7(),
        actor=alice,
        reason="Left over in October",
    )
    ledger.adjust(
        people.group, 5 * NANOS_PER_USD, operation_id=uuid7(), actor=people.olga, reason="Welcome"
    )
    names = [("ci", alice), ("Bob’s laptop", bob), (LONG[:80], alice), (SCRIPT, bob)]
    keys = [key_services.issue_key(people.group, user, name)[0] for name, user in names]
    key_services.revoke_key(key_services.issue_key(people.group, bob, "old laptop")[0], bob)
    soon = timezone.now() + timedelta(days=12)
    key_services.issue_key(people.group, alice, "workshop", expires_at=soon)
    APIKey.objects.filter(group=people.group).update(created_at=timezone.now() - timedelta(days=61))
    return [
        Place(people.group, keys, calls),
        Place(production, [key_services.issue_key(production, alice, "bot")[0]], calls // 4),
        Place(hostile, [key_services.issue_key(hostile, alice, SCRIPT)[0]], 12),
    ]


@transaction.atomic
def _record_calls(
    place: Place, prices: dict[str, Price], owner: HoldOwner, chance: random.Random
) -> None:
    records = [_record(place, index, prices, chance) for index in range(place.calls)]
    wallet = Account.objects.wallet_of(place.group)
    platform = {
        account.kind: account
        for account in Account.objects.filter(organization=place.group.organization, group=None)
    }
    held = [record for record in records if record.hold_nanos]
    Hold.objects.bulk_create(_hold(record, wallet, owner) for record in held)
    captures = [
        Transfer(
            id=record.id,
            kind="capture",
            debit_account=wallet,
            credit_account=platform["revenue"],
            amount_nanos=record.amount_nanos,
            call_id=record.id,
            created_at=record.created_at + timedelta(milliseconds=record.duration_ms),
        )
        for record in records
        if record.amount_nanos
    ]
    written_off = [
        Transfer(
            id=uuid7(),
            kind="adjust",
            debit_account=platform["writeoffs"],
            credit_account=platform["revenue"],
            amount_nanos=record.written_off_nanos,
            call_id=record.id,
            reason="write-off: usage above the hold",
            created_at=record.created_at,
        )
        for record in records
        if record.written_off_nanos
    ]
    Transfer.objects.bulk_create(captures + written_off)
    CallRecord.objects.bulk_create(records)
    taken = sum(transfer.amount_nanos for transfer in captures)
    lost = sum(transfer.amount_nanos for transfer in written_off)
    for account, change in (
        (wallet, -taken),
        (platform["writeoffs"], -lost),
        (platform["revenue"], taken + lost),
    ):
        Account.objects.filter(pk=account.pk).update(balance_nanos=F("balance_nanos") + change)


def _hold(record: CallRecord, wallet: Account, owner: HoldOwner) -> Hold:
    ended = record.created_at + timedelta(milliseconds=record.duration_ms)
    return Hold(
        id=record.id,
        account=wallet,
        owner=owner,
        amount_nanos=record.hold_nanos,
        state="captured" if record.amount_nanos else "released",
        created_at=record.created_at,
        resolved_at=ended,
    )


def _record(
    place: Place, index: int, prices: dict[str, Price], chance: random.Random
) -> CallRecord:
    # Calls crowd towards now, so that the day, the week and the month all have some.
    back = timedelta(days=DAYS) * (1 - index / place.calls) ** 2.2 + timedelta(
        seconds=20 + chance.random() * 40
    )
    began = timezone.now() - back
    status = chance.choices([name for name, _ in STATUSES], [weight for _, weight in STATUSES])[0]
    model = chance.choices([name for name, _ in MODELS], [weight for _, weight in MODELS])[0]
    stream = chance.random() < 0.6
    duration = chance.randrange(400, 42_000)
    fields: dict[str, Any] = {
        "id": _id_at(began.timestamp(), chance),
        "organization_id": place.group.organization_id,
        "group": place.group,
        "api_key": chance.choices(place.keys, [6, 3, 2, 1][: len(place.keys)])[0],
        "source": "api",
        "endpoint": "chat/completions",
        "model": model,
        "status": status,
        "stream": stream,
        "created_at": began,
        "duration_ms": 3 if status == "refused" else duration,
        "price_id": prices[model].pk,
        "attempts": [{"channel": "openai: main", "status": 200, "error": None, "ms": duration}],
    }
    if status in ERRORS:
        fields["error_code"], fields["error_message"] = ERRORS[status]
        fields["hold_nanos"] = 0 if status == "refused" else 42_000_000
        fields["attempts"] = (
            []
            if status == "refused"
            else [
                {
                    "channel": "openai: main",
                    "status": 500,
                    "error": "upstream_error",
                    "ms": duration,
                }
            ]
        )
        return CallRecord(**fields)
    fields["first_token_ms"] = chance.randrange(180, 2400) if stream else None
    return CallRecord(**fields, **_usage_fields(prices[model], status, chance))


def _usage_fields(price: Price, status: str, chance: random.Random) -> dict[str, Any]:
    kind = chance.random()
    if kind < 0.02:
        usage = Usage()  # an answer with every bucket zero: not charged
    else:
        total = int(chance.lognormvariate(8, 1.6))
        cached = total * chance.choice([0, 0, 0, 3, 8]) // 10
        output = int(chance.lognormvariate(6, 1.1))
        thinking = output // 2 if chance.random() < 0.2 else 0
        usage = Usage(
            input_tokens=total - cached,
            cached_input_tokens=cached,
            output_tokens=output,
            reasoning_tokens=thinking,
        )
    charge: Charge = charge_usage(price.frozen(), usage)
    hold = charge.amount_nanos * 3 + 1_000_000
    written_off = 0
    if kind > 0.985:  # the provider reported more than the wallet could cover
        written_off = charge.amount_nanos // 4
        hold = max(charge.amount_nanos - written_off, 1)
    return {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "basis": "estimated" if status == "client_gone" else "reported",
        "list_nanos": charge.list_nanos,
        "amount_nanos": charge.amount_nanos - written_off,
        "written_off_nanos": written_off,
        "hold_nanos": hold,
    }


def _id_at(seconds: float, chance: random.Random) -> UUID:
    head = int(seconds * 1000) << 80
    middle = 0x7000_0000_0000_0000_0000 | chance.getrandbits(12) << 64
    return UUID(int=head | middle | 0x8000_0000_0000_0000 | chance.getrandbits(62))


def spent(group: Group) -> int:
    """What the group's calls were charged, for checking pages against."""
    total = CallRecord.objects.filter(group=group).aggregate(total=Sum("amount_nanos"))["total"]
    return int(total or 0)


if __name__ == "__main__":
    made = build()
    print(f"{User.objects.count()} users, group {made.group.pk}, password {PASSWORD}")  # noqa: T201
