"""What channels cost the operator: a dated share of list price for each.

An estimate by design: a provider's invoice may round, discount and count otherwise, and may bill calls that failed.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from billing.money import divide_half_even
from gateway.models import ChannelCost
from gateway.operator_models import LIST_BPS
from gateway.usage_analytics import Scope, Span, read_top


class Costs(NamedTuple):
    """The cost of each channel at one moment, by its id."""

    by_channel: Mapping[int, int]

    def of(self, channel_id: int | None) -> int:
        """Basis points of list price; list price where nothing else was set."""
        return self.by_channel.get(channel_id or 0, LIST_BPS)


class Spent(NamedTuple):
    """What providers took for the calls of a span, each rounded once; by the channel's id, None for what is gone."""

    nanos: int
    by_channel: Mapping[int | None, int]


def costs_at(moment: datetime) -> Costs:
    """The costs in force at the moment."""
    begun = (
        ChannelCost.objects.filter(effective_from__lte=moment)
        .order_by("channel", "-effective_from")
        .distinct("channel")
    )
    return Costs(dict(begun.values_list("channel_id", "cost_bps")))


def read_spent(span: Span) -> Spent:
    """The provider cost of the span: list price of its calls, at the share of the channel that served each.

    Costs begin at full hours, so the span falls into stretches in which none of them changes; products are summed
    exactly over all of them and rounded at the end.
    """
    changes = ChannelCost.objects.filter(
        effective_from__gt=span.since, effective_from__lt=span.until
    ).values_list("effective_from", flat=True)
    edges = [span.since, *sorted(set(changes)), span.until]
    weights: dict[int | None, int] = {}
    for since, until in pairwise(edges):
        costs = costs_at(since)
        for key, totals in read_top(Scope.everything(), Span(since, until, span.zone), "channel"):
            channel_id = key if isinstance(key, int) else None
            weight = totals.list_nanos * costs.of(channel_id)
            weights[channel_id] = weights.get(channel_id, 0) + weight
    by_channel = {key: divide_half_even(weight, LIST_BPS) for key, weight in weights.items()}
    return Spent(divide_half_even(sum(weights.values()), LIST_BPS), by_channel)
