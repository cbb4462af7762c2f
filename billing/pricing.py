"""What a call costs: usage in disjoint buckets, a price, and the charge that follows from them.

Everything here is a pure function of its arguments. Amounts are integers: a line is worth quantity
x list_nanos x sell_bps / (per x 10**4) nano-dollars; a charge adds its lines exactly, over the
common denominator 10**6 x 10**4, and rounds the sum once, half-even.

Which rate a bucket takes, first where the vendor's table says nothing about it:

- cached_input, cache_write -> input: no discount and no surcharge is listed, so these tokens are what they would be
  without a cache.
- cache_write_1h -> cache_write -> input: a write is at least a write; only some vendors sell two lifetimes.
- audio_input, image_input -> input, and audio_output, image_output -> output: vendors that list one price for tokens
  sell every modality at it.
- cached_image_input -> image_input -> input: as for cached_input.
- reasoning_output -> output: reasoning is output. Where the table lists it, the output line counts what is left of
  the output and reasoning has its own line; else it stays inside the output line.
- images have no fallback: a picture is not a number of tokens.

A rate that is listed as 0 is a price, not a gap. Where not even a fallback exists, MissingRate.

Long context: the table with the greatest threshold BELOW the call's total input applies to the whole call (vendors:
"applies once input exceeds"), so exactly 200,000 tokens still take the table under it.

Service tiers (flex, priority) and gaps: vendors list no long-context rates for them, and some list only plain input
and output. Both gaps close towards the dearer side, since the vendor will bill us something:

- once the standard tier has a table for a longer context than the service tier lists, each bucket takes the dearer of
  the service tier's rate and the standard long-context rate;
- a bucket that the applying table leaves out, while another table that applies to the call (standard, or for a
  shorter context) sells it dearer than what it would fall back on there, never falls below that rate. Without this,
  pictures at 30 USD would be sold at the text rate of 1.25 through a silent flex table.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from billing.faults import Fault
from billing.money import divide_half_even, format_scaled

Basis = Literal["reported", "counted", "estimated"]
Tier = Literal["standard", "flex", "priority"]

MILLION: Final = 1_000_000
BPS: Final = 10_000
MAX_LIST_NANOS: Final = 10**15
"""A million dollars per unit: beyond it a rate is a slip of the pen."""
MAX_SELL_BPS: Final = 100_000
"""Ten times list. Above list is allowed, since some pictures are sold above their maker's price."""
UNLIMITED_TOKENS: Final = 2**63 - 1
"""What affordable_output_tokens answers where output costs nothing, as for embeddings."""

_SALE_DENOMINATOR: Final = MILLION * BPS
_SALE_DECIMALS: Final = 19  # nanos (9) x per million (6) x basis points (4)
_LIST_DECIMALS: Final = 15

_FALLBACKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "input": (),
        "cached_input": ("input",),
        "cache_write": ("input",),
        "cache_write_1h": ("cache_write", "input"),
        "audio_input": ("input",),
        "image_input": ("input",),
        "cached_image_input": ("image_input", "input"),
        "output": (),
        "reasoning_output": ("output",),
        "audio_output": ("output",),
        "image_output": ("output",),
        "image": (),
    }
)
METERED_BUCKETS: Final = tuple(_FALLBACKS)
"""The buckets a Usage can fill, in the order of the lines of a charge."""
_OUTPUT_AT: Final = METERED_BUCKETS.index("output")  # reasoning follows it
_INPUT_BUCKETS: Final = METERED_BUCKETS[:_OUTPUT_AT]
_OUTPUT_BUCKETS: Final = ("output", "reasoning_output", "image_output")


class PricingError(Exception):
    """A call that cannot be priced."""


class MissingRate(PricingError):
    """The price says nothing about a bucket, not even by fallback."""

    def __init__(self, model: str, tier: str, bucket: str) -> None:
        super().__init__(f"{model} lists no {bucket} rate for the {tier} tier")
        self.model = model
        self.tier = tier
        self.bucket = bucket


class UnknownTier(PricingError):
    """The price has no table for a service tier."""

    def __init__(self, model: str, tier: str) -> None:
        super().__init__(f"{model} has no {tier} tier")
        self.model = model
        self.tier = tier


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Counted quantities of one call in disjoint buckets: no token is in two of them.

    The exception is `reasoning_tokens`, which are inside `output_tokens` and counted apart as well.
    `cache_write_tokens` are the short-lived (5 minutes) ones. `basis` says who counted: the
    provider (reported), we (counted), or nobody exactly (estimated). Raises ValueError for a
    negative quantity or for more reasoning than output.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    cached_image_input_tokens: int = 0
    image_output_tokens: int = 0
    images: int = 0
    basis: Basis = "reported"

    def __post_init__(self) -> None:
        if min(self._quantities) < 0:
            raise ValueError("a quantity of usage cannot be negative")
        if self.reasoning_tokens > self.output_tokens:
            raise ValueError("reasoning_tokens are inside output_tokens and cannot exceed them")

    @property
    def total_input_tokens(self) -> int:
        """Every token on the input side; what long-context thresholds are compared with."""
        return sum(self._quantities[:_OUTPUT_AT])

    @property
    def is_empty(self) -> bool:
        """Whether every bucket is zero: an answer that is not charged."""
        return not any(self._quantities)

    @property
    def _quantities(self) -> tuple[int, ...]:
        # In the order of METERED_BUCKETS: a rate finds its quantity by position.
        return (
            self.input_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.audio_input_tokens,
            self.image_input_tokens,
            self.cached_image_input_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.audio_output_tokens,
            self.image_output_tokens,
            self.images,
        )


class Rate(msgspec.Struct, frozen=True):
    """What a bucket costs: `list_nanos` per `per` units at list; `sell_bps` / 10**4 of it is
    charged.

    Raises ValueError outside 0 <= list_nanos <= 10**15, per 1 or 1,000,000, 0 <= sell_bps <=
    100,000: the upper bounds below hold only for rates that are not negative.
    """

    list_nanos: int
    per: int
    sell_bps: int

    def __post_init__(self) -> None:
        _check_within("list_nanos", self.list_nanos, MAX_LIST_NANOS)
        if self.per not in (1, MILLION):
            raise ValueError(f"per {self.per} is neither 1 nor {MILLION}")
        _check_within("sell_bps", self.sell_bps, MAX_SELL_BPS)


def _check_within(name: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise Fault(
            "%(name)s %(value)d is not within 0..%(most)d", name=name, value=value, most=most
        )


class RateTable(msgspec.Struct, frozen=True):
    """Rates by bucket of one service tier, for calls with more input than `above_input_tokens`."""

    tier: Tier
    above_input_tokens: int
    rates: dict[str, Rate]


class Price(msgspec.Struct, frozen=True, dict=True):
    """One dated row of the price book. `group_id` None is the price of every group without its own.

    Raises ValueError where `check_tables` does. What calls need is worked out once per Price, at
    the first call of each tier, so keep a Price rather than building it per call.
    """

    id: int
    model: str
    group_id: str | None
    effective_from: datetime
    tables: tuple[RateTable, ...]

    def __post_init__(self) -> None:
        check_tables(self.tables)

    @cached_property
    def _schedules(self) -> Mapping[str, "tuple[_Context, ...]"]:
        tiers = dict.fromkeys(table.tier for table in self.tables)
        return MappingProxyType({tier: _build_schedule(self.tables, tier) for tier in tiers})


class Line(msgspec.Struct, frozen=True):
    """One bucket of a charge: `quantity` at `list_nanos` per `per` units, sold at `sell_bps`."""

    bucket: str
    quantity: int
    list_nanos: int
    per: int
    sell_bps: int

    @property
    def amount(self) -> str:
        """The unrounded price of the line, exact decimal USD: lines add up to the charge."""
        product = self.quantity * self.list_nanos * self.sell_bps
        return format_scaled(product * (MILLION // self.per), _SALE_DECIMALS)

    @property
    def list_amount(self) -> str:
        """The same at list: exact decimal USD."""
        product = self.quantity * self.list_nanos
        return format_scaled(product * (MILLION // self.per), _LIST_DECIMALS)


class Charge(msgspec.Struct, frozen=True):
    """What a call costs under one price; `above_input_tokens` is the threshold whose rates applied.

    `list_nanos` and `amount_nanos` are the exact sums of the lines, each rounded once, half-even.
    """

    price_id: int
    tier: str
    above_input_tokens: int
    lines: tuple[Line, ...]
    list_nanos: int
    amount_nanos: int


def check_tables(tables: Sequence[RateTable]) -> None:
    """Raise ValueError unless each tier, and standard, has one table at 0 and no two alike."""
    seen = {(table.tier, table.above_input_tokens) for table in tables}
    if len(seen) != len(tables):
        raise Fault("two tables for the same tier and threshold")
    for tier in dict.fromkeys(["standard", *(table.tier for table in tables)]):
        if (tier, 0) not in seen:
            raise Fault("the %(tier)s tier has no table for calls of any length", tier=tier)
    if any(table.above_input_tokens < 0 for table in tables):
        raise Fault("above_input_tokens cannot be negative")


def charge_usage(price: Price, usage: Usage, tier: str = "standard") -> Charge:
    """The charge for `usage`. Raises UnknownTier, or MissingRate for a bucket without rate."""
    schedule = _schedule(price, tier)
    context = schedule[0]
    total_input = usage.total_input_tokens
    for longer in schedule[1:]:
        if total_input > longer.above:
            context = longer
    lines = []
    list_sum = sale_sum = 0
    for quantity, meter in zip(context.split(usage), context.meters, strict=True):
        if not quantity:
            continue
        rate = meter.rate
        if rate is None:
            raise MissingRate(price.model, tier, meter.bucket)
        lines.append(Line(meter.bucket, quantity, rate.list_nanos, rate.per, rate.sell_bps))
        list_sum += quantity * meter.list_weight
        sale_sum += quantity * meter.sale_weight
    return Charge(
        price_id=price.id,
        tier=tier,
        above_input_tokens=context.above,
        lines=tuple(lines),
        list_nanos=divide_half_even(list_sum, MILLION),
        amount_nanos=divide_half_even(sale_sum, _SALE_DENOMINATOR),
    )


def bound_nanos(
    price: Price,
    input_tokens_max: int,
    output_tokens_max: int,
    tier: str = "standard",
    *,
    audio_output: bool = False,
    images: int = 0,
) -> int:
    """The least whole number of nano-dollars that no chargeable usage within the limits can exceed.

    Within the limits: `total_input_tokens` at most `input_tokens_max` in any mix of input buckets;
    output, image output and, if `audio_output`, audio output tokens together at most
    `output_tokens_max`, any part of it reasoning; at most `images` images. Every context table that
    some input within the limit reaches counts, so a shorter call is covered too. Raises
    UnknownTier, ValueError for negative limits, and MissingRate where a limit is above zero and, in
    any of those tables, no bucket of its kind has a rate: such a call might end up unchargeable.
    """
    if input_tokens_max < 0 or output_tokens_max < 0 or images < 0:
        raise ValueError("limits cannot be negative")
    worst = 0
    for context in _schedule(price, tier):
        reach = context.reach(input_tokens_max)
        if reach < 0:
            break
        total = 0
        if reach:
            total = reach * _known(context.input_weight, price, tier, "input")
        if output_tokens_max:
            weight = context.speech_weight if audio_output else context.output_weight
            total += output_tokens_max * _known(weight, price, tier, "output")
        if images:
            total += images * _known(context.image_weight, price, tier, "image")
        worst = max(worst, total)
    # Up, not half-even: this is a limit and not an amount, and must not lie below what it limits.
    return -(-worst // _SALE_DENOMINATOR)


def affordable_output_tokens(
    price: Price,
    input_tokens_max: int,
    amount_nanos: int,
    tier: str = "standard",
    *,
    audio_output: bool = False,
) -> int:
    """The greatest output limit whose `bound_nanos` is at most `amount_nanos`; -1 if there is none.

    UNLIMITED_TOKENS where output is free; 0 where `bound_nanos` misses an output rate. Raises as
    `bound_nanos` does. No search and no correction is needed: a bound rounded up fits an integer
    amount if and only if the unrounded one does, and the unrounded one is linear in the output per
    context table.
    """
    if input_tokens_max < 0:
        raise ValueError("limits cannot be negative")
    budget = amount_nanos * _SALE_DENOMINATOR
    tokens = UNLIMITED_TOKENS
    for context in _schedule(price, tier):
        reach = context.reach(input_tokens_max)
        if reach < 0:
            break
        room = budget
        if reach:
            room -= reach * _known(context.input_weight, price, tier, "input")
        if room < 0:
            return -1
        weight = context.speech_weight if audio_output else context.output_weight
        if weight is None:
            tokens = 0
        elif weight:
            tokens = min(tokens, room // weight)
    return tokens


class _Meter(msgspec.Struct, frozen=True):
    """A bucket, its rate in force, and one unit in nanos x 10**6 (list) and x 10**10 (sale)."""

    bucket: str
    rate: Rate | None
    list_weight: int
    sale_weight: int


class _Context(msgspec.Struct, frozen=True):
    """What is in force for a tier while total input is above `above`, at most `up_to` (or endless).

    A weight is that of the dearest bucket of its kind; None where no bucket of the kind has a rate.
    """

    above: int
    up_to: int | None
    meters: tuple[_Meter, ...]
    reasoning_apart: bool
    input_weight: int | None
    output_weight: int | None
    speech_weight: int | None
    image_weight: int | None

    def reach(self, input_tokens_max: int) -> int:
        """The greatest input within the limit that this context prices, or -1."""
        if self.above and input_tokens_max <= self.above:
            return -1
        if self.up_to is not None and input_tokens_max > self.up_to:
            return self.up_to
        return input_tokens_max

    def split(self, usage: Usage) -> tuple[int, ...]:
        """Quantities in the order of `meters`, each token in one of them only."""
        quantities = usage._quantities
        if not usage.reasoning_tokens:
            return quantities
        apart = usage.reasoning_tokens if self.reasoning_apart else 0
        before, after = quantities[:_OUTPUT_AT], quantities[_OUTPUT_AT + 2 :]
        return (*before, usage.output_tokens - apart, apart, *after)


def _schedule(price: Price, tier: str) -> "tuple[_Context, ...]":
    schedule = price._schedules.get(tier)
    if schedule is None:
        raise UnknownTier(price.model, tier)
    return schedule


def _known(weight: int | None, price: Price, tier: str, kind: str) -> int:
    if weight is None:
        raise MissingRate(price.model, tier, kind)
    return weight


def _build_schedule(tables: Sequence[RateTable], tier: str) -> tuple[_Context, ...]:
    # A standard threshold is one of every service tier too, which then compares itself with it.
    eligible = sorted(
        (table for table in tables if table.tier in (tier, "standard")),
        key=lambda table: table.above_input_tokens,
    )
    thresholds = sorted({table.above_input_tokens for table in eligible})
    ends: list[int | None] = [*thresholds[1:], None]
    contexts = []
    for above, up_to in zip(thresholds, ends, strict=True):
        applying = [table for table in eligible if table.above_input_tokens <= above]
        contexts.append(_build_context(applying, tier, above, up_to))
    return tuple(contexts)


def _build_context(
    applying: Sequence[RateTable], tier: str, above: int, up_to: int | None
) -> _Context:
    own = [table for table in applying if table.tier == tier][-1]
    standard = [table for table in applying if table.tier == "standard"][-1]
    in_force = [own]
    if standard.above_input_tokens > own.above_input_tokens:
        in_force.append(standard)
    rates = {bucket: _rate_in_force(in_force, applying, bucket) for bucket in METERED_BUCKETS}
    return _Context(
        above=above,
        up_to=up_to,
        meters=tuple(_build_meter(bucket, rate) for bucket, rate in rates.items()),
        reasoning_apart="reasoning_output" in own.rates
        or rates["reasoning_output"] != rates["output"],
        input_weight=_dearest_weight(rates, _INPUT_BUCKETS),
        output_weight=_dearest_weight(rates, _OUTPUT_BUCKETS),
        speech_weight=_dearest_weight(rates, (*_OUTPUT_BUCKETS, "audio_output")),
        image_weight=_dearest_weight(rates, ("image",)),
    )


def _rate_in_force(
    in_force: Sequence[RateTable], applying: Sequence[RateTable], bucket: str
) -> Rate | None:
    fallbacks = _FALLBACKS[bucket]
    candidates = [_first_listed(table, (bucket, *fallbacks)) for table in in_force]
    if bucket not in in_force[0].rates:
        for table in applying:
            listed = table.rates.get(bucket)
            usual = _first_listed(table, fallbacks)
            if listed is not None and (usual is None or _sale_weight(listed) > _sale_weight(usual)):
                candidates.append(listed)
    known = [rate for rate in candidates if rate is not None]
    # List price breaks a tie, so that the answer does not depend on the order of the tables.
    return max(known, key=lambda rate: (_sale_weight(rate), _list_weight(rate)), default=None)


def _first_listed(table: RateTable, buckets: Sequence[str]) -> Rate | None:
    return next((table.rates[bucket] for bucket in buckets if bucket in table.rates), None)


def _build_meter(bucket: str, rate: Rate | None) -> _Meter:
    if rate is None:
        return _Meter(bucket, None, 0, 0)
    return _Meter(bucket, rate, _list_weight(rate), _sale_weight(rate))


def _list_weight(rate: Rate) -> int:
    return rate.list_nanos * (MILLION // rate.per)


def _sale_weight(rate: Rate) -> int:
    return _list_weight(rate) * rate.sell_bps


def _dearest_weight(rates: Mapping[str, Rate | None], buckets: Sequence[str]) -> int | None:
    known = [rate for bucket in buckets if (rate := rates[bucket]) is not None]
    return max(map(_sale_weight, known), default=None)
