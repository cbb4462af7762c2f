"""One key: its page, and the pages that issue, change and rotate one."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from accounts import key_services
from accounts.key_services import IssuedBefore, RotatedMeanwhile
from accounts.models import APIKey, Group
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_group, signed_in
from billing import key_settings
from billing.key_settings import KeySettings
from billing.presentation import fraction_digits, group_frame
from gateway.models import CallRecord
from gateway.pages import key_figures
from gateway.pages.key_forms import AccessForm, KeyForm, NewKeyForm, RotationForm, add_errors
from gateway.pages.keys import find_changeable_key, go_to
from gateway.pages.snippets import text_tabs

LATEST_CALLS = 8


@require_safe
@signed_in
def key(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """A key's page. A member who is not its owner sees its name and figures; settings, snippets and actions are for
    its owner and for managers."""
    found = find_group(request, group_id)
    keys = APIKey.objects.filter(group=found).select_related("created_by")
    one = get_object_or_404(keys, pk=key_id)
    frame = group_frame(request.user, found)
    figures = key_figures.read_figures(found, [one])[one.pk]
    context = frame | {"tab": "keys", "key": one, "figures": figures}
    is_mine = one.created_by_id == request.user.pk
    context["may_change"] = frame["manages"] or is_mine
    context["may_rotate"] = is_mine or one.purpose != APIKey.Purpose.MANAGE
    if context["may_change"]:
        context |= _details(request, one)
    return render(request, "gateway/key.html", context)


def _details(request: MemberRequest, key: APIKey) -> dict[str, Any]:
    limit = key_figures.find_limit(key)
    calls = list(CallRecord.objects.filter(api_key=key).order_by("-id")[:LATEST_CALLS])
    return {
        "snippet_tabs": text_tabs(request),
        "management_url": _management_url(request),
        "budgets": key_figures.budget_meters(limit),
        "rates": key_figures.rate_meters(limit),
        "last_minute_calls": key_figures.last_minute_calls(key),
        "calls": calls,
        "fraction": fraction_digits(call.amount_nanos for call in calls),
        "usage_url": f"{reverse('group_usage', args=[key.group_id])}?key={key.pk}",
    }


@sensitive_variables("text")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def new_key(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """Issues a key. Its text stands in that answer alone and can never be shown again. A new key spends credits
    wherever it is taken to, so who issues one shows again who he is."""
    found = find_group(request, group_id)
    form = NewKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        settings = KeySettings(form.cleaned_data["name"], form.restrictions(), form.limits())
        operation_id = form.cleaned_data["operation_id"]
        try:
            made, text = key_settings.issue(
                found,
                request.user,
                settings,
                operation_id,
                purpose=form.cleaned_data["purpose"],
            )
        except IssuedBefore as before:
            if before.text is None:
                return _issued_before(request, before.key)
            return _show_text(request, before.key, before.text)
        except ValidationError as error:
            add_errors(form, error)
        else:
            return _show_text(request, made, text)
    return _show_form(request, found, form, None)


def _issued_before(request: MemberRequest, key: APIKey) -> HttpResponse:
    text = _(
        "That form has issued “%(name)s” already, and its secret was shown then. If nobody kept it, rotate the key."
    )
    messages.warning(request, text % {"name": key.name})
    return go_to(request, reverse("key", args=[key.group_id, key.pk]))


def _management_url(request: MemberRequest) -> str:
    """What a management key can ask first."""
    return request.build_absolute_uri(reverse("api_organizations"))


@sensitive_variables("text", "context")
def _show_text(
    request: MemberRequest, key: APIKey, text: str, *, is_rotation: bool = False
) -> HttpResponse:
    """The page with the text of a key that was just issued or rotated."""
    context = group_frame(request.user, key.group) | {"snippet_tabs": text_tabs(request, text)}
    context |= {"tab": "keys", "key": key, "secret": text, "is_rotation": is_rotation}
    context["management_url"] = _management_url(request)
    return render(request, "gateway/key_issued.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def edit_key(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Changes name, restrictions and limits together. Who could widen a key could spend what it was kept from, so he
    shows again who he is."""
    found = find_group(request, group_id)
    one = find_changeable_key(request, found, key_id)
    form = KeyForm(request.POST or None, owner=one)
    if request.method == "POST" and form.is_valid():
        settings = KeySettings(form.cleaned_data["name"], form.restrictions(), form.limits())
        try:
            key_settings.change(one, request.user, settings)
        except ValidationError as error:
            add_errors(form, error)
        else:
            messages.success(request, _("The key “%(name)s” is changed.") % {"name": one.name})
            return go_to(request, reverse("key", args=[found.pk, one.pk]))
    return _show_form(request, found, form, one)


def _show_form(
    request: MemberRequest, group: Group, form: AccessForm, key: APIKey | None
) -> HttpResponse:
    frame = group_frame(request.user, group)
    context = frame | {"tab": "keys", "form": form, "key": key}
    status = 422 if form.errors else 200
    return render(request, "gateway/key_form.html", context, status=status)


def _why_not_rotated(request: MemberRequest, key: APIKey) -> str:
    if key.state != "active":
        return _("Only an active key can be rotated.")
    if key.purpose == APIKey.Purpose.MANAGE and key.created_by_id != request.user.pk:
        return _("A management key acts for its maker. Nobody else can rotate it.")
    return ""


@sensitive_variables("text")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def rotate_key(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Gives a key another secret, shown in that answer alone. It is worth what a new key is, so who rotates shows
    again who he is."""
    found = find_group(request, group_id)
    one = find_changeable_key(request, found, key_id)
    if refusal := _why_not_rotated(request, one):
        messages.error(request, refusal)
        return go_to(request, reverse("key", args=[found.pk, one.pk]))
    form = RotationForm(request.POST or None, initial={"seen": one.public_id})
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            text = key_services.rotate_key(
                one, request.user, wanted["grace"], wanted["operation_id"], wanted["seen"]
            )
        except (RotatedMeanwhile, ValidationError):
            # By somebody else, since this page was opened: rotated, revoked, or at its end.
            refusal = _("“%(name)s” was changed meanwhile. It was not rotated now.")
            messages.warning(request, refusal % {"name": one.name})
            return go_to(request, reverse("key", args=[found.pk, one.pk]))
        one.refresh_from_db()
        return _show_text(request, one, text, is_rotation=True)
    context = group_frame(request.user, found) | {"tab": "keys", "form": form, "key": one}
    status = 422 if form.errors else 200
    return render(request, "gateway/key_rotate.html", context, status=status)
