"""What operators do by program: providers, channels, models, prices, figures, people, and the audit trail."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import APIKey, Change, User
from billing.models import Price
from gateway.models import Channel, Model
from gateway.operator.overview import read_money, span_of
from gateway.provisioning import open_credential
from tests.gateway.api.conftest import Keys
from tests.gateway.call_rows import record
from tests.management import ManagementClient
from tests.people import People

SECRET = "sk-live-0123456789abcdef"
MODEL = "openai/gpt-5.5"


@pytest.fixture
def channel(olga: ManagementClient, price_book: None) -> Any:
    body = {
        "provider": "openai",
        "name": "main",
        "base_url": "http://127.0.0.1:9/v1/",
        "credential": SECRET,
        "cost_bps": 4000,
        "model_map": {MODEL: "gpt-5.5-eu"},
    }
    made = olga.post("channels", body)
    assert made.status == 201, made.body
    return made.body


def test_a_channel_is_made_and_its_credential_is_never_shown(
    channel: Any, olga: ManagementClient
) -> None:
    stored = Channel.objects.get(pk=channel["id"])
    assert open_credential(stored) == SECRET
    assert (channel["is_enabled"], channel["cost_bps"]) == (False, 4000)
    assert channel["base_url"] == "http://127.0.0.1:9/v1"
    path = f"channels/{channel['id']}"
    changed = olga.patch(path, {"credential": f"{SECRET}-2", "priority": 3})
    assert changed.body["fingerprint"] != channel["fingerprint"]
    assert changed.body["priority"] == 3
    assert open_credential(Channel.objects.get(pk=channel["id"])) == f"{SECRET}-2"
    tested = olga.post(f"{path}/test", {})
    assert (tested.status, tested.body["is_good"]) == (200, False)
    for answer in (
        channel,
        changed.body,
        tested.body,
        olga.get("channels").body,
        olga.get("changes").body,
    ):
        assert SECRET not in str(answer)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": 5}, "base_url"),
        ({"weight": -1}, "weight"),
        ({"weight": "5"}, "weight"),
        ({"weight": True}, "weight"),
        ({"priority": 10**30}, "priority"),
        ({"model_map": {"openai/none": "x"}}, "model_map"),
        ({"model_map": {MODEL: " "}}, f"model_map.{MODEL}"),
        ({"model_map": []}, "model_map"),
        ({"model_map": {"\ud800": "x"}}, "model_map"),
        ({"model_map": {"\x00": "x"}}, "model_map"),
        ({"credential": "two words"}, "credential"),
        ({"credential": ""}, "credential"),
        ({"credential": "\ud800"}, "credential"),
        ({"weight": 9, "credential": "two words"}, "credential"),
        ({"name": "other"}, "name"),
        ({"is_enabled": True}, "is_enabled"),
    ],
)
def test_a_change_of_a_channel_is_whole_or_nothing(
    channel: Any, olga: ManagementClient, body: dict[str, Any], param: str
) -> None:
    import json

    path = f"channels/{channel['id']}"
    answer = olga.patch(path, json.dumps(body).encode())
    assert (answer.status, answer.param) == (400, param)
    assert olga.get(path).body == channel


def test_a_channel_is_switched_and_deleted(channel: Any, olga: ManagementClient) -> None:
    path = f"channels/{channel['id']}"
    assert olga.post(f"{path}/enable").body["is_enabled"] is True
    assert olga.delete(path).code == "channel_in_use"
    assert olga.post(f"{path}/disable").body["is_enabled"] is False
    assert olga.delete(path).status == 204
    assert olga.get(path).status == 404


def test_a_cost_begins_at_a_full_hour_to_come(channel: Any, olga: ManagementClient) -> None:
    path = f"channels/{channel['id']}/costs"
    hour = (timezone.now() + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    assert olga.post(path, {"cost_bps": 5000, "effective_from": hour.isoformat()}).status == 201
    late = hour - timedelta(hours=5)
    refused = olga.post(path, {"cost_bps": 5000, "effective_from": late.isoformat()})
    assert (refused.status, refused.param) == (400, "effective_from")
    assert [row["cost_bps"] for row in olga.get(path).body["data"]] == [5000, 4000]


def test_a_provider_is_added_once(olga: ManagementClient, price_book: None) -> None:
    body = {
        "id": "acme",
        "name": "Acme",
        "dialect": "openai",
        "base_url": "https://api.acme.example/v1",
    }
    assert olga.post("providers", body).status == 201
    again = olga.post("providers", body)
    assert (again.status, again.param) == (400, "id")
    assert "acme" in olga.get("providers?limit=100").ids
    wrong = olga.post("providers", {**body, "id": "b", "base_url": "nowhere"})
    assert (wrong.status, wrong.param) == (400, "base_url")


def test_models_are_changed_by_what_is_named(olga: ManagementClient, price_book: None) -> None:
    before = olga.get(f"catalog/{MODEL}").body
    after = olga.patch(f"catalog/{MODEL}", {"is_enabled": False, "aliases": ["fast"]}).body
    assert after == before | {"is_enabled": False, "aliases": ["fast"]}
    taken = olga.patch(f"catalog/{MODEL}", {"aliases": ["openai/gpt-5.4"]})
    assert (taken.status, taken.param) == (400, "aliases")
    assert olga.get("catalog/openai/%00").status == 404
    assert olga.get("catalog/openai/none").status == 404


def test_the_catalog_is_complete_page_by_page(olga: ManagementClient, price_book: None) -> None:
    seen: list[str] = []
    after = ""
    while True:
        answer = olga.get(f"catalog?limit=50{after}").body
        seen += [row["id"] for row in answer["data"]]
        if not answer["has_more"]:
            break
        after = f"&after={answer['next']}"
    assert seen == sorted(Model.objects.values_list("name", flat=True))


def price_body(**more: Any) -> dict[str, Any]:
    rates = [
        {"bucket": "input", "list_price": "10"},
        {"bucket": "output", "list_price": "60.5", "sell_bps": 4000},
    ]
    begins = (timezone.now() + timedelta(days=1)).isoformat()
    return {"model": MODEL, "effective_from": begins, "sell_bps": 6000, "rates": rates, **more}


def test_a_price_is_shown_and_then_booked_and_never_edited(
    people: People, keys: Keys, olga: ManagementClient, price_book: None
) -> None:
    record(keys.alice, 60, input_tokens=1_000_000, amount_nanos=10**9, list_nanos=2 * 10**9)
    prices = Price.objects.count()
    body = price_body()
    shown = olga.post("price-book/preview", body)
    assert shown.status == 200, shown.body
    assert (shown.body["before"], shown.body["after"], shown.body["calls"]) == ("1.00", "6.00", 1)
    assert Price.objects.count() == prices
    made = olga.post("price-book", body)
    assert made.status == 201
    [table] = made.body["tables"]
    by_bucket = {rate["bucket"]: (rate["list_price"], rate["price"]) for rate in table["rates"]}
    assert by_bucket == {"input": ("10.00", "6.00"), "output": ("60.50", "24.20")}
    again = olga.post("price-book", body)
    assert (again.status, again.param) == (400, "effective_from")
    listed = olga.get(f"price-book?model={MODEL}").body["data"]
    assert listed[0] == made.body


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": "openai/none"}, "model"),
        ({"group": "00000000-0000-0000-0000-000000000000"}, "group"),
        ({"effective_from": "2020-01-01T00:00:00Z"}, "effective_from"),
        ({"sell_bps": -1}, "sell_bps"),
        ({"sell_bps": 10**6}, "sell_bps"),
        ({"rates": []}, "rates"),
        ({"rates": [{"bucket": "input", "list_price": "1"}]}, None),
        ({"rates": [{"bucket": "gold", "list_price": "1"}]}, "rates.0.bucket"),
        ({"rates": [{"bucket": "input", "list_price": 1.5}]}, "rates.0.list_price"),
        ({"rates": [{"bucket": "input", "list_price": "-1"}]}, "rates.0.list_price"),
        ({"rates": [{"bucket": "input", "list_price": "1e30"}]}, "rates.0.list_price"),
        ({"rates": [{"bucket": "input", "list_price": "1"}] * 2}, "rates.1.bucket"),
        ({"rates": [{"bucket": "input", "list_price": "1", "tier": "gold"}]}, "rates.0.tier"),
        ({"source": "\x00"}, "source"),
        ({"currency": "EUR"}, "currency"),
    ],
)
def test_a_price_that_cannot_be_is_refused_by_its_field(
    olga: ManagementClient, price_book: None, more: dict[str, Any], param: str | None
) -> None:
    for path in ("price-book", "price-book/preview"):
        answer = olga.post(path, price_body(**more))
        assert (answer.status, answer.param) == (400, param), answer.body


def book(**more: Any) -> dict[str, Any]:
    begins = (timezone.now() + timedelta(days=40)).date().isoformat()
    price = {
        "effective_from": begins,
        "sell_bps": 5000,
        "list_is_estimated": False,
        "tables": [
            {
                "tier": "standard",
                "above_input_tokens": 0,
                "per_million": {"input": "1", "output": "2"},
            }
        ],
    }
    model = {
        "name": "openai/brand-new", "aliases": ["brand-new"], "mode": "chat", "context_length": 1000,
        "max_completion_tokens": 100, "retires_on": None, "source": "a test", "prices": [price], **more,
    }  # fmt: skip
    return {"currency": "USD", "read_on": "2026-11-01", "models": [model]}


def test_a_book_is_brought_in_as_its_preview_showed(
    olga: ManagementClient, price_book: None
) -> None:
    shown = olga.post("price-book/import/preview", {"book": book()})
    assert shown.status == 200, shown.body
    assert [one["model"] for one in shown.body["models"]] == ["openai/brand-new"]
    assert not Model.objects.filter(pk="openai/brand-new").exists()
    other = olga.post(
        "price-book/import", {"book": book(max_completion_tokens=7, aliases=[]), "plan": "x"}
    )
    assert (other.status, other.code) == (409, "plan_changed")
    done = olga.post("price-book/import", {"book": book(), "plan": shown.body["plan"]})
    assert done.body == {"object": "price_book_import", "models": 1, "prices": 1}
    assert Model.objects.filter(pk="openai/brand-new").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"currency": "EUR", "read_on": "2026-11-01", "models": []},
        {"currency": "USD", "read_on": "2026-11-01", "models": [1]},
        book(name="\ud800"),
        book(source="\ud800"),
        book(name="\x00/\x00"),
        book(prices=[]) | {"extra": 1},
    ],
)
def test_a_book_that_cannot_be_read_is_refused(
    olga: ManagementClient, price_book: None, wrong: dict[str, Any]
) -> None:
    import json

    for path, more in (("price-book/import/preview", {}), ("price-book/import", {"plan": "x"})):
        answer = olga.post(path, json.dumps({"book": wrong, **more}).encode())
        assert answer.status == 400, answer.body
        assert answer.param is None or answer.param.startswith("book")


@pytest.mark.parametrize(
    "more", [{"source": "\x00"}, {"context_length": 10**30}, {"upstream_name": "x" * 200}]
)
def test_a_book_that_cannot_be_kept_leaves_nothing(
    olga: ManagementClient, price_book: None, more: dict[str, Any]
) -> None:
    wrong = book(**more)
    if more.keys() == {"source"}:
        wrong["models"][0]["prices"][0]["source"] = "\x00"
    shown = olga.post("price-book/import/preview", {"book": wrong})
    plan = shown.body["plan"] if shown.status == 200 else "x"
    answer = olga.post("price-book/import", {"book": wrong, "plan": plan})
    assert (answer.status, answer.param) == (400, "book")
    assert not Model.objects.filter(pk="openai/brand-new").exists()


def test_the_overview_says_what_the_page_does(
    people: People, calls: Keys, olga: ManagementClient
) -> None:
    body = olga.get("overview?period=7d").body
    money = read_money(span_of("7d", timezone.now()))
    assert body["money"]["totals"]["calls"] == money.totals.calls == 7
    assert body["money"]["revenue"] == "1.005"
    assert len(body["days"]) == 7
    assert sum(float(day["revenue"]) for day in body["days"]) == pytest.approx(1.005)
    assert {row["name"] for row in body["top"]["organization"]} == {"Arden Labs", "Crane & Sons"}
    assert olga.get("overview?timezone=Asia/Seoul").body["timezone"] == "Asia/Seoul"
    assert olga.get("overview?period=1y").param == "period"


def test_failing_calls_are_put_together(
    people: People, calls: Keys, olga: ManagementClient
) -> None:
    record(calls.charlie, 9, status="upstream_failed", error_code="upstream_error", basis="")
    body = olga.get("failures?span=24h&status=upstream_failed").body
    [row] = body["data"]
    assert (row["calls"], row["organizations"], row["code"]) == (2, 2, "upstream_error")
    assert olga.get("failures?model=%00").status == 400


def test_people_are_found_and_shut_out(
    people: People, keys: Keys, olga: ManagementClient, bob: ManagementClient
) -> None:
    [row] = olga.get("people?q=bob%40").body["data"]
    assert row["id"] == people.bob.pk
    shut = olga.post(f"people/{people.bob.pk}/deactivate")
    assert (shut.body["is_active"], shut.body["keys"]) == (False, 0)
    assert bob.get("groups").status == 401
    assert APIKey.objects.get(pk=keys.bob.pk).revoked_at is not None
    assert olga.post(f"people/{people.bob.pk}/reactivate").body["is_active"] is True
    assert olga.post(f"people/{people.olga.pk}/deactivate").code == "own_account"
    assert User.objects.get(pk=people.olga.pk).is_active
    assert olga.get("people/99999999999999999999").status == 404


def test_a_mail_for_a_new_password_is_sent_and_told(
    people: People, olga: ManagementClient, mailoutbox: list[Any]
) -> None:
    assert olga.post(f"people/{people.bob.pk}/reset").status == 202
    assert [one.to for one in mailoutbox] == [["bob@example.com"]]
    assert Change.objects.filter(verb="user.reset_sent", subject_id=str(people.bob.pk)).exists()
