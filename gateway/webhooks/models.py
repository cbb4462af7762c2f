"""Webhooks of groups: the addresses, the events they are told of, and the secrets that sign messages of every kind."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from accounts.models import Group, GroupMembership, User

# What sealed secrets are bound to: this and the id of their row.
CALLBACK_OWNER, WEBHOOK_OWNER = "callback:", "webhook:"


class SigningSecret(models.Model):
    """What signs somebody's messages, encrypted like a channel's credential (gateway/signing.py). After a rotation
    `previous` signs too until `previous_until`, so that receivers can change over.

    `OWNER_PREFIX` and the primary key are what it is bound to: the secret of another row opens nothing here.
    """

    OWNER_PREFIX: ClassVar[str]

    sealed = models.BinaryField(editable=False)
    previous = models.BinaryField(null=True, editable=False)
    previous_until = models.DateTimeField(null=True)
    rotated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True

    @property
    def secret_owner(self) -> str:
        """What the sealed secret is bound to."""
        return f"{self.OWNER_PREFIX}{self.pk}"


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    def of_group(self, group: Group) -> WebhookEndpointQuerySet:
        """The group's, by the time they were made."""
        return self.filter(group=group).order_by("id")

    def manageable_by(self, user: User, group: Group) -> WebhookEndpointQuerySet:
        """The group's webhooks that the user may see and change: whoever manages the group all, others none."""
        mine = self.of_group(group)
        return mine if group.role_of(user) == GroupMembership.Role.MANAGER else mine.none()


class WebhookEndpoint(SigningSecret):
    """An address that is told of a group's events. Written by gateway/webhooks/services.py, and switched off by
    gateway/webhooks/health.py where nothing has arrived for days: `stopped_why` says so, `mail_due` until its managers
    were told. `failing_since`: since when no message has arrived.

    `base_url` is where it was last saved, for links where the installation does not know its address.
    """

    OWNER_PREFIX = WEBHOOK_OWNER

    class Stopped(models.TextChoices):
        FAILING = "failing", _("No message could be delivered for days")
        GONE = "gone", _("Its receiver answered 410 Gone")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=2048)
    description = models.CharField(max_length=120, blank=True, default="")
    events = models.JSONField(default=list)
    is_enabled = models.BooleanField(default=True)
    stopped_why = models.CharField(max_length=7, choices=Stopped, blank=True, default="")
    failing_since = models.DateTimeField(null=True)
    mail_due = models.BooleanField(default=False)
    base_url = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(stopped_why="") | models.Q(is_enabled=False),
                name="gateway_webhook_stopped",
            ),
        ]

    def __str__(self) -> str:
        return self.description or self.url.partition("?")[0]


class WebhookEvent(models.Model):
    """Something that happened in a group whose webhooks want to hear of it. Written together with its deliveries in
    the transaction of what it tells, by `gateway_tell` (migration 0011); a test by webhooks/services.py.

    `cause` names what happened, so that it is told once. `facts` is what was known then, money in nano-dollars;
    `payload` is made of it before the first delivery and never changes (gateway/webhooks/payloads.py).
    """

    class Type(models.TextChoices):
        TASK_ENDED = "task.ended", _("Task ended")
        BALANCE_LOW = "balance.low", _("Balance low")
        LIMIT_REACHED = "limit.reached", _("Limit reached")
        KEY_REVOKED = "key.revoked", _("Key revoked")
        TEST = "test", _("Test")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    group = models.ForeignKey(
        Group, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    type = models.CharField(max_length=16, choices=Type)
    cause = models.CharField(max_length=160, unique=True)
    facts = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    payload = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """The id that receivers see, the same in every try and every time it is sent again."""
        return f"msg_{self.id.hex}"


SUBSCRIBABLE = tuple(one.value for one in WebhookEvent.Type if one != WebhookEvent.Type.TEST)
