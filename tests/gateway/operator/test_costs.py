"""What channels cost: list price at dated shares, summed exactly."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import APIKey
from gateway.models import ChannelCost
from gateway.operator.channel_services import hour_of
from gateway.operator.costs import read_spent
from gateway.rollups import roll_up
from gateway.usage_analytics import Span
from tests.gateway.operator.shop import add_channel, tried

pytestmark = pytest.mark.django_db


def day_before() -> Span:
    now = timezone.now()
    return Span(now - timedelta(days=1), now + timedelta(hours=1), UTC)


def test_without_a_cost_a_channel_costs_list_price(key: APIKey) -> None:
    channel = add_channel()
    tried(key, list_nanos=1001)
    assert read_spent(day_before()) == (1001, {channel.pk: 1001})


def test_a_cost_holds_from_its_hour_on_and_is_rounded_once(key: APIKey) -> None:
    channel = add_channel()
    hour = hour_of(timezone.now()) - timedelta(hours=3)
    for cost_bps, begins in ((3333, hour - timedelta(days=30)), (9000, hour)):
        ChannelCost.objects.create(channel=channel, cost_bps=cost_bps, effective_from=begins)
    before = (timezone.now() - hour).total_seconds()
    for _call in range(3):
        tried(key, seconds_ago=before + 60, list_nanos=1)
        tried(key, seconds_ago=before - 60, list_nanos=1)
    # 3 x 1 x 0.3333 + 3 x 1 x 0.9 = 3.6999: each rounded alone would make 3.
    assert read_spent(day_before()).nanos == 4
    roll_up()
    assert read_spent(day_before()).nanos == 4


def test_channels_have_costs_of_their_own_and_a_call_without_one_costs_list_price(
    key: APIKey,
) -> None:
    main, other = add_channel(), add_channel("other")
    ChannelCost.objects.create(
        channel=main, cost_bps=0, effective_from=datetime(2026, 1, 1, tzinfo=UTC)
    )
    tried(key, list_nanos=1000)
    tried(key, channel="openai:other", list_nanos=300)
    tried(key, channel="openai:gone", list_nanos=7)
    assert read_spent(day_before()) == (307, {main.pk: 0, other.pk: 300, None: 7})
