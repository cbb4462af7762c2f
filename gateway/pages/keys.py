"""A group's keys: the list, and what is done to one of them without a page of its own."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseLocation

from accounts import key_services
from accounts.key_forms import KeyNameForm
from accounts.models import APIKey, APIKeyQuerySet, Group
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import fraction_digits, group_frame, page_by_id, parse_cursor
from gateway.pages.key_figures import read_figures
from gateway.pages.key_forms import KeyFilterForm

PAGE_KEYS = 50
# A search is offered where a look over the list no longer does.
SEARCHABLE_KEYS = 10


@require_safe
@signed_in
def group(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """To the group's first tab."""
    return redirect("group_keys", find_group(request, group_id).pk)


@require_safe
@signed_in
def keys(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The group's keys, newest first: those that work unless all are asked for. Others' keys show a member their
    names and figures alone."""
    found = find_group(request, group_id)
    all_keys = APIKey.objects.filter(group=found).exclude(purpose=APIKey.Purpose.PLAYGROUND)
    form = KeyFilterForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    before, after = (parse_cursor(request.GET.get(name)) for name in ("before", "after"))
    page = page_by_id(_listed(all_keys, request, wanted), PAGE_KEYS, before=before, after=after)
    frame = group_frame(request.user, found)
    rows = _key_rows(page.rows, frame, request)
    total = all_keys.count()
    context = frame | {
        "tab": "keys",
        "fraction": fraction_digits(row["figures"].spent_nanos for row in rows),
        "rows": rows,
        "page": page,
        "wanted": wanted,
        "has_keys": total > 0,
        "is_searchable": total > SEARCHABLE_KEYS,
    }
    return render(request, "gateway/keys.html", context)


def _listed(keys: APIKeyQuerySet, request: MemberRequest, wanted: dict[str, Any]) -> APIKeyQuerySet:
    if wanted.get("state") != "all":
        keys = keys.usable()
    if wanted.get("owner") == "me":
        keys = keys.filter(created_by=request.user)
    if wanted.get("name"):
        keys = keys.filter(name__icontains=wanted["name"])
    return keys.select_related("created_by").order_by("-id")


def _key_rows(
    keys: list[APIKey], frame: dict[str, Any], request: MemberRequest
) -> list[dict[str, Any]]:
    figures = read_figures(frame["group"], keys)
    rows = []
    for key in keys:
        may_change = frame["manages"] or key.created_by_id == request.user.pk
        row = {"key": key, "figures": figures[key.pk], "may_change": may_change}
        if may_change and request.GET.get("rename") == str(key.pk):
            row["name_form"] = _name_form(key)
        rows.append(row)
    return rows


def _name_form(key: APIKey, data: Any = None) -> KeyNameForm:
    return KeyNameForm(data, initial={"name": key.name}, auto_id=f"key_{key.pk.hex}_%s")


def find_manageable_key(request: MemberRequest, group: Group, key_id: UUID) -> APIKey:
    """A key that the user may change. Raises Http404 for any other."""
    keys = APIKey.objects.manageable_by(request.user, group).select_related("created_by", "group")
    return get_object_or_404(keys, pk=key_id)


def find_changeable_key(request: MemberRequest, group: Group, key_id: UUID) -> APIKey:
    """The same of keys that people made. The playground's has an end and a text of its own making: with others it
    would go on where no list shows it."""
    key = find_manageable_key(request, group, key_id)
    if key.purpose == APIKey.Purpose.PLAYGROUND:
        raise Http404
    return key


@require_POST
@signed_in
def rename_key(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Give a key another name. Harmless and quick: nobody is asked who he is."""
    found = find_group(request, group_id)
    key = find_changeable_key(request, found, key_id)
    form = _name_form(key, request.POST)
    if form.is_valid():
        key_services.rename_key(key, request.user, form.cleaned_data["name"])
    elif not request.htmx:
        messages.error(request, " ".join(map(str, form.errors["name"])))
    if not request.htmx:
        return redirect("group_keys", found.pk)
    [row] = _key_rows([key], group_frame(request.user, found), request)
    if form.errors:
        row["name_form"] = form
    context = {"row": row, "group": found}
    return render(request, "gateway/keys.html#row", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def revoke_key(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Stop a key for good. Whoever finds that a key leaked must not have to look for his password first."""
    found = find_group(request, group_id)
    key = find_manageable_key(request, found, key_id)
    key_services.revoke_key(key, request.user)
    text = _("The key “%(name)s” is revoked: calls with it are refused.")
    messages.success(request, text % {"name": key.name})
    return go_to(request, _way_back(request, key))


@require_POST
@signed_in
def end_rotation(request: MemberRequest, group_id: UUID, key_id: UUID) -> HttpResponse:
    """Stop the secret from before the rotation. It can only stop something, as revoking does: nobody is asked who he
    is."""
    found = find_group(request, group_id)
    key = find_manageable_key(request, found, key_id)
    key_services.end_rotation(key, request.user)
    text = _("The previous secret of “%(name)s” is stopped: calls with it are refused.")
    messages.success(request, text % {"name": key.name})
    return go_to(request, reverse("key", args=[found.pk, key.pk]))


def _way_back(request: MemberRequest, key: APIKey) -> str:
    """The page of the key where that was looked at, else the list as it was filtered."""
    here = request.htmx.current_url_abs_path if request.htmx else None
    listed = reverse("group_keys", args=[key.group_id])
    own = reverse("key", args=[key.group_id, key.pk])
    return here if here and here.partition("?")[0] in (listed, own) else listed


def go_to(request: HttpRequest, url: str) -> HttpResponse:
    """Show that page, by htmx where it asked."""
    if getattr(request, "htmx", False):
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)
