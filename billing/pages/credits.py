"""What a group has."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.views import MemberRequest, find_group, signed_in
from billing.forms import StatementFilterForm
from billing.presentation import (
    fraction_digits,
    group_frame,
    parse_cursor,
    read_statement,
)


@require_safe
@signed_in
def credits(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """What a group has, and every transfer of its wallet."""
    group = find_group(request, group_id)
    frame = group_frame(request.user, group)
    form = StatementFilterForm(request.GET)
    kind = form.cleaned_data["kind"] if form.is_valid() else ""
    page = read_statement(
        frame["wallet"],
        kind,
        before=parse_cursor(request.GET.get("before")),
        after=parse_cursor(request.GET.get("after")),
    )
    context = frame | {
        "tab": "credits",
        "form": form,
        "kind": kind,
        "page": page,
        "fraction": fraction_digits(row.change_nanos for row in page.rows),
    }
    return render(request, "billing/credits.html", context)
