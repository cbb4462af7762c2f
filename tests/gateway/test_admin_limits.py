"""Limits in Django admin: operators type limits and see counters, and overwrite none."""

import pytest
from django.test import Client

from accounts import key_services
from accounts.models import APIKey
from billing.models import LIMIT_NAMES, Limit
from tests.people import People

PATH = "/admin/billing/limit/"


@pytest.fixture
def key(people: People) -> APIKey:
    made, _ = key_services.issue_key(people.group, people.alice, "CI")
    return made


@pytest.fixture
def operator(people: People, client: Client) -> Client:
    client.force_login(people.olga)
    return client


def test_an_operator_adds_limits_to_a_key(operator: Client, key: APIKey) -> None:
    answer = operator.post(f"{PATH}add/", {"api_key": key.pk, "day_nanos": "1.5"})
    assert answer.status_code == 302
    limit = Limit.objects.get()
    assert (limit.api_key, limit.day_nanos, limit.day is None) == (key, 1_500_000_000, False)


def test_budgets_are_shown_and_kept_in_dollars(operator: Client, people: People) -> None:
    limit = Limit.objects.create(group=people.group, month_nanos=12_500_000_000)
    page = operator.get(f"{PATH}{limit.pk}/change/")
    assert page.context["adminform"].form.initial["month_nanos"] == "12.50"
    assert "$12.50" in operator.get(PATH).content.decode()
    answer = operator.post(f"{PATH}{limit.pk}/change/", {"month_nanos": "12.50", "day_nanos": "2"})
    assert answer.status_code == 302
    limit.refresh_from_db()
    assert (limit.month_nanos, limit.day_nanos) == (12_500_000_000, 2_000_000_000)


def test_editing_limits_leaves_counters_that_moved_and_ignores_those_that_are_sent(
    operator: Client, people: People
) -> None:
    limit = Limit.objects.create(group=people.group, requests_per_minute=5)
    page = operator.get(f"{PATH}{limit.pk}/change/")
    assert page.status_code == 200
    fields = page.context["adminform"].form.fields
    assert set(fields) == set(LIMIT_NAMES)
    Limit.objects.filter(pk=limit.pk).update(running_calls=3, held_nanos=70)
    fields = {"requests_per_minute": "9", "running_calls": "0", "held_nanos": "0"}
    assert operator.post(f"{PATH}{limit.pk}/change/", fields).status_code == 302
    limit.refresh_from_db()
    assert (limit.requests_per_minute, limit.running_calls, limit.held_nanos) == (9, 3, 70)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("day_nanos", value) for value in ("0", "-5", "0.0000000001", "many", "1e3")),
        *(("requests_per_minute", value) for value in ("0", "-5", "1.5", "many")),
    ],
)
def test_a_limit_that_is_no_positive_number_is_refused_in_words(
    operator: Client, key: APIKey, name: str, value: str
) -> None:
    answer = operator.post(f"{PATH}add/", {"api_key": key.pk, name: value})
    assert answer.status_code == 200
    assert answer.context["errors"]
    assert not Limit.objects.exists()


def test_limits_of_nobody_or_of_two_are_refused(
    operator: Client, people: People, key: APIKey
) -> None:
    for owners in ({}, {"api_key": key.pk, "group": people.group.pk}):
        answer = operator.post(f"{PATH}add/", {**owners, "day_nanos": "5"})
        assert answer.status_code == 200
        assert "A limit is of one key or of one group." in answer.content.decode()
    assert not Limit.objects.exists()


def test_limits_that_are_emptied_are_gone(operator: Client, people: People) -> None:
    limit = Limit.objects.create(group=people.group, requests_per_minute=5)
    answer = operator.post(f"{PATH}{limit.pk}/change/", {"requests_per_minute": ""}, follow=True)
    assert answer.status_code == 200
    assert not Limit.objects.exists()


def test_the_list_shows_them(operator: Client, people: People, key: APIKey) -> None:
    Limit.objects.create(group=people.group, requests_per_minute=5)
    Limit.objects.create(api_key=key, day_nanos=5)
    text = operator.get(PATH).content.decode()
    assert "Limits of Research" in text
    assert "Limits of CI" in text
