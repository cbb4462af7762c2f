"""Identifiers that sort by time of making (RFC 9562, version 7). Pure."""

import os
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How far the clock that made an id may be from the one that wrote a moment into its row.
CLOCK_SKEW = timedelta(minutes=10)
# A record and a capture bear the id of their call, which is older than they are by as long as the call ran.
LONGEST_CALL = timedelta(days=1)


def uuid7() -> UUID:
    """A version 7 UUID: 48 bits of milliseconds, 12 of their fraction (RFC 9562, 6.2, method 3), then 62 random bits.

    Rows keyed by it land at the end of their index, and a list ordered by it is ordered by time, to within 244 ns.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random)


def first_id_at(moment: datetime) -> UUID:
    """The least such id of that millisecond: a span of time is a range of ids, so that an index on ids serves."""
    milliseconds = max((moment - EPOCH) // timedelta(milliseconds=1), 0)
    return UUID(int=milliseconds << 80 | 0x7000_8000_0000_0000_0000)
