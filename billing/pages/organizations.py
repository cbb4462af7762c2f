"""Organizations: the list of them, and one with its pool and its groups."""

from itertools import chain
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.models import Organization
from accounts.views import MemberRequest, signed_in
from accounts.views import find_organization as find_organization
from billing.forms import OrganizationFilterForm
from billing.models import Account
from billing.organization_rows import read_organizations
from billing.presentation import (
    fraction_digits,
    parse_cursor,
    read_groups,
)
from billing.transfers import read_transfers

POOL_ROWS = 10
ORGANIZATIONS_MAX = 100


@require_safe
@signed_in
def organizations(request: MemberRequest) -> HttpResponse:
    """The organizations that the user administers; straight to it where there is one."""
    found = Organization.objects.administered_by(request.user).order_by("name", "pk")
    if not request.user.is_staff:
        first_two = list(found[:2])
        if not first_two:
            raise Http404
        if len(first_two) == 1:
            return redirect("organization", first_two[0].pk)
    form = OrganizationFilterForm(request.GET)
    name = form.cleaned_data["name"] if form.is_valid() else ""
    if name:
        found = found.filter(name__icontains=name)
    found_rows = list(found[: ORGANIZATIONS_MAX + 1])
    rows = read_organizations(found_rows[:ORGANIZATIONS_MAX])
    context = {
        "rows": rows,
        "fraction": fraction_digits(row.pool_nanos for row in rows),
        "wallets_fraction": fraction_digits(row.wallets_nanos for row in rows),
        "is_cut": len(found_rows) > ORGANIZATIONS_MAX,
        "form": form,
        "name": name,
        "organization_page": True,
    }
    return render(request, "billing/organizations.html", context)


@require_safe
@signed_in
def organization(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The pool, the groups with what they have, and the latest moves."""
    found = find_organization(request, organization_id)
    pool = Account.objects.pool_of(found)
    rows = [row for row in read_groups(found) if row.group.archived_at is None]
    page = read_transfers(
        pool,
        before=parse_cursor(request.GET.get("before")),
        after=parse_cursor(request.GET.get("after")),
        size=POOL_ROWS,
    )
    amounts = [(row.wallet.available_nanos, row.wallet.held_nanos, row.spent_nanos) for row in rows]
    context = {
        "organization": found,
        "organization_page": True,
        "tab": "groups",
        "pool": pool,
        "rows": rows,
        "wallets_nanos": sum(row.wallet.balance_nanos for row in rows),
        "held_nanos": sum(row.wallet.held_nanos for row in rows),
        "spent_nanos": sum(row.spent_nanos for row in rows),
        "groups_fraction": fraction_digits(chain.from_iterable(amounts)),
        "page": page,
        "fraction": fraction_digits(row.change_nanos for row in page.rows),
    }
    return render(request, "billing/organization.html", context)
