"""Calls as files: who gets them, what is in them, and that hostile texts stay texts."""

import csv
import io
import json
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client
from django.urls import reverse

from accounts.key_services import issue_key
from accounts.models import APIKey
from billing.models import Price
from billing.money import parse_usd
from gateway.models import CallRecord
from gateway.pages import charges, exports, walks
from gateway.pages.history import CallFilter
from tests.gateway.call_rows import record
from tests.gateway.pages.dated_calls import record_many
from tests.people import People

HOSTILE = '=HYPERLINK("https://example.com","x")'


def export(client: Client, people: People, name: str, **query: Any) -> tuple[str, Any]:
    """The file's text, and the response."""
    url = reverse("export_calls", args=[people.group.pk])
    response = client.get(url, {"format": name, **query})
    assert response.streaming
    return response.getvalue().decode(), response


def objects(text: str, name: str) -> list[dict[str, Any]]:
    if name == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    if name == "ndjson":
        return [json.loads(line) for line in text.splitlines()]
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_who_may_export(client: Client, people: People, key: APIKey) -> None:
    record(key)
    url = reverse("export_calls", args=[people.group.pk])
    assert client.get(url)["Location"].startswith("/accounts/login/?next=")
    for user, status in (
        (people.charlie, 404),
        (people.bob, 200),
        (people.alice, 200),
        (people.olga, 200),
    ):
        client.force_login(user)
        assert client.get(url).status_code == status, user
    assert client.post(url).status_code == 405


@pytest.mark.parametrize("name", exports.FORMATS)
def test_each_format_has_all_calls_of_the_group_newest_first(
    client: Client, people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(walks, "EXPORT_ROWS", 7)
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    record(foreign)
    calls = record_many(key, 30)
    client.force_login(people.bob)
    text, response = export(client, people, name)
    assert [row["id"] for row in objects(text, name)] == [call.public_id for call in calls]
    assert response["Content-Type"] == exports.FORMATS[name].content_type
    assert f'.{exports.FORMATS[name].ending}"' in response["Content-Disposition"]
    assert 'filename="calls-research-20' in response["Content-Disposition"]
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("name", exports.FORMATS)
def test_a_file_without_calls_is_still_a_file(
    client: Client, people: People, key: APIKey, name: str
) -> None:
    client.force_login(people.bob)
    text, _response = export(client, people, name, status="lost")
    assert objects(text, name) == []
    assert text.startswith({"csv": "id,task_id,", "ndjson": "", "json": "["}[name])


def test_the_filters_of_the_page_are_those_of_the_file(
    client: Client, people: People, key: APIKey
) -> None:
    wanted = record(key, status="lost", model="a/b", basis="")
    record(key, status="lost", basis="")
    record(key, model="a/b")
    client.force_login(people.bob)
    text, _response = export(client, people, "ndjson", status="lost", model="a/b")
    assert [row["id"] for row in objects(text, "ndjson")] == [wanted.public_id]


def test_filters_that_make_no_sense_lead_back_to_the_page_that_says_so(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.bob)
    url = reverse("export_calls", args=[people.group.pk])
    response = client.get(url, {"format": "csv", "charge_min": "nonsense"})
    assert response["Location"].endswith("/calls/?charge_min=nonsense")
    assert client.get(url, {"format": "xls"}).status_code == 404
    assert client.get(url, {"format": "\x00"}).status_code == 404


def charged_call(key: APIKey) -> tuple[CallRecord, Price]:
    price = Price.objects.get(model="openai/gpt-5.5", group=None)
    fields = {"input_tokens": 38, "cached_input_tokens": 7, "output_tokens": 95}
    unsettled = record(key, price_id=price.pk, **fields)
    explained = charges.explain_charge(unsettled)
    assert explained is not None
    unsettled.list_nanos, unsettled.amount_nanos = explained.list_nanos, explained.amount_nanos
    unsettled.hold_nanos = 123_000_000_001
    unsettled.save()
    return unsettled, price


@pytest.mark.parametrize("name", exports.FORMATS)
def test_the_file_has_all_that_recomputes_a_charge(
    client: Client, price_book: None, people: People, key: APIKey, name: str
) -> None:
    call, price = charged_call(key)
    client.force_login(people.bob)
    text, _response = export(client, people, name)
    [row] = objects(text, name)
    rates = {
        rate.bucket: rate.list_nanos
        for rate in price.rates.filter(tier="standard", above_input_tokens=0)
    }
    weight = sum(
        int(row[column]) * rates[bucket]
        for column, bucket in (
            ("input_tokens", "input"),
            ("cached_input_tokens", "cached_input"),
            ("output_tokens", "output"),
        )
    )
    assert parse_usd(row["charge_usd"]) == round(weight * int(row["sell_bps"]) / 10_000 / 1e6)
    assert parse_usd(row["list_price_usd"]) == call.list_nanos
    assert row["hold_usd"] == "123.000000001", "exact, as text"
    assert str(row["price_id"]) == str(price.pk)
    assert row["created_at"] == call.created_at.isoformat()
    assert row["created_at"].endswith("+00:00")
    assert (row["key"], row["member"]) == ("ci", "alice@example.com")


def test_a_price_whose_buckets_differ_has_no_single_share(
    people: People, key: APIKey, db: None
) -> None:
    price = Price.objects.create(model="x/y", effective_from="2026-01-01T00:00Z")
    price.rates.create(bucket="input", list_nanos=1)
    price.rates.create(bucket="output", list_nanos=1, sell_bps=7000)
    words = exports.Words(people.group)
    words.learn_prices([record(key, price_id=price.pk)])
    assert words.share(price.pk) is None


def test_cells_that_a_spreadsheet_would_run_are_texts(client: Client, people: People) -> None:
    hostile = issue_key(people.group, people.alice, HOSTILE)[0]
    record(
        hostile,
        model="+1+1",
        error_code="-x",
        error_message='@SUM(1)\r\n"quoted", é',
        status="refused",
    )
    client.force_login(people.bob)
    [row] = objects(export(client, people, "csv")[0], "csv")
    assert row["key"] == f"'{HOSTILE}"
    assert (row["model"], row["error_code"]) == ("'+1+1", "'-x")
    assert row["error_message"] == '\'@SUM(1)\r\n"quoted", é'
    [plain] = objects(export(client, people, "json")[0], "json")
    assert (plain["key"], plain["model"]) == (HOSTILE, "+1+1"), "JSON has no formulas"


def test_the_name_of_the_file_is_that_of_the_group(
    client: Client, people: People, key: APIKey
) -> None:
    people.group.name = '고객 "지원"/../x\r\n'
    people.group.save()
    client.force_login(people.bob)
    _text, response = export(client, people, "csv")
    name = unquote(response["Content-Disposition"])
    assert "calls-고객-지원x-20" in name


def test_between_two_slices_nothing_is_held(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "EXPORT_ROWS", 5)
    record_many(key, 12)
    closed: list[int] = []
    monkeypatch.setattr(exports, "_give_back_connection", lambda: closed.append(1))
    slices = exports.read_rows(people.group, CallFilter())
    assert len(next(slices)) == 5
    assert len(closed) == 1, "before the first slice goes out"
    del slices
    assert len(closed) == 1, "whoever leaves ends it"
