"""The history of a group's calls, and one call."""

import json
from dataclasses import replace
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from accounts.models import APIKey, Group
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import group_frame, parse_cursor
from gateway.call import parse_call_id
from gateway.call_objects import explained_call_object
from gateway.models import CallRecord
from gateway.pages import call_search, charges, exports, history, timing, walks
from gateway.pages.chips import list_chips
from gateway.pages.forms import SIZES, CallFilterForm, encode_query
from gateway.pages.snippets import text_tabs

ROWS_ID = "calls-rows"
# The filters that are always in sight; the others stand behind a button.
FIELDS = ("key", "member", "model", "status", "period")
MORE_FIELDS = ("endpoint", "stream", "error", "charge_min", "duration_min")


class Listing(NamedTuple):
    """What the filters of a request found. `wanted` is None where they make no sense."""

    wanted: history.CallFilter | None
    page: walks.CallPage
    is_first: bool


@require_safe
@signed_in
def calls(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The history of calls, newest first, with filters that stand in the URL.

    htmx asks here too: for the whole history when a filter changes, and for the rows of the first page every few
    seconds, answered with 204 while nothing is new. An id, or a beginning that one call has, leads to its page.
    """
    found = find_group(request, group_id)
    form = CallFilterForm(request.GET, found)
    listing = _list_calls(request, found, form)
    if place := _place_of(request, found, listing):
        return redirect(place.view, place.group_id, place.public_id)
    seen = history.fingerprint(listing.page.rows)
    polls = request.htmx and request.GET.get("seen") is not None
    if polls and request.GET["seen"] == seen:
        return HttpResponse(status=204)
    query = form.query()
    context = (
        group_frame(request.user, found)
        | _filter_context(form, query)
        | _listing_context(listing)
        | {
            "tab": "calls",
            "names": {key[0]: key[1] for key in form.keys},
            "seen": seen,
            "poll_query": encode_query(query | {"seen": seen}),
            "here": _here(request, query),
        }
    )
    if not listing.page.rows and not query:
        context |= {"snippet_tabs": text_tabs(request), "is_new": not history.has_calls(found)}
    if polls and request.htmx.target == ROWS_ID:
        return render(request, "gateway/calls.html#poll", context)
    response = render(request, "gateway/calls.html", context)
    if request.htmx and not request.htmx.boosted and not polls:
        push_url(response, request.path + (f"?{encode_query(query)}" if query else ""))
    return response


def _here(request: MemberRequest, query: dict[str, Any]) -> str:
    """The query of this page of the history, with its question mark: what leads back from a call. Without filters and
    on the first page it is empty."""
    cursors = {name: request.GET[name] for name in ("before", "after") if name in request.GET}
    return f"?{encode_query(query | cursors)}" if query or cursors else ""


def _list_calls(request: MemberRequest, group: Group, form: CallFilterForm) -> Listing:
    if not form.is_valid():
        return Listing(None, walks.CallPage([], None, None), True)
    wanted = form.wanted(timezone.now())
    before, after = (parse_cursor(request.GET.get(name)) for name in ("before", "after"))
    time_s = walks.FURTHER_S if "further" in request.GET else walks.PAGE_S
    cut = walks.Cut(form.cleaned_data["size"], before, after, time_s)
    page = walks.read_page(group, wanted, cut)
    return Listing(wanted, page, page.newer is None and before is None)


def _place_of(request: MemberRequest, group: Group, listing: Listing) -> call_search.Place | None:
    """Where a search for an id leads at once: a whole id to its page, a beginning to the one call that has it."""
    digits = listing.wanted.id_digits if listing.wanted else ""
    if len(digits) == call_search.ID_DIGITS:
        return call_search.find_place(request.user, group, digits)
    if digits and listing.is_first and listing.page.older is None and len(listing.page.rows) == 1:
        return call_search.Place("call", group.pk, listing.page.rows[0].public_id)
    return None


def _filter_context(form: CallFilterForm, query: dict[str, Any]) -> dict[str, Any]:
    more = [form[name] for name in MORE_FIELDS]
    sizes = [(size, encode_query({**query, "size": str(size)})) for size in SIZES]
    return {
        "form": form,
        "filter_fields": [form[name] for name in FIELDS],
        "more_fields": more,
        "more_count": sum(1 for field in more if field.value()),
        "query": query,
        "encoded_query": encode_query(query),
        "filtered": any(name != "size" for name in query),
        "chips": list_chips(form),
        "sizes": sizes,
        "size": form.cleaned_data.get("size") if form.is_valid() else None,
    }


def _listing_context(listing: Listing) -> dict[str, Any]:
    page, wanted = listing.page, listing.wanted
    looks_for_id = wanted is not None and bool(wanted.id_digits)
    return {
        "page": page,
        "is_first": listing.is_first,
        "is_live": listing.is_first
        and wanted is not None
        and wanted.until is None
        and not looks_for_id,
        "looks_for_id": looks_for_id,
        "looked_back_to": page.looked_back_to and history.moment_of(page.looked_back_to),
    }


@require_safe
@signed_in
def export_calls(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The calls that the filters let through, as a file. `format` is one of `exports.FORMATS`."""
    found = find_group(request, group_id)
    form = CallFilterForm(request.GET, found)
    name = request.GET.get("format", "csv")
    if name not in exports.FORMATS:
        raise Http404
    if not form.is_valid():
        query = encode_query(form.query())
        return redirect(f"{reverse('group_calls', args=[found.pk])}?{query}")
    now = timezone.now()
    wanted = form.wanted(now)
    # What is not yet there when the file begins is not in it.
    wanted = replace(wanted, until=min(wanted.until or now, now))
    return cast(
        "HttpResponse", exports.download_calls(found, wanted, name, timezone.localtime(now))
    )


@require_safe
@signed_in
def call(request: MemberRequest, group_id: UUID, call_id: str) -> HttpResponse:
    """One call with its charge worked out again, line by line."""
    found = find_group(request, group_id)
    parsed = parse_call_id(call_id)
    if parsed is None:
        raise Http404
    record = get_object_or_404(CallRecord.objects.of_group(found), pk=parsed)
    key = APIKey.objects.filter(pk=record.api_key_id).select_related("created_by").first()
    explanation = charges.explain_charge(record)
    around = history.neighbours(record, found)
    context = group_frame(request.user, found) | {
        "tab": "calls",
        "call": record,
        "key": key,
        "buckets": charges.list_buckets(record),
        "basis_note": charges.BASIS_NOTES.get(record.basis, ""),
        "explanation": explanation,
        "why_free": charges.explain_free(record),
        "settlement": charges.read_settlement(record),
        "written_off_nanos": -record.written_off_nanos,
        "attempts": record.attempts if request.user.is_staff else [],
        "spans": timing.list_spans(record),
        "around": around,
        # Where the reader was in the history: the links of its rows bring it along.
        "here": f"?{request.GET.urlencode()}" if request.GET else "",
        "around_cursor": UUID(int=around[0].pk.int + 1).hex,
        "raw": _raw(record, key, explanation),
    }
    return render(request, "gateway/call.html", context)


def _raw(record: CallRecord, key: APIKey | None, explanation: charges.Explanation | None) -> str:
    """The call as GET /v1/calls/{id} answers it to its key, indented."""
    lines = explanation.charge_lines if explanation else ()
    name = key.name if key else ""
    answer = explained_call_object(vars(record), str(record.api_key_id), name, lines)
    return json.dumps(answer, indent=2, ensure_ascii=False)
