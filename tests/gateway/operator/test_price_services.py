"""New prices and facts of models: what is refused, what is written, which lines it leaves."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Change, Group
from billing.models import Price
from billing.price_book import PriceBookError, PriceEntry
from billing.pricing import Rate, RateTable
from gateway.models import Model
from gateway.operator import price_services as services
from gateway.operator.price_services import ModelFacts
from gateway.operator.price_uploads import parse_book
from tests.gateway.operator.shop import LONG_AGO, add_model, entry, sell
from tests.people import People

pytestmark = pytest.mark.django_db
FACTS = ModelFacts(True, "tiny", ("tiny", "small"), 1000, 100, None)


@pytest.fixture
def model(people: People) -> Model:
    made = add_model()
    sell(made)
    return made


def tables(*rates: tuple[str, int, str, int, int]) -> tuple[RateTable, ...]:
    """Rates of (tier, threshold, bucket, nanos, per)."""
    found: dict[tuple[Any, int], dict[str, Rate]] = {}
    for tier, above, bucket, nanos, per in rates:
        found.setdefault((tier, above), {})[bucket] = Rate(nanos, per, 5000)
    return tuple(RateTable(tier, above, of_it) for (tier, above), of_it in found.items())


def test_a_price_begins_in_the_future_and_leaves_a_line(people: People, model: Model) -> None:
    begins = timezone.now() + timedelta(hours=1)
    booked = services.add_price(people.olga, model, None, entry(4, 16, start=begins))
    assert (booked.effective_from, booked.frozen().tables[0].rates["input"].list_nanos) == (
        begins,
        4 * 10**9,
    )
    line = Change.objects.get(verb="price.added")
    assert (line.actor, line.subject_id) == (people.olga, model.name)
    assert line.before["rates"] == ["input: $2.00 / 1M", "output: $8.00 / 1M"]
    assert line.after["rates"] == ["input: $4.00 / 1M", "output: $16.00 / 1M"]
    assert Price.objects.count() == 2


def share_in_force(model: Model, group: Group | None, moment: datetime) -> int | None:
    price = services.price_in_force(model, group, moment)
    return price.sell_bps if price else None


def test_the_price_of_one_group_is_told_to_its_admins(people: People, model: Model) -> None:
    services.add_price(people.olga, model, people.group, entry(sell_bps=4000))
    line = Change.objects.get(verb="price.added")
    assert (line.group, line.organization) == (people.group, people.organization)
    later = timezone.now() + timedelta(days=2)
    assert share_in_force(model, people.group, later) == 4000
    assert share_in_force(model, people.foreign_group, later) == 5000


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), timedelta(days=400)])
def test_what_has_begun_is_refused(people: People, model: Model, late: timedelta) -> None:
    with pytest.raises(ValidationError, match="future"):
        services.add_price(people.olga, model, None, entry(start=timezone.now() - late))
    assert Price.objects.count() == 1


def test_a_second_price_from_the_same_moment_is_refused(people: People, model: Model) -> None:
    price = entry()
    services.add_price(people.olga, model, None, price)
    with pytest.raises(ValidationError, match="never edited"):
        services.add_price(people.olga, model, None, price)
    assert Change.objects.filter(verb="price.added").count() == 1


TOKENS = (("standard", 0, "input", 1, 10**6), ("standard", 0, "output", 1, 10**6))
BAD_TABLES: list[Any] = [
    (),
    TOKENS[:1],
    TOKENS[1:],
    (("flex", 0, "input", 1, 10**6), ("flex", 0, "output", 1, 10**6)),
    (("standard", 5, "input", 1, 10**6), ("standard", 5, "output", 1, 10**6)),
    (*TOKENS, ("flex", 7, "input", 1, 10**6)),
    (*TOKENS, ("standard", 0, "image[1k]", 1, 1), ("standard", 0, "request[1]", 1, 1)),
]


@pytest.mark.parametrize("rates", BAD_TABLES)
def test_tables_that_leave_calls_without_a_price_are_refused(
    people: People, model: Model, rates: Any
) -> None:
    price = msgspec.structs.replace(entry(), tables=tables(*rates))
    with pytest.raises(ValidationError):
        services.add_price(people.olga, model, None, price)
    assert Price.objects.count() == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rate(-1, 10**6, 5000),
        lambda: Rate(10**15 + 1, 10**6, 5000),
        lambda: Rate(1, 10**6, -1),
        lambda: Rate(1, 10**6, 100_001),
    ],
)
def test_negative_and_absurd_rates_cannot_even_be_made(make: Callable[[], Rate]) -> None:
    with pytest.raises(ValueError):
        make()


def book_of(price: PriceEntry, name: str = "openai/tiny") -> str:
    """The same price as the loader reads it."""
    raw = [
        {
            "tier": table.tier,
            "above_input_tokens": table.above_input_tokens,
            "per_million": {b: "1" for b, r in table.rates.items() if r.per > 1},
            "per_unit": {b: "1" for b, r in table.rates.items() if r.per == 1},
        }
        for table in price.tables
    ]
    model = {
        "name": name, "aliases": [], "mode": "chat", "context_length": None, "max_completion_tokens": None,
        "retires_on": None, "source": "s",
        "prices": [{"effective_from": "2030-01-01", "sell_bps": 5000, "list_is_estimated": False, "tables": raw}],
    }  # fmt: skip
    return msgspec.json.encode(
        {"currency": "USD", "read_on": "2026-11-21", "models": [model]}
    ).decode()


@pytest.mark.parametrize("rates", [BAD_TABLES[0], *BAD_TABLES[3:]])
def test_what_the_loader_refuses_the_form_refuses_too(model: Model, rates: Any) -> None:
    price = msgspec.structs.replace(entry(), tables=tables(*rates))
    with pytest.raises(PriceBookError):
        parse_book(book_of(price))
    with pytest.raises(ValidationError):
        services.check_price(model, price.tables)


def test_facts_of_a_model_change_with_a_line(people: People, model: Model) -> None:
    changed = FACTS._replace(is_enabled=False, retires_on=date(2027, 1, 31))
    services.change_model(people.olga, model.name, changed)
    model.refresh_from_db()
    assert (model.is_enabled, model.aliases, model.retires_on) == (
        False, ["tiny", "small"], date(2027, 1, 31),
    )  # fmt: skip
    line = Change.objects.get(verb="model.changed")
    assert line.before["is_enabled"] is True
    assert line.after["retires_on"] == "2027-01-31"
    services.change_model(people.olga, model.name, changed)
    assert Change.objects.filter(verb="model.changed").count() == 1


@pytest.mark.parametrize(
    ("aliases", "upstream"),
    [
        (("other",), "tiny"),
        (("openai/other",), "tiny"),
        (("other-alias",), "tiny"),
        (("tiny", "tiny"), "tiny"),
        (("<script>",), "tiny"),
        (("a b",), "tiny"),
        ((), ""),
        ((), "../v1?x"),
    ],
)
def test_names_that_are_taken_or_no_names_are_refused(
    people: People, model: Model, aliases: tuple[str, ...], upstream: str
) -> None:
    add_model("openai/other", aliases=["other", "other-alias"])
    facts = FACTS._replace(aliases=aliases, upstream_name=upstream)
    with pytest.raises(ValidationError):
        services.change_model(people.olga, model.name, facts)


def test_a_price_in_force_is_the_newest_that_has_begun(model: Model) -> None:
    later = datetime(2026, 6, 1, tzinfo=UTC)
    sell(model, entry(9, 9, sell_bps=7000, start=later))
    assert share_in_force(model, None, later - timedelta(days=1)) == 5000
    assert share_in_force(model, None, later) == 7000
    assert share_in_force(model, None, LONG_AGO - timedelta(days=1)) is None
