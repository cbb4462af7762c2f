"""The price book that ships with the project: list prices of models, checked as they are read.

The file holds, per model, its canonical name `provider/model`, aliases, mode, limits, the day its
vendor retires it, where the price was read, and dated prices. A price has one share of list
(`sell_bps`) and rate tables per service tier and context length. Amounts are decimal USD texts,
grouped by what they are for: `per_million` units or `per_unit`. Reading is strict, because a slip
in this file is money: anything unknown, doubled, negative or absurd is refused with the name of the
entry.
"""

import json
import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from billing.faults import Fault
from billing.money import parse_usd
from billing.picture_pricing import parse_bucket
from billing.pricing import MILLION, Rate, RateTable, Tier, check_tables

Mode = Literal[
    "chat",
    "responses",
    "embedding",
    "audio_speech",
    "audio_transcription",
    "image_generation",
    "image_upscale",
]

DEFAULT_PATH: Final = Path(__file__).parent / "data" / "price_book.json"

_NAME: Final = re.compile(r"[a-z0-9-]+/[A-Za-z0-9._-]+")
_ALIAS: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?")
_UPSTREAM_NAME: Final = re.compile(r"[A-Za-z0-9._/-]{1,120}")
_LONGEST_NAME: Final = 120
_LONGEST_SOURCE: Final = 300


class Bucket(NamedTuple):
    """A kind of quantity that can have a rate, what it counts, and the units its rate is for."""

    name: str
    unit: str
    per: int


BUCKETS: Final = (
    Bucket("input", "token", MILLION),
    Bucket("cached_input", "token", MILLION),
    Bucket("cache_write", "token", MILLION),
    Bucket("cache_write_1h", "token", MILLION),
    Bucket("cache_write_12h", "token", MILLION),
    Bucket("audio_input", "token", MILLION),
    Bucket("cached_audio_input", "token", MILLION),
    Bucket("image_input", "token", MILLION),
    Bucket("cached_image_input", "token", MILLION),
    Bucket("output", "token", MILLION),
    Bucket("reasoning_output", "token", MILLION),
    Bucket("audio_output", "token", MILLION),
    Bucket("image_output", "token", MILLION),
    Bucket("image", "image", 1),
    Bucket("characters", "character", MILLION),
    Bucket("seconds", "second", 1),
)
"""Every bucket a vendor lists. The pricing.METERED_BUCKETS among them are those a call can be
charged for, besides the `image[KEY]` and `request[KEY]` of picture_pricing; the others are recorded
as listed, and no usage fills them."""


class PriceBookError(Fault):
    """The file cannot be read as a price book; the message names the entry."""


class PriceEntry(msgspec.Struct, frozen=True):
    """A dated price, ready to be stored: `effective_from` is midnight UTC, rates are integers.

    `source` says where this price was read.
    """

    effective_from: datetime
    sell_bps: int
    list_is_estimated: bool
    source: str
    tables: tuple[RateTable, ...]


class ModelEntry(msgspec.Struct, frozen=True):
    """A model of the book; None is an unknown limit. `context_length` counts input tokens.

    `upstream_name` is what the provider calls the model: what follows the slash, unless the entry says otherwise.
    """

    name: str
    upstream_name: str
    aliases: tuple[str, ...]
    mode: Mode
    context_length: int | None
    max_completion_tokens: int | None
    retires_on: date | None
    source: str
    prices: tuple[PriceEntry, ...]


class _RawTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tier: Tier
    above_input_tokens: int
    per_million: dict[str, str] = {}
    per_unit: dict[str, str] = {}


class _RawPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    effective_from: date
    sell_bps: int
    list_is_estimated: bool
    tables: tuple[_RawTable, ...]
    source: str = ""


class _RawModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    aliases: tuple[str, ...]
    mode: Mode
    context_length: int | None
    max_completion_tokens: int | None
    retires_on: date | None
    source: str
    prices: tuple[_RawPrice, ...]
    upstream_name: str = ""


class _RawBook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    currency: Literal["USD"]
    read_on: date
    models: tuple[msgspec.Raw, ...]


class _Label(msgspec.Struct, frozen=True):
    name: str


def read_price_book(path: Path = DEFAULT_PATH) -> tuple[ModelEntry, ...]:
    """The models of the book, in the order of the file. Raises PriceBookError or OSError."""
    return parse_price_book(path.read_bytes(), path.name)


def parse_price_book(text: bytes, name: str) -> tuple[ModelEntry, ...]:
    """The same of a book that came as bytes; errors call it `name`. Raises PriceBookError."""
    try:
        # msgspec keeps the last of two equal keys; a rate given twice must not be settled by order.
        json.loads(text, object_pairs_hook=_refuse_repeated_keys)
        book = msgspec.json.decode(text, type=_RawBook)
    except ValueError as error:
        raise PriceBookError("%(where)s: %(why)s", where=name, why=error) from error
    entries = tuple(_read_model(raw, index) for index, raw in enumerate(book.models))
    _refuse_shared_names(entries)
    return entries


def _read_model(raw: msgspec.Raw, index: int) -> ModelEntry:
    label = f"models[{index}]"
    try:
        label = f"{label} {msgspec.json.decode(raw, type=_Label).name}"
        model = msgspec.json.decode(raw, type=_RawModel)
        _check_model(model)
        prices = tuple(_read_price(price, model.source) for price in model.prices)
    except ValueError as error:
        raise PriceBookError("%(where)s: %(why)s", where=label, why=error) from error
    return ModelEntry(
        name=model.name,
        upstream_name=model.upstream_name or model.name.partition("/")[2],
        aliases=model.aliases,
        mode=model.mode,
        context_length=model.context_length,
        max_completion_tokens=model.max_completion_tokens,
        retires_on=model.retires_on,
        source=model.source,
        prices=prices,
    )


def _check_model(model: _RawModel) -> None:
    if not _NAME.fullmatch(model.name) or len(model.name) > _LONGEST_NAME:
        raise Fault("the name is not of the form provider/model")
    if model.upstream_name and not _UPSTREAM_NAME.fullmatch(model.upstream_name):
        raise Fault("upstream_name %(name)s is not a model name", name=repr(model.upstream_name))
    for alias in model.aliases:
        if not _ALIAS.fullmatch(alias) or len(alias) > _LONGEST_NAME:
            raise Fault("alias %(name)s is not a model name", name=repr(alias))
    for limit in (model.context_length, model.max_completion_tokens):
        if limit is not None and limit <= 0:
            raise Fault("a limit of tokens must be positive, or null where unknown")
    if not 0 < len(model.source) <= _LONGEST_SOURCE:
        raise Fault("the source is missing or too long")
    if not model.prices:
        raise Fault("no price")
    if len({price.effective_from for price in model.prices}) != len(model.prices):
        raise Fault("two prices from the same day")


def _read_price(price: _RawPrice, source: str) -> PriceEntry:
    if len(price.source) > _LONGEST_SOURCE:
        raise Fault("the source of a price is too long")
    tables = tuple(_read_table(table, price.sell_bps) for table in price.tables)
    check_tables(tables)
    return PriceEntry(
        effective_from=datetime.combine(price.effective_from, time.min, UTC),
        sell_bps=price.sell_bps,
        list_is_estimated=price.list_is_estimated,
        source=price.source or source,
        tables=tables,
    )


def _read_table(table: _RawTable, sell_bps: int) -> RateTable:
    rates: dict[str, Rate] = {}
    where = Fault(
        "%(tier)s table above %(tokens)d", tier=table.tier, tokens=table.above_input_tokens
    )
    for per, texts in ((MILLION, table.per_million), (1, table.per_unit)):
        for bucket, text in texts.items():
            try:
                _check_unit(bucket, per)
                rates[bucket] = Rate(parse_usd(text), per, sell_bps)
            except ValueError as error:
                at = Fault("%(table)s, %(bucket)s", table=where, bucket=bucket)
                raise Fault("%(where)s: %(why)s", where=at, why=error) from error
    if not rates:
        raise Fault("%(where)s: %(why)s", where=where, why=Fault("no rates"))
    if len({keyed.unit for name in rates if (keyed := parse_bucket(name))}) > 1:
        # One key would have two prices, and which of them applies would be a matter of order.
        why = Fault("rates per image and per request do not go together")
        raise Fault("%(where)s: %(why)s", where=where, why=why)
    return RateTable(table.tier, table.above_input_tokens, rates)


def _check_unit(name: str, per: int) -> None:
    bucket = next((bucket for bucket in BUCKETS if bucket.name == name), None)
    if bucket is None and (keyed := parse_bucket(name)) is not None:
        bucket = Bucket(name, keyed.unit, 1)
    if bucket is None:
        raise Fault("unknown bucket")
    # A rate in the wrong group would be wrong by a factor of a million.
    if bucket.per != per:
        raise Fault("the rate is per %(right)d, not per %(wrong)d", right=bucket.per, wrong=per)


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Fault("a key is repeated in %(where)s", where=found.get("name", sorted(found)))
    return found


def _refuse_shared_names(entries: tuple[ModelEntry, ...]) -> None:
    # Names and aliases share one space, since a caller may use either.
    owners: dict[str, str] = {}
    for entry in entries:
        for name in (entry.name, *entry.aliases):
            if name in owners:
                why = Fault("%(name)s is taken by %(owner)s", name=name, owner=owners[name])
                raise PriceBookError("%(where)s: %(why)s", where=entry.name, why=why)
            owners[name] = entry.name
