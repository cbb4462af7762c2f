"""The pages of a world's gateway as its tenants see them when they are signed in."""

import time
from datetime import timedelta
from uuid import uuid4

import httpx
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from accounts.models import User
from accounts.reauthentication import SIGNED_IN_AT
from tests.world import GatewayProcess, Tenant, World

PAGES = ("", "tasks/", "tasks/{task}/", "calls/", "calls/{call}/", "calls/?source=task", "usage/")


def visit_pages(
    gateway: GatewayProcess, world: World, tenant: Tenant, task_id: str
) -> dict[str, bytes]:
    """The pages on which tasks and calls stand, by their path: those of the tenant's group, and those of the group that
    owns the task."""
    owner_id = world.database.one(
        "SELECT group_id FROM gateway_task WHERE id = %s", task_id.removeprefix("tsk_")
    )
    call_id = f"call_{task_id.removeprefix('tsk_')}"
    with httpx.Client(base_url=gateway.root, trust_env=False, timeout=30) as browser:
        browser.cookies.set(settings.SESSION_COOKIE_NAME, sign_in(world, tenant))
        assert browser.get(f"/groups/{tenant.group_id}/tasks/").status_code == 200
        paths = [
            f"/groups/{group_id}/{page}".format(task=task_id, call=call_id)
            for group_id in {owner_id, tenant.group_id}
            for page in PAGES
        ]
        return {path: browser.get(path).content for path in paths}


def sign_in(world: World, tenant: Tenant) -> str:
    """The cookie of a session of the tenant's person, who is a member of his group."""
    database = world.database
    (row,) = database.query(
        "SELECT u.* FROM accounts_user u JOIN accounts_apikey k ON k.created_by_id = u.id WHERE k.id = %s",
        tenant.key_id,
    )
    for table, column, place in (
        ("accounts_membership", "organization_id", tenant.organization_id),
        ("accounts_groupmembership", "group_id", tenant.group_id),
    ):
        database.query(
            f"INSERT INTO {table} ({column}, user_id, role, joined_at) VALUES (%s, %s, 'member', now())"
            " ON CONFLICT DO NOTHING",
            place,
            row["id"],
        )
    person = User(pk=row["id"], password=row["password"])
    key = uuid4().hex
    session = {
        "_auth_user_id": str(row["id"]),
        "_auth_user_backend": settings.AUTHENTICATION_BACKENDS[0],
        "_auth_user_hash": person.get_session_auth_hash(),
        SIGNED_IN_AT: time.time(),
    }
    database.query(
        "INSERT INTO django_session (session_key, session_data, expire_date) VALUES (%s, %s, %s)",
        key,
        SessionStore().encode(session),
        timezone.now() + timedelta(hours=1),
    )
    return key
