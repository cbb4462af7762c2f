"""Who gets what at every address of ours: the one table that a new page is added to.

A line is keyed by the name of the URL. `get` and `post` give a status for each viewer; `body` is what the POST sends:
something that those who may can really do, so that the others are refused for who they are and not for an empty form.
The objects in the addresses belong to Alice's organization (tests/access/objects.py).
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from django.utils import timezone

from tests.access.objects import Scene

# Parameters that name nothing that belongs to somebody.
NOT_OBJECTS = frozenset({"month", "position", "extension", "provider", "name"})


class Row(NamedTuple):
    """A status for each viewer.

    The outsider administers an organization of his own; the member and the manager belong to the group and are plain
    members of its organization; the admin administers it; the operator runs the installation.
    """

    anonymous: int
    outsider: int
    member: int
    manager: int
    admin: int
    operator: int


VIEWERS = Row._fields


class Page(NamedTuple):
    """What an address answers.

    `parameters` replace those of the scene, `body` is the form that is posted; both may be functions of the scene.
    `why_open` says why a page is open to strangers or shows outsiders more than 404. `changes_nothing` marks a POST
    that leaves no trace in the database.
    """

    get: Row
    post: Row
    body: Any = {}
    parameters: Any = {}
    why_open: str = ""
    changes_nothing: bool = False

    def filled(self, scene: Scene) -> "Page":
        """With `body` and `parameters` made for the scene."""
        made = {
            name: value(scene)
            for name in ("body", "parameters")
            if callable(value := getattr(self, name))
        }
        return self._replace(**made)


# By who is let in. Nobody: the method is refused before anything else.
NOBODY = Row(405, 405, 405, 405, 405, 405)
NOT_FOUND = Row(302, 404, 404, 404, 404, 404)
EVERYBODY = Row(302, 200, 200, 200, 200, 200)
MEMBERS = Row(302, 404, 200, 200, 200, 200)
MANAGERS = Row(302, 404, 404, 200, 200, 200)
ADMINS = Row(302, 404, 404, 404, 200, 200)
OPERATORS = Row(302, 404, 404, 404, 404, 200)


def then(row: Row, status: int) -> Row:
    """Those who are let in get `status` instead of a page."""
    return Row(*(status if one == 200 else one for one in row))


def reads(row: Row, **options: Any) -> Page:
    """A page that only shows something."""
    return Page(row, NOBODY, **options)


def acts(row: Row, status: int = 302, **options: Any) -> Page:
    """An address for a POST alone, which answers `status` to those who may."""
    return Page(NOBODY, then(row, status), **options)


def form(row: Row, status: int = 302, **options: Any) -> Page:
    """A form and what it does; `status` answers its POST to those who may."""
    return Page(row, then(row, status), **options)


def move(**fields: str) -> Callable[[Scene], dict[str, object]]:
    """A move of credits, confirmed."""
    values = {"amount": "1", "reason": "fair", "step": "confirm", **fields}
    return lambda scene: values | {"operation_id": str(uuid4())}


def public(**options: Any) -> Page:
    """A page for everybody, with nothing on it that belongs to somebody."""
    why = "it shows what everybody may know"
    return Page(Row(200, 200, 200, 200, 200, 200), NOBODY, why_open=why, **options)


PAGES: dict[str, Page] = {
    # What everybody may read. The home page is the way to one's own pages for who is signed in.
    "public_home": Page(Row(200, 302, 302, 302, 302, 302), NOBODY, why_open="the home page"),
    "public_home_md": public(),
    "pricing": public(),
    "pricing_md": public(),
    "models": public(),
    "models_md": public(),
    "model_page": public(),
    "model_page_md": public(),
    "status": public(),
    "status_md": public(),
    "status_json": public(),
    "robots": public(),
    "sitemap": public(),
    "guides": public(),
    "guides_md": public(),
    "guide": public(parameters={"slug": "hermes-gpt"}),
    "guide_md": public(parameters={"slug": "hermes-gpt"}),
    "llms": public(),
    "api_docs": public(),
    "api_schema": public(),
    "api_schema_as": public(parameters={"form": "json"}),
    "without_slash": Page(
        Row(301, 301, 301, 301, 301, 301),
        NOBODY,
        parameters={"page": "pricing"},
        why_open="it leads to the public page without the slash",
    ),
    # What everybody has for himself.
    "home": Page(Row(200, 302, 302, 302, 302, 302), NOBODY, why_open="the home page"),
    "onboarding": form(EVERYBODY, body={"organization_name": "New", "group_name": "First"}),
    "profile": form(EVERYBODY, body={"name": "Another"}),
    "memberships": reads(EVERYBODY),
    "choose_language": Page(
        NOBODY,
        Row(302, 302, 302, 302, 302, 302),
        body={"language": "ko"},
        why_open="the sign-in page has the menu of languages too",
    ),
    "usersessions_list": form(EVERYBODY, changes_nothing=True),
    "session_end": Page(NOBODY, Row(302, 404, 302, 404, 404, 404), changes_nothing=True),
    # Invitations: the link is the proof; what is joined by id must be one's own.
    "invitation": Page(
        Row(404, 404, 404, 404, 404, 404),
        Row(404, 404, 404, 404, 404, 404),
        why_open="whoever has the link of the mail may see who invites him",
    ),
    # Mail about a balance is stopped by the link in it.
    "stop_mail": Page(
        Row(404, 404, 404, 404, 404, 404),
        Row(404, 404, 404, 404, 404, 404),
        why_open="the link is signed, and stops nothing but the mail that it came with",
    ),
    "join": acts(NOT_FOUND),
    "decline": acts(NOT_FOUND),
    # Organizations.
    "organizations": reads(Row(302, 302, 404, 404, 302, 200)),
    "organization": reads(ADMINS),
    "organization_usage": reads(ADMINS),
    "organization_changes": reads(ADMINS),
    "organization_members": form(ADMINS, body={"emails": "one@example.com", "role": "member"}),
    "change_member_role": acts(ADMINS, body={"role": "admin"}),
    "remove_member": form(ADMINS),
    "leave_organization": Page(
        Row(302, 404, 200, 200, 200, 404),
        Row(302, 404, 302, 302, 422, 404),
    ),
    "resend_invitation": acts(ADMINS),
    "withdraw_invitation": acts(ADMINS),
    "organization_settings": form(ADMINS, body={"name": "Another"}),
    "delete_organization": form(ADMINS, 422, body={"typed_name": "Wrong"}, changes_nothing=True),
    "organization_statements": reads(ADMINS),
    "organization_statement": reads(ADMINS),
    "organization_statement_csv": reads(ADMINS),
    "organization_payments": Page(ADMINS, NOT_FOUND),
    "payment": reads(ADMINS),
    "pool_balance": reads(ADMINS),
    # Moves of credits.
    "deposit": form(OPERATORS, body=move()),
    "grant": form(ADMINS, body=move()),
    "reclaim": form(ADMINS, body=move()),
    "promote": form(
        OPERATORS, body=move(expires_on=f"{timezone.localdate() + timedelta(days=30)}")
    ),
    "end_promotion": acts(OPERATORS),
    "adjust(organization_id)": form(OPERATORS, body=move(direction="up")),
    "adjust(organization_id, group_id)": form(OPERATORS, body=move(direction="up")),
    "refund": form(OPERATORS, body=move(), parameters=lambda scene: {"call_id": scene.capture.pk}),
    "redeem": form(MANAGERS, 422, body={"code": "wrong"}, changes_nothing=True),
    "operator_codes": form(
        OPERATORS,
        200,
        body=lambda scene: {
            "note": "fair",
            "amount": "1",
            "kind": "wallet",
            "count": "1",
            "uses": "1",
            "valid_until": f"{timezone.localdate() + timedelta(days=30)}",
            "operation_id": str(uuid4()),
        },
    ),
    "code_batch": reads(OPERATORS),
    "disable_code": acts(OPERATORS),
    "disable_code_batch": acts(OPERATORS),
    # Groups.
    "group_new": form(ADMINS, body=lambda scene: {"name": "Third", "group_id": str(uuid4())}),
    "group_new_credits": form(ADMINS, body=move()),
    "group_new_members": form(ADMINS, body={"emails": "one@example.com", "role": "member"}),
    "group_members": Page(
        MEMBERS, then(MANAGERS, 302), body={"emails": "one@example.com", "role": "member"}
    ),
    "change_group_role": acts(MANAGERS, body={"role": "manager"}),
    "remove_group_member": form(MEMBERS),
    "resend_group_invitation": acts(MANAGERS),
    "withdraw_group_invitation": acts(MANAGERS),
    "group_settings": form(MANAGERS, body={"name": "Another"}),
    "delete_group": form(ADMINS, 422, body={"typed_name": "Wrong"}, changes_nothing=True),
    "group_limits": form(MANAGERS, body={"expiry": "never", "day_nanos": "5"}),
    "group_webhooks": reads(MANAGERS),
    "new_webhook": form(
        MANAGERS, 200, body={"url": "https://new.example/hook", "events": ["task.ended"]}
    ),
    "webhook": reads(MANAGERS),
    "edit_webhook": form(
        MANAGERS, body={"url": "https://receiver.example/other", "events": ["task.ended"]}
    ),
    "switch_webhook": acts(MANAGERS, body={"on": "0"}),
    "remove_webhook": acts(MANAGERS),
    "rotate_webhook_secret": acts(MANAGERS, 200),
    "test_webhook": acts(MANAGERS),
    "webhook_delivery": reads(
        MANAGERS, parameters=lambda scene: {"delivery_id": scene.webhook_delivery.pk}
    ),
    "redeliver_webhook": acts(
        MANAGERS, parameters=lambda scene: {"delivery_id": scene.webhook_delivery.pk}
    ),
    "group_alerts": form(MANAGERS, body={"threshold_1": "5"}),
    "stop_alert_mail": acts(MANAGERS),
    "test_alerts": acts(MANAGERS),
    "group": reads(then(MEMBERS, 302)),
    "group_credits": reads(MEMBERS),
    "transfers_csv": reads(MEMBERS),
    "group_usage": reads(MEMBERS),
    "group_statements": reads(MEMBERS),
    "group_statement": reads(MEMBERS),
    "group_statement_csv": reads(MEMBERS),
    # Keys. This one is Bob's; a colleague's stand below.
    "group_keys": reads(MEMBERS),
    "new_key": form(
        MEMBERS,
        200,
        body=lambda scene: {"name": "new", "expiry": "never", "operation_id": str(uuid4())},
    ),
    "key": reads(MEMBERS),
    "edit_key": form(MEMBERS, body={"name": "another", "expiry": "never"}),
    "rotate_key": form(
        MEMBERS,
        200,
        body=lambda scene: {
            "grace": "24h",
            "seen": scene.key.public_id,
            "operation_id": str(uuid4()),
        },
    ),
    "end_rotation": acts(MEMBERS),
    "rename_key": acts(MEMBERS, body={"name": "another"}),
    "revoke_key": acts(MEMBERS),
    "callbacks": reads(MEMBERS),
    "show_callback_secret": acts(MEMBERS, 200),
    "rotate_callback_secret": acts(MEMBERS),
    "test_callback": acts(MEMBERS, 422),
    "redeliver": acts(MEMBERS),
    # Calls, tasks and pictures.
    "group_calls": reads(MEMBERS),
    "export_calls": reads(MEMBERS),
    "call": reads(MEMBERS),
    "group_tasks": reads(MEMBERS),
    "task": reads(MEMBERS),
    "cancel_task": acts(MEMBERS),
    "picture": Page(
        Row(404, 404, 404, 404, 404, 404),
        NOBODY,
        why_open="a link to a picture is signed; without its signature nobody gets anything",
    ),
    # The playground spends the credits of a group that one is a member of.
    "playground": reads(EVERYBODY),
    "playground_key": Page(
        NOBODY,
        Row(302, 404, 200, 200, 200, 404),
        body=lambda scene: {"group": str(scene.people.group.pk)},
    ),
    "playground_markdown": acts(EVERYBODY, 200, body={"text": "*a*"}, changes_nothing=True),
    # The operator's pages.
    "operator": reads(OPERATORS),
    "operator_changes": reads(OPERATORS),
    "operator_failures": reads(OPERATORS),
    "operator_people": reads(OPERATORS),
    "operator_person": reads(OPERATORS),
    "operator_person_deactivate": acts(OPERATORS),
    "operator_person_reactivate": acts(OPERATORS),
    "operator_person_reset": acts(OPERATORS),
    "operator_person_second_factor": acts(
        OPERATORS, body={"reason": "Showed his passport."}, changes_nothing=True
    ),
    "operator_channels": reads(OPERATORS),
    "operator_channel": form(OPERATORS, 422),
    "operator_channel_new": form(OPERATORS, 200),
    "operator_provider_new": form(OPERATORS, 200),
    "operator_channel_cost": acts(OPERATORS, 422),
    "operator_channel_credential": acts(OPERATORS, 422),
    "operator_channel_delete": acts(OPERATORS),
    "operator_channel_map": acts(OPERATORS, 422),
    "operator_channel_switch": acts(OPERATORS),
    "operator_channel_test": acts(OPERATORS, 200),
    "operator_prices": reads(OPERATORS),
    "operator_model": form(OPERATORS, 200),
    "operator_price_new": form(OPERATORS, 422),
    "operator_price_import": form(OPERATORS, 422),
    # Called by the payment provider, which signs; without a secret in the settings there is no such address.
    "stripe_webhook": Page(
        NOBODY,
        Row(404, 404, 404, 404, 404, 404),
        why_open="the payment provider calls it, and proves itself by a signature",
    ),
}


class Variant(NamedTuple):
    """The address `name` again, with other objects."""

    name: str
    page: Page


def of_a_colleague(scene: Scene) -> dict[str, object]:
    """Alice's key in the group, which is no business of Bob's."""
    return {"key_id": scene.colleagues_key.pk}


def mia(scene: Scene) -> dict[str, object]:
    return {"user_id": scene.mia.pk}


VARIANTS: dict[str, Variant] = {
    **{
        f"{name}, of a colleague": Variant(
            name, page._replace(post=page.post._replace(member=404), parameters=of_a_colleague)
        )
        for name, page in PAGES.items()
        if name
        in (
            "end_rotation",
            "rename_key",
            "revoke_key",
            "show_callback_secret",
            "rotate_callback_secret",
            "test_callback",
        )
    },
    **{
        f"{name}, of a colleague": Variant(
            name,
            PAGES[name]._replace(
                get=PAGES[name].get._replace(member=404),
                post=PAGES[name].post._replace(member=404),
                parameters=of_a_colleague,
                body=lambda scene: {
                    "name": "another",
                    "expiry": "never",
                    "grace": "24h",
                    "seen": scene.colleagues_key.public_id,
                    "operation_id": str(uuid4()),
                },
            ),
        )
        for name in ("edit_key", "rotate_key")
    },
    "remove_group_member, another": Variant("remove_group_member", form(MANAGERS, parameters=mia)),
}
