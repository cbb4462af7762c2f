"""When a key ends, in one sentence."""

import math
from datetime import timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import dates
from accounts.models import APIKey
from accounts.templatetags.moments import relatively

register = template.Library()

SOON = timedelta(days=30)


@register.simple_tag
def key_end(key: APIKey) -> SafeString | str:
    """“expires in 3 days”, “revoked 2 hours ago”; nothing for a key that stays.

    Days that are left are counted as people do: a key for 30 days has 30 until the first of them is over.
    """
    state, now = key.state, timezone.now()
    moment = key.revoked_at if state == "revoked" else key.expires_at
    if moment is None:
        return ""
    if state == "revoked":
        text = _("revoked %(when)s") % {"when": relatively(moment, now)}
    elif state == "expired":
        text = _("expired %(when)s") % {"when": relatively(moment, now)}
    elif moment - now > SOON:
        text = _("expires on %(day)s") % {"day": dates.day(timezone.localtime(moment))}
    elif moment - now > timedelta(days=1):
        days = math.ceil((moment - now) / timedelta(days=1))
        text = ngettext("expires in %(count)d day", "expires in %(count)d days", days)
        text %= {"count": days}
    else:
        text = _("expires %(when)s") % {"when": relatively(moment, now)}
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), dates.exactly(moment), text
    )
