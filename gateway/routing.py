"""Which channels a call may try, in which order. Pure."""

import random
from collections.abc import Sequence

from gateway.catalog import Channel


def order_channels(channels: Sequence[Channel], chance: random.Random) -> list[Channel]:
    """By priority, lowest first; channels of one priority in a random order that favours weight."""
    keyed = [
        (channel.priority, -(chance.random() ** (1.0 / max(channel.weight, 1))), index, channel)
        for index, channel in enumerate(channels)
    ]
    return [channel for *_, channel in sorted(keyed, key=lambda row: row[:3])]
