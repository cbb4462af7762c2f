"""A call as its page shows it raw is what the API answers."""

import json
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import APIKey
from billing.models import Price
from gateway.call_objects import explained_call_object
from gateway.endpoints import calls
from gateway.models import CallRecord
from tests.gateway.call_rows import record
from tests.people import People


def answered(call: CallRecord, key: APIKey) -> dict[str, Any]:
    """What GET /v1/calls/{id} puts together out of the row."""
    row = vars(CallRecord.objects.get(pk=call.pk))
    price = Price.objects.filter(pk=call.price_id).first()
    prices = {(call.model, ""): [price.frozen()]} if price else {}
    services: Any = SimpleNamespace(catalog=SimpleNamespace(prices=prices))
    lines = calls._lines(row, services)
    return explained_call_object(row, str(key.pk), key.name, lines)


CASES: list[dict[str, Any]] = [
    {"status": "refused", "basis": "", "error_code": "x", "error_message": "<b>&amp; no"},
    {"stream": True, "first_token_ms": 12, "duration_ms": 99, "hold_nanos": 7},
    {"source": "task", "endpoint": "images/generations", "status": "upstream_failed"},
]


@pytest.mark.parametrize("fields", CASES)
def test_the_page_shows_what_the_api_answers(
    client: Client, people: People, key: APIKey, fields: dict[str, Any]
) -> None:
    call = record(key, **fields)
    assert raw_of(client, people, call) == answered(call, key)


def test_the_lines_of_a_charge_are_the_same_too(
    client: Client, price_book: None, people: People, key: APIKey
) -> None:
    price = Price.objects.get(model="openai/gpt-5.5", group=None)
    call = record(
        key,
        price_id=price.pk,
        input_tokens=38,
        output_tokens=95,
        list_nanos=3_040_000,
        amount_nanos=1,
    )
    shown = raw_of(client, people, call)
    assert len(shown["lines"]) == 2
    assert shown == answered(call, key)


def raw_of(client: Client, people: People, call: CallRecord) -> dict[str, Any]:
    client.force_login(people.bob)
    html = client.get(reverse("call", args=[people.group.pk, call.public_id])).content.decode()
    text = html.partition('<pre id="raw-json"')[2].partition(">")[2].partition("</pre>")[0]
    found: dict[str, Any] = json.loads(unescape(text))
    return found
