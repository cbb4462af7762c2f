"""Image tasks: the row that is the queue, its pictures, the files that callers upload, and deliveries."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from accounts.models import APIKey, Group, Organization
from gateway.webhooks.models import (
    CALLBACK_OWNER,
    SigningSecret,
    WebhookEndpoint,
    WebhookEvent,
)

OPEN = ("pending", "processing")
ENDED = ("completed", "failed")


class TaskQuerySet(models.QuerySet["Task"]):
    def of_group(self, group: Group) -> TaskQuerySet:
        """The group's tasks, newest first."""
        return self.filter(group=group).order_by("-id")

    def unfinished(self) -> TaskQuerySet:
        return self.filter(status__in=OPEN)


class Task(models.Model):
    """An asynchronous job that makes pictures. Its id is the id of its hold and of its call.

    Written by `gateway_create_task` and `gateway_end_task` (migration 0007) and, in between, by gateway/task_queue.py.
    `attempts` counts the workers that have claimed it: every write of a run names the number it got, so that a run that
    was taken for dead writes nothing any more. `next_at`: not to be claimed before. `request`: an ImageRequest.
    """

    class Action(models.TextChoices):
        TEXT_TO_IMAGE = "text_to_image", _("Text to image")
        EDIT_IMAGE = "edit_image", _("Image edit")
        UPSCALE_IMAGE = "upscale_image", _("Upscale")

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        PROCESSING = "processing", _("Processing")
        COMPLETED = "completed", _("Completed")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, editable=False)
    organization = models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    group = models.ForeignKey(
        Group, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    api_key = models.ForeignKey(
        APIKey, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    account_id = models.BigIntegerField()
    action = models.CharField(max_length=16, choices=Action)
    endpoint = models.CharField(max_length=32)
    requested_model = models.CharField(max_length=120)
    model = models.CharField(max_length=120)
    request = models.JSONField()
    count = models.IntegerField(default=1)
    price_id = models.BigIntegerField()
    price_key = models.CharField(max_length=32, blank=True, default="", db_default="")
    hold_nanos = models.BigIntegerField()
    amount_nanos = models.BigIntegerField(default=0, db_default=0)
    base_url = models.CharField(max_length=200)
    callback_url = models.CharField(max_length=2048, blank=True, default="", db_default="")
    idempotency_key = models.CharField(max_length=512, blank=True, default="", db_default="")
    request_digest = models.CharField(max_length=64)
    status = models.CharField(
        max_length=10, choices=Status, default=Status.PENDING, db_default="pending"
    )
    progress = models.SmallIntegerField(default=0, db_default=0)
    error_code = models.CharField(max_length=64, blank=True, default="", db_default="")
    error_message = models.CharField(max_length=500, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField()
    next_at = models.DateTimeField(db_default=Now())
    nudged_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0, db_default=0)
    # The provider's job that is being polled: {"channel", "id", "poll_url"}. NULL: nothing is running there.
    job = models.JSONField(null=True)
    # Every request for pictures that was sent: {"channel", "at", "status", "error", "ms", "upstream_id"}.
    trials = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    # The timeline: {"at", "what", "detail"}.
    events = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))

    objects = TaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=OPEN, ended_at__isnull=True)
                | Q(status__in=ENDED, ended_at__isnull=False),
                name="gateway_task_status",
            ),
            models.CheckConstraint(
                condition=Q(amount_nanos=0)
                | Q(
                    status="completed",
                    amount_nanos__gt=0,
                    amount_nanos__lte=F("hold_nanos"),
                ),
                name="gateway_task_amount",
            ),
            models.CheckConstraint(
                condition=Q(progress__gte=0, progress__lte=100), name="gateway_task_progress"
            ),
            models.UniqueConstraint(
                fields=["api_key", "idempotency_key"],
                condition=Q(idempotency_key__gt=""),
                name="gateway_task_once_per_key",
            ),
        ]
        indexes = [
            models.Index(fields=["group", "-id"], name="gateway_task_of_group"),
            models.Index(
                fields=["next_at"],
                condition=Q(status__in=["pending", "processing"]),
                name="gateway_task_unfinished",
            ),
            models.Index(
                fields=["deadline_at"],
                condition=Q(status__in=["pending", "processing"]),
                name="gateway_task_deadline",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """The id as callers see it."""
        return f"tsk_{self.id.hex}"

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED


class PictureQuerySet(models.QuerySet["Picture"]):
    def overdue(self) -> PictureQuerySet:
        """Pictures whose links have expired and whose files are still there."""
        return self.filter(deleted_at=None, expires_at__lte=timezone.now())


class Picture(models.Model):
    """One picture of a completed task. `name` and `thumbnail` are names in the storage `pictures`."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="pictures")
    position = models.SmallIntegerField()
    name = models.CharField(max_length=200)
    thumbnail = models.CharField(max_length=200)
    content_type = models.CharField(max_length=40)
    extension = models.CharField(max_length=8)
    width = models.IntegerField()
    height = models.IntegerField()
    size_bytes = models.BigIntegerField()
    expires_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    objects = PictureQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["task", "position"], name="gateway_picture_once"),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(deleted_at__isnull=True),
                name="gateway_picture_kept",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class UploadQuerySet(models.QuerySet["Upload"]):
    def overdue(self, grace_s: float) -> UploadQuerySet:
        """Uploads that ended so long ago that no unfinished task can still need them."""
        moment = timezone.now() - timedelta(seconds=grace_s)
        return self.filter(deleted_at=None, expires_at__lte=moment)


class Upload(models.Model):
    """A picture that a caller sent to /v1/files, as a source of tasks. `name` is its name in the storage `pictures`."""

    id = models.UUIDField(primary_key=True, editable=False)
    group = models.ForeignKey(
        Group, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    api_key = models.ForeignKey(
        APIKey, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    name = models.CharField(max_length=200)
    filename = models.CharField(max_length=200)
    purpose = models.CharField(max_length=40)
    content_type = models.CharField(max_length=40)
    width = models.IntegerField()
    height = models.IntegerField()
    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["group", "-id"], name="gateway_upload_of_group"),
            models.Index(
                fields=["expires_at"],
                condition=Q(deleted_at__isnull=True),
                name="gateway_upload_kept",
            ),
        ]

    def __str__(self) -> str:
        return f"file_{self.id.hex}"


class CallbackSecret(SigningSecret):
    """What signs a key's callbacks."""

    OWNER_PREFIX = CALLBACK_OWNER

    api_key = models.OneToOneField(
        APIKey, on_delete=models.CASCADE, primary_key=True, related_name="callback_secret"
    )

    def __str__(self) -> str:
        return f"callback secret of {self.api_key}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def of_endpoint(self, endpoint: WebhookEndpoint) -> DeliveryQuerySet:
        """What was sent to a webhook, newest first, with the events."""
        return self.filter(endpoint=endpoint).select_related("event").order_by("-id")


class Delivery(models.Model):
    """One message to somebody's address, with every try. A row that waits is its own queue entry, as a task is.

    Either a callback, of a key about a task (NULL: a test that somebody sent), or of a webhook about an event.
    `payload` is a callback's body as it is sent each time, empty until the first try, which writes it; an event has
    its own. `log` has the tries: {"at", "status", "ms", "error", "response"}.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    group = models.ForeignKey(
        Group, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    api_key = models.ForeignKey(
        APIKey,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    task = models.ForeignKey(
        Task,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="deliveries",
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="deliveries",
    )
    event = models.ForeignKey(
        WebhookEvent,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="deliveries",
    )
    url = models.CharField(max_length=2048)
    payload = models.TextField(blank=True, default="", db_default="")
    state = models.CharField(
        max_length=9, choices=State, default=State.WAITING, db_default="waiting"
    )
    attempts = models.IntegerField(default=0, db_default=0)
    log = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    created_at = models.DateTimeField(db_default=Now())
    next_at = models.DateTimeField(db_default=Now())
    nudged_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="waiting", ended_at__isnull=True)
                | Q(state__in=["delivered", "failed"], ended_at__isnull=False),
                name="gateway_delivery_state",
            ),
            models.CheckConstraint(
                condition=Q(api_key__isnull=False, endpoint__isnull=True, event__isnull=True)
                | Q(
                    api_key__isnull=True,
                    task__isnull=True,
                    endpoint__isnull=False,
                    event__isnull=False,
                ),
                name="gateway_delivery_kind",
            ),
        ]
        indexes = [
            models.Index(fields=["task", "-id"], name="gateway_delivery_of_task"),
            models.Index(fields=["api_key", "-id"], name="gateway_delivery_of_key"),
            models.Index(
                fields=["endpoint", "-id"],
                condition=Q(endpoint__isnull=False),
                name="gateway_delivery_of_webhook",
            ),
            models.Index(
                fields=["event"],
                condition=Q(event__isnull=False),
                name="gateway_delivery_of_event",
            ),
            models.Index(
                fields=["next_at"], condition=Q(state="waiting"), name="gateway_delivery_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"msg_{self.id.hex}"

    @property
    def is_test(self) -> bool:
        """Sent by somebody to see whether it arrives: tried once."""
        if self.event is not None:
            return self.event.type == WebhookEvent.Type.TEST
        return self.task_id is None
