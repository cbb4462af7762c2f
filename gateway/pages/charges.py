"""A charge explained so that anyone can follow it."""

from collections.abc import Mapping
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import pricing
from billing.models import Hold, Price, Transfer
from billing.money import divide_half_even, format_scaled
from billing.picture_pricing import charge_pictures, parse_bucket
from gateway.models import CallRecord
from gateway.pages.history import CHARGEABLE

LIST_DECIMALS, SALE_DECIMALS = (
    15,
    19,
)  # nanos (9), per million (6), and basis points (4) for what is sold

BUCKET_LABELS: Mapping[str, object] = {
    "input": gettext_lazy("Input"),
    "cached_input": gettext_lazy("Cached input"),
    "cache_write": gettext_lazy("Cache write, 5 minutes"),
    "cache_write_1h": gettext_lazy("Cache write, 1 hour"),
    "audio_input": gettext_lazy("Audio input"),
    "image_input": gettext_lazy("Image input"),
    "cached_image_input": gettext_lazy("Cached image input"),
    "output": gettext_lazy("Output"),
    "reasoning_output": gettext_lazy("Reasoning"),
    "audio_output": gettext_lazy("Audio output"),
    "image_output": gettext_lazy("Image output"),
    "image": gettext_lazy("Images"),
}
UNIT_LABELS: Mapping[str, object] = {
    "token": gettext_lazy("1M tokens"),
    "image": gettext_lazy("image"),
    "request": gettext_lazy("request"),
}
WHY_FREE: Mapping[str, object] = {
    CallRecord.Status.REFUSED: gettext_lazy(
        "Tollgate refused this call before anything was sent to a provider. Refused calls are not charged."
    ),
    CallRecord.Status.UPSTREAM_FAILED: gettext_lazy(
        "The provider failed. Failed calls are not charged, even if an answer had begun."
    ),
    CallRecord.Status.TIMED_OUT: gettext_lazy(
        "The provider did not answer in time. Calls that time out are not charged."
    ),
    CallRecord.Status.LOST: gettext_lazy(
        "The gateway process ended while the call was running. What is lost on our side is not charged."
    ),
}
WHY_TASK_FREE: Mapping[str, object] = {
    **WHY_FREE,
    CallRecord.Status.REFUSED: gettext_lazy(
        "The task was refused, by Tollgate or by the provider. Refused tasks are not charged."
    ),
    CallRecord.Status.UPSTREAM_FAILED: gettext_lazy(
        "The pictures could not be made. Failed tasks are not charged."
    ),
    CallRecord.Status.TIMED_OUT: gettext_lazy(
        "The pictures were not ready in time. Tasks that time out are not charged."
    ),
    CallRecord.Status.CLIENT_GONE: gettext_lazy(
        "The task was cancelled before it began, so there is nothing to charge."
    ),
    CallRecord.Status.COMPLETED: gettext_lazy(
        "Fewer pictures came than the smallest number that has a price, so there is nothing to charge."
    ),
}
BASIS_NOTES: Mapping[str, object] = {
    CallRecord.Basis.REPORTED: gettext_lazy("The provider reported these figures with its answer."),
    CallRecord.Basis.COUNTED: gettext_lazy(
        "The provider reported the input. The stream ended before it reported the output, which Tollgate counted as "
        "it passed."
    ),
    CallRecord.Basis.ESTIMATED: gettext_lazy(
        "The provider gave no figures. Tollgate estimated the input from its size, and counted the output as it passed."
    ),
}


class ChargeLine(NamedTuple):
    """A bucket of a charge; `unit` is what the list rate is for, in words.

    `list_amount` and `amount` are exact decimal texts, not rounded.
    """

    label: str
    quantity: int
    list_nanos: int
    per: int
    unit: str
    list_amount: str
    sell_bps: int
    amount: str


class Explanation(NamedTuple):
    """A charge recomputed from the price book. `booked_nanos` is what was taken and what was written off;
    `problem` says why it could not be recomputed, and is empty where it could. `charge_lines` are those of the
    charge as it was worked out, of which `lines` are the words."""

    lines: list[ChargeLine]
    charge_lines: tuple[pricing.Line, ...]
    exact_list: str
    exact_sum: str
    list_nanos: int
    amount_nanos: int
    booked_nanos: int
    agrees: bool
    above_input_tokens: int
    price: Price | None
    problem: str

    @property
    def fraction(self) -> int:
        """How many decimals the finest of its amounts has: as wide is the fraction of their columns."""
        texts = [self.exact_list, self.exact_sum]
        texts += [text for line in self.lines for text in (line.list_amount, line.amount)]
        return max(len(text.partition(".")[2]) for text in texts)


def _say_problem(error: Exception) -> str:
    if isinstance(error, pricing.MissingRate):
        words = _("%(model)s lists no %(bucket)s rate for the %(tier)s tier.")
        return words % {"model": error.model, "bucket": error.bucket, "tier": error.tier}
    if isinstance(error, pricing.UnknownTier):
        return _("%(model)s has no %(tier)s tier.") % {"model": error.model, "tier": error.tier}
    return _("The quantities of this call do not go together.")


def explain_charge(call: CallRecord) -> Explanation | None:
    """The charge of the call line by line, worked out anew from its price and its buckets, beside what was booked.

    None where the call is not charged by rule: `explain_free` says why.
    """
    if explain_free(call):
        return None
    booked = call.amount_nanos + call.written_off_nanos
    price = None
    if call.price_id is not None:
        price = Price.objects.prefetch_related("rates").filter(pk=call.price_id).first()
    if price is None:
        return _unexplained(
            booked, None, _("The price of this call is not in the price book any more.")
        )
    try:
        charge = _recompute(call, price.frozen())
    except (pricing.PricingError, ValueError) as error:
        return _unexplained(booked, price, _say_problem(error))
    weight = pricing.MILLION
    list_sum = sum(line.quantity * line.list_nanos * (weight // line.per) for line in charge.lines)
    sale_sum = sum(
        line.quantity * line.list_nanos * (weight // line.per) * line.sell_bps
        for line in charge.lines
    )
    # The sum is rounded here once more, apart from the charge's own: the page shows both and they must agree.
    rounded = divide_half_even(sale_sum, weight * pricing.BPS)
    return Explanation(
        lines=[_charge_line(line) for line in charge.lines],
        charge_lines=charge.lines,
        exact_list=format_scaled(list_sum, LIST_DECIMALS),
        exact_sum=format_scaled(sale_sum, SALE_DECIMALS),
        list_nanos=charge.list_nanos,
        amount_nanos=charge.amount_nanos,
        booked_nanos=booked,
        agrees=charge.amount_nanos == booked == rounded and charge.list_nanos == call.list_nanos,
        above_input_tokens=charge.above_input_tokens,
        price=price,
        problem="",
    )


def _recompute(call: CallRecord, price: pricing.Price) -> pricing.Charge:
    if call.source == CallRecord.Source.TASK:
        return charge_pictures(price, call.images, call.price_key)
    return pricing.charge_usage(price, usage_of(call), call.service_tier)


def _unexplained(booked: int, price: Price | None, problem: str) -> Explanation:
    return Explanation([], (), "", "", 0, 0, booked, False, 0, price, problem)


def _charge_line(line: pricing.Line) -> ChargeLine:
    pictures = parse_bucket(line.bucket)
    return ChargeLine(
        _bucket_label(line.bucket),
        line.quantity,
        line.list_nanos,
        line.per,
        str(UNIT_LABELS[pictures.unit if pictures else "token"]),
        line.list_amount,
        line.sell_bps,
        line.amount,
    )


def _bucket_label(name: str) -> str:
    pictures = parse_bucket(name)
    if pictures is None or not pictures.key:
        return str(BUCKET_LABELS.get(name, name))
    words = {"key": pictures.key.replace(",", ", ")}
    if pictures.unit == "request":
        return _("Request for %(key)s") % words
    return _("Images, %(key)s") % words


def explain_free(call: CallRecord) -> str:
    """Why a call costs nothing by rule; empty for one that is charged by its price."""
    if call.source == CallRecord.Source.TASK:
        is_charged = call.status in CHARGEABLE and call.images
        return "" if is_charged else str(WHY_TASK_FREE[call.status])
    if call.status not in CHARGEABLE:
        return str(WHY_FREE[call.status])
    if not call.basis:
        return _("The client left before anything was generated, so there is nothing to charge.")
    if usage_of(call).is_empty:
        return _("Every quantity of this call is zero, so there is nothing to charge.")
    return ""


def usage_of(call: CallRecord) -> pricing.Usage:
    """The buckets of the record as the pricing functions take them. Raises ValueError for impossible ones."""
    return pricing.Usage(
        input_tokens=call.input_tokens,
        cached_input_tokens=call.cached_input_tokens,
        cache_write_tokens=call.cache_write_tokens,
        cache_write_1h_tokens=call.cache_write_1h_tokens,
        output_tokens=call.output_tokens,
        reasoning_tokens=call.reasoning_tokens,
        audio_input_tokens=call.audio_input_tokens,
        audio_output_tokens=call.audio_output_tokens,
        images=call.images,
    )


class Bucket(NamedTuple):
    """A counted quantity; `is_part` marks reasoning, which is counted inside the output above it."""

    label: str
    quantity: int
    is_part: bool


def list_buckets(call: CallRecord) -> list[Bucket]:
    """Every bucket that the call filled, and input and output in any case. Empty where usage is not known.

    A task's are its pictures: those that are charged.
    """
    if call.source == CallRecord.Source.TASK:
        done = call.status == CallRecord.Status.COMPLETED
        return [Bucket(str(BUCKET_LABELS["image"]), call.images, False)] if done else []
    if not call.basis:
        return []
    rows = [
        ("input", call.input_tokens, True),
        ("cached_input", call.cached_input_tokens, False),
        ("cache_write", call.cache_write_tokens, False),
        ("cache_write_1h", call.cache_write_1h_tokens, False),
        ("audio_input", call.audio_input_tokens, False),
        ("output", call.output_tokens, not call.images),
        ("reasoning_output", call.reasoning_tokens, False),
        ("audio_output", call.audio_output_tokens, False),
        ("image", call.images, False),
    ]
    return [
        Bucket(str(BUCKET_LABELS[name]), quantity, name == "reasoning_output")
        for name, quantity, always in rows
        if quantity or always
    ]


class Settlement(NamedTuple):
    """How a call met the ledger: its hold, its capture, refunds of it, and whether they fit the record."""

    hold: Hold | None
    capture: Transfer | None
    refunds: list[Transfer]
    released_nanos: int
    agrees: bool


def read_settlement(call: CallRecord) -> Settlement:
    """Hold and transfers of the call. `agrees` is False where the record charges what the ledger did not take."""
    hold = Hold.objects.filter(pk=call.pk).first()
    transfers = list(Transfer.objects.filter(call_id=call.pk, kind=Transfer.Kind.REFUND))
    capture = Transfer.objects.filter(pk=call.pk, kind=Transfer.Kind.CAPTURE).first()
    taken = capture.amount_nanos if capture else 0
    released = max(call.hold_nanos - taken, 0)
    return Settlement(hold, capture, transfers, released, taken == call.amount_nanos)
