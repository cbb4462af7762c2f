"""Furnishes a database for tests of the management API against a running site: `python -m tests.flows.api_site`.

Prints one JSON object: everybody's keys, an object for each parameter of an address, of Alice's and of Charlie's, and
what nobody of Charlie's organization may ever read.
"""

import json
import sys
from typing import Any

import django


def furnish() -> dict[str, Any]:
    """Makes the scene of the access tests, and for Charlie a group with a key that has called something."""
    from django.core.management import call_command

    from accounts.key_services import issue_key
    from billing.models import Transfer
    from gateway.models import CallRecord, Delivery, Model, Task
    from tests.access.api_objects import make_api_scene
    from tests.gateway.call_rows import record
    from tests.gateway.task_rows import add_task

    if not Model.objects.exists():
        call_command("load_price_book", verbosity=0)
    made = make_api_scene()
    people = made.scene.people
    key = issue_key(people.foreign_group, people.charlie, "Charlie's caller")[0]
    own = {
        "organization_id": people.foreign_organization.pk,
        "group_id": people.foreign_group.pk,
        "key_id": key.pk,
        "call_id": record(key).public_id,
        "task_id": add_task(key).public_id,
        "user_id": people.charlie.pk,
    }
    organization = people.organization
    rows: list[Any] = [organization, made.webhook, made.webhook_delivery, made.scene.waiting]
    rows += organization.groups.all()
    rows += [one for group in organization.groups.all() for one in group.api_keys.all()]
    for found in (CallRecord, Task):
        rows += found.objects.filter(organization=organization)
    rows += Delivery.objects.filter(group__organization=organization)
    rows += Transfer.objects.filter(credit_account__organization=organization)
    secrets = {text for row in rows for text in (str(row.pk), row.pk.hex)}
    members = [one.user for one in organization.memberships.select_related("user")]
    secrets |= {text for user in members for text in (user.email, user.name)}
    secrets |= {organization.name, made.scene.waiting.email, made.webhook.url, "Bob's key"}
    return {
        "keys": made.keys,
        "alice": _texts(made.parameters() | {"delivery_id": made.scene.delivery.pk}),
        "charlie": _texts(own),
        "secrets": sorted(secrets),
    }


def _texts(values: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


if __name__ == "__main__":
    django.setup()
    json.dump(furnish(), sys.stdout)
