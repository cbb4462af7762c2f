"""Invitations: who was asked into an organization, and what became of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def waiting(self) -> InvitationQuerySet:
        """Neither joined nor withdrawn; those whose link ended are among them, for they can be sent again."""
        return self.filter(joined_at=None, withdrawn_at=None)

    def open(self) -> InvitationQuerySet:
        """Waiting, and not ended: they can be joined."""
        return self.waiting().filter(expires_at__gt=timezone.now(), organization__archived_at=None)


class Invitation(models.Model):
    """An address that was invited into an organization, by itself or along with groups.

    The row is the queue of its mail: `mail_due_at` is when the next one is to be sent, NULL when none is. The link's
    token is made when the mail is sent and kept as a digest alone; a later mail's link ends the one before.
    """

    class Role(models.TextChoices):
        ADMIN = "admin", _("Admin")
        MEMBER = "member", _("Member")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.CASCADE, related_name="invitations"
    )
    # In lower case: addresses that differ in case alone are one.
    email = models.EmailField(_("e-mail address"))
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    # The inviter's, for somebody who has chosen none yet.
    language = models.CharField(max_length=10, blank=True, default="")
    # What links begin with where the installation has no address of its own in its settings.
    site_url = models.CharField(max_length=300, blank=True, default="")
    digest = models.BinaryField(max_length=32, null=True, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    mail_due_at = models.DateTimeField(null=True, editable=False)
    mail_failures = models.PositiveSmallIntegerField(default=0, editable=False)
    mailed_at = models.DateTimeField(null=True, editable=False)
    joined_at = models.DateTimeField(null=True, editable=False)
    joined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    withdrawn_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=models.Q(joined_at=None, withdrawn_at=None),
                name="accounts_invitation_once",
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=["admin", "member"]), name="accounts_invitation_role"
            ),
            models.CheckConstraint(
                condition=models.Q(joined_at=None) | models.Q(withdrawn_at=None),
                name="accounts_invitation_one_end",
            ),
        ]
        indexes = [
            models.Index(fields=["email"], name="accounts_invitation_of_email"),
            models.Index(
                fields=["mail_due_at"],
                condition=models.Q(mail_due_at__isnull=False),
                name="accounts_invitation_mail_due",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class InvitedGroup(models.Model):
    """A group that comes along with an invitation."""

    class Role(models.TextChoices):
        MANAGER = "manager", _("Manager")
        MEMBER = "member", _("Member")

    invitation = models.ForeignKey(Invitation, on_delete=models.CASCADE, related_name="places")
    group = models.ForeignKey("accounts.Group", on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["invitation", "group"], name="accounts_invitedgroup_once"
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=["manager", "member"]),
                name="accounts_invitedgroup_role",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invitation} into {self.group} ({self.role})"
