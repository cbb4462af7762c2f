"""Identifiers that sort by time of making (RFC 9562, version 7). Pure."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A version 7 UUID: 48 bits of milliseconds, then 74 random bits.

    Rows keyed by it land at the end of their index, and a list ordered by it is ordered by time.
    """
    random = int.from_bytes(os.urandom(10), "big")
    head = (time.time_ns() // 1_000_000) << 80
    middle = 0x7000_0000_0000_0000_0000 | (random & 0x0FFF_0000_0000_0000_0000)
    tail = 0x8000_0000_0000_0000 | (random & 0x3FFF_FFFF_FFFF_FFFF)
    return UUID(int=head | middle | tail)
