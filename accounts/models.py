"""Who: users, organizations, groups, memberships and API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from accounts.invitation_models import Invitation as Invitation
from accounts.invitation_models import InvitedGroup as InvitedGroup


class UserManager(BaseUserManager["User"]):
    """Users are known by their e-mail address, kept in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Staff are operators of the installation."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(_("operator"), default=False)
    # The language of the mail that is sent to him: the one he chose last. Empty: that of the installation.
    language = models.CharField(max_length=10, blank=True, default="", db_default="")
    joined_at = models.DateTimeField(default=timezone.now, editable=False)
    # To within some minutes, see `views.signed_in`.
    seen_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)


class OrganizationQuerySet(models.QuerySet["Organization"]):
    def visible_to(self, user: User) -> OrganizationQuerySet:
        """Organizations that the user is a member of; an operator sees all. Archived ones are seen by nobody."""
        living = self.filter(archived_at=None)
        if user.is_staff:
            return living
        return living.filter(memberships__user=user)

    def administered_by(self, user: User) -> OrganizationQuerySet:
        """Organizations whose credits, groups and members the user may change."""
        living = self.filter(archived_at=None)
        if user.is_staff:
            return living
        return living.filter(memberships__user=user, memberships__role=Membership.Role.ADMIN)


class Organization(models.Model):
    """The tenant: owns a pool of credits that are not yet granted to a group."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=120)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")
    # Deleted for people; the row stays, for the ledger's history is about it.
    archived_at = models.DateTimeField(null=True, editable=False)

    objects = OrganizationQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user's place in an organization."""

    class Role(models.TextChoices):
        ADMIN = "admin", _("Admin")
        MEMBER = "member", _("Member")

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="memberships"
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "user"], name="accounts_membership_once"
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=["admin", "member"]), name="accounts_membership_role"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization} ({self.role})"


class Restricted(models.Model):
    """What the calls of a key or a group may name and where they may come from; an empty list allows everything.

    `allowed_models` has names, aliases or `provider/*`; `allowed_networks` has networks such as `10.0.0.0/8`. Written
    by `key_services.restrict_key` and `restrict_group`, which check them.
    """

    allowed_models = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField()), blank=True
    )
    allowed_networks = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField()), blank=True
    )

    class Meta:
        abstract = True


class GroupQuerySet(models.QuerySet["Group"]):
    def visible_to(self, user: User) -> GroupQuerySet:
        """Groups the user belongs to, and every group of an organization that he administers. Archived ones are seen by
        nobody."""
        living = self.filter(archived_at=None)
        if user.is_staff:
            return living
        return living.filter(
            models.Q(pk__in=GroupMembership.objects.filter(user=user).values("group"))
            | models.Q(
                organization__in=Membership.objects.filter(
                    user=user, role=Membership.Role.ADMIN
                ).values("organization")
            )
        )


class Group(Restricted):
    """A team in an organization: owns the wallet that its keys spend from."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="groups")
    name = models.CharField(_("name"), max_length=120)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="GroupMembership", related_name="model_groups")
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    # Deleted for people, its keys revoked; the row stays for the ledger and the history of its calls.
    archived_at = models.DateTimeField(null=True, editable=False)

    objects = GroupQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("name"),
                condition=models.Q(archived_at=None),
                name="accounts_group_name_once",
                violation_error_message=_("This organization has a group of that name already."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def role_of(self, user: User) -> str | None:
        """`manager`, `member` or None. Organization admins and operators manage every group."""
        if user.is_staff:
            return GroupMembership.Role.MANAGER
        if self.organization.memberships.filter(user=user, role=Membership.Role.ADMIN).exists():
            return GroupMembership.Role.MANAGER
        membership = self.memberships.filter(user=user).first()
        return membership.role if membership else None


class GroupMembership(models.Model):
    """A user's place in a group."""

    class Role(models.TextChoices):
        MANAGER = "manager", _("Manager")
        MEMBER = "member", _("Member")

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="group_memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "user"], name="accounts_groupmembership_once"),
            models.CheckConstraint(
                condition=models.Q(role__in=["manager", "member"]),
                name="accounts_groupmembership_role",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.group} ({self.role})"


class APIKeyQuerySet(models.QuerySet["APIKey"]):
    def usable(self) -> APIKeyQuerySet:
        """Neither revoked nor expired."""
        return self.filter(revoked_at=None).exclude(expires_at__lte=timezone.now())

    def manageable_by(self, user: User, group: Group) -> APIKeyQuerySet:
        """The group's keys that the user may rename or revoke: a manager all, a member his own."""
        keys = self.filter(group=group)
        if group.role_of(user) == GroupMembership.Role.MANAGER:
            return keys
        return keys.filter(created_by=user)


class APIKey(Restricted):
    """A caller's key. Only an HMAC of it is stored; `public_id` finds it and may be shown.

    A rotation gives the row another text; the one before goes on working until `previous_until`, found by
    `previous_public_id`. `operation_digest` is that of the form that issued the key: sent twice, it issues one.
    With the purpose `manage` it calls no models, but acts for its maker in the management API.
    """

    class Purpose(models.TextChoices):
        CALLER = "caller", _("Caller")
        PLAYGROUND = "playground", _("Playground")
        MANAGE = "manage", _("Management")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="api_keys")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(_("name"), max_length=80)
    public_id = models.CharField(max_length=16, unique=True, editable=False)
    prefix = models.CharField(max_length=40, editable=False)
    digest = models.BinaryField(max_length=32, editable=False)
    previous_public_id = models.CharField(  # noqa: DJ001 - unique where it is set
        max_length=16, null=True, unique=True, editable=False
    )
    previous_digest = models.BinaryField(max_length=32, null=True, editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    rotated_at = models.DateTimeField(null=True, editable=False)
    operation_digest = models.BinaryField(max_length=32, null=True, unique=True, editable=False)
    purpose = models.CharField(
        max_length=10,
        choices=Purpose,
        default=Purpose.CALLER,
        db_default=Purpose.CALLER,
        editable=False,
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = APIKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["group", "-id"], name="accounts_apikey_of_group")]
        constraints = [
            models.UniqueConstraint(
                fields=["group", "created_by"],
                condition=models.Q(purpose="playground", revoked_at=None),
                name="accounts_apikey_playground_once",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    previous_public_id=None, previous_digest=None, previous_until=None
                )
                | models.Q(
                    previous_public_id__isnull=False,
                    previous_digest__isnull=False,
                    previous_until__isnull=False,
                ),
                name="accounts_apikey_previous_whole",
            ),
            models.CheckConstraint(
                condition=models.Q(purpose__in=["caller", "playground", "manage"]),
                name="accounts_apikey_purpose",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> str:
        """`call` for what calls models, `manage` for the management API."""
        return "manage" if self.purpose == self.Purpose.MANAGE else "call"

    @property
    def masked(self) -> str:
        """What may be shown of the key: enough to recognise it."""
        return f"{self.prefix}-v1-{self.public_id}-…"

    @property
    def state(self) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "active"

    @property
    def rotating_until(self) -> datetime | None:
        """Until when the text before the last rotation works too; None where only one works."""
        until = self.previous_until
        if until is None or self.state != "active" or until <= timezone.now():
            return None
        return until if self.expires_at is None else min(until, self.expires_at)


class ChangeQuerySet(models.QuerySet["Change"]):
    def visible_to(self, user: User) -> ChangeQuerySet:
        """Changes in organizations that the user administers; an operator sees all."""
        if user.is_staff:
            return self
        administered = Organization.objects.administered_by(user).values("pk")
        return self.filter(organization__in=administered)


class Change(models.Model):
    """A line of the audit trail: who did what to which thing, and what it was before and after.

    Written by `trail.record` in the transaction of the change itself; PostgreSQL refuses to alter or delete it. Names
    are kept as text, so that a line stays readable when what it tells of is gone.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(default=timezone.now, editable=False)
    actor = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    actor_name = models.CharField(max_length=254, blank=True)
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    group = models.ForeignKey(
        Group, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    verb = models.CharField(max_length=40)
    subject_kind = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=120, blank=True)
    subject_name = models.CharField(max_length=254, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    objects = ChangeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["organization", "-id"], name="accounts_change_of_org"),
            models.Index(fields=["subject_kind", "subject_id"], name="accounts_change_of_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.subject_name}"
