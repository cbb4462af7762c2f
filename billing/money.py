"""Money as integers: nano-dollars, their text form, and the one rounding of the project.

One credit is one US dollar is 10**9 nano-dollars. Amounts are Python ints in code and BIGINT in
PostgreSQL, so every amount read from text must fit 64 bits. No float takes part: 0.1 has no binary
form.
"""

import re

from billing.faults import Fault

NANOS_PER_USD = 10**9
BIGINT_MIN = -(2**63)
BIGINT_MAX = 2**63 - 1

_NANO_DECIMALS = 9
# The widest BIGINT amount takes 21 characters; the rest is room for leading zeros and an exponent.
# The limit also keeps int() and 10**n below from being fed megabytes by a caller.
_LONGEST_TEXT = 64
_BIGINT_DIGITS = 19
_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,4}))?")


def parse_usd(text: str) -> int:
    """Nano-dollars of a decimal USD text such as "0.10", "-3" or "1.5e-05", exactly.

    Raises ValueError for anything that is not a str (floats above all), for other forms (NaN,
    infinity, signs other than one leading minus, blanks, separators), for more than nine decimals
    even where they are zeros, and for amounts outside BIGINT.
    """
    if not isinstance(text, str):
        raise Fault("a USD amount must be text, not %(kind)s", kind=type(text).__name__)
    match = _AMOUNT.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise Fault("not a decimal USD amount: %(text)s", text=repr(text[:_LONGEST_TEXT]))
    sign, whole, fraction, exponent = match.groups(default="")
    decimals = len(fraction) - int(exponent or 0)
    if decimals > _NANO_DECIMALS:
        raise Fault("more than %(most)d decimals: %(text)s", most=_NANO_DECIMALS, text=repr(text))
    digits = int(whole + fraction)
    shift = _NANO_DECIMALS - decimals
    # Checked before the power is taken: "1e9999" must not build a number of ten thousand digits.
    if shift > _BIGINT_DIGITS:
        raise Fault("the exponent does not fit: %(text)s", text=repr(text))
    nanos: int = digits * 10**shift
    if sign:
        nanos = -nanos
    if not BIGINT_MIN <= nanos <= BIGINT_MAX:
        raise Fault("outside the range of an amount: %(text)s", text=repr(text))
    return nanos


def format_usd(nanos: int) -> str:
    """USD text of nano-dollars, with two decimals or as many as needed: "0.10", "0.00152"."""
    return format_scaled(nanos, _NANO_DECIMALS)


def format_scaled(value: int, decimals: int) -> str:
    """Exact decimal text of value / 10**decimals with at least two decimals; decimals must be >= 2.

    For amounts finer than a nano-dollar, such as the unrounded line of a charge.
    """
    digits = str(abs(value)).rjust(decimals + 1, "0")
    fraction = digits[-decimals:].rstrip("0").ljust(2, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-decimals]}.{fraction}"


def divide_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to the even one, for any sign and size.

    Raises ZeroDivisionError. Half-even because ties are common in half prices of odd amounts, and
    rounding them always up would drift against the customer.
    """
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient
