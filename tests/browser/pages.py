"""Every page of the site with an address of the scenery, by who looks at it. A new page is added here.

What a page is, tests/access/expectations.py knows: an address that answers somebody's GET with 200, unless it stands in
`NOT_PAGES`.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from django.urls import resolve

from tests.access.expectations import PAGES
from tests.browser.conftest import Site

ADMIN, OPERATOR = "alice@example.com", "olga@example.com"
SCRIPT = "<script>alert(1)</script>"
# Files, and answers for scripts; "home" is the address of "public_home".
NOT_PAGES = frozenset({
    "home", "export_calls", "transfers_csv", "group_statement_csv", "organization_statement_csv", "playground_markdown",
    "playground_key", "status_json", "robots", "sitemap", "public_home_md", "pricing_md", "models_md", "model_page_md",
    "status_md", "guides_md", "guide_md", "llms", "api_schema", "api_schema_as",
})  # fmt: skip


class Stop(NamedTuple):
    """A page as `viewer` sees it, an e-mail address or "" for somebody who is not signed in."""

    name: str
    url: str
    viewer: str
    status: int = 200


def stops(site: Site) -> Iterator[Stop]:
    """All of them, by viewer."""
    viewers = (("", doors), ("", public_pages), (ADMIN, admin_pages), (OPERATOR, operator_pages))
    for viewer, found in viewers:
        for name, url in found(site).items():
            yield Stop(name, url, viewer, GONE.get(name, 200))


def unlisted(site: Site) -> list[str]:
    """Names of pages of ours of which no address is in the list."""
    listed = {resolve(urlsplit(stop.url).path).url_name for stop in stops(site)}
    known = {name.partition("(")[0] for name, page in PAGES.items() if 200 in page.get}
    return sorted(known - listed - NOT_PAGES)


# Links that were used or made up have a page of their own.
GONE: Mapping[str, int] = {
    "an unknown model": 404,
    "an unknown guide": 404,
    "a broken link to stop mail": 404,
    "a used invitation": 404,
}


def public_pages(site: Site) -> dict[str, str]:
    """What everybody may read, in English, and the longest of it in the other languages."""
    root = site.root
    found = {
        "home": f"{root}/",
        "prices": f"{root}/pricing",
        "prices of what is not there": f"{root}/pricing?q=nothing",
        "models": f"{root}/models",
        "a model of tokens": f"{root}/models/openai/gpt-5.5",
        "a model of pictures": f"{root}/models/openai/gpt-image-2",
        "an unknown model": f"{root}/models/openai/gpt5",
        "status": f"{root}/status",
        "status of 90 days": f"{root}/status?range=90d",
        "guides": f"{root}/guides",
        "a guide of text": f"{root}/guides/hermes-gpt",
        "a guide of pictures": f"{root}/guides/curl-gpt-image",
        "a client’s guides": f"{root}/guides/openclaw",
        "an unknown guide": f"{root}/guides/hermes-nothing",
    }
    for language in ("ko", "zh-hans", "zh-hant"):
        for page in (
            "",
            "pricing",
            "models/anthropic/claude-sonnet-4-6",
            "status",
            "guides/codex-claude",
        ):
            found[f"/{page} in {language}"] = f"{root}/{language}/{page}"
    return found


def doors(site: Site) -> dict[str, str]:
    """What somebody may open who is not signed in."""
    root = f"{site.root}/accounts"
    return {
        "sign in": f"{root}/login/",
        "sign up": f"{root}/signup/",
        "forgotten password": f"{root}/password/reset/",
        "reset link is sent": f"{root}/password/reset/done/",
        "a used reset link": f"{root}/password/reset/key/1-nonsense/",
        "a used confirmation link": f"{root}/confirm-email/nonsense/",
        "inactive": f"{root}/inactive/",
        "a used invitation": f"{site.root}/invitations/{'A' * 43}/",
        "a broken link to stop mail": f"{site.root}/mail/stop/nonsense/",
        "the management API": f"{site.root}/api/docs/",
    }


def admin_pages(site: Site) -> dict[str, str]:
    """Pages of one's own, of an organization, and of a group."""
    return {
        **own_pages(site),
        **organization_pages(site),
        **group_pages(site),
        **key_pages(site),
        **call_pages(site),
        **task_pages(site),
        **bare_pages(site),
    }


def own_pages(site: Site) -> dict[str, str]:
    root, account = site.root, f"{site.root}/accounts"
    return {
        "own organizations": f"{root}/organizations/",
        "onboarding": f"{root}/start/",
        "profile": f"{account}/profile/",
        "sessions": f"{account}/sessions/",
        "password": f"{account}/password/change/",
        "addresses": f"{account}/email/",
        "second factors": f"{account}/2fa/",
        "an authenticator app": f"{account}/2fa/totp/activate/",
        "a passkey": f"{account}/2fa/webauthn/add/",
        "signing out": f"{account}/logout/",
        "chat": f"{root}/playground/",
    }


def organization_pages(site: Site) -> dict[str, str]:
    organization, bob = site.organization_url, person(site, "bob@example.com")
    research = f"{organization}groups/{site.id_of('accounts_group', 'Research')}"
    return {
        "organization": organization,
        "usage of an organization": f"{organization}usage/",
        "balance of the pool": f"{organization}balance/",
        "members of an organization": f"{organization}members/",
        "inviting": f"{organization}members/?invite=1",
        "removing a member": f"{organization}members/{bob}/remove/",
        "statements of an organization": f"{organization}statements/",
        "a statement of an organization": f"{organization}statements/{month(site)}/",
        "changes of an organization": f"{organization}audit/",
        "payments": f"{organization}payments/",
        "a payment": f"{organization}payments/{newest(site, 'billing_order')}/",
        "settings of an organization": f"{organization}settings/",
        "deleting an organization": f"{organization}settings/delete/",
        "leaving an organization": f"{organization}leave/",
        "grant": f"{research}/grant/",
        "reclaim": f"{research}/reclaim/",
        "a new group": f"{organization}groups/new/",
        "credits of a new group": f"{research}/new/credits/",
        "members of a new group": f"{research}/new/members/",
    }


def group_pages(site: Site) -> dict[str, str]:
    group, bob = site.group_url, person(site, "bob@example.com")
    webhook, message = one_webhook(site, "e.is_enabled")
    stopped, stopped_message = one_webhook(site, "NOT e.is_enabled")
    return {
        "limits of the group": f"{group}limits/",
        "usage": f"{group}usage/",
        "usage of a quarter by key": f"{group}usage/?range=90d&by=key",
        "credits": f"{group}credits/",
        "credits by day": f"{group}credits/?view=days",
        "redeeming": f"{group}credits/redeem/",
        "alerts": f"{group}alerts/",
        "webhooks": f"{group}webhooks/",
        "a new webhook": f"{group}webhooks/new/",
        "a webhook": webhook,
        "a webhook that is edited": f"{webhook}edit/",
        "a message of a webhook": message,
        "a webhook that was switched off": stopped,
        "a message to a long address": stopped_message,
        "statements": f"{group}statements/",
        "a statement": f"{group}statements/{month(site)}/",
        "members of a group": f"{group}members/",
        "adding people": f"{group}members/?add=1",
        "removing from a group": f"{group}members/{bob}/remove/",
        "settings of a group": f"{group}settings/",
        "deleting a group": f"{group}settings/delete/",
    }


def key_pages(site: Site) -> dict[str, str]:
    group = site.group_url
    ci, workshop = (
        f"{group}keys/{site.id_of('accounts_apikey', one)}" for one in ("ci", "workshop")
    )
    return {
        "keys": f"{group}keys/",
        "all keys": f"{group}keys/?state=all",
        "a new key": f"{group}keys/new/",
        "a key": f"{ci}/",
        "a key that ends": f"{workshop}/",
        "a key that is edited": f"{ci}/edit/",
        "a key that is rotated": f"{ci}/rotate/",
        "callbacks": f"{ci}/callbacks/",
    }


def call_pages(site: Site) -> dict[str, str]:
    calls = f"{site.group_url}calls/"
    return {
        "calls": calls,
        "calls with filters": f"{calls}?source=api&period=custom&since=2020-01-01T00:00",
        "calls that do not match": f"{calls}?model=none",
        "filters in error": f"{calls}?status=none",
        "calls of tasks": f"{calls}?source=task",
        "a charged call": one_call(site, "cached_input_tokens > 0 AND amount_nanos > 0"),
        "a failed call": one_call(site, "status = 'upstream_failed'"),
        "a call in part written off": one_call(site, "written_off_nanos > 0"),
        "the call of a task": one_call(site, "source = 'task' AND amount_nanos > 0"),
        "the call of a task that failed": one_call(site, "source = 'task' AND status = 'refused'"),
    }


def task_pages(site: Site) -> dict[str, str]:
    tasks = f"{site.group_url}tasks/"
    expired = "EXISTS (SELECT 1 FROM gateway_picture p WHERE p.task_id = t.id AND p.deleted_at IS NOT NULL)"
    return {
        "tasks": tasks,
        "tasks that do not match": f"{tasks}?status=failed&model=none",
        "task filters in error": f"{tasks}?status=none",
        "a task with pictures": one_task(site, "count = 4 AND status = 'completed'"),
        "a task with sources": one_task(site, "action = 'edit_image' AND status = 'completed'"),
        "a task that waits": one_task(site, "status = 'pending'"),
        "a task under way": one_task(site, "status = 'processing' AND progress > 0"),
        "a task that failed": one_task(site, "error_code = 'content_refused'"),
        "a task that was cancelled": one_task(site, "error_code = 'cancelled'"),
        "a task with a hostile prompt": one_task(site, "request->>'prompt' LIKE '%%<script>%%'"),
        "a task whose pictures expired": one_task(site, expired),
    }


def bare_pages(site: Site) -> dict[str, str]:
    """Of a group in which nothing has happened, and of one with a hostile name."""
    empty = f"{site.root}/groups/{site.id_of('accounts_group', 'Empty group')}"
    found = {
        f"no {tab}": f"{empty}/{tab}/" for tab in ("keys", "usage", "calls", "tasks", "credits")
    }
    hostile = f"{site.root}/groups/{site.id_of('accounts_group', SCRIPT)}"
    return found | {"hostile names": f"{hostile}/keys/"}


def operator_pages(site: Site) -> dict[str, str]:
    operator, organization = f"{site.root}/operator", site.organization_url
    research = f"{organization}groups/{site.id_of('accounts_group', 'Research')}"
    bob = person(site, "bob@example.com")
    return {
        "overview": f"{operator}/",
        "overview of a quarter by model": f"{operator}/?period=90d&by=model",
        "organizations": f"{site.root}/organization/",
        "channels": f"{operator}/channels/",
        "a channel": f"{operator}/channels/{newest(site, 'gateway_channel')}/",
        "a new channel": f"{operator}/channels/new/",
        "a new provider": f"{operator}/providers/new/",
        "prices": f"{operator}/prices/",
        "a model": f"{operator}/models/openai/gpt-5.5/",
        "a new price": f"{operator}/models/openai/gpt-image-2/price/",
        "import of prices": f"{operator}/prices/import/",
        "failing calls": f"{operator}/failures/?span=7d",
        "codes": f"{operator}/codes/",
        "a batch of codes": f"{operator}/codes/{newest(site, 'billing_codebatch')}/",
        "audit trail": f"{operator}/audit/",
        "people": f"{operator}/people/",
        "a person": f"{operator}/people/{bob}/",
        "refund": f"{operator}/refunds/{capture(site)}/",
        "deposit": f"{organization}deposit/",
        "adjusting the pool": f"{organization}adjust/",
        "adjusting a wallet": f"{research}/adjust/",
        "promotional credits": f"{research}/promote/",
        "an organization of others": organization,
        "a call with its attempts": one_call(site, "status = 'upstream_failed'"),
        "a task with its attempts": one_task(site, "count = 4 AND status = 'completed'"),
    }


def one_call(site: Site, condition: str) -> str:
    call = site.database.one(
        "SELECT r.id FROM gateway_callrecord r JOIN accounts_group g ON g.id = r.group_id"
        f" WHERE g.name = 'Research' AND {condition} ORDER BY r.id LIMIT 1"
    )
    return f"{site.group_url}calls/call_{call.hex}/"


def one_webhook(site: Site, condition: str) -> tuple[str, str]:
    """The page of a webhook, and of a message that did not arrive there."""
    row = site.database.query(
        "SELECT d.id, d.endpoint_id FROM gateway_delivery d JOIN gateway_webhookendpoint e ON e.id = d.endpoint_id"
        f" WHERE d.state = 'failed' AND {condition} LIMIT 1"
    )[0]
    webhook = f"{site.group_url}webhooks/{row['endpoint_id']}/"
    return webhook, f"{webhook}deliveries/{row['id']}/"


def one_task(site: Site, condition: str) -> str:
    task = site.database.one(
        "SELECT t.id FROM gateway_task t JOIN accounts_group g ON g.id = t.group_id"
        f" WHERE g.name = 'Research' AND {condition} ORDER BY t.id LIMIT 1"
    )
    return f"{site.group_url}tasks/tsk_{task.hex}/"


def month(site: Site) -> str:
    return str(site.database.one("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM')"))


def person(site: Site, email: str) -> int:
    return int(site.database.one("SELECT id FROM accounts_user WHERE email = %s", email))


def capture(site: Site) -> str:
    """A charge that was not refunded yet."""
    return str(
        site.database.one(
            "SELECT t.id FROM billing_transfer t JOIN billing_account a ON a.id = t.debit_account_id"
            " JOIN accounts_group g ON g.id = a.group_id WHERE t.kind = 'capture' AND g.name = 'Research'"
            " ORDER BY t.amount_nanos LIMIT 1"
        )
    )


def newest(site: Site, table: str) -> str:
    return str(site.database.one(f"SELECT id FROM {table} ORDER BY created_at DESC LIMIT 1"))
