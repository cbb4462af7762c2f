"""A group's keys."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseLocation

from accounts import services
from accounts.forms import KeyForm, KeyNameForm
from accounts.models import APIKey, Group
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import fraction_digits, group_frame
from gateway.pages import history
from gateway.pages.snippets import snippet_context


@require_safe
@signed_in
def group(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """To the group's first tab."""
    return redirect("group_keys", find_group(request, group_id).pk)


@sensitive_variables("text", "context")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def keys(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The group's keys. POST issues one: its text stands in that answer alone and can never be shown again."""
    found = find_group(request, group_id)
    form = KeyForm(request.POST or None)
    issued: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        key, text = services.issue_key(found, request.user, values["name"], values["expires_at"])
        issued = {"issued": key, "secret": text, **snippet_context(request)}
        form = KeyForm()
    frame = group_frame(request.user, found)
    activity = history.key_activity(found)
    all_keys = list(APIKey.objects.filter(group=found).select_related("created_by"))
    all_keys.sort(key=lambda key: key.state != "active")  # stable: newest first within each half
    context = (
        frame
        | issued
        | {
            "tab": "keys",
            "fraction": fraction_digits(one.spent_nanos for one in activity.values()),
            "form": form,
            "rows": [_key_row(key, activity[key.pk], frame, request) for key in all_keys],
        }
    )
    return render(request, "gateway/keys.html", context, status=422 if form.errors else 200)


def _key_row(
    key: APIKey, activity: history.KeyActivity, frame: dict[str, Any], request: MemberRequest
) -> dict[str, Any]:
    may_change = frame["manages"] or key.created_by_id == request.user.pk
    row = {"key": key, "activity": activity, "may_change": may_change}
    if may_change and request.GET.get("rename") == str(key.pk):
        row["name_form"] = KeyNameForm(initial={"name": key.name}, auto_id=f"key_{key.pk.hex}_%s")
    return row


def _manageable_key(request: MemberRequest, found: Group, key_id: UUID) -> APIKey:
    return get_object_or_404(APIKey.objects.manageable_by(request.user, found), pk=key_id)


@require_POST
@signed_in
def rename_key(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Give a key another name."""
    found = find_group(request, group_id)
    key = _manageable_key(request, found, key_id)
    form = KeyNameForm(request.POST, auto_id=f"key_{key.pk.hex}_%s")
    if form.is_valid():
        services.rename_key(key, form.cleaned_data["name"])
    elif not request.htmx:
        messages.error(request, " ".join(map(str, form.errors["name"])))
    if not request.htmx:
        return redirect("group_keys", found.pk)
    row = _key_row(
        key, history.key_activity(found)[key.pk], group_frame(request.user, found), request
    )
    if form.errors:
        row["name_form"] = form
    context = {"row": row, "group": found}
    return render(request, "gateway/keys.html#row", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def revoke_key(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Stop a key for good."""
    found = find_group(request, group_id)
    key = _manageable_key(request, found, key_id)
    services.revoke_key(key)
    messages.success(
        request, _("The key “%(name)s” is revoked: calls with it are refused.") % {"name": key.name}
    )
    url = reverse("group_keys", args=[found.pk])
    if request.htmx:
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)
