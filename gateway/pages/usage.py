"""What a group, one of its keys, or an organization used."""

from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import dates
from accounts.models import APIKey
from accounts.spreadsheets import stream_csv
from accounts.views import MemberRequest, find_group, signed_in
from billing.pages.organizations import find_organization
from billing.presentation import group_frame
from gateway.pages import usage_chart, usage_lists
from gateway.pages.usage_chart import MEASURES, View
from gateway.pages.usage_figures import Period, make_figures
from gateway.pages.usage_names import TITLES, Subject
from gateway.pages.usage_range import (
    DEFAULT,
    PRESETS,
    Range,
    days_in_words,
    months_since,
    read_range,
)
from gateway.usage_analytics import By, Span, Totals, one_snapshot, read_top

DEFAULT_MEASURE = "spend"


@require_safe
@signed_in
def usage(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """What the group used, or `?key=` of it alone. Who made which calls, only its managers see."""
    found = find_group(request, group_id)
    frame = group_frame(request.user, found)
    key = _find_key(request, found.pk)
    stacks: tuple[By, ...] = ("model", "key", "member", "source")
    tops: tuple[By, ...] = ("model", "key", "member")
    if not frame["manages"]:
        stacks, tops = ("model", "key", "source"), ("model", "key")
    if key is not None:
        stacks, tops = ("model", "source"), ("model",)
    subject = Subject(found.organization, found, key, stacks, tops)
    return _page(request, subject, "gateway/usage.html", frame | {"tab": "usage"})


@require_safe
@signed_in
def organization_usage(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """What all groups of the organization used; for its admins."""
    found = find_organization(request, organization_id)
    subject = Subject(
        found,
        None,
        None,
        ("group", "model", "key", "member", "source"),
        ("group", "model", "member", "key"),
    )
    frame = {"organization": found, "organization_page": True, "tab": "usage"}
    return _page(request, subject, "gateway/organization_usage.html", frame)


def _find_key(request: MemberRequest, group_id: UUID) -> APIKey | None:
    text = request.GET.get("key")
    if not text:
        return None
    try:
        key_id = UUID(text)
    except ValueError:
        raise Http404 from None
    return get_object_or_404(APIKey, pk=key_id, group=group_id)


def _page(
    request: MemberRequest, subject: Subject, template: str, frame: dict[str, Any]
) -> HttpResponse:
    now = timezone.now()
    chosen = read_range(request.GET, now)
    measure = request.GET.get("measure", DEFAULT_MEASURE)
    by: Any = request.GET.get("by", subject.stacks[0])
    view = View(
        subject,
        chosen.span,
        chosen.step,
        measure if measure in MEASURES else DEFAULT_MEASURE,
        by if by in subject.stacks else subject.stacks[0],
    )
    table = request.GET.get("csv")
    if table and not chosen.error:
        return _download(view, chosen, table)
    before = chosen.span.before(now)
    with one_snapshot():
        figures = make_figures(_period(subject, chosen.span), _period(subject, before))
        drawing = usage_chart.draw(view)
        lists = [usage_lists.make_list(subject, chosen, by) for by in subject.tops]
    context = (
        frame
        | _choices(view, chosen)
        | {
            "subject": subject,
            "range": chosen,
            "figures": figures,
            "before_words": _words_before(chosen, before),
            "drawing": drawing,
            "lists": lists,
            "free_since": request.GET.get("since") or f"{chosen.first}",
            "free_until": request.GET.get("until") or f"{chosen.last}",
            "has_calls": any(row.totals.calls for row in lists[0].rows),
        }
    )
    return render(request, template, context, status=400 if table else 200)


def _period(subject: Subject, span: Span) -> Period:
    by_source = dict(read_top(subject.scope, span, "source"))
    return Period(sum(by_source.values(), Totals()), by_source.get("api", Totals()))


def _words_before(chosen: Range, before: Span) -> str:
    """Which days the figures are compared with."""
    if chosen.query.get("range") == "today":
        return _("yesterday up to this time")
    first = before.since.astimezone(before.zone).date()
    return days_in_words(first, Span(before.since, before.until, before.zone).last_day)


def _choices(view: View, chosen: Range) -> dict[str, Any]:
    """What can be chosen, each with the address that shows it."""
    subject = view.subject
    shown = subject.query | {
        name: value
        for name, value, usual in (
            ("measure", view.measure, DEFAULT_MEASURE),
            ("by", view.by, subject.stacks[0]),
        )
        if value != usual
    }
    query = {**shown, **chosen.query}

    def url(changes: dict[str, str], base: dict[str, str] = query) -> str:
        merged = {name: value for name, value in {**base, **changes}.items() if value}
        return f"{subject.url}?{urlencode(merged)}" if merged else subject.url

    preset = chosen.query.get("range", "" if chosen.query else DEFAULT)
    today = timezone.localdate()
    return {
        "presets": [
            (name, label, url({} if name == DEFAULT else {"range": name}, shown), name == preset)
            for name, label in PRESETS.items()
        ],
        "months": [
            (f"{month:%Y-%m}", dates.month(month))
            for month in months_since(timezone.localtime(subject.began).date(), today)
        ],
        "month": chosen.query.get("month", ""),
        "is_free": "since" in chosen.query,
        "today": today,
        "shown": shown,
        "measures": [
            (
                name,
                label,
                url({"measure": "" if name == DEFAULT_MEASURE else name}),
                name == view.measure,
            )
            for name, label in MEASURES.items()
        ],
        "stacks": [
            (
                name,
                TITLES[name],
                url({"by": "" if name == subject.stacks[0] else name}),
                name == view.by,
            )
            for name in subject.stacks
        ]
        if view.measure != "latency"
        else [],
        "csv_url": url({"csv": "chart"}),
        "list_csv_urls": {by: url({"csv": by}) for by in subject.tops},
        "without_key_url": url({"key": ""}),
    }


def _download(view: View, chosen: Range, table: str) -> HttpResponse:
    """The table as a file."""
    subject = view.subject
    name = f"usage-{chosen.first}-{chosen.last}"
    if table == "chart":
        with one_snapshot():
            header, rows = usage_chart.csv_table(view)
        filename = f"{name}-{view.measure}-by-{view.by}.csv"
        return cast("HttpResponse", stream_csv(filename, header, rows))
    if table not in subject.tops:
        raise Http404
    with one_snapshot():
        rows = usage_lists.csv_rows(subject, chosen, table)
    filename = f"{name}-by-{table}.csv"
    return cast("HttpResponse", stream_csv(filename, usage_lists.CSV_HEADER, rows))
