"""Organizations: the list of them, and one with its pool and its groups."""

from itertools import chain
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseLocation

from accounts import services
from accounts.forms import GroupForm
from accounts.models import Organization
from accounts.views import MemberRequest, signed_in
from billing.forms import OrganizationFilterForm
from billing.models import Account
from billing.presentation import (
    fraction_digits,
    parse_cursor,
    read_groups,
    read_statement,
)

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
    rows = list(found[: ORGANIZATIONS_MAX + 1])
    pools = {
        account.organization_id: account
        for account in Account.objects.filter(organization__in=rows, kind=Account.Kind.POOL)
    }
    context = {
        "rows": [(row, pools[row.pk]) for row in rows[:ORGANIZATIONS_MAX]],
        "fraction": fraction_digits(pool.balance_nanos for pool in pools.values()),
        "is_cut": len(rows) > ORGANIZATIONS_MAX,
        "form": form,
        "name": name,
        "organization_page": True,
    }
    return render(request, "billing/organizations.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def organization(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The pool, the groups with what they have, and the latest moves. POST makes a group."""
    found = find_organization(request, organization_id)
    form = GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            group = services.create_group(found, form.cleaned_data["group_name"], request.user)
        except ValidationError as error:
            form.add_error("group_name", error.messages)
        else:
            messages.success(request, _("The group “%(name)s” is ready.") % {"name": group.name})
            return go_to_organization(request, found)
    pool = Account.objects.pool_of(found)
    rows = read_groups(found)
    page = read_statement(
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
        "group_form": form,
    }
    return render(request, "billing/organization.html", context, status=422 if form.errors else 200)


def find_organization(request: MemberRequest, organization_id: UUID) -> Organization:
    """The organization. Raises Http404 where the user may not administer it."""
    return get_object_or_404(Organization.objects.administered_by(request.user), pk=organization_id)


def go_to_organization(request: MemberRequest, organization: Organization) -> HttpResponse:
    """Back to its page after a change, for htmx as for plain forms."""
    url = reverse("organization", args=[organization.pk])
    if request.htmx:
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)
