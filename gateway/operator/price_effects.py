"""What a price would have done: the model's calls of the last 30 days charged once more, each by itself.

Calls are looked for newest first, among at most WALKED_MAX records of all models, and at most CALLS_MAX of this one are
charged anew: so the page says what it has looked at.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.utils import timezone

from accounts.ids import first_id_at
from accounts.models import Group
from billing.models import Price as PriceRow
from billing.picture_pricing import charge_pictures, priced_keys
from billing.pricing import Price, PricingError, Usage, charge_usage
from gateway.call import CHARGED
from gateway.models import CallRecord, Model

SPAN = timedelta(days=30)
WALKED_MAX = 200_000
CALLS_MAX = 30_000
TOP = 5
COLUMNS = (
    "group_id", "source", "service_tier", "created_at", "amount_nanos", "written_off_nanos", "images", "price_key",
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens",
)  # fmt: skip
BUCKETS = COLUMNS[8:]


class GroupEffect(NamedTuple):
    """What the calls of a group cost, and would have cost."""

    group: Group | None
    calls: int
    before_nanos: int
    after_nanos: int

    @property
    def change_nanos(self) -> int:
        return self.after_nanos - self.before_nanos


class Effect(NamedTuple):
    """All of them together. `unpriced` calls could not have been charged at the new price. `is_cut`: not all calls of
    the 30 days were looked at, only those since `since`."""

    calls: int
    unpriced: int
    before_nanos: int
    after_nanos: int
    groups: int
    top: list[GroupEffect]
    since: datetime
    is_cut: bool

    @property
    def change_nanos(self) -> int:
        return self.after_nanos - self.before_nanos


class Example(NamedTuple):
    """What one call costs before and after; None where there is no price for it. `input_tokens` and `output_tokens`
    are 0 for a picture of the key."""

    key: str
    input_tokens: int
    output_tokens: int
    before_nanos: int | None
    after_nanos: int | None


def read_effect(model: Model, group: Group | None, price: Price) -> Effect:
    """The effect of the price on the model's calls: of the one group, or of all that have no price of their own."""
    now = timezone.now()
    calls, since, is_cut = _find_calls(model, group, now)
    apart = set() if group else _groups_apart(model)
    sums: dict[UUID, list[int]] = {}
    unpriced = 0
    for row in calls:
        if row["group_id"] in apart:
            continue
        before = row["amount_nanos"] + row["written_off_nanos"]
        after = _charge(row, price)
        if after is None:
            unpriced += 1
            continue
        of_group = sums.setdefault(row["group_id"], [0, 0, 0])
        for index, value in enumerate((1, before, after)):
            of_group[index] += value
    return Effect(
        calls=sum(found[0] for found in sums.values()),
        unpriced=unpriced,
        before_nanos=sum(found[1] for found in sums.values()),
        after_nanos=sum(found[2] for found in sums.values()),
        groups=len(sums),
        top=_top(sums),
        since=since,
        is_cut=is_cut,
    )


def _find_calls(
    model: Model, group: Group | None, now: datetime
) -> tuple[Iterator[dict[str, Any]], datetime, bool]:
    records = CallRecord.objects.filter(id__gte=first_id_at(now - SPAN))
    if group is not None:
        records = records.filter(group=group)
    newest = records.order_by("-id")
    beyond = list(newest.values_list("id", flat=True)[WALKED_MAX : WALKED_MAX + 1])
    if beyond:
        newest = newest.filter(id__gt=beyond[0])
    found = list(
        newest.filter(model=model.name, status__in=CHARGED).values(*COLUMNS)[: CALLS_MAX + 1]
    )
    since = now - SPAN
    is_cut = bool(beyond) or len(found) > CALLS_MAX
    if is_cut and found:
        since = found[:CALLS_MAX][-1]["created_at"]
    return iter(found[:CALLS_MAX]), since, is_cut


def _groups_apart(model: Model) -> set[UUID]:
    """Groups whose own price of the model comes before everybody's."""
    own = PriceRow.objects.filter(model=model.name, group__isnull=False)
    return {group_id for group_id in own.values_list("group_id", flat=True) if group_id}


def _charge(row: dict[str, Any], price: Price) -> int | None:
    try:
        if row["source"] == CallRecord.Source.TASK:
            return charge_pictures(price, row["images"], row["price_key"]).amount_nanos
        usage = Usage(images=row["images"], **{name: row[name] for name in BUCKETS})
        return charge_usage(price, usage, row["service_tier"]).amount_nanos
    except (PricingError, ValueError):
        return None


def _top(sums: dict[UUID, list[int]]) -> list[GroupEffect]:
    """The groups for whom most changes."""
    most = sorted(sums.items(), key=lambda item: -abs(item[1][2] - item[1][1]))[:TOP]
    groups = Group.objects.select_related("organization").in_bulk([key for key, _sums in most])
    return [GroupEffect(groups.get(key), *found) for key, found in most]


def list_examples(model: Model, before: Price | None, after: Price) -> list[Example]:
    """Calls of a kind that everybody can picture, at both prices."""
    keys = {priced.key for price in (before, after) if price for priced in priced_keys(price)}
    if keys:
        return [_example_picture(key, before, after) for key in sorted(keys)]
    sizes = [(1000, 1000), (20_000, 1000)]
    thresholds = {t.above_input_tokens for price in (before, after) if price for t in price.tables}
    sizes += [(above + 1, 1000) for above in sorted(thresholds - {0})]
    if model.mode == "embedding":
        sizes = [(1000, 0), (1_000_000, 0)]
    return [_example_tokens(size, before, after) for size in sizes]


def _example_tokens(size: tuple[int, int], before: Price | None, after: Price) -> Example:
    usage = Usage(input_tokens=size[0], output_tokens=size[1])
    amounts = [_amount(price, usage) for price in (before, after)]
    return Example("", *size, *amounts)


def _amount(price: Price | None, usage: Usage) -> int | None:
    try:
        return charge_usage(price, usage).amount_nanos if price else None
    except PricingError:
        return None


def _example_picture(key: str, before: Price | None, after: Price) -> Example:
    amounts = []
    for price in (before, after):
        try:
            amounts.append(charge_pictures(price, 1, key).amount_nanos if price else None)
        except (PricingError, ValueError):
            amounts.append(None)
    return Example(key, 0, 0, *amounts)
