"""The audit trail on pages: search, paging, CSV, and who sees what."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import trail
from accounts.models import APIKey, Change
from gateway.operator import changes
from tests.gateway.operator.conftest import Visit
from tests.gateway.operator.shop import add_channel
from tests.people import People

PAGE = "/operator/audit/"
SCRIPT = "<script>alert(1)</script>"


def shown(client: Client, query: str = "", page: str = PAGE) -> list[str]:
    """Subjects of the lines that the page lists."""
    answer = client.get(page + query)
    assert answer.status_code == 200
    return [row.change.subject_name for row in answer.context["rows"]]


@pytest.fixture
def lines(people: People, key: APIKey) -> None:
    """Three lines of ours, on top of those that made the people."""
    channel = add_channel()
    trail.record(
        people.olga, "channel.changed", channel, before={"weight": 1}, after={"weight": 777}
    )
    trail.record(
        people.bob,
        "key.changed",
        key,
        before={"name": "x"},
        after={"name": SCRIPT},
        within=people.group,
    )
    trail.record(None, "group.created", people.foreign_group, within=people.foreign_group)


def test_lines_are_found_by_person_verb_subject_organization_and_words(
    olga: Client, lines: None, key: APIKey
) -> None:
    assert shown(olga, "?who=olga@example.com") == ["openai: main"]
    assert shown(olga, "?who=bob+brook") == ["ci"]
    assert shown(olga, "?verb=channel.changed") == ["openai: main"]
    assert shown(olga, f"?subject=apikey:{key.pk}") == ["ci", "ci"]
    assert shown(olga, "?q=777") == ["openai: main"]
    assert shown(olga, f"?q={key.pk}") == ["ci", "ci"]
    assert shown(olga, "?organization=crane&verb=group.created") == ["Support", "Support"]
    assert shown(olga, "?who=olga&verb=key.changed") == []
    assert shown(olga, "?who=tollgate&verb=group.created") == ["Support"]


def test_lines_are_found_by_time(olga: Client, lines: None) -> None:
    everything = shown(olga)
    assert shown(olga, "?period=24h") == everything
    assert shown(olga, "?period=custom&until=2026-01-01T00:00") == []
    assert shown(olga, "?period=custom&since=2020-01-01T00:00") == everything
    assert olga.get(f"{PAGE}?period=custom&since=never").context["form"].errors


def test_a_line_reads_before_and_after_and_hostile_text_is_text(olga: Client, lines: None) -> None:
    html = olga.get(PAGE).content.decode()
    assert SCRIPT not in html
    assert "&lt;script&gt;" in html
    assert "777" in html
    assert "Channel changed" in html


def test_pages_go_there_and_back(
    olga: Client, lines: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PAGE_ROWS", 2)
    every = [row.hex for row in Change.objects.order_by("-id").values_list("pk", flat=True)]
    first = olga.get(PAGE).context["page"]
    second = olga.get(f"{PAGE}?before={first.older.hex}").context["page"]
    back = olga.get(f"{PAGE}?after={second.newer.hex}").context["page"]
    pages = [[row.pk.hex for row in page.rows] for page in (first, second, back)]
    assert pages == [every[:2], every[2:4], every[:2]]


def test_an_admin_reads_the_lines_of_his_organization_alone(
    visit: Visit, people: People, lines: None
) -> None:
    page = f"/organization/{people.organization.pk}/audit/"
    names = shown(visit(people.alice), page=page)
    assert "ci" in names
    assert "Support" not in names
    assert "openai: main" not in names
    assert shown(visit(people.alice), "?q=777", page) == []
    assert shown(visit(people.alice), "?organization=crane", page) == names, "not a filter of his"
    html = visit(people.alice).get(page).content.decode()
    assert "/operator/" not in html


def csv_of(client: Client, query: str) -> list[list[str]]:
    answer: Any = client.get(PAGE + query)
    assert answer["Content-Type"].startswith("text/csv")
    text = b"".join(answer.streaming_content).decode()
    return list(csv.reader(io.StringIO(text)))


def test_the_csv_has_what_the_filter_lets_through(
    olga: Client, lines: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "CSV_SLICE", 1)
    rows = csv_of(olga, "?format=csv&verb=group.created")
    assert rows[0] == list(changes.CSV_HEAD)
    assert [row[5] for row in rows[1:]] == ["Support", "Support", "Research"]
    assert len(csv_of(olga, "?format=csv")) == Change.objects.count() + 1


def test_a_cell_that_begins_like_a_formula_is_inert(
    olga: Client, people: People, key: APIKey
) -> None:
    key.name = "=1+1"
    trail.record(people.olga, "key.changed", key)
    assert csv_of(olga, "?format=csv&verb=key.changed")[1][5] == "'=1+1"


def test_words_are_sought_in_the_newest_lines_alone(
    olga: Client, lines: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LOOKED_THROUGH_MAX", 2)
    assert shown(olga, "?q=777") == []
    assert "newest 50,000" in olga.get(f"{PAGE}?q=777").content.decode()
    assert shown(olga, "?q=777&verb=channel.changed") == ["openai: main"]


def test_a_page_asks_a_constant_number_of_questions(
    olga: Client, lines: None, people: People, key: APIKey
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as caught:
            olga.get(PAGE)
        return len(caught)

    olga.get(PAGE)
    before = count()
    for _line in range(30):
        trail.record(people.bob, "key.changed", key, within=people.group)
    assert count() == before
