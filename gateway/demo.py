"""The demonstration that `make run` starts with: people, an organization with credits, a key, and channels that lead
to the simulator or, where the environment names a real credential, to the vendor."""

import json
import os
import secrets
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.db import transaction

from accounts import key_services, keys, services
from accounts.models import APIKey, Group, Membership, Organization, User
from billing import ledger
from billing.money import parse_usd
from gateway.models import Provider
from gateway.providers import DIALECTS
from gateway.providers.base import Dialect
from gateway.provisioning import disable_channel, put_channel

ORGANIZATION = "Northwind"
GROUPS = {"Product": "60.00", "Research": "25.00"}
DEPOSIT = "250.00"
PEOPLE = {
    "operator": "operator@example.com",
    "admin": "admin@example.com",
    "member": "member@example.com",
}
SIMULATED, LIVE = "simulator", "live"


class Simulator(NamedTuple):
    """Where the simulator listens (ending in /v1), and the key it takes."""

    base_url: str
    key: str


@transaction.atomic
def seed(simulator: Simulator, base_url: str, known: dict[str, Any]) -> dict[str, str]:
    """Make what is missing and answer what a newcomer needs (the fields of demo.json).

    `known` is what an earlier run answered: its key and passwords are kept while they still work.
    """
    answer = {"base_url": base_url}
    people = {}
    for role, email in PEOPLE.items():
        people[role], password = _person(role, email, known)
        answer[f"{role}_email"], answer[f"{role}_password"] = email, password
    organization = _organization(people)
    group = organization.groups.get(name=next(iter(GROUPS)))
    answer["api_key"] = _key(group, people["admin"], known)
    for vendor in DIALECTS.values():
        _channel(Provider.objects.get(slug=vendor.slug), vendor, simulator)
    return answer


def write(path: Path, answer: dict[str, str]) -> None:
    """Write the answer for its owner's eyes alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(answer, file, indent=2)
        file.write("\n")
    draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """What an earlier run wrote; empty where there is none."""
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _person(role: str, email: str, known: dict[str, Any]) -> tuple[User, str]:
    password = known.get(f"{role}_password")
    user = User.objects.filter(email=email).first()
    if user is not None and isinstance(password, str) and user.check_password(password):
        return user, password
    password = secrets.token_urlsafe(12)
    if user is None:
        operator = role == "operator"
        user = User.objects.create_user(
            email, password, name=role.title(), is_staff=operator, is_superuser=operator
        )
    else:
        user.set_password(password)
        user.save(update_fields=["password"])
    return user, password


def _organization(people: dict[str, User]) -> Organization:
    admin = people["admin"]
    organization = Organization.objects.filter(name=ORGANIZATION, memberships__user=admin).first()
    if organization is None:
        organization = services.create_organization(admin, ORGANIZATION)
    operation = uuid5(NAMESPACE_URL, f"tollgate:demo:{organization.pk}")
    ledger.deposit(
        organization,
        parse_usd(DEPOSIT),
        operation_id=operation,
        actor=people["operator"],
        reason="Demonstration",
    )
    for name, amount in GROUPS.items():
        group = Group.objects.filter(organization=organization, name=name).first()
        if group is None:
            group = services.create_group(organization, name, admin)
        operation = uuid5(NAMESPACE_URL, f"tollgate:demo:{group.pk}")
        ledger.grant(group, parse_usd(amount), operation_id=operation, actor=admin)
        services.add_member(group, people["member"])
    Membership.objects.get_or_create(organization=organization, user=people["member"])
    return organization


def _key(group: Group, owner: User, known: dict[str, Any]) -> str:
    text = known.get("api_key")
    public_id = keys.public_id_of(text) if isinstance(text, str) else None
    row = (
        APIKey.objects.usable().filter(public_id=public_id, group=group).first()
        if public_id
        else None
    )
    if row is not None and keys.matches(str(text), settings.KEY_PEPPER, bytes(row.digest)):
        return str(text)
    return key_services.issue_key(group, owner, "Demo key")[1]


def _channel(provider: Provider, vendor: Dialect, simulator: Simulator) -> None:
    """One enabled channel: the vendor's where the environment holds a credential for it, else the simulator's."""
    variable = vendor.slug.upper().replace("-", "_")
    credential = os.environ.get(f"{variable}_API_KEY", "")
    if credential:
        base_url = os.environ.get(f"{variable}_BASE_URL") or vendor.base_url
        put_channel(provider, LIVE, base_url, credential)
        disable_channel(provider, SIMULATED)
    else:
        # The simulator has every vendor's paths side by side.
        base_url = simulator.base_url.removesuffix("/v1") + urlsplit(vendor.base_url).path
        put_channel(provider, SIMULATED, base_url, simulator.key)
        disable_channel(provider, LIVE)
