"""The list of a group's keys."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import key_services
from accounts.key_services import issue_key, playground_key
from accounts.models import APIKey, Change
from billing.limits import set_limits
from tests.gateway.call_rows import record
from tests.people import People

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"


def listed(client: Client, people: People, **query: str) -> list[str]:
    """Names of the keys on the page, in its order."""
    html = client.get(reverse("group_keys", args=[people.group.pk]), query).content.decode()
    return re.findall(r'<div class="clip" title="([^"]*)"><a href="[^"]*/keys/', html)


@pytest.mark.parametrize(
    ("who", "allowed"), [("alice", True), ("olga", True), ("bob", False), ("charlie", False)]
)
def test_alices_key_is_changed_by_whom_it_may_be(
    client: Client, people: People, key: APIKey, who: str, allowed: bool
) -> None:
    client.force_login(getattr(people, who))
    args = [people.group.pk, key.pk]
    key_services.rotate_key(key, None, timedelta(hours=1))
    status = 302 if allowed else 404
    assert client.post(reverse("end_rotation", args=args)).status_code == status
    assert client.post(reverse("rename_key", args=args), {"name": "new"}).status_code == status
    assert client.post(reverse("revoke_key", args=args)).status_code == status
    key.refresh_from_db()
    assert (key.name == "new") is allowed
    assert (key.state == "revoked") is allowed
    assert (key.previous_public_id is None) is allowed
    assert Change.objects.filter(verb="key.revoked", actor=getattr(people, who)).exists() is allowed


def test_a_member_changes_his_own_key_and_is_offered_no_other(
    client: Client, people: People, key: APIKey
) -> None:
    own = issue_key(people.group, people.bob, "laptop")[0]
    client.force_login(people.bob)
    html = client.get(reverse("group_keys", args=[people.group.pk])).content.decode()
    assert f"/keys/{own.pk}/revoke/" in html
    assert own.public_id in html
    assert f"/keys/{key.pk}/revoke/" not in html
    assert key.name in html
    assert key.public_id not in html, "of others' keys, names and figures alone"
    assert client.post(reverse("revoke_key", args=[people.group.pk, own.pk])).status_code == 302


def test_a_key_is_not_reached_through_another_group(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.charlie)
    args = [people.foreign_group.pk, key.pk]
    for name in ("revoke_key", "end_rotation", "rename_key"):
        assert client.post(reverse(name, args=args), {"name": "x"}).status_code == 404
    key.refresh_from_db()
    assert (key.state, key.name) == ("active", "ci")


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


def test_a_months_budget_is_shown_with_what_is_used_of_it(
    client: Client, people: People, key: APIKey
) -> None:
    limit = set_limits(key, month_nanos=4_000_000_000)
    assert limit is not None
    month = timezone.now().date().replace(day=1)
    type(limit).objects.update(month=month, month_spent_nanos=3_400_000_000)
    client.force_login(people.alice)
    html = client.get(reverse("group_keys", args=[people.group.pk])).content.decode()
    assert "85% of $4.00" in html
    assert '<rect class="bar-fill" width="85"' in html
    assert "mini-meter is-warn" in html


def test_keys_that_are_over_are_listed_when_all_are_asked_for(
    client: Client, people: People, key: APIKey
) -> None:
    issue_key(people.group, people.bob, "expired", expires_at=timezone.now())
    key_services.revoke_key(issue_key(people.group, people.bob, "revoked")[0], None)
    client.force_login(people.alice)
    assert listed(client, people) == ["ci"]
    assert listed(client, people, state="all") == ["revoked", "expired", "ci"]


def test_keys_of_the_playground_are_not_listed(client: Client, people: People, key: APIKey) -> None:
    playground_key(people.group, people.alice)
    client.force_login(people.alice)
    assert listed(client, people, state="all") == ["ci"]


def test_ones_own_keys_and_a_part_of_a_name_narrow_the_list(
    client: Client, people: People, key: APIKey
) -> None:
    for number in range(10):
        issue_key(people.group, people.bob, f"bot {number}")
    client.force_login(people.alice)
    assert listed(client, people, owner="me") == ["ci"]
    assert listed(client, people, name="OT 7") == ["bot 7"]
    assert listed(client, people, owner="me", name="bot") == []


def test_a_search_is_offered_above_ten_keys(client: Client, people: People, key: APIKey) -> None:
    client.force_login(people.alice)
    url = reverse("group_keys", args=[people.group.pk])
    for number in range(10):
        assert b"key-search" not in client.get(url).content
        issue_key(people.group, people.bob, f"bot {number}")
    assert b"key-search" in client.get(url).content


def test_a_thousand_keys_are_paged_with_as_many_queries_as_a_few(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.alice)
    url = reverse("group_keys", args=[people.group.pk])
    client.get(url)  # the first visit writes to the session
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    shared: dict[str, Any] = {
        "group": people.group,
        "created_by": people.bob,
        "prefix": "t",
        "digest": b"x",
    }
    APIKey.objects.bulk_create(
        APIKey(name=f"bot {n}", public_id=f"{n:012}", **shared) for n in range(1000)
    )
    with CaptureQueriesContext(connection) as many:
        html = client.get(url).content.decode()
    assert len(many) == len(few)
    seen = re.findall(r'<tr id="key-([0-9a-f-]+)"', html)
    assert len(seen) == 50
    for _ in range(30):
        older = re.search(r'rel="next" href="([^"]+)"', html)
        if older is None:
            break
        html = client.get(url + older.group(1).replace("&amp;", "&")).content.decode()
        seen += re.findall(r'<tr id="key-([0-9a-f-]+)"', html)
    assert len(seen) == len(set(seen)) == 1001


def test_revoking_goes_back_to_where_it_was_asked_for(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.alice)
    page = reverse("key", args=[people.group.pk, key.pk])
    headers = HTMX | {"HX-Current-URL": f"http://testserver{page}"}
    url = reverse("revoke_key", args=[people.group.pk, key.pk])
    assert page in client.post(url, headers=headers)["HX-Location"]
    elsewhere = HTMX | {"HX-Current-URL": "http://testserver/accounts/email/"}
    listed_at = reverse("group_keys", args=[people.group.pk])
    assert f'"{listed_at}"' in client.post(url, headers=elsewhere)["HX-Location"]
