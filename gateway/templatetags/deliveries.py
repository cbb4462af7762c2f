"""Callbacks on pages."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from gateway.images.shape import public_message_id
from gateway.models import Delivery
from gateway.pages.outbound_words import OUTBOUND_TEXTS

register = template.Library()


class TryRow(NamedTuple):
    """One try of a delivery. `status` 0: no answer came."""

    at: datetime
    status: int
    ms: int
    error: str
    response: str
    is_good: bool


@register.filter
def tries(delivery: Delivery) -> list[TryRow]:
    """What was tried, the latest first."""
    return [
        TryRow(
            datetime.fromtimestamp(entry["at"], UTC),
            entry["status"],
            entry["ms"],
            OUTBOUND_TEXTS.say(entry["error"]),
            entry.get("response", ""),
            200 <= entry["status"] < 300,
        )
        for entry in reversed(delivery.log)
    ]


@register.filter
def outbound_words(text: str) -> str:
    """What a sender wrote into a log, in the reader's language."""
    return OUTBOUND_TEXTS.say(text)


@register.simple_tag
def delivery_badge(delivery: Delivery) -> SafeString:
    """How the delivery stands: a word, a colour and a shape."""
    tone, text = _look_of(delivery)
    return format_html('<span class="badge {}">{}</span>', tone, text)


def _look_of(delivery: Delivery) -> tuple[str, str]:
    if delivery.state == Delivery.State.DELIVERED:
        return "good", _("Delivered")
    if delivery.state == Delivery.State.FAILED:
        return "bad", _("Failed")
    if is_being_sent(delivery):
        return "accent", _("Being sent")
    return ("warn", _("To be tried again")) if delivery.log else ("accent", _("Waiting"))


@register.filter
def is_being_sent(delivery: Delivery) -> bool:
    """Whether a sender has it in hand."""
    return delivery.lease_until is not None and delivery.lease_until > timezone.now()


@register.filter
def is_waiting(delivery: Delivery) -> bool:
    """Whether it has neither arrived nor been given up."""
    return delivery.state == Delivery.State.WAITING


@register.filter
def message_id(delivery: Delivery) -> str:
    """The id as its receiver sees it."""
    return public_message_id(delivery.event_id or delivery.pk)


@register.filter
def without_query(url: str) -> str:
    """The address without its query, which may be a secret of the receiver's."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}" + ("?…" if parts.query else "")


@register.simple_tag(takes_context=True)
def may_redeliver(context: dict[str, Any], delivery: Delivery) -> bool:
    """Whether who looks at a page of the group may send it again: who may manage its key."""
    if context.get("manages"):
        return True
    return delivery.api_key is not None and bool(
        delivery.api_key.created_by_id == context["user"].pk
    )
