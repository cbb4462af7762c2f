"""What a price would have done, recomputed call by call."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.key_services import issue_key
from accounts.models import APIKey
from billing.pricing import Price, Rate, RateTable
from gateway.models import Model
from gateway.operator import price_effects
from gateway.operator.price_effects import list_examples, read_effect
from gateway.operator.price_services import frozen_entry
from tests.gateway.call_rows import record
from tests.gateway.operator.shop import LONG_AGO, add_model, entry, sell
from tests.people import People

pytestmark = pytest.mark.django_db
USED = {
    "input_tokens": 1_000_000,
    "output_tokens": 500_000,
    "amount_nanos": 3 * 10**9,
    "list_nanos": 6 * 10**9,
}


@pytest.fixture
def model(people: People) -> Model:
    made = add_model()
    sell(made)  # 2 and 8 dollars at a half: such a call cost 3
    return made


def dearer(model: Model) -> Price:
    """4 and 16 dollars, at 60%: such a call would have cost 7.20."""
    return frozen_entry(entry(4, 16, sell_bps=6000), model, None)


def test_each_call_of_the_last_30_days_is_charged_anew(
    key: APIKey, model: Model, people: People
) -> None:
    other = issue_key(people.foreign_group, people.charlie, "x")[0]
    for _call in range(3):
        record(key, 60, model=model.name, **USED)
    record(other, 60, model=model.name, **USED)
    record(key, 60, model="openai/else", **USED)
    record(key, 31 * 86_400, model=model.name, **USED)
    record(key, 60, model=model.name, status="upstream_failed", input_tokens=5)
    effect = read_effect(model, None, dearer(model))
    assert (effect.calls, effect.groups, effect.unpriced, effect.is_cut) == (4, 2, 0, False)
    assert (effect.before_nanos, effect.after_nanos) == (12 * 10**9, 28_800_000_000)
    assert effect.change_nanos == 16_800_000_000
    assert [(row.group, row.calls) for row in effect.top] == [
        (people.group, 3),
        (people.foreign_group, 1),
    ]


def test_groups_with_their_own_price_are_left_out_and_one_group_is_looked_at_alone(
    key: APIKey, model: Model, people: People
) -> None:
    other = issue_key(people.foreign_group, people.charlie, "x")[0]
    sell(model, entry(1, 1, start=LONG_AGO), people.foreign_group)
    for one in (key, other):
        record(one, 60, model=model.name, **USED)
    assert read_effect(model, None, dearer(model)).groups == 1
    alone = read_effect(model, people.foreign_group, dearer(model))
    assert [row.group for row in alone.top] == [people.foreign_group]


def test_what_was_written_off_counts_as_cost(key: APIKey, model: Model) -> None:
    record(
        key, 60, model=model.name, **USED | {"amount_nanos": 10**9, "written_off_nanos": 2 * 10**9}
    )
    assert read_effect(model, None, dearer(model)).before_nanos == 3 * 10**9


def test_calls_without_a_rate_at_the_new_price_are_told(key: APIKey, model: Model) -> None:
    record(key, 60, model=model.name, service_tier="flex", **USED)
    effect = read_effect(model, None, dearer(model))
    assert (effect.calls, effect.unpriced) == (0, 1)


def test_tasks_are_charged_by_their_pictures(key: APIKey, people: People) -> None:
    model = add_model("openai/draw", mode="image_generation")
    rates = {"image[1k]": Rate(10**8, 1, 5000)}
    price = Price(0, model.name, None, timezone.now(), (RateTable("standard", 0, rates),))
    record(key, 60, model=model.name, source="task", images=3, price_key="1k", amount_nanos=10**8)
    record(key, 60, model=model.name, source="task", images=1, price_key="4k", amount_nanos=10**8)
    effect = read_effect(model, None, price)
    assert (effect.before_nanos, effect.after_nanos, effect.unpriced) == (10**8, 150_000_000, 1)


@pytest.mark.parametrize("limit", ["WALKED_MAX", "CALLS_MAX"])
def test_beyond_its_limit_only_the_newest_calls_are_looked_at(
    key: APIKey, model: Model, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(price_effects, limit, 2)
    for seconds in (10, 20, 30):
        oldest = record(key, seconds, model=model.name, **USED)
    effect = read_effect(model, None, dearer(model))
    assert (effect.calls, effect.is_cut) == (2, True)
    assert oldest.created_at < effect.since < timezone.now() - timedelta(seconds=15)


def test_examples_are_at_both_prices_and_above_each_threshold(model: Model) -> None:
    before = frozen_entry(entry(), model, None)
    plain = list_examples(model, before, dearer(model))
    assert [(e.input_tokens, e.before_nanos, e.after_nanos) for e in plain][:1] == [
        (1000, 5_000_000, 12_000_000)
    ]
    longer = RateTable("standard", 200_000, dict(before.tables[0].rates))
    tall = Price(0, model.name, None, timezone.now(), (*before.tables, longer))
    assert [e.input_tokens for e in list_examples(model, None, tall)] == [1000, 20_000, 200_001]
    assert list_examples(model, None, tall)[0].before_nanos is None
