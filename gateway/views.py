"""A group's pages: keys, usage, the history of calls, and one call."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseLocation, push_url

from accounts import services
from accounts.forms import KeyForm, KeyNameForm
from accounts.models import APIKey, Group
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import Page, fraction_digits, group_frame, month_start, parse_cursor
from gateway import history, presentation
from gateway.call import parse_call_id
from gateway.forms import CallFilterForm, MonthForm, encode_query
from gateway.models import CallRecord

ROWS_ID = "calls-rows"


def _snippets(request: HttpRequest) -> dict[str, str]:
    return {
        "base_url": request.build_absolute_uri("/v1"),
        "example_model": presentation.example_model(),
    }


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
        issued = {"issued": key, "secret": text, **_snippets(request)}
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


@require_safe
@signed_in
def usage(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """A month of the group: what it spent on which days, models and keys."""
    found = find_group(request, group_id)
    this_month = month_start()
    first = MonthForm(request.GET).first_day() or this_month
    last = presentation.month_after(first, 1)
    used = history.read_usage(found, first, last)
    names = dict(APIKey.objects.filter(group=found).values_list("pk", "name"))
    chart = presentation.draw_month(used, first, last)
    context = group_frame(request.user, found) | {
        "tab": "usage",
        "total": used.total,
        "saved_nanos": used.total.list_nanos - used.total.amount_nanos,
        "chart": chart,
        "day_rows": presentation.tabulate_days(chart) if chart else [],
        "models": [{"name": name, "value": name, "sums": sums} for name, sums in used.models],
        "keys": [
            {"name": names.get(key_id, ""), "value": key_id, "sums": sums}
            for key_id, sums in used.keys
        ],
        "models_fraction": fraction_digits(sums.amount_nanos for _name, sums in used.models),
        "keys_fraction": fraction_digits(sums.amount_nanos for _key, sums in used.keys),
        "month": presentation.month_name(first),
        "month_before": presentation.month_after(first, -1),
        "month_after": last if last <= this_month else None,
    }
    return render(request, "gateway/usage.html", context)


@require_safe
@signed_in
def calls(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The history of calls, newest first, with filters that stand in the URL.

    htmx asks here too: for the whole history when a filter changes, and for the rows of the first page every few
    seconds, answered with 204 while nothing is new.
    """
    found = find_group(request, group_id)
    form = CallFilterForm(request.GET, found)
    before, after = (parse_cursor(request.GET.get(name)) for name in ("before", "after"))
    if form.is_valid():
        wanted = form.wanted(timezone.now())
        page = history.read_page(history.find_calls(found, wanted), before=before, after=after)
    else:
        wanted = history.CallFilter()
        page = Page([], None, None)
    seen = history.fingerprint(page.rows)
    polls = request.htmx and request.GET.get("seen") is not None
    if polls and request.GET["seen"] == seen:
        return HttpResponse(status=204)
    query = form.query()
    is_first = page.newer is None and before is None
    context = group_frame(request.user, found) | {
        "tab": "calls",
        "form": form,
        "filter_fields": [form[name] for name in ("key", "model", "status", "period")],
        "query": query,
        "filtered": bool(query),
        "page": page,
        "names": history.key_names(page.rows),
        "seen": seen,
        "is_live": is_first and form.is_valid() and wanted.until is None,
        "is_first": is_first,
        "poll_query": encode_query(query | {"seen": seen}),
    }
    if not page.rows and not query:
        context |= _snippets(request) | {"is_new": not history.has_calls(found)}
    if polls and request.htmx.target == ROWS_ID:
        return render(request, "gateway/calls.html#poll", context)
    response = render(request, "gateway/calls.html", context)
    if request.htmx and not request.htmx.boosted and not polls:
        push_url(response, request.path + (f"?{encode_query(query)}" if query else ""))
    return response


@require_safe
@signed_in
def call(request: MemberRequest, group_id: UUID, call_id: str) -> HttpResponse:
    """One call with its charge worked out again, line by line."""
    found = find_group(request, group_id)
    parsed = parse_call_id(call_id)
    if parsed is None:
        raise Http404
    record = get_object_or_404(CallRecord.objects.of_group(found), pk=parsed)
    context = group_frame(request.user, found) | {
        "tab": "calls",
        "call": record,
        "key": APIKey.objects.filter(pk=record.api_key_id).first(),
        "buckets": presentation.list_buckets(record),
        "basis_note": presentation.BASIS_NOTES.get(record.basis, ""),
        "explanation": presentation.explain_charge(record),
        "why_free": presentation.explain_free(record),
        "settlement": presentation.read_settlement(record),
        "written_off_nanos": -record.written_off_nanos,
        "attempts": record.attempts if request.user.is_staff else [],
    }
    return render(request, "gateway/call.html", context)
