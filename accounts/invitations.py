"""Inviting people by e-mail, and their joining.

Whoever can read mail for an address may join with it: an address counts as somebody's once he has confirmed it, or has
followed the link that was mailed to it. An address typed at sign-up alone proves nothing; otherwise a stranger could
sign up with a colleague's address and wait for the invitation.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language, ngettext

from accounts import trail
from accounts.invitation_models import Invitation, InvitedGroup
from accounts.models import Group, GroupMembership, Organization, User
from accounts.services import add_member, join_organization, lock_organization

LIFETIME = timedelta(days=14)
RESEND_AFTER = timedelta(minutes=10)
# Enough for a department on its first day, too few for a mailing list.
MAILS_PER_DAY = 200
TOKEN_BYTES = 32


class Offer(NamedTuple):
    """What an invitation brings: a role in the organization, and roles by group."""

    role: str
    groups: Mapping[Group, str]


class Outcome(NamedTuple):
    """Who of the invited is in at once, who is to be waited for, and who was in with all that was offered."""

    joined: list[str]
    waiting: list[str]
    unchanged: list[str]


def normalize(email: str) -> str:
    """One spelling of an address: in lower case, as addresses of users are kept."""
    return email.strip().lower()


def digest_of(token: str) -> bytes:
    """What is kept of a link's token. It is random and long, so that a plain hash does."""
    return hashlib.sha256(token.encode()).digest()


def addresses_of(user: User) -> set[str]:
    """The addresses that are known to be the user's. Whoever was made by the operator, without a sign-up, has the one
    that the operator gave him."""
    rows = {row.email.lower(): row.verified for row in EmailAddress.objects.filter(user=user)}
    return {email for email, verified in rows.items() if verified} | (
        {user.email} if user.email not in rows else set()
    )


def find_account(email: str) -> User | None:
    """The active account whose address this is known to be."""
    confirmed = EmailAddress.objects.filter(email__iexact=email, verified=True).first()
    user = confirmed.user if confirmed else User.objects.filter(email=normalize(email)).first()
    if user is None or not user.is_active or normalize(email) not in addresses_of(user):
        return None
    assert isinstance(user, User)
    return user


@transaction.atomic
def invite(
    organization: Organization, emails: list[str], offer: Offer, *, actor: User, site_url: str = ""
) -> Outcome:
    """Invite the addresses into the organization, and into the groups of the offer.

    Who is a member of the organization is put into the groups. Anybody else who has an account joins at once where
    `actor` administers the organization; an invitation by a group's manager waits for everybody, since its answer would
    tell a manager who has an account. All get a mail, at the latest when RESEND_AFTER has passed since the last one to
    that address. An address that waits already is not invited twice: the new offer is added to what it has.
    Raises `ValidationError` where too many mails went out within a day.
    """
    lock_organization(organization)
    emails = list(dict.fromkeys(map(normalize, emails)))
    _refuse_flood(organization, len(emails))
    may_know = Organization.objects.administered_by(actor).filter(pk=organization.pk).exists()
    outcome = Outcome([], [], [])
    for email in emails:
        account = find_account(email)
        member = account and organization.memberships.filter(user=account).exists()
        if account is not None and (member or may_know):
            changed = _let_in(organization, account, offer, actor)
            (outcome.joined if changed else outcome.unchanged).append(email)
            if not member:
                _note_joined(organization, email, account, offer, actor, site_url)
        else:
            _let_wait(organization, email, offer, actor, site_url)
            outcome.waiting.append(email)
    return outcome


def _refuse_flood(organization: Organization, coming: int) -> None:
    since = timezone.now() - timedelta(days=1)
    sent = organization.invitations.filter(created_at__gte=since).count()
    if sent + coming > MAILS_PER_DAY:
        raise ValidationError(
            ngettext(
                "At most %(most)d invitation a day can be sent. Try again tomorrow.",
                "At most %(most)d invitations a day can be sent. Try again tomorrow.",
                MAILS_PER_DAY,
            )
            % {"most": MAILS_PER_DAY}
        )


def _let_in(organization: Organization, user: User, offer: Offer, actor: User) -> bool:
    """Give the user what is offered and he does not have. Roles that he has stay: changing them is another matter."""
    is_new = not organization.memberships.filter(user=user).exists()
    join_organization(organization, user, offer.role, actor=actor)
    for group, role in offer.groups.items():
        is_new = is_new or not group.memberships.filter(user=user).exists()
        add_member(group, user, role, actor=actor)
    return is_new


def _note_joined(
    organization: Organization,
    email: str,
    user: User,
    offer: Offer,
    actor: User,
    site_url: str,
) -> None:
    """Keep whom he was invited by, and have it mailed to him. What waited for him is settled by it."""
    now = timezone.now()
    invitation = organization.invitations.waiting().filter(email=email).first()
    if invitation is None:
        invitation = _new_invitation(organization, email, offer, actor, site_url)
    else:
        # What others have offered before comes along.
        for place in invitation.places.select_related("group").filter(group__archived_at=None):
            add_member(place.group, user, place.role, actor=actor)
    for group, role in offer.groups.items():
        InvitedGroup.objects.update_or_create(
            invitation=invitation, group=group, defaults={"role": role}
        )
    invitation.joined_at, invitation.joined_by, invitation.digest = now, user, None
    invitation.mail_due_at = _next_mail_at(organization, email, invitation)
    invitation.save()


def _let_wait(
    organization: Organization, email: str, offer: Offer, actor: User, site_url: str
) -> None:
    waiting = organization.invitations.waiting().select_for_update()
    invitation = waiting.filter(email=email).first()
    before = _described(invitation) if invitation else None
    if invitation is None:
        invitation = _new_invitation(organization, email, offer, actor, site_url)
    elif offer.role == Invitation.Role.ADMIN:
        invitation.role = offer.role
    for group, role in offer.groups.items():
        InvitedGroup.objects.update_or_create(
            invitation=invitation, group=group, defaults={"role": role}
        )
    after = _described(invitation)
    if before == after and not _may_mail_now(invitation):
        return
    invitation.expires_at = timezone.now() + LIFETIME
    invitation.mail_due_at = _next_mail_at(organization, email, invitation)
    invitation.save(update_fields=["role", "expires_at", "mail_due_at"])
    verb = "invitation.changed" if before else "invitation.made"
    trail.record(actor, verb, invitation, before=before, after=after, within=organization)


def _described(invitation: Invitation) -> dict[str, object]:
    places = invitation.places.order_by("group__name").values_list("group__name", "role")
    return {"role": invitation.role, "groups": dict(places)}


def _may_mail_now(invitation: Invitation) -> bool:
    """Whether no mail is due, and the last one is old enough."""
    if invitation.mail_due_at is not None:
        return False
    return invitation.mailed_at is None or invitation.mailed_at + RESEND_AFTER <= timezone.now()


def _new_invitation(
    organization: Organization, email: str, offer: Offer, actor: User, site_url: str
) -> Invitation:
    return Invitation.objects.create(
        organization=organization,
        email=email,
        role=offer.role,
        invited_by=actor,
        language=get_language() or "",
        site_url=site_url,
        expires_at=timezone.now() + LIFETIME,
    )


def _next_mail_at(organization: Organization, email: str, invitation: Invitation) -> datetime:
    """When the next mail may go to the address: inviting, withdrawing and inviting again floods nobody."""
    now = timezone.now()
    last = (
        organization.invitations.filter(email=email, mailed_at__isnull=False)
        .order_by("-mailed_at")
        .values_list("mailed_at", flat=True)
        .first()
    )
    earliest = max(now, last + RESEND_AFTER) if last else now
    return min(invitation.mail_due_at, earliest) if invitation.mail_due_at else earliest


@transaction.atomic
def resend(invitation: Invitation, *, actor: User) -> None:
    """Mail it once more, with a new link that holds for as long as the first. Raises `ValidationError` where the last
    mail has just gone out."""
    lock_organization(invitation.organization)
    locked = Invitation.objects.waiting().select_for_update().get(pk=invitation.pk)
    now = timezone.now()
    if not _may_mail_now(locked):
        minutes = int(RESEND_AFTER.total_seconds()) // 60
        raise ValidationError(
            ngettext(
                "A mail to %(email)s has just gone out. Another one can follow after %(minutes)d minute.",
                "A mail to %(email)s has just gone out. Another one can follow after %(minutes)d minutes.",
                minutes,
            )
            % {"email": locked.email, "minutes": minutes}
        )
    locked.expires_at = now + LIFETIME
    locked.mail_due_at, locked.mail_failures = now, 0
    locked.save(update_fields=["expires_at", "mail_due_at", "mail_failures"])
    trail.record(actor, "invitation.resent", locked, within=locked.organization)


@transaction.atomic
def withdraw(invitation: Invitation, *, actor: User) -> None:
    """Take it back: its link and its waiting end. Who has joined meanwhile stays in."""
    changed = (
        Invitation.objects.waiting()
        .filter(pk=invitation.pk)
        .update(withdrawn_at=timezone.now(), mail_due_at=None, digest=None)
    )
    if changed:
        trail.record(actor, "invitation.withdrawn", invitation, within=invitation.organization)


@transaction.atomic
def withdraw_from_group(invitation: Invitation, group: Group, *, actor: User) -> None:
    """Take one group out of it. What then offers nothing but the membership that came with the group ends with it."""
    locked = Invitation.objects.waiting().select_for_update().filter(pk=invitation.pk).first()
    if locked is None:
        return
    locked.places.filter(group=group).delete()
    inviter = locked.invited_by
    by_admin = inviter is not None and (
        Organization.objects.administered_by(inviter).filter(pk=locked.organization_id).exists()
    )
    if not locked.places.exists() and not by_admin:
        withdraw(locked, actor=actor)
        return
    trail.record(actor, "invitation.changed", locked, before={"group": group.name}, within=group)


@transaction.atomic
def end_offers_of(inviter: User, organization: Organization, *, actor: User) -> None:
    """Take back what waits by his invitation and he could not offer any more, once he is removed or has another role:
    he could come back by an address of his own."""
    if Organization.objects.administered_by(inviter).filter(pk=organization.pk).exists():
        return
    managed = GroupMembership.objects.filter(user=inviter, role=GroupMembership.Role.MANAGER)
    waiting = organization.invitations.waiting().select_for_update().filter(invited_by=inviter)
    for invitation in waiting.order_by("pk"):
        before = _described(invitation)
        invitation.places.exclude(group__in=managed.values("group")).delete()
        if not invitation.places.exists():
            withdraw(invitation, actor=actor)
            continue
        invitation.role = Invitation.Role.MEMBER
        old, new = trail.differences(before, _described(invitation))
        if new:
            invitation.save(update_fields=["role"])
            trail.record(
                actor, "invitation.changed", invitation, before=old, after=new, within=organization
            )


def find_by_token(token: str) -> Invitation | None:
    """The invitation whose latest mail carried this link, if it can be joined."""
    found = Invitation.objects.open().filter(digest=digest_of(token))
    return found.select_related("organization", "invited_by").first()


@transaction.atomic
def renew_token(invitation: Invitation) -> str:
    """A new token for its link; the one before works no more."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    invitation.digest = digest_of(token)
    invitation.save(update_fields=["digest"])
    return token


def waiting_for(user: User) -> list[Invitation]:
    """Invitations to addresses that are known to be the user's, oldest first."""
    found = Invitation.objects.open().filter(email__in=addresses_of(user))
    return list(
        found.select_related("organization", "invited_by")
        .prefetch_related("places__group")
        .order_by("pk")
    )


@transaction.atomic
def join(invitation: Invitation, user: User) -> bool:
    """Take it up: into the organization and the groups that came with it. False where it has ended meanwhile.

    The caller has made sure that the address is the user's.
    """
    organization = invitation.organization
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    locked = Invitation.objects.open().select_for_update(of=("self",))
    found = locked.filter(pk=invitation.pk).first()
    if found is None:
        return False
    join_organization(organization, user, found.role, actor=user)
    for place in found.places.select_related("group").filter(group__archived_at=None):
        add_member(place.group, user, place.role, actor=user)
    found.joined_at, found.joined_by = timezone.now(), user
    found.mail_due_at, found.digest = None, None
    found.save(update_fields=["joined_at", "joined_by", "mail_due_at", "digest"])
    trail.record(user, "invitation.accepted", found, within=organization)
    return True


def join_waiting(user: User) -> list[Organization]:
    """Take up everything that waits for the user's addresses. Answers the organizations."""
    return [each.organization for each in waiting_for(user) if join(each, user)]


@transaction.atomic
def confirm_address(user: User, email: str) -> bool:
    """Keep that the address is the user's, who has read mail for it. False where it is not among his, or is known to
    be somebody else's."""
    address = (
        EmailAddress.objects.select_for_update().filter(user=user, email__iexact=email).first()
    )
    if address is None:
        # Who was made by the operator has no row until he looks at his addresses.
        return normalize(email) == user.email and normalize(email) in addresses_of(user)
    if address.verified:
        return True
    if not address.can_set_verified():
        return False
    address.verified = True
    address.save(update_fields=["verified"])
    return True
