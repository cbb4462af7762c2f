"""Finding a call by its id: whole, or by its beginning, in any of the forms in which people meet ids."""

import re
from typing import NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import Group, User
from gateway.models import CallRecord, Task

ID_DIGITS = 32
# The first eight digits are a time to within 65 seconds: fewer would find the calls of days.
DIGITS_MIN = 8
TEXT_CHARS_MAX = 80
_ID = re.compile(r"(?:call_|tsk_)?([0-9a-f]{1,32})")


class Place(NamedTuple):
    """The page that an id leads to: of a call, or of a task that has no call yet."""

    view: str
    group_id: UUID
    public_id: str


def parse_digits(text: str) -> str:
    """The digits of a whole id or of its beginning: `call_…`, `tsk_…`, a UUID with or without hyphens.

    Raises ValidationError for what is no id, and for a beginning that is too short.
    """
    match = _ID.fullmatch(text.strip().lower().replace("-", "")) if text.isascii() else None
    if match is None:
        raise ValidationError(
            _("This is not the id of a call. Ids look like call_0199… or tsk_0199…"), "malformed"
        )
    if len(match[1]) < DIGITS_MIN:
        raise ValidationError(
            _("Give at least %(count)d digits of the id.") % {"count": DIGITS_MIN}, "too_short"
        )
    return match[1]


def find_place(user: User, group: Group, digits: str) -> Place | None:
    """Where the whole id leads: a call or task of this group, or of another that the user may see; None for those of
    others, as for ids that nothing has."""
    call_id = UUID(hex=digits)
    groups = Group.objects.visible_to(user)
    call = CallRecord.objects.filter(pk=call_id).first()
    if call is not None:
        seen = call.group_id == group.pk or groups.filter(pk=call.group_id).exists()
        return Place("call", call.group_id, call.public_id) if seen else None
    task = Task.objects.filter(pk=call_id, group__in=groups).first()
    return Place("task", task.group_id, task.public_id) if task else None
