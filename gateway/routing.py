"""Which channels a call may try, in which order. Pure."""

import random
from collections.abc import Collection, Sequence

from gateway.catalog import Channel


def order_channels(
    channels: Sequence[Channel], chance: random.Random, limited: Collection[int] = ()
) -> list[Channel]:
    """By priority, lowest first; channels of one priority in a random order that favours weight.

    A weight of 0 stands by: behind every other channel of its priority. Channels whose ids are in `limited` have too
    many calls just now: they come after all others. Which of them may be tried at the moment is
    gateway/breaker.py's to say.
    """
    keyed = [
        (
            channel.id in limited,
            channel.priority,
            channel.weight == 0,
            -(chance.random() ** (1.0 / max(channel.weight, 1))),
            index,
            channel,
        )
        for index, channel in enumerate(channels)
    ]
    return [channel for *_, channel in sorted(keyed, key=lambda row: row[:5])]
