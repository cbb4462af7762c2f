"""The price list and the calculator."""

import pytest
from django.test import Client

from billing.picture_pricing import priced_keys
from billing.presentation import dollars
from billing.pricing import Rate, RateTable, Usage, charge_usage
from gateway.endpoints.models import SERVED_MODES, can_be_called
from gateway.models import Model
from guides.catalogue import read_catalogue
from tests.guides.catalogue_pages import (
    MILLION,
    USD,
    add_model,
    names_in_order,
    row_of,
    sell,
    tokens,
    words,
)
from tests.people import People

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("price_book")
def test_every_model_of_the_book_that_can_be_called_stands_with_its_prices(client: Client) -> None:
    html, markdown = client.get("/pricing").text, client.get("/pricing.md").text
    catalogue = read_catalogue()
    assert (
        len(catalogue) == Model.objects.filter(mode__in=SERVED_MODES, is_enabled=True).count() - 6
    )
    for one in catalogue:
        assert can_be_called(one.model, one.price)
        assert f">{one.own_name}</a>" in html
        assert f"[{one.name}](" in markdown
        for bucket in ("input", "output"):
            if (rate := one.rate(bucket)) and one.kind == "text":
                assert rate.sale_nanos * 2 == rate.list_nanos
                assert dollars(rate.sale_nanos) in row_of(html, one.own_name)
        for key in priced_keys(one.price):
            assert dollars(key.rate.list_nanos) in html


@pytest.mark.usefixtures("empty_catalogue")
def test_a_row_shows_what_is_paid_here_beside_the_list_price(client: Client) -> None:
    table = tokens(4, 20)
    table.rates["cached_input"] = Rate(USD // 2, MILLION, 5000)
    add_model("openai/one", table, context_length=200_000)
    said = row_of(client.get("/pricing").text, "one")
    assert said == (
        "one OpenAI 200K $2.00 List price $4.00 $0.25 List price $0.50 – Not listed $10.00 List price $20.00"
    )


@pytest.mark.usefixtures("empty_catalogue")
def test_a_groups_own_price_and_hidden_models_are_not_public(
    client: Client, people: People
) -> None:
    model = add_model("openai/one", tokens(4, 20))
    sell(model, tokens(3, 20, bps=1000), group=people.group)
    add_model("openai/off", tokens(4, 20), is_enabled=False)
    add_model("openai/unpriced")
    sell(add_model("openai/theirs"), tokens(4, 20), group=people.group)
    add_model("openai/speech", tokens(4, 20), mode="audio_speech")
    html = client.get("/pricing").text
    assert names_in_order(html) == ["one"]
    assert "$2.00" in row_of(html, "one")
    assert "$0.30" not in html


@pytest.mark.usefixtures("empty_catalogue")
def test_a_longer_context_has_a_row_under_its_model_and_tiers_a_list(client: Client) -> None:
    model = add_model(
        "openai/one", tokens(4, 20), tokens(8, 30, above=272_000), tokens(2, 10, tier="flex")
    )
    add_model("openai/two", tokens(1, 1))
    html = client.get("/pricing").text
    assert "one above 272K input tokens" in words(html)
    assert "$15.00" in words(html)
    flex = client.get("/pricing?tier=flex").text
    assert names_in_order(flex) == [model.name.partition("/")[2]]
    assert "$1.00" in row_of(flex, "one")


@pytest.fixture
def three(empty_catalogue: None) -> None:
    add_model("openai/alpha", tokens(4, 20), context_length=1000)
    add_model("anthropic/beta", tokens(1, 30), aliases=["cheap"], context_length=9000)
    embedding = RateTable("standard", 0, {"input": Rate(USD, MILLION, 5000)})
    add_model("openai/vectors", embedding, mode="embedding")


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["beta", "alpha", "vectors"]),
        ("q=ALPHA", ["alpha"]),
        ("q=openai+al", ["alpha"]),
        ("q=cheap", ["beta"]),
        ("q=none", []),
        ("q=%00", ["beta", "alpha", "vectors"]),
        ("provider=openai", ["alpha", "vectors"]),
        ("provider=nobody", ["beta", "alpha", "vectors"]),
        ("kind=embedding", ["vectors"]),
        ("kind=image", []),
        ("sort=-name", ["vectors", "alpha", "beta"]),
        ("sort=-input", ["alpha", "beta", "vectors"]),
        ("sort=output", ["alpha", "beta", "vectors"]),
        ("sort=-output", ["beta", "alpha", "vectors"]),
        ("sort=-context", ["beta", "alpha", "vectors"]),
        ("sort=nonsense", ["beta", "alpha", "vectors"]),
        ("provider=openai&sort=-input&q=a", ["alpha", "vectors"]),
    ],
)
def test_the_list_is_searched_filtered_and_sorted_by_its_address(
    client: Client, query: str, expected: list[str]
) -> None:
    html = client.get(f"/pricing?{query}").text
    assert names_in_order(html) == expected
    assert ("No model matches" in html) == (not expected)


@pytest.mark.usefixtures("three")
def test_a_heading_sorts_up_then_down_and_keeps_the_search(client: Client) -> None:
    html = client.get("/pricing?q=a&sort=input").text
    assert 'aria-sort="ascending"' in html
    assert 'href="/pricing?q=a&amp;sort=-input"' in html
    assert 'href="/pricing?q=a&amp;sort=output"' in html
    assert 'href="/pricing?q=a"' in html


@pytest.mark.usefixtures("price_book")
def test_pictures_are_priced_by_what_their_model_is_priced_by(client: Client) -> None:
    said = words(client.get("/pricing?kind=image").text)
    assert "1K $0.06 List price $0.12 2K $0.10 List price $0.20" in said
    assert "1 picture $0.06 List price $0.12 2 pictures $0.07" in said
    assert "×8 $0.40 List price $0.80" in said


@pytest.mark.usefixtures("price_book")
@pytest.mark.parametrize(
    ("query", "usage"),
    [
        ("", Usage(input_tokens=10_000, output_tokens=1_000)),
        ("input=300000&output=7", Usage(input_tokens=300_000, output_tokens=7)),
        (
            "input=1,000&cached=400&output=0",
            Usage(input_tokens=600, cached_input_tokens=400),
        ),
        ("input=5&cached=50&output=0", Usage(cached_input_tokens=5)),
        ("input=-5&output=x", Usage(input_tokens=10_000, output_tokens=1_000)),
        (
            "input=99999999999999999&output=0",
            Usage(input_tokens=1_000_000_000),
        ),
    ],
)
def test_the_calculator_makes_the_gateways_own_sum(
    client: Client, query: str, usage: Usage
) -> None:
    model = next(one for one in read_catalogue() if one.name == "openai/gpt-5.5")
    charge = charge_usage(model.price, usage)
    said = words(client.get(f"/pricing?model=openai/gpt-5.5&{query}").text)
    expected = f"List price {dollars(charge.list_nanos)} Your price {dollars(charge.amount_nanos)}"
    assert expected in said


@pytest.mark.usefixtures("price_book")
def test_what_was_typed_stays_text(client: Client) -> None:
    html = client.get("/pricing?q=%22%3E%3Cscript%3E&model=%3Cb%3E&input=%3Ci%3E").text
    assert "<script>" not in html.replace("<script src", "")
    assert 'value="&quot;&gt;&lt;script&gt;"' in html
    assert "<b>" not in html
