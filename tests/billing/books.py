"""Books with a call and a task of each ending, for the audit."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts import key_services, services
from accounts.ids import uuid7
from accounts.models import Group, Organization, User
from billing import codes, ledger, promotions
from billing.models import Account, HoldOwner, Limit
from gateway.models import Picture


def record(group: Group, call_id: UUID, status: str = "completed") -> dict[str, Any]:
    """A call's record as the gateway sends it; what was taken is the database's to say."""
    counts = (
        "duration_ms first_token_ms input_tokens cached_input_tokens cache_write_tokens cache_write_1h_tokens"
        " output_tokens reasoning_tokens audio_input_tokens audio_output_tokens images price_id hold_nanos list_nanos"
    )
    texts = "service_tier basis error_code error_message"
    return {
        **dict.fromkeys(counts.split(), 1),
        **dict.fromkeys(texts.split(), ""),
        "id": str(call_id),
        "organization_id": str(group.organization_id),
        "group_id": str(group.pk),
        "api_key_id": str(uuid7()),
        "source": "api",
        "endpoint": "chat/completions",
        "model": "openai/gpt-5.5",
        "status": status,
        "stream": False,
        "created_at": 1_800_000_000.5,
        "attempts": [],
    }


def gateway_apply(group: Group, owner: HoldOwner, holds: dict[UUID, int], **ends: Any) -> None:
    """Holds on the group's wallet, counted by `key_limit` and `group_limit`, or the ends of them: `settles` by call id,
    with their `records`."""
    wallet, settles = Account.objects.wallet_of(group).pk, ends.get("settles", {})
    records = ends.get("records")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h_granted FROM gateway_apply(%s, %s::uuid[], %s::bigint[], %s::bigint[],"
            " %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::jsonb,"
            " NULL, %s::bigint[], %s::bigint[])",
            (
                owner.pk,
                *(list(settles), [wallet] * len(settles), list(settles.values())),
                *(list(holds), [wallet] * len(holds), list(holds.values()), [1] * len(holds)),
                ["{}"] * len(holds),
                json.dumps(records) if records else None,
                *(
                    [ends[name]] * len(holds) if name in ends else None
                    for name in ("key_limit", "group_limit")
                ),
            ),
        )
        assert cursor.fetchone() == (list(holds.values()) or None,)


def make_tasks(group: Group) -> dict[str, UUID]:
    """A task of each ending on the group's wallet: waiting with 50, drawn for 40, refused."""
    waiting, drawn, refused = (uuid7() for _ in range(3))
    for task_id, amount in ((waiting, 50), (drawn, 40), (refused, 10)):
        task = {
            **dict.fromkeys(("base_url", "callback_url", "idempotency_key", "price_key"), ""),
            **{"id": str(task_id), "organization_id": str(group.organization_id)},
            **{"group_id": str(group.pk), "api_key_id": str(uuid7()), "request": {}, "count": 1},
            **{
                "account_id": Account.objects.wallet_of(group).pk,
                "hold_nanos": amount,
                "price_id": 1,
            },
            **{"action": "text_to_image", "endpoint": "text_to_image", "timeout_s": 900},
            **{
                "requested_model": "gpt-image-2",
                "model": "openai/gpt-image-2",
                "request_digest": "",
            },
        }
        call("SELECT (gateway_create_task(%s::jsonb, NULL, NULL)).outcome", json.dumps(task))
    for task_id, status, amount in ((drawn, "completed", 40), (refused, "failed", 0)):
        ended = record(group, task_id, "completed" if amount else "refused") | {"source": "task"}
        call(
            "SELECT gateway_end_task(%s, 0, %s, '', '', %s, %s::jsonb, %s)",
            *(task_id, status, amount, json.dumps([ended]), uuid7()),
        )
    Picture.objects.create(
        task_id=drawn, position=0, width=1, height=1, size_bytes=1, expires_at=timezone.now()
    )
    return {"waiting": waiting, "drawn": drawn, "refused": refused}


def call(sql: str, *parameters: Any) -> None:
    """A function of ours that has to say yes."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        assert cursor.fetchone() in (("created",), (True,))


def make_books() -> dict[str, Any]:
    """Two organizations, and one call of each ending: charged 30 and refunded 10, overrun (460 of 500 taken),
    released, still open with 20; and the tasks of `make_tasks`. Answers the names that the plants use."""
    alice = User.objects.create_user("alice@example.com")
    organization = services.create_organization(alice, "Arden Labs")
    group = services.create_group(organization, "Research", alice)
    second = services.create_group(organization, "Support", alice)
    foreign = services.create_organization(alice, "Crane & Sons")
    ledger.deposit(organization, 1_000, operation_id=uuid7(), actor=alice)
    ledger.grant(group, 500, operation_id=uuid7(), actor=alice)
    ledger.grant(second, 100, operation_id=uuid7(), actor=alice)
    ledger.adjust(group, 10, operation_id=uuid7(), actor=alice, reason="Welcome")
    owner = HoldOwner.objects.create()
    charged, overrun, released, opened = (uuid7() for _ in range(4))
    key, _ = key_services.issue_key(group, alice, "CI")
    limits = {
        "key_limit": Limit.objects.create(api_key=key, concurrent_calls=9).pk,
        "group_limit": Limit.objects.create(group=group, lifetime_nanos=900).pk,
    }
    gateway_apply(group, owner, {charged: 40, overrun: 50, released: 60, opened: 20}, **limits)
    ends = {charged: 30, overrun: 500, released: 0}
    statuses = {charged: "completed", overrun: "client_gone", released: "upstream_failed"}
    records = [record(group, call_id, status) for call_id, status in statuses.items()]
    gateway_apply(group, owner, {}, settles={released: 0}, records=records[2:])
    del ends[released]
    gateway_apply(group, owner, {}, settles=ends, records=records[:2])
    ledger.refund(group, 10, operation_id=uuid7(), actor=alice, reason="Slow", call_id=charged)
    assert Account.objects.wallet_of(group).available_nanos == 10
    return {
        "organization": organization.pk,
        "foreign": foreign.pk,
        "second_group": second.pk,
        "pool": Account.objects.pool_of(organization).pk,
        "revenue": Account.objects.get(organization=organization, kind="revenue").pk,
        "promotions": Account.objects.get(organization=organization, kind="promotions").pk,
        "wallet": Account.objects.wallet_of(group).pk,
        "second_wallet": Account.objects.wallet_of(second).pk,
        "foreign_pool": Account.objects.pool_of(foreign).pk,
        "owner": owner.pk,
        "charged": charged,
        "overrun": overrun,
        "released": released,
        "opened": opened,
        **make_tasks(second),
        **make_promotions(organization, alice, owner),
        **limits,
    }


def make_promotions(organization: Organization, alice: User, owner: HoldOwner) -> dict[str, Any]:
    """A group with two promotions: 100 of which a call was charged 30 and refunded 5, and 20 that went back; after the
    checkpoint another call was charged 7. A code of 11 for its wallet, redeemed once of twice."""
    group = services.create_group(organization, "Trial", alice)
    in_a_week = timezone.now() + timedelta(days=7)
    given = [
        promotions.promote(
            group, amount, expires_at=in_a_week, operation_id=uuid7(), actor=alice, reason="Trial"
        )
        for amount in (100, 20)
    ]
    charged, later = uuid7(), uuid7()
    gateway_apply(group, owner, {charged: 40, later: 10})
    gateway_apply(
        group, owner, {}, settles={charged: 30}, records=[record(group, charged, "completed")]
    )
    ledger.refund(group, 5, operation_id=uuid7(), actor=alice, reason="Slow", call_id=charged)
    promotions.end_promotion(given[1], alice)
    offer = codes.Offer("wallet", 11, None, 2, in_a_week, "Conference")
    [code] = codes.make_codes(offer, 1, operation_id=uuid7(), actor=alice)
    redemption = codes.redeem(code, group, operation_id=uuid7(), actor=alice)
    gateway_apply(group, owner, {}, settles={later: 7}, records=[record(group, later, "completed")])
    return {
        "promotion": given[0].pk,
        "promoted_wallet": given[0].wallet_id,
        "redemption": redemption.pk,
        "code": redemption.code_id,
    }
