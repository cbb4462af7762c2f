"""Sizes in pixels: from a resolution and a ratio, and back from a size that a caller named. Pure.

The constraints are those of gpt-image-2 (OpenAI's image generation guide, "Size and quality options").
"""

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.errors import BadRequest

EDGE_STEP = 16
EDGE_MAX = 3840
RATIO_MAX = 3
PIXELS_MIN = 655_360
PIXELS_MAX = 8_294_400

# What a picture of the resolution aims at, and the most that is priced as one.
_PIXELS: Mapping[str, int] = MappingProxyType(
    {"1k": 1024 * 1024, "2k": 2048 * 2048, "4k": PIXELS_MAX}
)
_PIXELS_LIMIT: Mapping[str, int] = MappingProxyType(
    {"1k": 1536 * 1024, "2k": 2048 * 2048, "4k": PIXELS_MAX}
)
# The sizes that the provider calls its standard ones are larger than a megapixel.
_STANDARD: Mapping[tuple[str, str], tuple[int, int]] = MappingProxyType(
    {("1k", "3:2"): (1536, 1024), ("1k", "2:3"): (1024, 1536)}
)
_RATIO = re.compile("([1-9][0-9]?):([1-9][0-9]?)")
_SIZE = re.compile("([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def pixel_size(resolution: str, ratio: str) -> tuple[int, int] | None:
    """Width and height of exactly this ratio, with the area nearest to the resolution's.

    None leaves the choice to the provider: `auto` at 1k. It knows no larger ones by itself, so `auto` is square at 2k
    and 4k. Raises ValueError for what is no resolution or ratio.
    """
    if resolution not in _PIXELS:
        raise ValueError(f"no resolution: {resolution!r}")
    if ratio == "auto":
        if resolution == "1k":
            return None
        ratio = "1:1"
    standard = _STANDARD.get((resolution, ratio))
    if standard is not None:
        return standard
    across, down = _parts_of(ratio)
    width, height = EDGE_STEP * across, EDGE_STEP * down
    most = min(
        math.isqrt(_PIXELS_LIMIT[resolution] // (width * height)), EDGE_MAX // max(width, height)
    )
    wanted = _PIXELS[resolution]
    times = min(range(1, most + 1), key=lambda n: abs(n * n * width * height - wanted))
    return times * width, times * height


def nearest_ratio(width: int, height: int, ratios: Sequence[str]) -> str:
    """The ratio that is closest to the size's; `auto` is none. Raises ValueError without any."""
    given = math.log(width / height)
    return min(
        (r for r in ratios if r != "auto"), key=lambda r: abs(math.log(_value_of(r)) - given)
    )


def ratio_error(width: int, height: int, ratio: str) -> float:
    """By what part the size's ratio is off: 0.02 is two percent."""
    return abs(math.expm1(math.log(width / height) - math.log(_value_of(ratio))))


def parse_size(text: str) -> tuple[int, int] | None:
    """`1024x1536` as a width and a height; None for anything else."""
    found = _SIZE.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


def tier_of(width: int, height: int) -> str:
    """The resolution as which a size is priced. Raises BadRequest for a size that cannot be made."""
    problem = _problem_of(width, height)
    if problem is not None:
        raise BadRequest(
            f"'size' {width}x{height} is not offered: {problem}.",
            code="unsupported_parameter",
            param="size",
        )
    pixels = width * height
    return next(tier for tier, limit in _PIXELS_LIMIT.items() if pixels <= limit)


def _problem_of(width: int, height: int) -> str | None:
    longest, shortest = max(width, height), min(width, height)
    if width % EDGE_STEP or height % EDGE_STEP:
        return f"both edges must be multiples of {EDGE_STEP}"
    if longest > EDGE_MAX:
        return f"no edge may be longer than {EDGE_MAX}"
    if longest > RATIO_MAX * shortest:
        return f"one edge may be {RATIO_MAX} times the other at most"
    if not PIXELS_MIN <= width * height <= PIXELS_MAX:
        return f"a picture has {PIXELS_MIN:,} to {PIXELS_MAX:,} pixels"
    return None


def _parts_of(ratio: str) -> tuple[int, int]:
    found = _RATIO.fullmatch(ratio)
    if found is None:
        raise ValueError(f"no ratio: {ratio!r}")
    across, down = int(found[1]), int(found[2])
    common = math.gcd(across, down)
    return across // common, down // common


def _value_of(ratio: str) -> float:
    across, down = _parts_of(ratio)
    return across / down
