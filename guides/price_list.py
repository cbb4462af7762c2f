"""The rows of the price list: what was asked for, in the order that was asked for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from gateway.operator.price_reading import ShownRate, show_rate
from guides.catalogue import TIERS, Offered, matches
from guides.words import KINDS

BUCKETS = ("input", "cached_input", "cache_write", "output")
SORTS: Mapping[str, Any] = {
    "name": _("Model"),
    "context": _("Context"),
    "input": _("Input"),
    "cached_input": _("Cached input"),
    "cache_write": _("Cache write"),
    "output": _("Output"),
}
QUERY_CHARACTERS_MAX = 80


class Wanted(NamedTuple):
    """What the reader asked for; what is not understood is as if it were not asked. `sort` may begin with a minus."""

    text: str = ""
    provider: str = ""
    kind: str = ""
    tier: str = "standard"
    sort: str = "name"

    @property
    def is_filtered(self) -> bool:
        return bool(self.text or self.provider or self.kind)

    @property
    def sort_key(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        return self.sort.startswith("-")

    def query(self, **changes: str) -> str:
        """The query string that asks for the same with these changes; defaults are left out."""
        values = {**self._asdict(), **changes}
        asked = QueryDict(mutable=True)
        for name, parameter in PARAMETERS.items():
            if values[name] != Wanted._field_defaults[name]:
                asked[parameter] = values[name]
        return asked.urlencode()


PARAMETERS = {"text": "q", "provider": "provider", "kind": "kind", "tier": "tier", "sort": "sort"}


class TokenRow(NamedTuple):
    """A model's rates per 1M tokens in one table: `rates` by BUCKETS, None where the vendor lists none."""

    offered: Offered
    above_input_tokens: int
    rates: tuple[ShownRate | None, ...]


class Column(NamedTuple):
    """A heading that sorts: `order` is "", "ascending" or "descending" as it is now, `query` what a click asks for."""

    key: str
    name: Any
    order: str
    query: str


class PriceList(NamedTuple):
    """The rows that match; `total` counts all models."""

    token_rows: list[TokenRow]
    picture_rows: list[Offered]
    models: int
    total: int


def read_wanted(parameters: QueryDict, providers: Mapping[str, str]) -> Wanted:
    """What the query string asks for."""

    def among(name: str, known: Any, default: str) -> str:
        value = parameters.get(name, "")
        return value if value in known else default

    sort = parameters.get("sort", "")
    return Wanted(
        text=" ".join(parameters.get("q", "")[:QUERY_CHARACTERS_MAX].replace("\0", "").split()),
        provider=among("provider", providers, ""),
        kind=among("kind", KINDS, ""),
        tier=among("tier", TIERS, "standard"),
        sort=sort if sort.removeprefix("-") in SORTS else "name",
    )


def list_prices(catalogue: Sequence[Offered], wanted: Wanted) -> PriceList:
    """The models that match, those of tokens with a row for each table of the tier."""
    found = [one for one in catalogue if _is_wanted(one, wanted)]
    tokens = [one for one in found if one.kind != "image" and wanted.tier in one.tiers]
    pictures = [one for one in found if one.kind == "image" and wanted.tier == "standard"]
    rows = [
        TokenRow(one, table.above_input_tokens, _rates(table.rates))
        for one in _sorted(tokens, wanted)
        for table in one.tables(wanted.tier)
    ]
    return PriceList(rows, pictures, len(tokens) + len(pictures), len(catalogue))


def columns(wanted: Wanted) -> list[Column]:
    """The headings of the list of models that sell tokens."""
    found = []
    for key, name in SORTS.items():
        order = ""
        if wanted.sort_key == key:
            order = "descending" if wanted.is_descending else "ascending"
        following = f"-{key}" if order == "ascending" else key
        found.append(Column(key, name, order, wanted.query(sort=following)))
    return found


def _is_wanted(offered: Offered, wanted: Wanted) -> bool:
    if wanted.provider and offered.model.provider != wanted.provider:
        return False
    if wanted.kind and offered.kind != wanted.kind:
        return False
    return matches(offered, wanted.text)


def _rates(rates: Mapping[str, Any]) -> tuple[ShownRate | None, ...]:
    return tuple(show_rate(name, rates[name]) if name in rates else None for name in BUCKETS)


def _sorted(models: list[Offered], wanted: Wanted) -> list[Offered]:
    """By the column; models without such a value come last either way, and equal ones by name."""
    if wanted.sort_key == "name":
        return sorted(models, key=lambda one: one.name, reverse=wanted.is_descending)
    value = _value_of(wanted)
    known = [one for one in models if value(one) is not None]
    known.sort(key=lambda one: one.name)
    known.sort(key=lambda one: value(one) or 0, reverse=wanted.is_descending)
    return known + [one for one in models if value(one) is None]


def _value_of(wanted: Wanted) -> Callable[[Offered], int | None]:
    if wanted.sort_key == "context":
        return lambda one: one.model.context_length

    def sale(one: Offered) -> int | None:
        rate = one.rate(wanted.sort_key, wanted.tier)
        return rate.sale_nanos if rate else None

    return sale
