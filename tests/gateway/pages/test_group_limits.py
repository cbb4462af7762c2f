"""What holds for all keys of a group."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Change
from billing.models import Limit
from tests.people import People


def url_of(people: People) -> str:
    return reverse("group_limits", args=[people.group.pk])


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("olga", 200), ("bob", 404), ("charlie", 404)]
)
def test_managers_alone_see_and_change_them(
    client: Client, people: People, who: str, status: int
) -> None:
    client.force_login(getattr(people, who))
    assert client.get(url_of(people)).status_code == status
    client.post(url_of(people), {"expiry": "never", "day_nanos": "5"})
    assert Limit.objects.exists() is (status == 200)


def test_restrictions_and_limits_are_kept_and_shown_again(
    client: Client, people: People, price_book: None
) -> None:
    client.force_login(people.alice)
    sent = {
        "expiry": "never",
        "allowed_models": ["anthropic/*"],
        "allowed_networks": "10.0.0.0/8",
        "month_nanos": "100",
        "tokens_per_minute": "90000",
    }
    html = client.post(url_of(people), sent, follow=True).content.decode()
    assert "The limits of “Research” are changed." in html
    people.group.refresh_from_db()
    assert people.group.allowed_models == ["anthropic/*"]
    limit = Limit.objects.get(group=people.group)
    assert (limit.month_nanos, limit.tokens_per_minute) == (100_000_000_000, 90_000)
    assert "<b>$0.00</b> of $100.00" in html
    assert "<b>0</b> of 90,000" in html
    assert 'value="anthropic/*" checked' in html
    verbs = Change.objects.filter(group=people.group, actor=people.alice).values_list(
        "verb", flat=True
    )
    assert {"group.restricted", "group.limits_changed"} <= set(verbs)


def test_a_refused_form_changes_nothing(client: Client, people: People) -> None:
    client.force_login(people.alice)
    sent = {"expiry": "never", "day_nanos": "5", "allowed_networks": "nowhere"}
    response = client.post(url_of(people), sent)
    assert response.status_code == 422
    assert "Line 1: “nowhere” is no address" in response.content.decode()
    assert not Limit.objects.exists()
