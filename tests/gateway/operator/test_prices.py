"""The pages of models and prices."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import APIKey, Change
from billing.models import Price
from gateway.models import ChannelCost, Model
from tests.gateway.call_rows import record
from tests.gateway.operator.shop import LONG_AGO, add_channel, add_model, entry, sell
from tests.people import People

PAGE = "/operator/models/openai/tiny/price/"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def model(people: People) -> Model:
    made = add_model(aliases=["tiny"])
    sell(made)
    return made


def fields(**changed: Any) -> dict[str, Any]:
    """The form of a new price as a browser sends it."""
    tomorrow = timezone.localtime() + timedelta(days=1)
    return {
        "effective_from": f"{tomorrow:%Y-%m-%dT%H:%M}",
        "sell_bps": "60",
        "group": "",
        "source": "a page",
        "previewed": "",
        "step": "preview",
        "rate-TOTAL_FORMS": "3",
        "rate-INITIAL_FORMS": "2",
        "rate-0-tier": "standard", "rate-0-above": "0", "rate-0-bucket": "input", "rate-0-list_nanos": "4",
        "rate-1-tier": "standard", "rate-1-above": "0", "rate-1-bucket": "output", "rate-1-list_nanos": "16.50",
        "rate-2-tier": "standard", "rate-2-above": "0", "rate-2-bucket": "", "rate-2-list_nanos": "",
    } | changed  # fmt: skip


def previewed(olga: Client, **changed: Any) -> dict[str, Any]:
    """The form again once its effect was shown."""
    shown = olga.post(PAGE, fields(**changed))
    assert shown.status_code == 200
    return fields(**changed) | {"previewed": shown.context["previewed"], "step": "save"}


def test_the_form_starts_from_the_price_in_force(olga: Client, model: Model) -> None:
    html = olga.get(PAGE).content.decode()
    for value in ('value="input"', 'value="2.00"', 'value="8.00"', 'value="a price page"'):
        assert value in html, value


def test_the_effect_is_shown_before_anything_is_booked(
    olga: Client, model: Model, key: APIKey
) -> None:
    used = {"input_tokens": 10**6, "output_tokens": 0, "amount_nanos": 10**9}
    record(key, 60, model=model.name, **used)
    answer = olga.post(PAGE, fields())
    html = answer.content.decode()
    assert "would have cost <strong>$2.40</strong> instead of $1.00" in html
    assert "Research" in html
    assert "Book this price" in html
    assert Price.objects.count() == 1


def test_what_was_shown_is_booked(olga: Client, model: Model) -> None:
    answer = olga.post(PAGE, previewed(olga))
    assert answer.status_code == 302
    booked = Price.objects.latest("pk")
    rates = booked.frozen().tables[0].rates
    assert booked.sell_bps == 6000
    assert {name: rate.list_nanos for name, rate in rates.items()} == {
        "input": 4 * 10**9,
        "output": 16_500_000_000,
    }
    assert Change.objects.filter(verb="price.added").count() == 1


def test_what_changed_after_it_was_shown_is_shown_again(olga: Client, model: Model) -> None:
    changed = previewed(olga) | {"rate-0-list_nanos": "5"}
    answer = olga.post(PAGE, changed)
    assert answer.status_code == 200
    assert Price.objects.count() == 1


def test_saving_without_a_preview_books_nothing(olga: Client, model: Model) -> None:
    assert olga.post(PAGE, fields(step="save")).status_code == 200
    assert Price.objects.count() == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"effective_from": "2026-01-01T00:00"}, "has begun"),
        ({"effective_from": ""}, "required"),
        ({"sell_bps": ""}, "required"),
        ({"sell_bps": "-5"}, "percentage"),
        ({"sell_bps": "1001"}, "At most 1000"),
        ({"rate-0-list_nanos": "-1"}, "cannot be negative"),
        ({"rate-0-list_nanos": "1e3"}, "price in US dollars"),
        ({"rate-0-list_nanos": "1000001"}, "slip of the pen"),
        ({"rate-0-list_nanos": ""}, "without a rate for input"),
        ({"rate-0-bucket": "gold"}, "cannot have a rate"),
        ({"rate-0-bucket": ""}, "What has this price?"),
        ({"rate-1-bucket": "input"}, "stands here twice"),
        ({"rate-0-above": "-1"}, "greater than or equal to 0"),
        ({"rate-0-sell_bps": "5000"}, "At most 1000"),
        ({"group": "No / where"}, "no such group"),
        ({"rate-TOTAL_FORMS": "201"}, "at most 200"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_a_word(
    olga: Client, model: Model, changed: dict[str, str], message: str
) -> None:
    answer = olga.post(PAGE, fields(step="save") | changed)
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert Price.objects.count() == 1


def test_a_price_may_be_zero_and_a_rate_may_have_its_own_share(olga: Client, model: Model) -> None:
    wanted = {"rate-0-list_nanos": "0", "rate-1-sell_bps": "33.33"}
    olga.post(PAGE, previewed(olga, **wanted))
    rates = Price.objects.latest("pk").frozen().tables[0].rates
    assert (rates["input"].list_nanos, rates["output"].sell_bps) == (0, 3333)


def test_a_slipped_decimal_point_is_pointed_out(olga: Client, model: Model) -> None:
    assert "ten times" in olga.post(PAGE, fields(**{"rate-0-list_nanos": "20"})).content.decode()
    assert "ten times" not in olga.post(PAGE, fields()).content.decode()


def test_a_group_gets_a_price_of_its_own(olga: Client, model: Model, people: People) -> None:
    assert olga.post(PAGE, previewed(olga, group="Arden Labs / Research")).status_code == 302
    assert (
        olga.post(PAGE, previewed(olga, group=str(people.group.pk), sell_bps="1")).status_code
        == 422
    )
    assert Price.objects.filter(group=people.group).count() == 1
    html = olga.get("/operator/models/openai/tiny/").content.decode()
    assert "Arden Labs / Research" in html


def test_more_rows_keep_what_was_typed(olga: Client, model: Model) -> None:
    html = olga.post(PAGE, fields(step="more", sell_bps="77")).content.decode()
    assert 'name="rate-8-bucket"' in html
    assert 'value="77"' in html
    assert 'value="16.50"' in html


def test_the_list_finds_filters_and_sorts(olga: Client, model: Model) -> None:
    channel = add_channel()
    cheap = add_model("openai/cheap")
    sell(cheap, entry(1, 1, start=LONG_AGO))
    add_model("openai/unpriced")
    add_model("anthropic/other", is_enabled=False)
    ChannelCost.objects.create(channel=channel, cost_bps=4000, effective_from=LONG_AGO)

    def names(query: str) -> list[str]:
        rows = olga.get(f"/operator/prices/{query}").context["rows"]
        return [row.model.name for row in rows]

    assert names("?sort=list") == [
        "openai/cheap",
        "openai/tiny",
        "anthropic/other",
        "openai/unpriced",
    ]
    assert names("?sort=-list")[:2] == ["openai/tiny", "openai/cheap"]
    assert names("?q=TINY") == ["openai/tiny"]
    assert names("?provider=anthropic") == ["anthropic/other"]
    assert names("?state=unpriced") == ["anthropic/other", "openai/unpriced"]
    assert names("?state=disabled") == names("?state=unserved") == ["anthropic/other"]
    assert names("?state=callable") == ["openai/cheap", "openai/tiny"]
    assert names("?state=loss") == []
    row = olga.get("/operator/prices/?q=tiny").context["rows"][0]
    assert row.margin == (200, 200)  # sold at 50, costs 40: a fifth of the revenue is left


def test_a_price_to_come_is_told_in_the_list(olga: Client, model: Model) -> None:
    sell(model, entry(3, 3))
    row = olga.get("/operator/prices/?state=upcoming").context["rows"][0]
    assert row.upcoming.effective_from > timezone.now()
    assert row.price.effective_from == LONG_AGO
    states = [one.state for one in olga.get("/operator/models/openai/tiny/").context["history"]]
    assert states == ["coming", "current"]


def test_the_model_page_changes_facts_and_refuses_bad_ones(olga: Client, model: Model) -> None:
    page = "/operator/models/openai/tiny/"
    good = {"upstream_name": "tiny-2", "alias_text": "tiny\nsmall", "context_length": "10"}
    assert olga.post(page, good).status_code == 302
    model.refresh_from_db()
    assert (model.is_enabled, model.aliases) == (False, ["tiny", "small"])
    refused = olga.post(page, good | {"alias_text": SCRIPT})
    assert refused.status_code == 422
    assert SCRIPT not in refused.content.decode()
    assert olga.post(page, good | {"context_length": "0"}).status_code == 422


def test_the_list_asks_a_constant_number_of_questions(
    olga: Client, model: Model, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        sell(add_model(f"openai/m{number}"))
    with django_assert_max_num_queries(20):
        olga.get("/operator/prices/")
