"""Who gets what from the management API: the one table that a new address or method of it is added to.

A line is keyed by the method and the name of the URL, and gives a status for each viewer's key. Strangers get 401 and
keys that call models 403 everywhere. `body` is what is sent: something that those who may can really do, so that the
others are refused for who they are. The objects in the addresses belong to Alice's organization (api_objects.py).
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from django.utils import timezone

from tests.access.api_objects import ApiScene, capture_id


class Row(NamedTuple):
    """A status for each viewer, who are those of tests/access/expectations.py."""

    outsider: int
    member: int
    manager: int
    admin: int
    operator: int


VIEWERS = Row._fields
Made = Callable[[ApiScene], Any]


class Line(NamedTuple):
    """What a method answers.

    `parameters` replace those of the scene, `body` is sent as JSON; both may be functions of the scene, as `query` is
    what stands behind the address. `why_open` says why outsiders get more than 404. `changes_nothing` marks a write
    that leaves no trace in the database; `counts` is the table in which one that fails is counted.
    """

    row: Row
    body: Any = None
    parameters: Any = {}
    query: Any = ""
    why_open: str = ""
    changes_nothing: bool = False
    counts: str = ""

    def filled(self, made: ApiScene) -> "Line":
        """With everything made for the scene."""
        values = {
            name: value(made)
            for name in ("body", "parameters", "query")
            if callable(value := getattr(self, name))
        }
        return self._replace(**values)


# By who is let in. Who may see a place and not change it is told so; to others it is not there.
ANYBODY = Row(200, 200, 200, 200, 200)
MEMBERS = Row(404, 200, 200, 200, 200)
OWNERS = Row(404, 404, 200, 200, 200)  # a colleague's: not even shown to who may not manage it
MANAGERS = Row(404, 403, 200, 200, 200)
ADMINS = Row(404, 403, 403, 200, 200)
OPERATORS = Row(404, 404, 404, 404, 200)
OWN = "everybody sees what is his own"


def then(row: Row, status: int) -> Row:
    """Those who are let in get `status`."""
    return Row(*(status if one == 200 else one for one in row))


def soon(**delta: float) -> str:
    return (timezone.now() + timedelta(**delta)).isoformat()


def move(**more: Any) -> dict[str, Any]:
    return {"amount": "1.00", "reason": "fair", **more}


def full_hour() -> str:
    return (
        (timezone.now() + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0).isoformat()
    )


def price(made: ApiScene) -> dict[str, Any]:
    rates = [{"bucket": "input", "list_price": "5"}, {"bucket": "output", "list_price": "30"}]
    return {
        "model": "openai/gpt-5.5",
        "effective_from": soon(days=1),
        "sell_bps": 6000,
        "rates": rates,
    }


def book(made: ApiScene) -> dict[str, Any]:
    """A book of no models, which does nothing."""
    return {"currency": "USD", "read_on": "2026-11-01", "models": []}


def colleague(made: ApiScene) -> dict[str, object]:
    """Alice's key, which is no business of Bob's."""
    return {"key_id": made.scene.colleagues_key.pk}


def mia(made: ApiScene) -> dict[str, object]:
    return {"user_id": made.scene.mia.pk}


def of_webhook(made: ApiScene) -> dict[str, object]:
    return {"delivery_id": made.webhook_delivery.pk}


def captured(made: ApiScene) -> dict[str, object]:
    return {"call_id": capture_id(made)}


def code(made: ApiScene) -> dict[str, object]:
    return {"code_id": made.scene.code.pk, "batch_id": made.scene.code.batch_id}


LINES: dict[str, Line] = {
    # Organizations.
    "GET api_organizations": Line(ANYBODY, why_open=OWN),
    "POST api_organizations": Line(
        Row(403, 403, 403, 403, 201),
        {"name": "New"},
        why_open="a session begins an organization, a key acts in the one that it is of",
    ),
    "GET api_organization": Line(MEMBERS),
    "PATCH api_organization": Line(ADMINS, {"name": "Another"}),
    "DELETE api_organization": Line(
        then(ADMINS, 409), query=lambda made: "confirm=Arden%20Labs", changes_nothing=True
    ),
    "GET api_members": Line(ADMINS),
    "GET api_member": Line(Row(404, 200, 403, 200, 200)),
    "PATCH api_member": Line(ADMINS, {"role": "admin"}),
    "DELETE api_member": Line(Row(404, 200, 403, 200, 200)),
    "GET api_invitations": Line(ADMINS),
    "POST api_invitations": Line(then(ADMINS, 201), {"emails": ["one@example.com"]}),
    "GET api_invitation": Line(ADMINS),
    "DELETE api_invitation": Line(then(ADMINS, 204)),
    "POST api_invitation_resend": Line(then(ADMINS, 202)),
    "GET api_organization_usage": Line(ADMINS),
    "GET api_organization_changes": Line(ADMINS),
    "GET api_organization_balance": Line(ADMINS),
    "GET api_organization_transfers": Line(ADMINS),
    "GET api_organization_adjustments": Line(ADMINS),
    "POST api_organization_adjustments": Line(then(OPERATORS, 201), move()),
    "GET api_organization_statements": Line(ADMINS),
    "GET api_organization_statement": Line(ADMINS),
    "GET api_deposits": Line(ADMINS),
    "POST api_deposits": Line(then(OPERATORS, 201), move()),
    "GET api_payments": Line(ADMINS),
    "POST api_payments": Line(then(ADMINS, 404), {"amount": "10"}, changes_nothing=True),
    "GET api_payment": Line(ADMINS),
    # Groups.
    "GET api_groups": Line(ANYBODY, why_open=OWN),
    "POST api_groups": Line(
        then(ADMINS, 201),
        lambda made: {"organization": str(made.scene.people.organization.pk), "name": "Third"},
    ),
    "GET api_group": Line(MEMBERS),
    "PATCH api_group": Line(MANAGERS, {"name": "Another"}),
    "DELETE api_group": Line(ADMINS, query="confirm=Research"),
    "GET api_group_members": Line(MEMBERS),
    "POST api_group_members": Line(then(MANAGERS, 201), {"emails": ["one@example.com"]}),
    "GET api_group_member": Line(MEMBERS),
    "PATCH api_group_member": Line(MANAGERS, {"role": "manager"}),
    "DELETE api_group_member": Line(MEMBERS),
    "GET api_group_invitations": Line(MANAGERS),
    "DELETE api_group_invitation": Line(then(MANAGERS, 204)),
    "POST api_group_invitation_resend": Line(then(MANAGERS, 202)),
    "GET api_group_usage": Line(MEMBERS),
    "GET api_group_balance": Line(MEMBERS),
    "GET api_group_transfers": Line(MEMBERS),
    "GET api_group_adjustments": Line(MEMBERS),
    "POST api_group_adjustments": Line(then(OPERATORS, 201), move()),
    "GET api_grants": Line(MEMBERS),
    "POST api_grants": Line(then(ADMINS, 201), move()),
    "GET api_reclaims": Line(MEMBERS),
    "POST api_reclaims": Line(then(ADMINS, 201), move()),
    "GET api_promotions": Line(MEMBERS),
    "POST api_promotions": Line(then(OPERATORS, 201), lambda made: move(expires_at=soon(days=30))),
    "POST api_promotion_end": Line(OPERATORS),
    "GET api_redemptions": Line(MANAGERS),
    "POST api_redemptions": Line(
        then(MANAGERS, 400), {"code": "wrong"}, counts="billing_wrongcode"
    ),
    "GET api_alerts": Line(MANAGERS),
    "PATCH api_alerts": Line(MANAGERS, {"thresholds": ["5.00"]}),
    "POST api_alert_test": Line(MANAGERS, changes_nothing=True),
    "GET api_group_statements": Line(MEMBERS),
    "GET api_group_statement": Line(MEMBERS),
    "GET api_group_limits": Line(MANAGERS),
    "PATCH api_group_limits": Line(MANAGERS, {"requests_per_minute": 7}),
    # Keys. This one is Bob's; a colleague's stand below.
    "GET api_keys": Line(MEMBERS),
    "POST api_keys": Line(then(MEMBERS, 201), {"name": "new"}),
    "GET api_key": Line(MEMBERS),
    "PATCH api_key": Line(MEMBERS, {"name": "another"}),
    "DELETE api_key": Line(then(MEMBERS, 204)),
    "GET api_key_limits": Line(MEMBERS),
    "PATCH api_key_limits": Line(MEMBERS, {"requests_per_minute": 7}),
    "POST api_key_revoke": Line(MEMBERS),
    "POST api_key_rotate": Line(then(MEMBERS, 201), {"grace_s": 60}),
    "POST api_key_rotate_end": Line(MEMBERS, changes_nothing=True),
    "GET api_callbacks": Line(MEMBERS),
    "POST api_callback_test": Line(then(MEMBERS, 202), {"url": "https://receiver.example/hook"}),
    "POST api_callback_secret": Line(MEMBERS),
    "POST api_callback_secret_rotate": Line(MEMBERS),
    "GET api_callback": Line(MEMBERS),
    "POST api_callback_redeliver": Line(then(MEMBERS, 202)),
    # Calls and tasks.
    "GET api_calls": Line(MEMBERS),
    "GET api_calls_export": Line(MEMBERS),
    "GET api_call": Line(MEMBERS),
    "POST api_refunds": Line(then(OPERATORS, 201), move(), captured),
    "GET api_tasks": Line(MEMBERS),
    "GET api_task": Line(MEMBERS),
    "POST api_task_cancel": Line(then(MEMBERS, 409), changes_nothing=True),
    # Webhooks.
    "GET api_webhooks": Line(MANAGERS),
    "POST api_webhooks": Line(
        then(MANAGERS, 201), {"url": "https://other.example/hook", "events": ["balance.low"]}
    ),
    "GET api_webhook": Line(MANAGERS),
    "PATCH api_webhook": Line(MANAGERS, {"description": "Ours"}),
    "DELETE api_webhook": Line(then(MANAGERS, 204)),
    "POST api_webhook_test": Line(then(MANAGERS, 202)),
    "POST api_webhook_secret_rotate": Line(MANAGERS),
    "GET api_webhook_deliveries": Line(MANAGERS),
    "GET api_webhook_delivery": Line(MANAGERS, None, of_webhook),
    "POST api_webhook_redeliver": Line(then(MANAGERS, 202), None, of_webhook),
    # Everybody's.
    "GET api_prices": Line(ANYBODY, why_open="list prices and everybody's prices are public"),
    # The operator's.
    "GET api_changes": Line(OPERATORS),
    "GET api_code_batches": Line(OPERATORS),
    "POST api_code_batches": Line(
        then(OPERATORS, 201),
        lambda made: {
            "note": "fair",
            "kind": "wallet",
            "amount": "1",
            "valid_until": soon(days=30),
        },
    ),
    "GET api_code_batch": Line(OPERATORS),
    "GET api_codes": Line(OPERATORS),
    "GET api_batch_redemptions": Line(OPERATORS),
    "POST api_code_batch_disable": Line(OPERATORS),
    "POST api_code_disable": Line(OPERATORS, None, code),
    "GET api_providers": Line(OPERATORS),
    "POST api_providers": Line(
        then(OPERATORS, 201),
        {
            "id": "acme",
            "name": "Acme",
            "dialect": "openai",
            "base_url": "https://api.acme.example/v1",
        },
    ),
    "GET api_channels": Line(OPERATORS),
    "POST api_channels": Line(
        then(OPERATORS, 201),
        lambda made: {
            "provider": made.scene.channel.provider_id,
            "name": "second",
            "base_url": "https://api.acme.example/v1",
            "credential": "sk-second",
        },
    ),
    "GET api_channel": Line(OPERATORS),
    "PATCH api_channel": Line(OPERATORS, {"weight": 5}),
    "DELETE api_channel": Line(then(OPERATORS, 409), changes_nothing=True),
    "POST api_channel_enable": Line(OPERATORS),
    "POST api_channel_disable": Line(OPERATORS),
    "POST api_channel_test": Line(OPERATORS, {}),
    "GET api_channel_costs": Line(OPERATORS),
    "POST api_channel_costs": Line(
        then(OPERATORS, 201), lambda made: {"cost_bps": 4000, "effective_from": full_hour()}
    ),
    "GET api_catalog": Line(OPERATORS),
    "GET api_catalog_model": Line(OPERATORS),
    "PATCH api_catalog_model": Line(OPERATORS, {"is_enabled": False}),
    "GET api_price_book": Line(OPERATORS),
    "POST api_price_book": Line(then(OPERATORS, 201), price),
    "POST api_price_preview": Line(OPERATORS, price, changes_nothing=True),
    "POST api_price_import": Line(
        then(OPERATORS, 409), lambda made: {"book": book(made), "plan": "x"}, changes_nothing=True
    ),
    "POST api_price_import_preview": Line(
        OPERATORS, lambda made: {"book": book(made)}, changes_nothing=True
    ),
    "GET api_overview": Line(OPERATORS),
    "GET api_failures": Line(OPERATORS),
    "GET api_people": Line(OPERATORS),
    "GET api_person": Line(OPERATORS),
    "POST api_person_deactivate": Line(OPERATORS),
    "POST api_person_reactivate": Line(OPERATORS, changes_nothing=True),
    "POST api_person_reset": Line(then(OPERATORS, 202)),
}


class Variant(NamedTuple):
    """The line `name` again, with other objects."""

    name: str
    line: Line


def _of_a_colleague(name: str, member: int) -> Variant:
    line = LINES[name]
    return Variant(name, line._replace(row=line.row._replace(member=member), parameters=colleague))


VARIANTS: dict[str, Variant] = {
    **{
        f"{name}, of a colleague": _of_a_colleague(name, 404)
        for name in (
            "GET api_callbacks",
            "POST api_callback_test",
            "POST api_callback_secret",
            "POST api_callback_secret_rotate",
        )
    },
    **{
        f"{name}, of a colleague": _of_a_colleague(name, 403)
        for name in (
            "PATCH api_key",
            "PATCH api_key_limits",
            "POST api_key_revoke",
            "POST api_key_rotate",
            "POST api_key_rotate_end",
        )
    },
    "DELETE api_group_member, another": Variant(
        "DELETE api_group_member", Line(MANAGERS, parameters=mia)
    ),
    "GET api_organization_usage, by member": Variant(
        "GET api_organization_usage", Line(ADMINS, query="by=member")
    ),
    "GET api_group_usage, by member": Variant(
        "GET api_group_usage", Line(MANAGERS, query="by=member")
    ),
}
