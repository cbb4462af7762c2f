"""Promotional credits in the operator's browser."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.ids import uuid7
from billing import promotions
from billing.models import Account
from billing.promotion_models import Promotion
from tests.billing.pages.test_moves import HTMX, operation_id, review
from tests.people import People, fund, make_people

USD = 1_000_000_000


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return made


def url_of(people: People) -> str:
    return reverse("promote", args=[people.organization.pk, people.group.pk])


def give(people: People, amount: int = 4 * USD) -> Promotion:
    return promotions.promote(
        people.group,
        amount,
        expires_at=timezone.now() + timedelta(days=3),
        operation_id=uuid7(),
        actor=people.olga,
        reason="Welcome",
    )


def fields(**changes: Any) -> dict[str, str]:
    day = timezone.localdate() + timedelta(days=30)
    return {"amount": "4", "reason": "Welcome", "expires_on": day.isoformat(), **changes}


def test_promotional_credits_are_reviewed_with_their_end_and_given_once(
    client: Client, people: People
) -> None:
    client.force_login(people.olga)
    opened = operation_id(client.get(url_of(people)))
    html, form = review(client, url_of(people), fields(operation_id=opened))
    assert "Give $4.00 of promotional credits to “Research”." in html
    assert "is taken back" in html
    for _ in range(2):
        assert client.post(url_of(people), form)["Location"] == url_of(people)
    promotion = Promotion.objects.get()
    assert (promotion.amount_nanos, promotion.reason) == (4 * USD, "Welcome")
    end = timezone.localtime(promotion.expires_at)
    assert end.date() == timezone.localdate() + timedelta(days=30)
    assert end.time() == time.max
    page = client.get(url_of(people)).content.decode()
    assert "Running" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expires_on": "2020-01-01"}, "This day is over."),
        ({"expires_on": "9999-12-31"}, "next ten years"),
        ({"expires_on": "31/01/2030"}, "such as 2027-01-31"),
        ({"expires_on": ""}, "This field is required."),
        ({"reason": ""}, "This field is required."),
        ({"amount": "4e9"}, "such as 12.50"),
        ({"reason": "x" * 301}, "at most 300 characters"),
    ],
)
def test_what_makes_no_sense_is_refused(
    client: Client, people: People, changes: dict[str, str], words: str
) -> None:
    client.force_login(people.olga)
    for step in ("review", "confirm"):
        values = fields(**changes) | {"step": step, "operation_id": str(uuid7())}
        response = client.post(url_of(people), values, headers=HTMX)
        assert response.status_code == 422
        assert words in response.content.decode()
    assert not Promotion.objects.exists()


def test_an_operator_ends_one(client: Client, people: People) -> None:
    promotion = give(people)
    url = reverse("end_promotion", args=[people.organization.pk, promotion.pk])
    for user in (people.charlie, people.bob, people.alice):
        client.force_login(user)
        assert client.post(url).status_code == 404
    client.force_login(people.olga)
    assert client.get(url).status_code == 405
    assert client.post(url)["Location"] == url_of(people)
    assert client.post(url)["Location"] == url_of(people)
    promotion.refresh_from_db()
    assert promotion.returned_nanos == 4 * USD
    assert Account.objects.wallet_of(people.group).balance_nanos == 10 * USD
    page = client.get(url_of(people)).content.decode()
    assert "Expired" in page
    assert "End it" not in page


def test_a_promotion_is_not_ended_through_another_organization(
    client: Client, people: People
) -> None:
    promotion = give(people)
    client.force_login(people.olga)
    url = reverse("end_promotion", args=[people.foreign_organization.pk, promotion.pk])
    assert client.post(url).status_code == 404
    promotion.refresh_from_db()
    assert promotion.returned_nanos == 0


def test_reasons_are_text_and_not_markup(client: Client, people: People) -> None:
    client.force_login(people.olga)
    reason = "<script>alert(1)</script>"
    html, form = review(client, url_of(people), fields(reason=reason))
    assert reason not in html
    client.post(url_of(people), form | {"reason": reason})
    page = client.get(url_of(people)).content.decode()
    assert reason not in page
    assert "&lt;script&gt;" in page
