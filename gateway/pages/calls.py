"""The history of a group's calls, and one call."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from accounts.models import APIKey
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import Page, group_frame, parse_cursor
from gateway.call import parse_call_id
from gateway.models import CallRecord
from gateway.pages import charges, history
from gateway.pages.forms import CallFilterForm, encode_query
from gateway.pages.snippets import snippet_context

ROWS_ID = "calls-rows"


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
        context |= snippet_context(request) | {"is_new": not history.has_calls(found)}
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
        "buckets": charges.list_buckets(record),
        "basis_note": charges.BASIS_NOTES.get(record.basis, ""),
        "explanation": charges.explain_charge(record),
        "why_free": charges.explain_free(record),
        "settlement": charges.read_settlement(record),
        "written_off_nanos": -record.written_off_nanos,
        "attempts": record.attempts if request.user.is_staff else [],
    }
    return render(request, "gateway/call.html", context)
