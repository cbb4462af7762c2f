"""What pictures cost: a price that lists rates per picture or per request, and the charge that follows from it.

Three kinds of bucket hold such rates, all for one unit (`per` is 1) and in the standard tier:

- `image`: each picture, whatever it is like;
- `image[KEY]`: each picture of that key, such as `image[2k]`;
- `request[KEY]`: the whole request of that key; the key's first word is the number of pictures, as in `request[4]`.

A KEY is one word or a matrix of them, `2k,high`: it is compared as a whole, and what is not listed has no price.
Amounts are made as in billing/pricing.py: one exact line, rounded once, half-even.
"""

import re
from typing import Final, Literal, NamedTuple

from billing.money import divide_half_even
from billing.pricing import BPS, MILLION, Charge, Line, MissingRate, Price, Rate

Unit = Literal["image", "request"]

TIER: Final = "standard"
LONGEST_BUCKET: Final = 32
_WORD: Final = "[A-Za-z0-9._-]+"
_BUCKET: Final = re.compile(rf"image|(image|request)\[{_WORD}(,{_WORD})*\]")
_REQUEST_KEY: Final = re.compile(r"[1-9][0-9]{0,3}(,.+)?")


class PricedKey(NamedTuple):
    """A key with its rate; `key` is empty for plain `image`. `unit` is what the rate is for one of."""

    key: str
    unit: Unit
    rate: Rate

    @property
    def bucket(self) -> str:
        """The name under which the rate is booked."""
        return f"{self.unit}[{self.key}]" if self.key else self.unit

    @property
    def sale_weight(self) -> int:
        """What one unit is sold for, exactly, in nano-dollars x 10**6 x 10**4."""
        return self.rate.list_nanos * (MILLION // self.rate.per) * self.rate.sell_bps


class ChargedPictures(NamedTuple):
    """What the record of a finished request says was charged."""

    price_key: str
    images: int


NO_PICTURES: Final = ChargedPictures("", 0)


class PictureBucket(NamedTuple):
    """The two parts of a bucket's name."""

    unit: Unit
    key: str


def parse_bucket(name: str) -> PictureBucket | None:
    """The unit and key of a bucket of pictures, None for any other bucket."""
    if len(name) > LONGEST_BUCKET or not _BUCKET.fullmatch(name):
        return None
    unit, _, key = name.removesuffix("]").partition("[")
    if unit == "image":
        return PictureBucket("image", key)
    return PictureBucket("request", key) if _REQUEST_KEY.fullmatch(key) else None


def priced_keys(price: Price) -> tuple[PricedKey, ...]:
    """Every key of the price with its rate, cheapest first. Empty: no picture can be made at this price."""
    table = next(t for t in price.tables if (t.tier, t.above_input_tokens) == (TIER, 0))
    found = []
    for name, rate in table.rates.items():
        bucket = parse_bucket(name)
        if bucket is not None:
            found.append(PricedKey(bucket.key, bucket.unit, rate))
    return tuple(sorted(found, key=lambda priced: (priced.sale_weight, priced.key)))


def charge_pictures(price: Price, pictures: int, key: str) -> Charge:
    """The charge for so many pictures of the key, or for one request of it; for no picture there is none.

    Raises MissingRate for a key that is not listed, ValueError for a negative number.
    """
    if pictures < 0:
        raise ValueError("a number of pictures cannot be negative")
    if not pictures:
        return Charge(price.id, TIER, 0, (), 0, 0)
    priced = _find(price, key)
    rate = priced.rate
    quantity = pictures if priced.unit == "image" else 1
    list_weight = quantity * rate.list_nanos * (MILLION // rate.per)
    return Charge(
        price_id=price.id,
        tier=TIER,
        above_input_tokens=0,
        lines=(Line(priced.bucket, quantity, rate.list_nanos, rate.per, rate.sell_bps),),
        list_nanos=divide_half_even(list_weight, MILLION),
        amount_nanos=divide_half_even(quantity * priced.sale_weight, MILLION * BPS),
    )


def quote_pictures(price: Price, count: int, key: str) -> int:
    """Nano-dollars of a request for `count` pictures of the key, exactly: what is held is what will be charged.

    Raises as `charge_pictures` does.
    """
    return charge_pictures(price, count, key).amount_nanos


def settle_delivery(price: Price, key: str, asked: int, delivered: int) -> ChargedPictures:
    """What to record and to charge where `delivered` of `asked` pictures came; never more than all of them cost.

    Per picture, those that came are charged. Per request, the charge is that of the greatest number on offer that came
    in full, so three of four cost what two cost; a number that would be dearer than the one asked for is passed over.
    Below the least number on offer nothing is charged. Raises MissingRate for a key that is not listed.
    """
    whole = _find(price, key)
    if delivered >= asked:
        return ChargedPictures(key, asked)
    if whole.unit == "image":
        return ChargedPictures(key, delivered) if delivered > 0 else NO_PICTURES
    _, kind = _split_count(key)
    best = NO_PICTURES
    for priced in priced_keys(price):
        if priced.unit != "request" or priced.sale_weight > whole.sale_weight:
            continue
        count, its_kind = _split_count(priced.key)
        if its_kind == kind and best.images < count <= delivered:
            best = ChargedPictures(priced.key, count)
    return best


def _find(price: Price, key: str) -> PricedKey:
    for priced in priced_keys(price):
        if priced.key == key:
            return priced
    raise MissingRate(price.model, TIER, f"image[{key}]" if key else "image")


def _split_count(key: str) -> tuple[int, str]:
    """The number of pictures of a request's key, and the words after it."""
    count, _, kind = key.partition(",")
    return int(count), kind
