"""The far end of an invitation: the link in the mail, joining and declining."""

from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts import invitation_links, invitations
from accounts.invitation_models import Invitation
from accounts.models import User
from accounts.views import MemberRequest, signed_in


@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Who invites whom to what, with the ways in. POST joins, for who is signed in with the invited address.

    Nothing here depends on whether the address has an account: whoever holds the link may sign in or up.
    """
    found = invitations.find_by_token(token)
    if found is None:
        return render(request, "accounts/invitation.html", {"invitation": None}, status=404)
    user = request.user if isinstance(request.user, User) else None
    is_own = user is not None and _is_address_of(user, found.email)
    if request.method == "POST" and user is not None and is_own:
        if invitations.confirm_address(user, found.email):
            return _join(request, found, user)
        messages.error(request, _("This address belongs to another account."))
    if user is None:
        invitation_links.remember(request, found)
    places = found.places.select_related("group").filter(group__archived_at=None)
    context = {
        "invitation": found,
        "organization_name": found.organization.name,
        "places": places.order_by("group__name"),
        "is_own": is_own,
        "sign_up_url": f"{reverse('account_signup')}?{urlencode({'email': found.email})}",
    }
    return render(request, "accounts/invitation.html", context)


def _is_address_of(user: User, email: str) -> bool:
    """Whether the address is among the user's, confirmed or not: the link shows that he reads its mail."""
    own = EmailAddress.objects.filter(user=user, email__iexact=email)
    return email == user.email or own.exists()


def _join(request: HttpRequest, found: Invitation, user: User) -> HttpResponse:
    first = found.places.filter(group__archived_at=None).order_by("group__name").first()
    if not invitations.join(found, user):
        messages.error(request, _("This invitation has ended."))
        return redirect("home")
    name = found.organization.name
    messages.success(request, _("You are now a member of “%(name)s”.") % {"name": name})
    return redirect("group", first.group_id) if first else redirect("home")


@require_POST
@signed_in
def join(request: MemberRequest, invitation_id: UUID) -> HttpResponse:
    """Take up an invitation to an address that is known to be the user's."""
    return _join(request, _find_own(request, invitation_id), request.user)


@require_POST
@signed_in
def decline(request: MemberRequest, invitation_id: UUID) -> HttpResponse:
    """Turn it down; the inviter sees it gone from the list."""
    found = _find_own(request, invitation_id)
    invitations.withdraw(found, actor=request.user)
    messages.success(
        request,
        _("The invitation to “%(name)s” is declined.") % {"name": found.organization.name},
    )
    return redirect("memberships")


def _find_own(request: MemberRequest, invitation_id: UUID) -> Invitation:
    own = Invitation.objects.open().filter(email__in=invitations.addresses_of(request.user))
    return get_object_or_404(own.select_related("organization"), pk=invitation_id)
