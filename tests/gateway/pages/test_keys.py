"""The page of a group's keys."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import APIKey
from accounts.services import issue_key
from tests.gateway.call_rows import record
from tests.people import People

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"


def test_a_key_is_shown_once_with_what_to_do_with_it(client: Client, people: People) -> None:
    client.force_login(people.bob)
    url = reverse("group_keys", args=[people.group.pk])
    html = client.post(url, {"name": "laptop"}).content.decode()
    [secret] = set(re.findall(r"tollgate-v1-[a-z0-9]{12}-[A-Za-z0-9]{43}", html))
    assert html.count(secret) == 4, "alone, and in three snippets"
    assert "http://testserver/v1/chat/completions" in html
    assert (
        "export OPENAI_BASE_URL=&quot;http://testserver/v1&quot;" in html
        or 'OPENAI_BASE_URL="http://testserver/v1"' in html
    )
    made = APIKey.objects.get()
    assert (made.created_by, made.group, made.name) == (people.bob, people.group, "laptop")
    again = client.get(url).content.decode()
    assert made.public_id in again
    assert secret not in again
    assert secret.rsplit("-", 1)[1] not in again


def test_a_key_without_a_name_is_not_issued(client: Client, people: People) -> None:
    client.force_login(people.bob)
    response = client.post(reverse("group_keys", args=[people.group.pk]), {"name": " "})
    assert response.status_code == 422
    assert "data-open" in response.content.decode(), "the dialog opens again, with the reason"
    assert not APIKey.objects.exists()


def test_an_outsider_issues_nothing(client: Client, people: People) -> None:
    client.force_login(people.charlie)
    assert (
        client.post(reverse("group_keys", args=[people.group.pk]), {"name": "x"}).status_code == 404
    )
    assert not APIKey.objects.exists()


@pytest.mark.parametrize(
    ("who", "allowed"), [("alice", True), ("olga", True), ("bob", False), ("charlie", False)]
)
def test_alices_key_is_changed_by_whom_it_may_be(
    client: Client, people: People, key: APIKey, who: str, allowed: bool
) -> None:
    client.force_login(getattr(people, who))
    args = [people.group.pk, key.pk]
    status = 302 if allowed else 404
    assert client.post(reverse("rename_key", args=args), {"name": "new"}).status_code == status
    assert client.post(reverse("revoke_key", args=args)).status_code == status
    key.refresh_from_db()
    assert (key.name == "new") is allowed
    assert (key.state == "revoked") is allowed


def test_a_member_changes_his_own_key_and_is_offered_no_other(
    client: Client, people: People, key: APIKey
) -> None:
    own = issue_key(people.group, people.bob, "laptop")[0]
    client.force_login(people.bob)
    html = client.get(reverse("group_keys", args=[people.group.pk])).content.decode()
    assert f"/keys/{own.pk}/revoke/" in html
    assert f"/keys/{key.pk}/revoke/" not in html
    assert client.post(reverse("revoke_key", args=[people.group.pk, own.pk])).status_code == 302


def test_a_key_is_not_reached_through_another_group(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.charlie)
    args = [people.foreign_group.pk, key.pk]
    assert client.post(reverse("revoke_key", args=args)).status_code == 404
    key.refresh_from_db()
    assert key.state == "active"


def test_renaming_inline_answers_the_row(client: Client, people: People, key: APIKey) -> None:
    client.force_login(people.alice)
    url = reverse("rename_key", args=[people.group.pk, key.pk])
    html = client.post(url, {"name": HOSTILE}, headers=HTMX).content.decode()
    assert html.strip().startswith(f'<tr id="key-{key.pk}"')
    assert "&lt;script&gt;" in html
    assert HOSTILE not in html
    response = client.post(url, {"name": ""}, headers=HTMX)
    assert response.status_code == 422
    assert "This field is required." in response.content.decode()


def test_a_link_with_rename_opens_that_row_for_editing(
    client: Client, people: People, key: APIKey
) -> None:
    url = reverse("group_keys", args=[people.group.pk])
    for user, fields in ((people.alice, 1), (people.bob, 0)):
        client.force_login(user)
        html = client.get(url, {"rename": str(key.pk)}).content.decode()
        assert html.count('class="rename"') == fields


def test_keys_tell_their_month(client: Client, people: People, key: APIKey) -> None:
    record(key, amount_nanos=1_520_000)
    client.force_login(people.bob)
    html = client.get(reverse("group_keys", args=[people.group.pk])).content.decode()
    assert 'title="Show them">1</a>' in html
    assert '$0.<span class="money-fraction">00152</span>' in html


# Usage
