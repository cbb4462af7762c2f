"""Image tasks beside their calls."""

from django import template
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.models import Group
from gateway.models import CallRecord, Task
from gateway.pages import task_history
from gateway.templatetags.calls import unknown

register = template.Library()


@register.simple_tag
def task_of(call: CallRecord) -> Task | None:
    """The task that the call is of, if there is one."""
    return task_history.task_of_call(call)


@register.simple_tag
def no_tokens() -> SafeString:
    """A dash where a call of a model of texts has tokens."""
    return unknown(_("a task has no tokens"))


@register.filter
def task_url(call: CallRecord, group: Group) -> str:
    """The page of the call's task. A request that was refused before it became a task reserved nothing: empty."""
    if call.source != CallRecord.Source.TASK or not call.hold_nanos:
        return ""
    return reverse("task", args=[group.pk, f"tsk_{call.id.hex}"])


@register.filter
def whole_seconds(seconds: int) -> str:
    """`12 s`, `3 min 20 s`: for a time that still runs."""
    minutes, rest = divmod(seconds, 60)
    if not minutes:
        return _("%(seconds)d s") % {"seconds": rest}
    return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
