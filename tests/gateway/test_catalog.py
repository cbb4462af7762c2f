"""Which price is in force, and which models can be called."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.pricing import Price
from gateway.catalog import Catalog
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
    made = Catalog(channels={"openai": (channel("sk-provider-secret"),)})
    for text in (repr(made), str(made), f"{made.channels}"):
        assert "sk-provider-secret" not in text
        assert "openai:main" in text
