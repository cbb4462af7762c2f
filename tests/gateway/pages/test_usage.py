"""The pages of usage: whose figures they show to whom, and where they lead."""

import csv
import html as markup
import re
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.pages import usage_lists
from tests.gateway.call_rows import record
from tests.people import People

USD = 1_000_000_000
HOSTILE = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://evil.example","x")'


@pytest.fixture
def url(people: People) -> str:
    return reverse("group_usage", args=[people.group.pk])


@pytest.fixture
def organization_url(people: People) -> str:
    return reverse("organization_usage", args=[people.organization.pk])


def get(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return markup.unescape(response.content.decode())


def read_csv(client: Client, url: str, **query: str) -> list[list[str]]:
    response: Any = client.get(url, query)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(response.streaming_content).decode()
    return list(csv.reader(StringIO(text)))


def links(html: str, path: str) -> list[dict[str, list[str]]]:
    """Queries of the links to the path."""
    found = [urlsplit(href) for href in re.findall(r'href="([^"]+)"', html)]
    return [parse_qs(parts.query) for parts in found if parts.path == path]


def test_figures_chart_and_lists_of_a_group(
    client: Client, people: People, key: APIKey, url: str
) -> None:
    record(key, amount_nanos=2 * USD, list_nanos=4 * USD, input_tokens=1200, output_tokens=34)
    record(key, status="upstream_failed", basis="")
    client.force_login(people.bob)
    html = get(client, url)
    assert "$4.00 at list price" in html
    assert "1,234" in html
    assert "1 call failed, not charged" in html
    assert "50.0%" in html
    assert '<rect class="series-1"' in html
    assert "Spent per day" in html


def test_a_row_leads_to_its_calls_on_these_days(
    client: Client, people: People, key: APIKey, url: str
) -> None:
    record(key, amount_nanos=USD)
    client.cookies["timezone"] = "Asia/Seoul"
    client.force_login(people.bob)
    queries = links(get(client, url, range="today"), reverse("group_calls", args=[people.group.pk]))
    today = timezone.localtime(timezone=timezone.zoneinfo.ZoneInfo("Asia/Seoul")).date()
    span = {
        "period": ["custom"],
        "since": [f"{today}T00:00"],
        "until": [f"{today + timedelta(days=1)}T00:00"],
    }
    assert {"model": ["openai/gpt-5.5"]} | span in queries
    assert {"key": [str(key.pk)]} | span in queries
    hours = [query for query in queries if set(query) == set(span) and query != span]
    assert len(hours) == 1, "the step of the table"


def test_only_managers_see_who_made_the_calls(
    client: Client, people: People, key: APIKey, url: str
) -> None:
    record(key, amount_nanos=USD)
    client.force_login(people.bob)
    html = get(client, url, by="member")
    assert "By member" not in html
    assert "Alice Arden" not in html
    assert 'id="by-member"' not in html
    assert 'id="by-model" ' in html, "the stack is the first one instead"
    assert client.get(url, {"csv": "member"}).status_code == 404
    assert read_csv(client, url, csv="chart", by="member")[0] == ["day", "openai/gpt-5.5"]
    client.force_login(people.alice)
    assert get(client, url, by="member").count("Alice Arden") > 2
    assert read_csv(client, url, csv="chart", by="member")[0] == ["day", "Alice Arden"]
    client.force_login(people.charlie)
    assert client.get(url).status_code == 404


def test_the_usage_of_one_key(client: Client, people: People, key: APIKey, url: str) -> None:
    other = issue_key(people.group, people.bob, "laptop")[0]
    foreign = issue_key(people.foreign_group, people.charlie, "crane")[0]
    record(key, amount_nanos=USD)
    record(other, amount_nanos=5 * USD)
    client.force_login(people.bob)
    html = get(client, url, key=str(key.pk), range="7d")
    assert "Only the key" in html
    assert "$6.00" not in html
    assert "laptop" not in html
    assert "By key" not in html
    [only] = {tuple(query.get("key", ())) for query in links(html, url) if "csv" in query}
    assert only == (str(key.pk),)
    for bad in (str(foreign.pk), str(uuid4()), "nonsense"):
        assert client.get(url, {"key": bad}).status_code == 404


def test_the_usage_of_an_organization_is_for_its_admins(
    client: Client, people: People, key: APIKey, organization_url: str
) -> None:
    record(key, amount_nanos=3 * USD)
    record(issue_key(people.foreign_group, people.charlie, "crane")[0], amount_nanos=77 * USD)
    client.force_login(people.alice)
    html = get(client, organization_url, range="7d")
    assert "By group" in html
    assert "$77" not in html
    group_url = reverse("group_usage", args=[people.group.pk])
    assert {"range": ["7d"]} in links(html, group_url)
    assert {"range": ["7d"], "key": [str(key.pk)]} in links(html, group_url)
    assert links(html, reverse("group_calls", args=[people.group.pk])) == []
    assert read_csv(client, organization_url, csv="chart")[0] == ["day", "Research"]
    client.force_login(people.olga)
    assert client.get(organization_url).status_code == 200
    for person in (people.bob, people.charlie):
        client.force_login(person)
        assert client.get(organization_url).status_code == 404


@pytest.mark.parametrize("measure", ["spend", "calls", "tokens", "errors", "latency"])
@pytest.mark.parametrize("chosen", ["today", "7d", "12m"])
def test_every_measure_is_drawn_and_tabulated(
    client: Client, people: People, key: APIKey, url: str, measure: str, chosen: str
) -> None:
    record(key, amount_nanos=USD, input_tokens=7, duration_ms=1500, first_token_ms=90)
    record(key, status="timed_out")
    client.force_login(people.alice)
    html = get(client, url, measure=measure, range=chosen)
    assert f'id="measure-{measure}" href=' in html
    assert "chart-plot" in html
    table = read_csv(client, url, measure=measure, range=chosen, csv="chart")
    last = [row for row in table[1:] if any(cell not in ("", "0", "0.00") for cell in row[1:])]
    assert len(last) == 1
    expected = {"spend": ["1.00"], "calls": ["2"], "tokens": ["7"], "errors": ["1"]}
    assert last[0][1:] == expected.get(measure, last[0][1:])
    if measure == "latency":
        assert all(1400 < int(cell) < 1700 for cell in last[0][1:3])


def test_stacks_lead_to_each_other_and_keep_the_days(
    client: Client, people: People, key: APIKey, url: str
) -> None:
    record(key, amount_nanos=USD)
    client.force_login(people.alice)
    queries = links(get(client, url, month=f"{timezone.now():%Y-%m}", by="key"), url)
    month = {"month": [f"{timezone.now():%Y-%m}"]}
    assert month | {"by": ["source"]} in queries
    assert month | {"by": ["key"], "measure": ["tokens"]} in queries
    assert {"by": ["key"], "range": ["7d"]} in queries, "a preset takes the month's place"
    assert month | {"by": ["key"], "csv": ["chart"]} in queries


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-11-05", "until": "2026-11-01"},
        {"since": "0001-01-01", "until": "0001-01-02"},
        {"month": "9999-99"},
        {"range": "'; DROP TABLE"},
        {"by": "nonsense", "measure": "nonsense"},
        {"since": "1900-01-01", "until": "1950-01-01"},
    ],
)
def test_a_bad_choice_is_told_and_never_an_error(
    client: Client, people: People, url: str, query: dict[str, str]
) -> None:
    client.force_login(people.alice)
    html = get(client, url, **query)
    assert ("Shown instead" in html) is ("by" not in query)
    if "by" not in query:
        assert client.get(url, {**query, "csv": "chart"}).status_code == 400


def test_days_without_calls_say_so(client: Client, people: People, key: APIKey, url: str) -> None:
    record(key, amount_nanos=0)
    client.force_login(people.alice)
    assert "No calls on these days" in get(client, url, month="2020-02")
    assert "Nothing to draw" in get(client, url), "calls, but none of them charged"


def test_names_that_callers_chose_are_shown_as_text(
    client: Client, people: People, key: APIKey, url: str
) -> None:
    hostile = issue_key(people.group, people.alice, HOSTILE)[0]
    formula = issue_key(people.group, people.alice, FORMULA)[0]
    record(hostile, amount_nanos=USD, model=HOSTILE)
    record(formula, amount_nanos=USD, model="")
    client.force_login(people.alice)
    for by in ("model", "key"):
        assert HOSTILE not in client.get(url, {"by": by}).content.decode()
    assert "no model named" in get(client, url)
    rows = read_csv(client, url, csv="key")
    assert rows[0] == list(usage_lists.CSV_HEADER)
    assert {row[1] for row in rows[1:]} == {HOSTILE, f"'{FORMULA}"}
    assert read_csv(client, url, csv="chart", by="key")[0][1:] in (
        [HOSTILE, f"'{FORMULA}"],
        [f"'{FORMULA}", HOSTILE],
    )


def test_a_long_list_ends_in_the_sum_of_the_others(
    client: Client, people: People, key: APIKey, url: str
) -> None:
    for number in range(14):
        record(key, amount_nanos=(20 - number) * USD, model=f"vendor/model-{number:02}")
    client.force_login(people.alice)
    html = get(client, url)
    assert "Other models (4)" in html
    assert "$34.00" in re.sub(r"<[^>]+>", "", html), "10 + 9 + 8 + 7"
    assert len(read_csv(client, url, csv="model")) == 15
    assert len(read_csv(client, url, csv="chart")[0]) == 15


def test_the_page_asks_the_database_as_often_for_many_as_for_few(
    client: Client, people: People, key: APIKey, url: str
) -> None:
    client.force_login(people.alice)
    record(key, amount_nanos=USD)
    get(client, url)  # what is asked once in a session
    with CaptureQueriesContext(connection) as few:
        get(client, url, by="key")
    for number in range(30):
        record(issue_key(people.group, people.alice, f"key {number}")[0], amount_nanos=USD)
    with CaptureQueriesContext(connection) as many:
        get(client, url, by="key")
    assert len(many) == len(few) < 30
