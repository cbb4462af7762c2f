"""The audit trail, for operators and for admins of an organization: who did what, when, and what it was before."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from django import forms
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts import trail
from accounts.ids import CLOCK_SKEW, first_id_at
from accounts.models import Change, Group, Organization, User
from accounts.spreadsheets import stream_csv
from accounts.views import MemberRequest, signed_in
from billing.presentation import Page, page_by_id, parse_cursor
from gateway.operator.access import operator_only
from gateway.operator.differences import Line, read_lines

PAGE_ROWS = 50
# The words of a search are compared with no more than so many of the newest lines.
LOOKED_THROUGH_MAX = 50_000
CSV_ROWS_MAX = 100_000
CSV_SLICE = 500
SPANS = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
CUSTOM = "custom"
CSV_HEAD = (
    "at",
    "actor",
    "verb",
    "subject_kind",
    "subject_id",
    "subject",
    "organization",
    "group",
    "before",
    "after",
)
# Where the subject of a line has a page, by its kind.
PAGES = {
    "channel": "operator_channel",
    "organization": "organization",
    "group": "group",
    "user": "operator_person",
}
TENANT_PAGES = ("organization", "group")


class ChangeFilterForm(forms.Form):
    """Which lines of the trail to list. `organization` is for operators alone."""

    q = forms.CharField(
        label=_("Words"),
        required=False,
        max_length=120,
        widget=forms.SearchInput(),
    )
    who = forms.CharField(
        label=_("Person"),
        required=False,
        max_length=120,
        widget=forms.SearchInput(),
    )
    verb = forms.ChoiceField(label=_("What"), required=False)
    organization = forms.CharField(
        label=_("Organization"),
        required=False,
        max_length=120,
        widget=forms.SearchInput(),
    )
    period = forms.ChoiceField(
        label=_("Time"),
        required=False,
        choices=[
            ("", _("Any time")),
            ("24h", _("Last 24 hours")),
            ("7d", _("Last 7 days")),
            ("30d", _("Last 30 days")),
            ("90d", _("Last 90 days")),
            (CUSTOM, _("From … to …")),
        ],
    )
    since = forms.DateTimeField(label=_("From"), required=False)
    until = forms.DateTimeField(label=_("To (before)"), required=False)
    subject = forms.CharField(required=False, max_length=170, widget=forms.HiddenInput)

    def __init__(self, data: Any, *, for_operators: bool) -> None:
        super().__init__(data, auto_id="filter_%s")
        verbs = sorted(
            ((verb, str(text)) for verb, text in trail.VERBS.items()), key=lambda pair: pair[1]
        )
        self.fields["verb"].choices = [("", _("Anything")), *verbs]  # type: ignore[attr-defined]
        if not for_operators:
            del self.fields["organization"]
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateTimeInput(
                format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}
            )

    @property
    def is_custom(self) -> bool:
        return bool(self.data.get("period") == CUSTOM)

    def span(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """From when to when, None for an open end. For a valid form."""
        period = self.cleaned_data["period"]
        if period == CUSTOM:
            return self.cleaned_data["since"], self.cleaned_data["until"]
        return (now - SPANS[period], None) if period in SPANS else (None, None)

    @property
    def filters(self) -> bool:
        """Whether it restricts anything. For a valid form."""
        return any(
            value for name, value in self.cleaned_data.items() if name not in ("since", "until")
        )


class TrailLine(NamedTuple):
    """A line of the trail as the page shows it."""

    change: Change
    title: str
    who: str
    url: str
    lines: list[Line]
    place: str


def find_changes(scope: QuerySet[Change], form: ChangeFilterForm) -> tuple[QuerySet[Change], bool]:
    """The lines that a valid filter lets through, newest first, and whether words were sought in the newest alone."""
    wanted = form.cleaned_data
    since, until = form.span(timezone.now())
    found = scope.order_by("-id")
    if since is not None:
        found = found.filter(at__gte=since, id__gte=first_id_at(since - CLOCK_SKEW))
    if until is not None:
        found = found.filter(at__lt=until, id__lt=first_id_at(until + CLOCK_SKEW))
    if wanted["verb"]:
        found = found.filter(verb=wanted["verb"])
    if wanted["subject"]:
        kind, _colon, subject_id = wanted["subject"].partition(":")
        found = found.filter(subject_kind=kind, subject_id=subject_id)
    if wanted["who"]:
        found = found.filter(_by(wanted["who"]))
    if wanted.get("organization"):
        named = Organization.objects.filter(name__icontains=wanted["organization"])
        found = found.filter(organization__in=list(named.values_list("pk", flat=True)[:500]))
    if not wanted["q"]:
        return found, False
    beyond = list(found.values_list("id", flat=True)[LOOKED_THROUGH_MAX : LOOKED_THROUGH_MAX + 1])
    if beyond:
        found = found.filter(id__gt=beyond[0])
    return found.filter(pk__in=_with_words(found, wanted["q"]).values("pk")), bool(beyond)


def _by(who: str) -> Q:
    people = User.objects.filter(Q(email__icontains=who) | Q(name__icontains=who))
    by = Q(actor_name__icontains=who) | Q(actor__in=list(people.values_list("pk", flat=True)[:500]))
    # Lines without a person are Tollgate's own.
    return by | Q(actor=None) if who.lower() in "tollgate" and len(who) > 2 else by


def _with_words(found: QuerySet[Change], text: str) -> QuerySet[Change]:
    sides = found.annotate(
        before_text=Cast("before", TextField()), after_text=Cast("after", TextField())
    )
    return sides.filter(
        Q(subject_name__icontains=text)
        | Q(subject_id__iexact=text)
        | Q(actor_name__icontains=text)
        | Q(before_text__icontains=text)
        | Q(after_text__icontains=text)
    ).order_by()


@require_safe
@operator_only
def changes(request: MemberRequest) -> HttpResponse:
    """The whole trail."""
    context = {"operator_page": True, "frame": "parts/operator.html"}
    return _show(request, Change.objects.all(), context)


@require_safe
@signed_in
def organization_changes(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The trail of one organization, for its admins."""
    administered = Organization.objects.administered_by(request.user)
    found = get_object_or_404(administered, pk=organization_id)
    context = {
        "organization": found,
        "organization_page": True,
        "frame": "parts/organization.html",
    }
    return _show(request, Change.objects.filter(organization=found), context)


def _show(request: MemberRequest, scope: QuerySet[Change], context: dict[str, Any]) -> HttpResponse:
    for_operators = "operator_page" in context
    form = ChangeFilterForm(request.GET, for_operators=for_operators)
    page: Page[Change] = Page([], None, None)
    is_cut = False
    if form.is_valid():
        found, is_cut = find_changes(scope, form)
        if request.GET.get("format") == "csv":
            return cast(
                "HttpResponse", stream_csv("audit-trail.csv", CSV_HEAD, _export_rows(found))
            )
        page = page_by_id(
            found,
            PAGE_ROWS,
            before=parse_cursor(request.GET.get("before")),
            after=parse_cursor(request.GET.get("after")),
        )
    context |= {
        "tab": "changes",
        "form": form,
        "filtered": form.is_valid() and form.filters,
        "page": page,
        "rows": _lines(page.rows, for_operators),
        "is_cut": is_cut,
        "for_operators": for_operators,
    }
    return render(request, "operator/changes.html", context)


def _lines(rows: Iterable[Change], for_operators: bool) -> list[TrailLine]:
    rows = list(rows)
    places = _places(rows, for_operators)
    return [
        TrailLine(
            change=row,
            title=str(trail.VERBS.get(row.verb, row.verb)),
            who=row.actor_name or "Tollgate",
            url=_url_of(row, for_operators),
            lines=_telling(row),
            place=_place(row, places.get(row.group_id or row.organization_id, "")),
        )
        for row in rows
    ]


def _telling(change: Change) -> list[Line]:
    """Its lines without the name of what it is about, which stands above them already."""
    lines = read_lines(change.before, change.after)
    return [line for line in lines if line.before or line.after != change.subject_name]


def _place(change: Change, place: str) -> str:
    return "" if place == change.subject_name else place


def _places(rows: Iterable[Change], for_operators: bool) -> dict[UUID | None, str]:
    """Where the changes were made, by the id of the group or, without one, of the organization."""
    group_ids = {row.group_id for row in rows if row.group_id}
    groups = Group.objects.filter(pk__in=group_ids).select_related("organization")
    found: dict[UUID | None, str] = {
        group.pk: f"{group.organization.name} / {group.name}" if for_operators else group.name
        for group in groups
    }
    if for_operators:
        ids = {row.organization_id for row in rows if row.organization_id}
        found |= dict(Organization.objects.filter(pk__in=ids).values_list("pk", "name"))
    return found


def _url_of(change: Change, for_operators: bool) -> str:
    """The page of what was changed; empty where it has none, or is gone."""
    if change.verb.endswith(".deleted"):
        return ""
    if change.subject_kind == "model" and for_operators and "/" in change.subject_id:
        return reverse("operator_model", args=change.subject_id.split("/", 1))
    page = PAGES.get(change.subject_kind)
    if page is None or (not for_operators and page not in TENANT_PAGES):
        return ""
    try:
        return reverse(page, args=[change.subject_id])
    except NoReverseMatch:
        return ""


def _export_rows(found: QuerySet[Change]) -> Iterator[tuple[object, ...]]:
    """Rows for a spreadsheet, read a slice at a time: between two slices nothing is held."""
    rest = found.select_related("organization", "group")
    left = CSV_ROWS_MAX
    while left > 0:
        rows = list(rest[: min(CSV_SLICE, left)])
        for row in rows:
            yield (
                row.at,
                row.actor_name or "Tollgate",
                row.verb,
                row.subject_kind,
                row.subject_id,
                row.subject_name,
                row.organization.name if row.organization else "",
                row.group.name if row.group else "",
                json.dumps(row.before, ensure_ascii=False),
                json.dumps(row.after, ensure_ascii=False),
            )
        if len(rows) < CSV_SLICE:
            return
        left -= len(rows)
        rest = found.select_related("organization", "group").filter(id__lt=rows[-1].pk)
