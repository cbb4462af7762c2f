"""The page of a key, and the pages that issue, change and rotate one."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import key_services, keys
from accounts.key_services import issue_key, playground_key
from accounts.models import APIKey, Change, Group
from accounts.views import find_group
from billing.archiving import archive_group
from billing.models import Limit
from gateway.models import Model
from tests.gateway.call_rows import record
from tests.people import People

SECRET = re.compile(r"tollgate-v1-[a-z0-9]{12}-[A-Za-z0-9]{43}")
HOSTILE = "<script>alert(1)</script>"
HTMX = {"HX-Request": "true"}
USD = 1_000_000_000


@pytest.fixture
def people(people: People, price_book: None) -> People:
    return people


def fields(**changes: Any) -> dict[str, Any]:
    return {"name": "laptop", "expiry": "never", "operation_id": str(uuid4()), **changes}


def url_of(name: str, people: People, key: APIKey | None = None) -> str:
    return reverse(name, args=[people.group.pk, *([key.pk] if key else [])])


# Issuing


def test_a_key_is_shown_once_with_what_to_do_with_it(client: Client, people: People) -> None:
    client.force_login(people.bob)
    html = client.post(url_of("new_key", people), fields()).content.decode()
    [secret] = set(SECRET.findall(html))
    assert html.count(secret) == 7, "alone, and for six clients"
    assert "http://testserver/v1/chat/completions" in html
    made = APIKey.objects.get()
    assert (made.created_by, made.group, made.name) == (people.bob, people.group, "laptop")
    assert made.operation_digest is not None
    for again in (url_of("group_keys", people), url_of("key", people, made)):
        shown = client.get(again).content.decode()
        assert made.public_id in shown
        assert secret.rsplit("-", 1)[1] not in shown


def test_a_key_is_issued_with_everything_that_was_chosen(client: Client, people: People) -> None:
    client.force_login(people.bob)
    chosen = fields(
        expiry="30",
        allowed_models=["openai/gpt-5.5", "anthropic/*"],
        allowed_networks="10.1.2.3/8\n\n2001:db8::1",
        month_nanos="$1,250.50",
        day_nanos="50",
        lifetime_nanos="",
        requests_per_minute="1,000",
        concurrent_calls="5",
    )
    assert client.post(url_of("new_key", people), chosen).status_code == 200
    made, limit = APIKey.objects.get(), Limit.objects.get()
    assert made.allowed_models == ["openai/gpt-5.5", "anthropic/*"]
    assert made.allowed_networks == ["10.0.0.0/8", "2001:db8::1/128"]
    assert made.expires_at is not None
    assert made.expires_at > timezone.now() + timedelta(days=29)
    assert (limit.month_nanos, limit.day_nanos) == (1_250_500_000_000, 50 * USD)
    assert (limit.requests_per_minute, limit.concurrent_calls) == (1000, 5)
    assert (limit.lifetime_nanos, limit.tokens_per_minute) == (None, None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": " "}, "This field is required."),
        ({"expiry": "day", "last_day": "2020-01-01"}, "That day is over."),
        ({"allowed_networks": "10.0.0.0/8\nnowhere"}, "Line 2: “nowhere” is no address"),
        ({"allowed_models": ["openai/none"]}, "openai/none is not one of the available choices"),
        ({"requests_per_minute": "0"}, "greater than or equal to 1"),
        ({"tokens_per_minute": "9" * 30}, "less than or equal to"),
        ({"month_nanos": "-5"}, "The amount must be above zero."),
        ({"day_nanos": "five"}, "Write an amount in US dollars"),
    ],
)
def test_what_cannot_be_issues_nothing_and_says_why(
    client: Client, people: People, change: dict[str, Any], told: str
) -> None:
    client.force_login(people.bob)
    response = client.post(url_of("new_key", people), fields(**change))
    assert response.status_code == 422
    html = response.content.decode()
    assert told in html
    is_folded = {"name", "expiry", "month_nanos"} & change.keys()
    assert ('<details class="more" open>' in html) is not bool(is_folded)
    assert not APIKey.objects.exists()


def test_a_form_that_is_sent_twice_shows_one_key_twice(client: Client, people: People) -> None:
    client.force_login(people.bob)
    sent = fields()
    answers = [client.post(url_of("new_key", people), sent).content.decode() for _ in "ab"]
    assert len({text for html in answers for text in SECRET.findall(html)}) == 1
    made = APIKey.objects.get()
    APIKey.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    late = client.post(url_of("new_key", people), sent, follow=True)
    assert late.redirect_chain == [(url_of("key", people, made), 302)]
    assert "has issued “laptop” already" in late.content.decode()
    assert not SECRET.search(late.content.decode())


def test_a_group_that_is_deleted_in_that_very_instant_takes_no_key(
    client: Client, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_and_lose(request: Any, group_id: Any) -> Group:
        found = find_group(request, group_id)
        archive_group(Group.objects.get(pk=group_id), actor=people.alice)
        return found

    monkeypatch.setattr("gateway.pages.key.find_group", find_and_lose)
    client.force_login(people.bob)
    answer = client.post(url_of("new_key", people), fields())
    assert answer.status_code == 422
    assert "The group was deleted meanwhile" in answer.content.decode()
    assert not APIKey.objects.exists()


def test_a_group_that_was_deleted_has_no_key_for_the_playground(people: People) -> None:
    group = Group.objects.get(pk=people.group.pk)
    archive_group(people.group, actor=people.alice)
    with pytest.raises(PermissionDenied):
        playground_key(group, people.bob)


@pytest.mark.parametrize("name", ["new_key", "edit_key", "rotate_key", "key"])
def test_an_outsider_finds_none_of_the_pages(
    client: Client, people: People, key: APIKey, name: str
) -> None:
    client.force_login(people.charlie)
    url = url_of(name, people, None if name == "new_key" else key)
    assert client.get(url).status_code == 404
    assert client.post(url, fields()).status_code in (404, 405)
    assert APIKey.objects.get() == key


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("olga", 200), ("bob", 404)])
def test_a_colleagues_key_is_neither_edited_nor_rotated(
    client: Client, people: People, key: APIKey, who: str, status: int
) -> None:
    client.force_login(getattr(people, who))
    for name in ("edit_key", "rotate_key"):
        assert client.get(url_of(name, people, key)).status_code == status


# The page


def test_the_owner_sees_everything_and_a_colleague_name_and_figures(
    client: Client, people: People, key: APIKey
) -> None:
    record(key, amount_nanos=1_520_000)
    key_services.restrict_key(key, None, allowed_networks=["10.0.0.0/8"])
    for user, sees in ((people.alice, True), (people.bob, False)):
        client.force_login(user)
        html = client.get(url_of("key", people, key)).content.decode()
        assert "$0.00152" in html
        assert key.name in html
        for part in (key.public_id, "10.0.0.0/8", "$TOLLGATE_API_KEY", "/edit/", "/callbacks/"):
            assert (part in html) is sees, part


def test_the_page_shows_how_much_of_each_limit_is_used(
    client: Client, people: People, key: APIKey
) -> None:
    now = timezone.now()
    Limit.objects.create(
        api_key=key, day_nanos=2 * USD, lifetime_nanos=9 * USD, requests_per_minute=60
    )
    Limit.objects.update(
        day=now.date(),
        day_spent_nanos=2 * USD,
        lifetime_spent_nanos=3 * USD,
        window_started_at=now,
        window_requests=7,
    )
    client.force_login(people.alice)
    html = client.get(url_of("key", people, key)).content.decode()
    assert "<b>$2.00</b> of $2.00" in html
    assert "Used up: calls are refused." in html
    assert "<b>$3.00</b> of $9.00" in html
    assert "<b>7</b> of 60" in html


def test_the_page_lists_the_latest_calls_of_the_key_alone(
    client: Client, people: People, key: APIKey
) -> None:
    other = issue_key(people.group, people.bob, "other")[0]
    own = [record(key, seconds_ago=n) for n in range(10)]
    foreign = record(other)
    client.force_login(people.alice)
    html = client.get(url_of("key", people, key)).content.decode()
    assert [call.public_id in html for call in own] == [True] * 8 + [False] * 2
    assert foreign.public_id not in html
    assert f"/calls/?key={key.pk}" in html


def test_a_hostile_name_stays_text(client: Client, people: People) -> None:
    key = issue_key(people.group, people.alice, HOSTILE)[0]
    client.force_login(people.alice)
    for name in ("key", "edit_key", "rotate_key"):
        html = client.get(url_of(name, people, key)).content.decode()
        assert HOSTILE not in html
        assert "&lt;script&gt;" in html


# Editing


def test_a_key_is_edited_and_its_form_shows_what_is_set(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.alice)
    sent = fields(name="nightly", month_nanos="12.5", allowed_models=["openai/gpt-5.5"])
    url = url_of("edit_key", people, key)
    response = client.post(url, sent)
    assert response.status_code == 302
    html = client.get(url).content.decode()
    assert 'value="nightly"' in html
    assert 'value="12.50"' in html
    chosen = re.findall(r'name="(?:allowed_models|expiry)"[^>]* value="([^"]+)" checked', html)
    assert sorted(chosen) == ["never", "openai/gpt-5.5"]
    client.post(url, fields(name="nightly"))
    key.refresh_from_db()
    assert key.allowed_models == []
    assert not Limit.objects.exists()


def test_an_expiry_stays_to_the_second_when_something_else_is_edited(
    client: Client, people: People
) -> None:
    end = timezone.now() + timedelta(days=3, seconds=7)
    key = issue_key(people.group, people.alice, "ci", expires_at=end)[0]
    client.force_login(people.alice)
    url = url_of("edit_key", people, key)
    assert 'value="stays" checked' in client.get(url).content.decode()
    client.post(url, fields(expiry="stays", name="renamed"))
    key.refresh_from_db()
    assert (key.name, key.expires_at) == ("renamed", end)


def test_models_that_are_no_longer_sold_stay_until_they_are_taken_away(
    client: Client, people: People, key: APIKey
) -> None:
    key_services.restrict_key(key, None, allowed_models=["gone/model-1", "openai/gpt-5.5"])
    Model.objects.filter(name="openai/gpt-5.5").update(is_enabled=False)
    client.force_login(people.alice)
    url = url_of("edit_key", people, key)
    html = client.get(url).content.decode()
    assert "Not in the catalog" in html
    client.post(url, fields(allowed_models=["gone/model-1"]))
    key.refresh_from_db()
    assert key.allowed_models == ["gone/model-1"]


# Rotation


def rotation(key: APIKey, **changes: Any) -> dict[str, Any]:
    return {"grace": "24h", "seen": key.public_id, "operation_id": str(uuid4()), **changes}


@pytest.mark.parametrize(("grace", "stays"), [("24h", True), ("0", False)])
def test_a_rotation_shows_the_new_secret_once(
    client: Client, people: People, key: APIKey, grace: str, stays: bool
) -> None:
    client.force_login(people.alice)
    url = url_of("rotate_key", people, key)
    html = client.post(url, rotation(key, grace=grace)).content.decode()
    [secret] = set(SECRET.findall(html))
    row = APIKey.objects.get()
    assert row.public_id == keys.public_id_of(secret)
    assert (row.rotating_until is not None) is stays
    assert ("The previous secret is stopped." in html) is not stays
    page = client.get(url_of("key", people, key)).content.decode()
    assert ("Two secrets work" in page) is stays
    assert secret.rsplit("-", 1)[1] not in page


def test_a_rotation_sent_twice_keeps_the_secret_that_is_in_use(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.alice)
    url, sent = url_of("rotate_key", people, key), rotation(key)
    first, second = (SECRET.search(client.post(url, sent).content.decode()) for _ in "ab")
    assert first is not None
    assert second is not None
    assert first.group() == second.group()
    assert APIKey.objects.get().previous_public_id == key.public_id
    assert Change.objects.filter(verb="key.rotated").count() == 1
    stale = client.post(url, rotation(key), follow=True).content.decode()
    assert "was changed meanwhile" in stale
    assert APIKey.objects.get().previous_public_id == key.public_id


def test_a_revoked_key_is_not_rotated(client: Client, people: People, key: APIKey) -> None:
    key_services.revoke_key(key, None)
    client.force_login(people.alice)
    for response in (
        client.get(url_of("rotate_key", people, key), follow=True),
        client.post(url_of("rotate_key", people, key), rotation(key), follow=True),
    ):
        assert "Only an active key can be rotated." in response.content.decode()
    assert APIKey.objects.get().public_id == key.public_id


@pytest.mark.parametrize("change", [{"grace": "8d"}, {"operation_id": "x"}, {"seen": ""}])
def test_a_rotation_form_that_was_tampered_with_is_refused(
    client: Client, people: People, key: APIKey, change: dict[str, str]
) -> None:
    client.force_login(people.alice)
    response = client.post(url_of("rotate_key", people, key), rotation(key, **change))
    assert response.status_code == 422
    assert APIKey.objects.get().public_id == key.public_id


def test_the_playgrounds_key_has_no_actions(client: Client, people: People) -> None:
    key, text = playground_key(people.group, people.bob)
    client.force_login(people.bob)
    html = client.get(url_of("key", people, key)).content.decode()
    assert "/edit/" not in html
    assert "/rotate/" not in html
    assert text not in html


@pytest.mark.parametrize("name", ["edit_key", "rotate_key", "rename_key"])
def test_the_playgrounds_key_is_changed_by_the_playground_alone(
    client: Client, people: People, name: str
) -> None:
    """With no end, or with a text that somebody kept, it would go on where the list of keys does not show it."""
    made = playground_key(people.group, people.bob)[0]
    for user in (people.bob, people.alice):
        client.force_login(user)
        sent = fields(grace="0", seen=made.public_id)
        assert client.post(url_of(name, people, made), sent).status_code == 404
    kept = APIKey.objects.get()
    assert (kept.public_id, kept.expires_at, kept.name) == (
        made.public_id,
        made.expires_at,
        made.name,
    )
    assert client.post(url_of("revoke_key", people, made)).status_code == 302
