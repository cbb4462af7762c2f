"""Figures of calls on pages."""

from collections.abc import Mapping
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.models import Group
from gateway.models import CallRecord
from gateway.pages.error_words import say_code

register = template.Library()

STATUS_TONES = {
    CallRecord.Status.COMPLETED: "good",
    CallRecord.Status.CLIENT_GONE: "accent",
    CallRecord.Status.UPSTREAM_FAILED: "bad",
    CallRecord.Status.TIMED_OUT: "bad",
    CallRecord.Status.LOST: "bad",
    CallRecord.Status.REFUSED: "warn",
}


@register.filter
def error_words(code: str) -> str:
    """What an error's code means, empty for one of a provider's own."""
    return say_code(code)


@register.simple_tag
def status_badge(call: CallRecord) -> SafeString:
    """The status as a badge: a word, a colour and a shape."""
    tone = STATUS_TONES[CallRecord.Status(call.status)]
    if call.source == CallRecord.Source.TASK and call.status == CallRecord.Status.CLIENT_GONE:
        # A task's client has left long before; this one was called off.
        return format_html('<span class="badge">{}</span>', _("Cancelled"))
    return format_html('<span class="badge {}">{}</span>', tone, call.get_status_display())


@register.filter
def duration(milliseconds: int | None) -> SafeString | str:
    """`840 ms`, `1.24 s`, `3 min 20 s`; a dash for what is not known."""
    if milliseconds is None:
        return unknown(_("not known"))
    if milliseconds < 1000:
        return _("%(count)d ms") % {"count": milliseconds}
    if milliseconds < 60_000:
        return _("%(seconds)s s") % {
            "seconds": f"{milliseconds // 1000}.{milliseconds % 1000 // 10:02d}"
        }
    minutes, rest = divmod(milliseconds // 1000, 60)
    return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}


@register.simple_tag
def first_token(call: CallRecord) -> SafeString | str:
    """When the first token came. Only a stream has one."""
    if not call.stream:
        return unknown(_("not streamed"))
    return duration(call.first_token_ms)


@register.simple_tag
def quantity(count: int, basis: str) -> SafeString:
    """A count with separators. Not known (no basis) is a dash, so that it does not look like zero."""
    if not basis:
        return unknown(_("not known"))
    if count == 0:
        return format_html('<span class="zero">{}</span>', 0)
    return format_html("{}", f"{count:,}")


def unknown(why: str) -> SafeString:
    """A dash that says what it stands for."""
    return format_html(
        '<span class="unknown" title="{}"><span aria-hidden="true">–</span>'
        '<span class="visually-hidden">{}</span></span>',
        why,
        why,
    )


@register.filter
def model_name(name: str) -> SafeString:
    """A model's name with the provider paler than what tells models apart."""
    provider, slash, rest = name.rpartition("/")
    return format_html('<span class="provider">{}{}</span>{}', provider, slash, rest)


@register.filter
def at(names: Mapping[UUID, str], key: UUID) -> str:
    """The name under a key that a template has in a variable; empty where there is none."""
    return names.get(key, "")


@register.filter
def call_url(call: CallRecord, group: Group) -> str:
    """The page of the call."""
    return reverse("call", args=[group.pk, call.public_id])


@register.filter
def tokens_in(call: CallRecord) -> int:
    """Input that was not cached, cache writes and audio included."""
    written = call.cache_write_tokens + call.cache_write_1h_tokens
    return call.input_tokens + written + call.audio_input_tokens


@register.filter
def tokens_out(call: CallRecord) -> int:
    """Everything generated, audio included."""
    return call.output_tokens + call.audio_output_tokens
