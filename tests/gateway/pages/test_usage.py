"""The page of a group's usage."""

from django.test import Client
from django.urls import reverse

from accounts.models import APIKey
from tests.gateway.call_rows import record
from tests.people import People

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"


def test_usage_of_a_month(client: Client, people: People, key: APIKey) -> None:
    record(
        key,
        amount_nanos=2_000_000_000,
        list_nanos=4_000_000_000,
        input_tokens=1200,
        output_tokens=34,
    )
    record(key, status="upstream_failed", basis="")
    client.force_login(people.bob)
    url = reverse("group_usage", args=[people.group.pk])
    html = client.get(url).content.decode()
    assert "$4.00 at list price" in html
    assert "1,234" in html
    assert "50.0% of calls, not charged" in html
    assert "<svg" in html
    assert f"?key={key.pk}" in html
    before = client.get(url, {"month": "2020-02"}).content.decode()
    assert "Nothing spent in February 2020" in before
    assert 'href="?month=2020-01"' in before
    assert 'href="?month=2020-03"' in before


def test_there_is_no_month_after_this_one(client: Client, people: People) -> None:
    client.force_login(people.bob)
    url = reverse("group_usage", args=[people.group.pk])
    assert b'id="month-after"' not in client.get(url).content
    assert b'id="month-after"' not in client.get(url, {"month": "nonsense"}).content


# The history of calls
