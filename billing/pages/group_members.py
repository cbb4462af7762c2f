"""Who is in a group: the list for everybody in it, adding, roles and removing for who manages it."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts import invitations, membership_services
from accounts.invitation_models import Invitation
from accounts.invitations import Offer
from accounts.member_forms import GroupPeopleForm, GroupRoleForm
from accounts.member_lists import (
    list_colleagues,
    list_group_members,
    list_invitations,
    working_keys,
)
from accounts.models import Group, GroupMembership, Membership, User
from accounts.organization_views import (
    invite,
    render_parting,
    send_again,
    tell_outcome,
    told_parting,
)
from accounts.views import MemberRequest, find_group, go_to, signed_in
from billing.presentation import group_frame


def find_managed_group(request: MemberRequest, group_id: UUID) -> Group:
    """The group. Raises Http404 where the user does not see it, or does not manage it."""
    found = find_group(request, group_id)
    if found.role_of(request.user) != GroupMembership.Role.MANAGER:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def group_members(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The members. POST adds colleagues and invites others."""
    find = find_managed_group if request.method == "POST" else find_group
    found = find(request, group_id)
    frame = group_frame(request.user, found)
    form = GroupPeopleForm(request.POST or None, colleagues=list_colleagues(found))
    if request.method == "POST" and form.is_valid() and bring_in(request, found, form):
        return redirect("group_members", found.pk)
    context = frame | {
        "tab": "members",
        "rows": list_group_members(found),
        "invitations": list_invitations(found) if frame["manages"] else [],
        "roles": GroupMembership.Role.choices,
        "form": form,
    }
    return render(
        request, "billing/group_members.html", context, status=422 if form.errors else 200
    )


def bring_in(request: MemberRequest, group: Group, form: GroupPeopleForm) -> bool:
    """Add the colleagues that were ticked, invite the addresses, and say so. False, with its reason in the form, where
    that was refused."""
    values = form.cleaned_data
    role = values["role"]
    try:
        added = membership_services.add_colleagues(
            group, values.get("colleagues", []), role, actor=request.user
        )
        outcome = None
        if values["emails"]:
            offer = Offer(Membership.Role.MEMBER, {group: role})
            outcome = invite(request, group.organization, values["emails"], offer)
    except ValidationError as error:
        form.add_error(None, error.messages)
        return False
    if added:
        text = ngettext(
            "%(count)d colleague is in the group now.",
            "%(count)d colleagues are in the group now.",
            added,
        )
        messages.success(request, text % {"count": added})
    if outcome is not None:
        tell_outcome(request, outcome)
    return True


@require_POST
@signed_in
def change_group_role(request: MemberRequest, group_id: UUID, user_id: int) -> HttpResponse:
    """Put a member in charge of the group, or back."""
    found = find_managed_group(request, group_id)
    member = _find_member(found, user_id)
    form = GroupRoleForm(request.POST)
    if form.is_valid():
        role = form.cleaned_data["role"]
        membership_services.change_group_role(found, member, role, actor=request.user)
        text = (
            _("%(name)s manages the group now.")
            if role == GroupMembership.Role.MANAGER
            else _("%(name)s is a member now.")
        )
        messages.success(request, text % {"name": member})
    return go_to(request, reverse("group_members", args=[found.pk]))


def _find_member(group: Group, user_id: int) -> User:
    return get_object_or_404(group.memberships.select_related("user"), user=user_id).user


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def remove_group_member(request: MemberRequest, group_id: UUID, user_id: int) -> HttpResponse:
    """Say which keys stop, then take a member out; everybody may take himself out."""
    found = find_group(request, group_id)
    if user_id != request.user.pk:
        found = find_managed_group(request, group_id)
    member = _find_member(found, user_id)
    back = reverse("group_members", args=[found.pk])
    if request.method == "POST":
        revoked = membership_services.remove_from_group(found, member, actor=request.user)
        messages.success(request, told_parting(member, found.name, revoked))
        stays = Group.objects.visible_to(request.user).filter(pk=found.pk).exists()
        return redirect(back if stays else "home")
    context = {
        "place": found,
        "group": found,
        "kind": "group",
        "member": member,
        "is_self": member == request.user,
        "is_last_admin": False,
        "keys": working_keys(member, None, found),
        "back": back,
        "refusal": "",
    }
    return render_parting(request, context)


def _find_invitation(group: Group, invitation_id: UUID) -> Invitation:
    waiting = Invitation.objects.waiting().filter(places__group=group)
    return get_object_or_404(waiting, pk=invitation_id)


@require_POST
@signed_in
def resend_group_invitation(
    request: MemberRequest, group_id: UUID, invitation_id: UUID
) -> HttpResponse:
    """Mail an invitation into the group once more."""
    found = find_managed_group(request, group_id)
    send_again(request, _find_invitation(found, invitation_id))
    return go_to(request, reverse("group_members", args=[found.pk]))


@require_POST
@signed_in
def withdraw_group_invitation(
    request: MemberRequest, group_id: UUID, invitation_id: UUID
) -> HttpResponse:
    """Take an invitation into the group back; one into other groups as well goes on without this one."""
    found = find_managed_group(request, group_id)
    invitation = _find_invitation(found, invitation_id)
    invitations.withdraw_from_group(invitation, found, actor=request.user)
    messages.success(
        request, _("The invitation of %(email)s is withdrawn.") % {"email": invitation.email}
    )
    return go_to(request, reverse("group_members", args=[found.pk]))
