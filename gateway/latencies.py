"""Histograms of milliseconds, each kept as one number. Pure.

Decimal digits 12 by 12, from the lowest, are the counts of the buckets: adding two numbers adds the histograms, in
Python as in PostgreSQL's numeric. No bucket reaches 10^12, so none runs over into the next.

Borders are the E12 series of preferred numbers (IEC 60063), 10 ms to 1,000 s: a step is a fifth, so a percentile that
is interpolated inside of its bucket is off by about a tenth.
"""

from collections.abc import Iterator

PREFERRED = (10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82)
BORDERS_MS: tuple[int, ...] = (
    *(value * 10**decade for decade in range(5) for value in PREFERRED),
    1_000_000,
)
DIGITS = 12
_RADIX: int = 10**DIGITS


def weight_sql(milliseconds: str) -> str:
    """An SQL expression of type numeric: the histogram of one value, which is a column or an expression. NULL: none."""
    borders = ",".join(map(str, BORDERS_MS))
    weights = ",".join(str(_RADIX**bucket) for bucket in range(len(BORDERS_MS) + 1))
    bucket = f"width_bucket({milliseconds}, '{{{borders}}}'::int[])"
    return f"coalesce(('{{{weights}}}'::numeric[])[1 + {bucket}], 0)"


def count(histogram: int) -> int:
    """How many values it holds."""
    return sum(number for _bucket, number in _buckets(histogram))


def percentile_ms(histogram: int, percent: int) -> int | None:
    """The value, to about a tenth, below which `percent` of the values lie; None where there are none."""
    wanted = -(-count(histogram) * percent // 100)
    below = 0
    for bucket, number in _buckets(histogram):
        if below + number >= wanted:
            low = BORDERS_MS[bucket - 1] if bucket else 0
            high = BORDERS_MS[min(bucket, len(BORDERS_MS) - 1)]
            return low + (high - low) * (2 * (wanted - below) - 1) // (2 * number)
        below += number
    return None


def _buckets(histogram: int) -> Iterator[tuple[int, int]]:
    bucket = 0
    while histogram:
        histogram, number = divmod(histogram, _RADIX)
        if number:
            yield bucket, number
        bucket += 1
