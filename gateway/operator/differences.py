"""The two sides of a change as people read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from allauth.mfa.models import Authenticator
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from accounts import dates
from accounts.models import APIKey, GroupMembership, Membership
from billing.presentation import dollars, share_of_list
from billing.promotion_models import CodeBatch
from gateway.models import WebhookEndpoint, WebhookEvent

LABELS: Mapping[str, Any] = {
    "aliases": gettext_lazy("Aliases"),
    "allowed_models": gettext_lazy("Allowed models"),
    "allowed_networks": gettext_lazy("Allowed networks"),
    "base_url": gettext_lazy("Base URL"),
    "context_length": gettext_lazy("Input tokens at most"),
    "cost_bps": gettext_lazy("Cost, of list price"),
    "effective_from": gettext_lazy("From"),
    "email": gettext_lazy("E-mail address"),
    "expires_at": gettext_lazy("Expires"),
    "fingerprint": gettext_lazy("Fingerprint of the credential"),
    "group": gettext_lazy("Group"),
    "is_enabled": gettext_lazy("Enabled"),
    "max_completion_tokens": gettext_lazy("Output tokens at most"),
    "model": gettext_lazy("Model"),
    "model_map": gettext_lazy("Models"),
    "name": gettext_lazy("Name"),
    "priority": gettext_lazy("Priority"),
    "rates": gettext_lazy("Rates"),
    "retires_on": gettext_lazy("Retires on"),
    "role": gettext_lazy("Role"),
    "sell_bps": gettext_lazy("Share of list price"),
    "source": pgettext_lazy("of a price", "Source"),
    "stopped_why": gettext_lazy("Reason"),
    "upstream_name": gettext_lazy("Name at the provider"),
    "weight": gettext_lazy("Weight"),
    "day_nanos": gettext_lazy("Credits per day"),
    "month_nanos": gettext_lazy("Credits per month"),
    "lifetime_nanos": gettext_lazy("Credits in all"),
    "requests_per_minute": gettext_lazy("Requests per minute"),
    "tokens_per_minute": gettext_lazy("Tokens per minute"),
    "concurrent_calls": gettext_lazy("Calls at a time"),
    "address": gettext_lazy("E-mail address"),
    "amount_nanos": gettext_lazy("Amount"),
    "balance_nanos": gettext_lazy("Balance"),
    "call": gettext_lazy("Call"),
    "channel": gettext_lazy("Channel"),
    "count": gettext_lazy("Number of codes"),
    "days": gettext_lazy("Days"),
    "description": gettext_lazy("Description"),
    "dialect": gettext_lazy("Dialect"),
    "events": gettext_lazy("Events"),
    "credit_line_nanos": gettext_lazy("Credit line"),
    "disabled": gettext_lazy("Codes disabled"),
    "groups": gettext_lazy("Groups"),
    "is_active": gettext_lazy("May sign in"),
    "keys": gettext_lazy("Keys revoked"),
    "keys_revoked": gettext_lazy("Keys revoked"),
    "kind": gettext_lazy("Kind"),
    "kinds": gettext_lazy("Second factors"),
    "last_four": gettext_lazy("Ends in"),
    "members": gettext_lazy("Members"),
    "mode": gettext_lazy("Mode"),
    "note": gettext_lazy("Note"),
    "previous_until": gettext_lazy("Old secret works until"),
    "public_id": gettext_lazy("Public ID"),
    "purpose": gettext_lazy("Purpose"),
    "reason": gettext_lazy("Reason"),
    "uses_max": gettext_lazy("Uses of each code"),
    "valid_until": gettext_lazy("Valid until"),
    "recipients": gettext_lazy("Receivers of mail"),
    "thresholds_nanos": gettext_lazy("Thresholds"),
    "webhook": gettext_lazy("Webhook"),
}
MODES: Mapping[str, Any] = {
    "chat": gettext_lazy("Chat"),
    "responses": gettext_lazy("Responses"),
    "embedding": gettext_lazy("Embeddings"),
    "audio_speech": gettext_lazy("Speech"),
    "audio_transcription": gettext_lazy("Transcription"),
    "image_generation": gettext_lazy("Images"),
    "image_upscale": gettext_lazy("Upscaling"),
}
_ROLES = dict([*Membership.Role.choices, *GroupMembership.Role.choices])
# Values that are words of the program, by the field that has them. `groups` maps the names of groups to roles.
WORDS: Mapping[str, Mapping[str, Any]] = {
    "groups": _ROLES,
    "kind": dict(CodeBatch.Kind.choices),
    "events": dict(WebhookEvent.Type.choices),
    "kinds": dict(Authenticator.Type.choices),
    "mode": MODES,
    "purpose": dict(APIKey.Purpose.choices),
    "role": _ROLES,
    "stopped_why": dict(WebhookEndpoint.Stopped.choices),
}
MOMENT_SUFFIXES = ("_at", "_from", "_until", "_on")
VALUE_CHARS_MAX = 300


class Line(NamedTuple):
    """A field that changed: texts before and after, or, of a list, what went and what came."""

    label: str
    before: str
    after: str
    is_list: bool
    removed: list[str]
    added: list[str]


def read_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Line]:
    """Each field of either side whose text differs, in the order they were written."""
    names = dict.fromkeys([*before, *after])
    lines = [_line(name, before.get(name), after.get(name)) for name in names]
    return [line for line in lines if line.before != line.after or line.removed or line.added]


def _line(name: str, before: Any, after: Any) -> Line:
    label = str(LABELS.get(name, "")) or _spelled(name)
    if isinstance(before, list | dict) or isinstance(after, list | dict):
        old, new = _items(name, before), _items(name, after)
        gone = [item for item in old if item not in new]
        come = [item for item in new if item not in old]
        return Line(label, "", "", True, gone, come)
    return Line(label, _text(name, before), _text(name, after), False, [], [])


def _spelled(name: str) -> str:
    """A field that has no name of its own here: at least readable."""
    for suffix in ("_nanos", "_bps", "_at"):
        name = name.removesuffix(suffix)
    return name.replace("_", " ").capitalize()


def _items(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key} → {_text(name, item)}" for key, item in value.items()]
    return [_text(name, item) for item in value] if isinstance(value, list) else []


def _text(name: str, value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int):
        if name.endswith("_nanos"):
            return dollars(value)
        return share_of_list(value) if name.endswith("_bps") else f"{value:,}"
    if isinstance(value, str) and name.endswith(MOMENT_SUFFIXES):
        return _moment(value)
    words = WORDS.get(name, {}).get(value) if isinstance(value, str) else None
    return str(words or value)[:VALUE_CHARS_MAX]


def _moment(text: str) -> str:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None or "T" not in text:
        return text
    return dates.exactly(moment)
