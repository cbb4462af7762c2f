"""What happens when somebody comes through the link of an invitation, or signs in while one waits for him."""

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.invitation_models import Invitation
from accounts.invitations import confirm_address, join_waiting, normalize
from accounts.models import User

# The address whose mail this browser has shown to have: until somebody signs in or up.
SESSION_KEY = "invited_email"


def remember(request: HttpRequest, invitation: Invitation) -> None:
    """Keep that whoever sits at this browser reads the mail of the invited address."""
    request.session[SESSION_KEY] = invitation.email


def has_proved(request: HttpRequest, email: str) -> bool:
    """Whether this browser came through a link that was mailed to the address."""
    return bool(email) and request.session.get(SESSION_KEY) == normalize(email)


def take_up(request: HttpRequest, user: User) -> None:
    """Let somebody who has just signed in or up, or confirmed an address, join what waits for him, and tell him."""
    proved = request.session.pop(SESSION_KEY, None)
    if proved:
        confirm_address(user, proved)
    for organization in join_waiting(user):
        messages.success(
            request, _("You are now a member of “%(name)s”.") % {"name": organization.name}
        )
