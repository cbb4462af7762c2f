"""A group's name, and its end."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import services
from accounts.member_forms import DeletionForm, NameForm
from accounts.models import Group, Organization
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_group, signed_in
from billing.archiving import NotEmpty, archive_group, remains_of_group
from billing.pages.group_members import find_managed_group
from billing.presentation import dollars, group_frame


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def group_settings(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """What a manager may set. POST renames."""
    found = find_managed_group(request, group_id)
    frame = group_frame(request.user, found)
    form = NameForm(request.POST or None, initial={"name": found.name})
    if request.method == "POST" and form.is_valid():
        try:
            services.rename_group(found, form.cleaned_data["name"], actor=request.user)
        except ValidationError as error:
            form.add_error("name", error.messages)
        else:
            messages.success(request, _("The name is saved."))
            return redirect("group_settings", found.pk)
    context = frame | {"tab": "settings", "form": form}
    if frame["administers"]:
        context["remains"] = remains_of_group(found)
    # A name that was refused shall not stand in the page's head.
    context["group"] = find_group(request, group_id)
    status = 422 if form.errors else 200
    return render(request, "billing/group_settings.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def delete_group(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """Say what goes, ask for the name, then delete. For admins: its credits go back to the organization."""
    administered = Organization.objects.administered_by(request.user)
    found = get_object_or_404(
        Group.objects.filter(archived_at=None, organization__in=administered).select_related(
            "organization"
        ),
        pk=group_id,
    )
    form = DeletionForm(request.POST or None, expected=found.name)
    if request.method == "POST" and form.is_valid():
        try:
            returned_nanos = archive_group(found, actor=request.user)
        except NotEmpty as error:
            form.add_error(None, refusal_of(error.obstacle))
        else:
            text = (
                _("The group “%(name)s” is deleted. %(amount)s went back to the pool.")
                if returned_nanos
                else _("The group “%(name)s” is deleted.")
            )
            values = {"name": found.name, "amount": dollars(returned_nanos)}
            messages.success(request, text % values)
            return redirect("organization", found.organization_id)
    remains = remains_of_group(found)
    context = {
        "group": found,
        "organization": found.organization,
        "remains": remains,
        "refusal": refusal_of(remains.obstacle) if remains.obstacle else "",
        "form": form,
    }
    return render(
        request, "billing/group_deletion.html", context, status=422 if form.errors else 200
    )


def refusal_of(obstacle: str) -> str:
    """Why a group cannot be deleted now."""
    if obstacle == "held":
        return _(
            "Calls of this group are running and hold credits. Revoke its keys, or wait until they have ended."
        )
    if obstacle == "owed":
        return _("The wallet of this group is below zero. Grant it what it owes first.")
    return _("Promotional credits are just being taken back. Try again in a minute.")
