"""An organization's name, and its end."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import services
from accounts.member_forms import NameForm, OrganizationDeletionForm
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_organization, signed_in
from billing.archiving import (
    NotEmpty,
    OrganizationRemains,
    archive_organization,
    remains_of_organization,
)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def organization_settings(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """What an admin may set. POST renames."""
    found = find_organization(request, organization_id)
    form = NameForm(request.POST or None, initial={"name": found.name})
    if request.method == "POST" and form.is_valid():
        try:
            services.rename_organization(found, form.cleaned_data["name"], actor=request.user)
        except ValidationError as error:
            form.add_error("name", error.messages)
        else:
            messages.success(request, _("The name is saved."))
            return redirect("organization_settings", found.pk)
    context = {
        "organization": found,
        "organization_page": True,
        "tab": "settings",
        "form": form,
        "remains": remains_of_organization(found),
    }
    status = 422 if form.errors else 200
    return render(request, "billing/organization_settings.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def delete_organization(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """Ask for the name, then delete what is empty. An operator may delete one with credits, and notes why."""
    found = find_organization(request, organization_id)
    remains = remains_of_organization(found)
    needs_note = remains.obstacle == "credits" and request.user.is_staff
    form = OrganizationDeletionForm(
        request.POST or None, expected=found.name, needs_note=needs_note
    )
    if request.method == "POST" and form.is_valid():
        note = form.cleaned_data.get("note", "")
        try:
            archive_organization(found, actor=request.user, note=note)
        except NotEmpty:
            remains = remains_of_organization(found)
            form.add_error(None, _("Something came in meanwhile. Please look again."))
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            messages.success(
                request, _("The organization “%(name)s” is deleted.") % {"name": found.name}
            )
            return redirect("home")
    context = {
        "organization": found,
        "remains": remains,
        "refusal": "" if needs_note else _refusal_of(remains),
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "billing/organization_deletion.html", context, status=status)


def _refusal_of(remains: OrganizationRemains) -> str:
    if remains.obstacle == "groups":
        return _("The organization still has groups. Delete them first.")
    if remains.obstacle == "credits":
        return _(
            "There are credits in the pool. Whoever runs this installation can refund them and delete the organization."
        )
    return ""
