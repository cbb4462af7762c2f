"""Which price is in force, and which models can be called."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing import Price
from gateway.catalog import Catalog, Channel, channels_by_model
from tests.gateway.pricing_samples import BOOK_DAY, channel, model, price

GROUP = "0198c1de-0000-7000-8000-000000000001"
OTHER = "0198c1de-0000-7000-8000-000000000002"
Prices = dict[tuple[str, str | None], tuple[Price, ...]]
DAY = timedelta(days=1)
CHAT = frozenset({"chat"})


def catalog(*prices_newest_first: tuple[str | None, int]) -> Catalog:
    """A catalog of one model; each price is (group, days after the book's day)."""
    prices: Prices = {}
    for number, (group, days) in enumerate(prices_newest_first):
        owner = ("openai/small", group)
        made = price(number, group_id=group, effective_from=BOOK_DAY + days * DAY)
        prices[owner] = (*prices.get(owner, ()), made)
    return Catalog(models={"openai/small": model()}, prices=prices)


def number_in_force(made: Catalog, group: str | None, days: float) -> int | None:
    found = made.price_of(model(), group, BOOK_DAY + days * DAY)
    return found.id if found else None


def test_the_newest_price_that_has_begun_is_in_force() -> None:
    made = catalog((None, 20), (None, 10), (None, 0))
    assert number_in_force(made, GROUP, 5) == 2
    assert number_in_force(made, GROUP, 15) == 1
    assert number_in_force(made, GROUP, 25) == 0


def test_a_price_begins_at_its_very_moment() -> None:
    made = catalog((None, 10), (None, 0))
    moment = BOOK_DAY + 10 * DAY
    before = made.price_of(model(), GROUP, moment - timedelta(microseconds=1))
    at = made.price_of(model(), GROUP, moment)
    assert before is not None
    assert at is not None
    assert (before.id, at.id) == (1, 0)


def test_before_the_first_price_there_is_none() -> None:
    assert number_in_force(catalog((None, 0)), GROUP, -1) is None
    assert number_in_force(catalog(), GROUP, 1) is None


def test_a_groups_own_price_goes_before_everybodys_newer_one() -> None:
    made = catalog((None, 20), (GROUP, 10), (None, 0))
    assert number_in_force(made, GROUP, 25) == 1
    assert number_in_force(made, OTHER, 25) == 0
    assert number_in_force(made, None, 25) == 0


def test_until_its_own_price_begins_a_group_pays_everybodys() -> None:
    made = catalog((GROUP, 10), (None, 0))
    assert number_in_force(made, GROUP, 9.9) == 1
    assert number_in_force(made, GROUP, 10) == 0


def test_a_groups_own_price_makes_a_model_callable_for_it_alone() -> None:
    made = catalog((GROUP, 0))
    assert number_in_force(made, GROUP, 1) == 0
    assert number_in_force(made, OTHER, 1) is None


@given(st.lists(st.integers(-10, 10), unique=True, max_size=6), st.integers(-12, 12))
def test_the_price_in_force_is_the_latest_beginning_not_after_the_moment(
    beginnings: list[int], today: int
) -> None:
    newest_first = sorted(beginnings, reverse=True)
    made = catalog(*((None, days) for days in newest_first))
    begun = [days for days in newest_first if days <= today]
    expected = newest_first.index(max(begun)) if begun else None
    assert number_in_force(made, GROUP, today) == expected


def test_priced_models_are_listed_by_name_once_each() -> None:
    models = [model("openai/b", aliases=("b", "a-first")), model("openai/a", aliases=("a",))]
    by_name = {name: one for one in models for name in (one.name, *one.aliases)}
    prices: Prices = {(one.name, None): (price(model=one.name),) for one in models}
    listed = Catalog(models=by_name, prices=prices).priced_models(BOOK_DAY, CHAT)
    assert [(found.name, paid.model) for found, paid in listed] == [
        ("openai/a", "openai/a"),
        ("openai/b", "openai/b"),
    ]


@pytest.mark.parametrize("mode", ["embedding", "responses", "image_generation", ""])
def test_models_of_other_modes_are_not_listed(mode: str) -> None:
    models = {"openai/small": model(mode=mode)}
    made = Catalog(models=models, prices={("openai/small", None): (price(),)})
    assert made.priced_models(BOOK_DAY, CHAT) == []
    assert len(made.priced_models(BOOK_DAY, CHAT | {mode})) == 1


def test_a_model_that_is_priced_later_or_for_one_group_alone_is_not_listed() -> None:
    assert catalog((None, 1)).priced_models(BOOK_DAY, CHAT) == []
    assert len(catalog((None, 1)).priced_models(BOOK_DAY + DAY, CHAT)) == 1
    assert catalog((GROUP, 0)).priced_models(BOOK_DAY, CHAT) == []


def test_printing_a_catalog_shows_no_credential() -> None:
    made = Catalog(channels={"openai/small": (channel("sk-provider-secret"),)})
    for text in (repr(made), str(made), f"{made.channels}"):
        assert "sk-provider-secret" not in text
        assert "openai:main" in text


SMALL, LARGE = model("openai/small"), model("openai/large")
CLAUDE = model("anthropic/claude")
MODELS = (SMALL, LARGE, CLAUDE)


def named(number: int, **changed: Any) -> Channel:
    return msgspec.structs.replace(channel(), id=number, name=f"c{number}", **changed)


def serving(*channels: Channel) -> dict[str, list[int]]:
    """The ids of the channels that serve each model."""
    made = Catalog(channels=channels_by_model(MODELS, channels))
    return {one.name: [found.id for found in made.channels_of(one)] for one in MODELS}


def test_a_channel_without_a_map_serves_every_model_of_its_provider_alone() -> None:
    assert serving(named(1), named(2, provider="anthropic")) == {
        "openai/small": [1],
        "openai/large": [1],
        "anthropic/claude": [2],
    }


def test_a_channel_with_a_map_serves_what_it_names_of_whatever_provider() -> None:
    mapped = named(1, model_map={"openai/small": "a", "anthropic/claude": "b", "openai/gone": "c"})
    assert serving(mapped) == {
        "openai/small": [1],
        "openai/large": [],
        "anthropic/claude": [1],
    }
    assert channels_by_model(MODELS, [mapped]).keys() == {"openai/small", "anthropic/claude"}


def test_the_order_of_channels_is_kept() -> None:
    rows = [
        named(4, model_map={"openai/small": "a"}),
        named(2),
        named(3, provider="anthropic", model_map={"openai/small": "b"}),
        named(1),
    ]
    assert serving(*rows)["openai/small"] == [4, 2, 3, 1]


def test_a_model_is_sent_by_its_name_at_the_channel() -> None:
    mapped = named(1, model_map={"openai/small": "deployment-7"})
    assert mapped.upstream_name(SMALL) == "deployment-7"
    assert named(2).upstream_name(SMALL) == "small"
