"""Keys for the management API on the pages of keys."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts import key_services
from accounts.models import APIKey
from billing.models import Limit
from tests.people import People

SECRET = re.compile(r"tollgate-v1-[a-z0-9]{12}-[A-Za-z0-9]{43}")


@pytest.fixture
def key(people: People) -> APIKey:
    """Bob's."""
    purpose = APIKey.Purpose.MANAGE
    return key_services.issue_key(people.group, people.bob, "deploy", purpose=purpose)[0]


def fields(**changes: Any) -> dict[str, Any]:
    return {"name": "deploy", "expiry": "never", "operation_id": str(uuid4()), **changes}


def url_of(name: str, people: People, key: APIKey | None = None) -> str:
    return reverse(name, args=[people.group.pk, *([key.pk] if key else [])])


def test_a_management_key_is_issued_and_shown_with_its_first_question(
    client: Client, people: People
) -> None:
    client.force_login(people.bob)
    made = client.post(url_of("new_key", people), fields(purpose="manage")).content.decode()
    [secret] = set(SECRET.findall(made))
    assert made.count(secret) == 2, "alone, and for curl"
    assert "http://testserver/api/v1/organizations" in made
    assert "/v1/chat/completions" not in made
    key = APIKey.objects.get()
    assert (key.purpose, key.name, key.created_by) == ("manage", "deploy", people.bob)
    headers = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/v1/organizations", headers=headers).status_code == 200


def test_what_is_about_calls_is_not_looked_at(
    client: Client, people: People, price_book: None
) -> None:
    client.force_login(people.bob)
    about_calls = {
        "month_nanos": "12", "day_nanos": "lots", "concurrent_calls": "-1", "allowed_models": ["openai/gpt-5.5", "x"],
    }  # fmt: skip
    answer = client.post(
        url_of("new_key", people),
        fields(purpose="manage", allowed_networks="10.1.2.3/8", **about_calls),
    )
    assert answer.status_code == 200
    key = APIKey.objects.get()
    assert (key.allowed_models, key.allowed_networks) == ([], ["10.0.0.0/8"])
    assert not Limit.objects.exists()
    assert client.post(url_of("new_key", people), fields(**about_calls)).status_code == 422


def test_a_key_calls_models_unless_something_else_is_chosen(client: Client, people: People) -> None:
    client.force_login(people.bob)
    assert 'name="purpose"' in client.get(url_of("new_key", people)).content.decode()
    assert client.post(url_of("new_key", people), fields()).status_code == 200
    assert APIKey.objects.get().purpose == "caller"
    for wrong in ("playground", "root"):
        answer = client.post(url_of("new_key", people), fields(purpose=wrong))
        assert answer.status_code == 422


def test_it_is_listed_and_has_a_page_without_calls(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.bob)
    listed = client.get(url_of("group_keys", people)).content.decode()
    assert '<span class="tag">Management</span>' in listed
    page = client.get(url_of("key", people, key)).content.decode()
    for text in ("Management", "Bob Brook", "Arden Labs", "/api/v1/organizations", "from anywhere"):
        assert text in page
    for text in ("Callbacks", "Latest calls", "Spent this month", "/v1/chat/completions"):
        assert text not in page
    edit = client.get(url_of("edit_key", people, key)).content.decode()
    assert "is-management" in edit
    assert 'name="purpose"' not in edit


def test_an_edit_leaves_it_without_limits(client: Client, people: People, key: APIKey) -> None:
    client.force_login(people.bob)
    changed = {"name": "new", "expiry": "30", "month_nanos": "5", "allowed_networks": "::1"}
    assert client.post(url_of("edit_key", people, key), changed).status_code == 302
    key.refresh_from_db()
    assert (key.name, key.purpose, key.allowed_networks) == ("new", "manage", ["::1/128"])
    assert key.expires_at is not None
    assert not Limit.objects.exists()


def test_its_maker_alone_rotates_it(client: Client, people: People, key: APIKey) -> None:
    rotate, here = url_of("rotate_key", people, key), url_of("key", people, key)
    wanted = {"grace": "24h", "seen": key.public_id, "operation_id": str(uuid4())}
    for user in (people.alice, people.olga):
        client.force_login(user)
        assert rotate not in client.get(here).content.decode()
        refused = client.post(rotate, wanted, follow=True).content.decode()
        assert "Nobody else can rotate it." in refused
        assert not SECRET.search(refused)
    key.refresh_from_db()
    assert key.rotated_at is None
    client.force_login(people.bob)
    assert rotate in client.get(here).content.decode()
    turned = client.post(rotate, wanted)
    assert SECRET.search(turned.content.decode())


def test_a_manager_revokes_a_colleagues(client: Client, people: People, key: APIKey) -> None:
    client.force_login(people.alice)
    client.post(url_of("revoke_key", people, key))
    key.refresh_from_db()
    assert key.state == "revoked"


def test_a_colleague_sees_that_it_is_there(client: Client, people: People) -> None:
    purpose = APIKey.Purpose.MANAGE
    key, _ = key_services.issue_key(people.group, people.alice, "hers", purpose=purpose)
    client.force_login(people.bob)
    page = client.get(url_of("key", people, key)).content.decode()
    assert "hers" in page
    assert key.public_id not in page
    assert client.get(url_of("edit_key", people, key)).status_code == 404
    key_services.rotate_key(key, people.alice, timedelta())
