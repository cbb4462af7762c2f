"""What a call would cost: the sum that the gateway itself makes (billing.pricing), for numbers that a reader types."""

from collections.abc import Sequence
from typing import NamedTuple

from django.http import QueryDict

from billing.pricing import Charge, Line, PricingError, Usage, charge_usage
from gateway.pages.snippets import EXAMPLE_MODEL
from guides.catalogue import Offered

TOKENS_MAX = 1_000_000_000
INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS = 10_000, 0, 1_000


class Calculation(NamedTuple):
    """The numbers as they were read and what follows from them; `charge` is None where there is no model to ask for or
    the model has no rate for what was asked. `cached_tokens` are of `input_tokens`, as vendors count them."""

    offered: Offered | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    charge: Charge | None

    @property
    def lines(self) -> Sequence[Line]:
        return self.charge.lines if self.charge else ()

    @property
    def saved_nanos(self) -> int:
        """How much less than list price."""
        return self.charge.list_nanos - self.charge.amount_nanos if self.charge else 0


def calculate(catalogue: Sequence[Offered], parameters: QueryDict) -> Calculation:
    """The charge for one call in the standard tier. What cannot be read is taken from the example, and what is absurd
    is cut to TOKENS_MAX."""
    texts = [one for one in catalogue if one.kind == "text"]
    known = {one.name: one for one in texts}
    offered = known.get(parameters.get("model", "")) or known.get(EXAMPLE_MODEL)
    if offered is None and texts:
        offered = texts[0]
    given = _read_number(parameters.get("input", ""), INPUT_TOKENS)
    cached = min(_read_number(parameters.get("cached", ""), CACHED_TOKENS), given)
    output = _read_number(parameters.get("output", ""), OUTPUT_TOKENS)
    usage = Usage(input_tokens=given - cached, cached_input_tokens=cached, output_tokens=output)
    charge = None
    if offered is not None:
        try:
            charge = charge_usage(offered.price, usage)
        except PricingError:
            charge = None
    return Calculation(offered, given, cached, output, charge)


def _read_number(text: str, default: int) -> int:
    digits = text.replace(",", "").replace(" ", "").replace("_", "")
    if not digits.isascii() or not digits.isdigit():
        return default
    return min(int(digits[:12]), TOKENS_MAX)
