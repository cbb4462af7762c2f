"""The order in which channels are tried."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import Channel
from gateway.routing import order_channels


def channel(number: int, priority: int = 0, weight: int = 1) -> Channel:
    return Channel(
        id=number,
        provider="openai",
        dialect="openai",
        name=f"channel {number}",
        base_url="http://127.0.0.1:1/v1",
        credential="secret",
        priority=priority,
        weight=weight,
    )


def firsts(channels: list[Channel], draws: int = 6000) -> Counter[int]:
    chance = random.Random(7)
    return Counter(order_channels(channels, chance)[0].id for _ in range(draws))


def test_no_channels_are_no_order() -> None:
    assert order_channels((), random.Random(1)) == []


def test_lower_priority_comes_first_whatever_the_weights() -> None:
    channels = [channel(1, 5, 1000), channel(2, 0), channel(3, 1, 1000), channel(4, -1)]
    for seed in range(50):
        order = order_channels(channels, random.Random(seed))
        assert [one.id for one in order] == [4, 2, 3, 1]


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 2**31 - 1)), max_size=12),
    st.integers(0, 2**32),
)
def test_every_channel_has_its_turn_once_and_priorities_never_mix(
    rows: list[tuple[int, int]], seed: int
) -> None:
    channels = [channel(number, *row) for number, row in enumerate(rows)]
    order = order_channels(channels, random.Random(seed))
    assert sorted(one.id for one in order) == list(range(len(rows)))
    assert [one.priority for one in order] == sorted(one.priority for one in channels)


def test_equal_channels_share_the_calls_equally() -> None:
    shares = firsts([channel(1), channel(2), channel(3)])
    assert all(1800 < share < 2200 for share in shares.values())


def test_calls_are_shared_by_weight() -> None:
    shares = firsts([channel(1, weight=1), channel(2, weight=3)])
    assert 0.72 < shares[2] / 6000 < 0.78


def test_the_second_choice_is_drawn_by_weight_too() -> None:
    channels = [channel(1, weight=1), channel(2, weight=1000), channel(3, weight=9)]
    chance = random.Random(7)
    seconds = Counter(order_channels(channels, chance)[1].id for _ in range(2000))
    assert 0.85 < seconds[3] / 2000 < 0.94


def test_a_channel_of_no_weight_stands_behind_the_others_of_its_priority() -> None:
    channels = [channel(1, 0, 0), channel(2, 0, 1), channel(3, 0, 1000), channel(4, 1, 1000)]
    for seed in range(50):
        order = [one.id for one in order_channels(channels, random.Random(seed))]
        assert (order[2], order[3]) == (1, 4)


def test_channels_of_no_weight_share_equally_what_the_others_leave() -> None:
    shares = firsts([channel(1, weight=0), channel(2, weight=0)])
    assert all(2700 < share < 3300 for share in shares.values())


def test_a_channel_with_too_many_calls_comes_after_all_others() -> None:
    channels = [channel(1, priority=0), channel(2, priority=1), channel(3, priority=2)]
    order = [one.id for one in order_channels(channels, random.Random(1), {1})]
    assert order == [2, 3, 1]
