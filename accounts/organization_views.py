"""Who is in an organization: the list, inviting, roles, leaving."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invitations, membership_services
from accounts.invitation_models import Invitation
from accounts.invitations import Offer, Outcome
from accounts.member_forms import InviteForm, MemberFilterForm, RoleForm
from accounts.member_lists import (
    groups_by_id,
    list_invitations,
    list_members,
    working_keys,
)
from accounts.models import GroupMembership, Membership, Organization, User
from accounts.navigation import own_groups
from accounts.tasks import nudge_invitations
from accounts.views import MemberRequest, find_organization, go_to, signed_in

FIND_FROM = 15  # a list shorter than that is read faster than searched


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def organization_members(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The members and who is waited for. POST invites."""
    found = find_organization(request, organization_id)
    form = InviteForm(request.POST or None, groups=groups_by_id(found).values())
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        member = GroupMembership.Role.MEMBER
        offer = Offer(values["role"], dict.fromkeys(values.get("groups", []), member))
        try:
            outcome = invite(request, found, values["emails"], offer)
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            tell_outcome(request, outcome)
            return redirect("organization_members", found.pk)
    search = MemberFilterForm(request.GET)
    name = search.cleaned_data["name"].strip() if search.is_valid() else ""
    people = list_members(found, name)
    context = {
        "organization": found,
        "organization_page": True,
        "tab": "members",
        "people": people,
        "name": name,
        "may_find": bool(name) or people.total >= FIND_FROM,
        "invitations": list_invitations(found),
        "roles": Membership.Role.choices,
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/organization_members.html", context, status=status)


def invite(
    request: MemberRequest, organization: Organization, emails: list[str], offer: Offer
) -> Outcome:
    """Invite on behalf of the user, with links to where he is now. Raises ValidationError."""
    outcome = invitations.invite(
        organization,
        emails,
        offer,
        actor=request.user,
        site_url=request.build_absolute_uri("/"),
    )
    nudge_invitations()
    return outcome


def tell_outcome(request: MemberRequest, outcome: Outcome) -> None:
    """Say who is in, who is waited for and who was in before."""
    if outcome.joined:
        text = ngettext(
            "%(people)s is in.", "%(count)d people are in: %(people)s.", len(outcome.joined)
        )
        messages.success(request, text % _counted(outcome.joined))
    if outcome.waiting:
        text = ngettext(
            "%(people)s is invited by e-mail and waiting to join.",
            "%(count)d people are invited by e-mail and waiting to join: %(people)s.",
            len(outcome.waiting),
        )
        messages.success(request, text % _counted(outcome.waiting))
    if outcome.unchanged:
        text = ngettext(
            "%(people)s was in already.",
            "%(count)d people were in already: %(people)s.",
            len(outcome.unchanged),
        )
        messages.info(request, text % _counted(outcome.unchanged))


def _counted(emails: list[str]) -> dict[str, Any]:
    return {"count": len(emails), "people": ", ".join(emails)}


@require_POST
@signed_in
def change_member_role(request: MemberRequest, organization_id: UUID, user_id: int) -> HttpResponse:
    """Make a member an admin, or the reverse."""
    found = find_organization(request, organization_id)
    member = _find_member(found, user_id)
    form = RoleForm(request.POST)
    if form.is_valid():
        role = form.cleaned_data["role"]
        try:
            membership_services.change_role(found, member, role, actor=request.user)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            text = (
                _("%(name)s is an admin now.")
                if role == Membership.Role.ADMIN
                else _("%(name)s is a member now.")
            )
            messages.success(request, text % {"name": member})
    if member == request.user and not _administers(request, found):
        return go_to(request, reverse("memberships"))
    return go_to(request, reverse("organization_members", args=[found.pk]))


def _administers(request: MemberRequest, organization: Organization) -> bool:
    return Organization.objects.administered_by(request.user).filter(pk=organization.pk).exists()


def _find_member(organization: Organization, user_id: int) -> User:
    found = organization.memberships.select_related("user")
    return get_object_or_404(found, user=user_id).user


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def remove_member(request: MemberRequest, organization_id: UUID, user_id: int) -> HttpResponse:
    """Say which keys stop, then take a member out."""
    found = find_organization(request, organization_id)
    member = _find_member(found, user_id)
    back = reverse("organization_members", args=[found.pk])
    return _part(request, found, member, back)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def leave_organization(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The same for oneself, which no admin has to do for a member."""
    own = Organization.objects.filter(archived_at=None, memberships__user=request.user)
    found = get_object_or_404(own, pk=organization_id)
    return _part(request, found, request.user, reverse("memberships"))


def _part(
    request: MemberRequest, organization: Organization, member: User, back: str
) -> HttpResponse:
    refusal = ""
    if request.method == "POST":
        try:
            revoked = membership_services.remove_from_organization(
                organization, member, actor=request.user
            )
        except ValidationError as error:
            refusal = " ".join(error.messages)
        else:
            messages.success(request, told_parting(member, organization.name, revoked))
            return redirect(back if _may_return(request, organization) else "home")
    context = {
        "place": organization,
        "organization": organization,
        "kind": "organization",
        "member": member,
        "is_self": member == request.user,
        "is_last_admin": membership_services.is_last_admin(organization, member),
        "keys": working_keys(member, organization, None),
        "back": back,
        "refusal": refusal,
    }
    return render_parting(request, context)


def _may_return(request: MemberRequest, organization: Organization) -> bool:
    """Whether the page he came from is still his: that of the organization, or that of all his organizations."""
    if request.path == reverse("leave_organization", args=[organization.pk]):
        return Membership.objects.filter(user=request.user).exists()
    return _administers(request, organization)


def told_parting(member: User, place: str, revoked: int) -> str:
    """What is said after somebody has left a place or was removed from it."""
    values = {"name": member, "place": place, "count": revoked}
    if not revoked:
        return _("%(name)s is no longer in “%(place)s”.") % values
    return (
        ngettext(
            "%(name)s is no longer in “%(place)s”. %(count)d key is revoked.",
            "%(name)s is no longer in “%(place)s”. %(count)d keys are revoked.",
            revoked,
        )
        % values
    )


def render_parting(request: MemberRequest, context: dict[str, Any]) -> HttpResponse:
    """The question before somebody leaves: a page of its own, or for htmx what a dialog shows."""
    template = "accounts/parting.html#step" if request.htmx else "accounts/parting.html"
    return render(request, template, context, status=422 if context["refusal"] else 200)


@require_POST
@signed_in
def resend_invitation(
    request: MemberRequest, organization_id: UUID, invitation_id: UUID
) -> HttpResponse:
    """Mail an invitation once more."""
    found = find_organization(request, organization_id)
    invitation = get_object_or_404(
        Invitation.objects.waiting(), pk=invitation_id, organization=found
    )
    send_again(request, invitation)
    return go_to(request, reverse("organization_members", args=[found.pk]))


def send_again(request: MemberRequest, invitation: Invitation) -> None:
    """Do it and say so, or say why not yet."""
    try:
        invitations.resend(invitation, actor=request.user)
    except ValidationError as error:
        messages.warning(request, " ".join(error.messages))
        return
    nudge_invitations()
    messages.success(
        request, _("Another mail to %(email)s is on its way.") % {"email": invitation.email}
    )


@require_POST
@signed_in
def withdraw_invitation(
    request: MemberRequest, organization_id: UUID, invitation_id: UUID
) -> HttpResponse:
    """Take an invitation back."""
    found = find_organization(request, organization_id)
    invitation = get_object_or_404(
        Invitation.objects.waiting(), pk=invitation_id, organization=found
    )
    invitations.withdraw(invitation, actor=request.user)
    messages.success(
        request, _("The invitation of %(email)s is withdrawn.") % {"email": invitation.email}
    )
    return go_to(request, reverse("organization_members", args=[found.pk]))


@require_safe
@signed_in
def memberships(request: MemberRequest) -> HttpResponse:
    """The user's own organizations and groups, with the way out of each, and what he is invited to."""
    own = Membership.objects.filter(user=request.user, organization__archived_at=None)
    inside = GroupMembership.objects.filter(user=request.user, group__archived_at=None)
    places: dict[UUID, list[GroupMembership]] = {}
    for place in inside.select_related("group").order_by("group__name"):
        places.setdefault(place.group.organization_id, []).append(place)
    rows = [
        (membership, places.get(membership.organization_id, []))
        for membership in own.select_related("organization").order_by("organization__name", "pk")
    ]
    context = {
        "rows": rows,
        "has_groups": bool(own_groups(request.user)),
        "invitations": invitations.waiting_for(request.user),
    }
    return render(request, "accounts/memberships.html", context)
