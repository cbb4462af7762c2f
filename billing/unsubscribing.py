"""The link in the foot of mail about balances, by which its receiver stops it without signing in (RFC 8058)."""

from uuid import UUID

from django.core import signing
from django.urls import reverse

from accounts.models import Group, User
from billing.alerts import can_receive

# For no other purpose of the same key.
_SIGNER = signing.Signer(salt="billing.unsubscribing")


def stop_path(group: Group, user: User) -> str:
    """Where mail about the group's balance to the user is stopped. It holds for as long as TOLLGATE_SECRET_KEY does."""
    return reverse("stop_mail", args=[_SIGNER.sign_object([group.pk.hex, user.pk])])


def read_token(token: str) -> tuple[Group, User] | None:
    """Whose mail about which group the link stops; None for one that was not made here, or whose receiver would get
    none any more: what the group is called now is not for him."""
    try:
        group_hex, user_pk = _SIGNER.unsign_object(token)
    except (signing.BadSignature, ValueError):
        return None
    group = Group.objects.filter(pk=UUID(group_hex)).select_related("organization").first()
    user = can_receive(group).filter(pk=user_pk).first() if group else None
    return (group, user) if group and user else None
