"""Webhooks of groups; what an alert's one webhook was becomes one of them."""

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import accounts.ids
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from gateway.credentials import BadCredential, seal, unseal


def move_alert_webhooks(apps: Any, schema_editor: Any) -> None:
    """Of each group whose alerts went to an address a webhook with the same secrets, told of balances alone; what was
    sent there becomes its log, with the same ids. Nothing of it stays with the alerts."""
    AlertSettings = apps.get_model("billing", "AlertSettings")
    Notice = apps.get_model("billing", "Notice")
    Endpoint = apps.get_model("gateway", "WebhookEndpoint")
    for old in AlertSettings.objects.exclude(webhook_url=""):
        endpoint = Endpoint(
            id=accounts.ids.uuid7(),
            group_id=old.pk,
            url=old.webhook_url,
            events=["balance.low"],
            base_url=old.base_url,
            rotated_at=old.rotated_at or django.utils.timezone.now(),
            previous_until=old.previous_until,
        )
        owners = f"alerts:{old.pk}", f"webhook:{endpoint.pk}"
        endpoint.sealed = _sealed_for(old.sealed, *owners) or _seal_new(owners[1])
        endpoint.previous = _sealed_for(old.previous, *owners)
        endpoint.save(force_insert=True)
        for notice in Notice.objects.filter(group_id=old.pk, user=None).order_by("pk").iterator():
            _move_notice(apps, notice, endpoint)
    Notice.objects.filter(user=None).delete()
    AlertSettings.objects.update(
        webhook_url="", sealed=None, previous=None, previous_until=None, rotated_at=None
    )


def _move_notice(apps: Any, notice: Any, endpoint: Any) -> None:
    event = apps.get_model("gateway", "WebhookEvent").objects.create(
        id=notice.pk,
        group_id=notice.group_id,
        type="test" if notice.is_test else "balance.low",
        cause=f"notice:{notice.pk}",
        payload=notice.payload,
        created_at=notice.created_at,
    )
    was_elsewhere = notice.state == "waiting" and notice.url != endpoint.url
    apps.get_model("gateway", "Delivery").objects.create(
        id=notice.pk,
        group_id=notice.group_id,
        endpoint=endpoint,
        event=event,
        url=notice.url,
        state="failed" if was_elsewhere else notice.state,
        attempts=len(notice.log),
        log=notice.log,
        created_at=notice.created_at,
        next_at=notice.next_at,
        ended_at=django.utils.timezone.now() if was_elsewhere else notice.ended_at,
    )


def _sealed_for(sealed: Any, old_owner: str, owner: str) -> bytes | None:
    """The same secret, bound to its new owner. One that opens under no key is kept as it is: it does not open there
    either, and is to be rotated."""
    if sealed is None:
        return None
    try:
        secret = unseal(bytes(sealed), settings.CREDENTIAL_KEYS, old_owner)
    except BadCredential:
        return bytes(sealed)
    return seal(secret, settings.CREDENTIAL_KEY, owner)


def _seal_new(owner: str) -> bytes:
    secret = "whsec_" + b64encode(os.urandom(32)).decode()
    return seal(secret, settings.CREDENTIAL_KEY, owner)


class Migration(migrations.Migration):
    # What is moved here is dropped there.
    run_before = [("billing", "0006_mail_alone")]
    dependencies = [
        ("accounts", "0007_security"),
        ("billing", "0005_notices"),
        ("gateway", "0010_history"),
    ]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="api_key",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="accounts.apikey",
            ),
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("sealed", models.BinaryField()),
                ("previous", models.BinaryField(null=True)),
                ("previous_until", models.DateTimeField(null=True)),
                ("rotated_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "id",
                    models.UUIDField(
                        default=accounts.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("url", models.CharField(max_length=2048)),
                ("description", models.CharField(blank=True, default="", max_length=120)),
                ("events", models.JSONField(default=list)),
                ("is_enabled", models.BooleanField(default=True)),
                (
                    "stopped_why",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("failing", "No message could be delivered for days"),
                            ("gone", "Its receiver answered 410 Gone"),
                        ],
                        default="",
                        max_length=7,
                    ),
                ),
                ("failing_since", models.DateTimeField(null=True)),
                ("mail_due", models.BooleanField(default=False)),
                ("base_url", models.CharField(blank=True, default="", max_length=200)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="webhooks",
                        to="accounts.group",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="delivery",
            name="endpoint",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="gateway.webhookendpoint",
            ),
        ),
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=accounts.ids.uuid7,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("task.ended", "Task ended"),
                            ("balance.low", "Balance low"),
                            ("limit.reached", "Limit reached"),
                            ("key.revoked", "Key revoked"),
                            ("test", "Test"),
                        ],
                        max_length=16,
                    ),
                ),
                ("cause", models.CharField(max_length=160, unique=True)),
                (
                    "facts",
                    models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
                ),
                ("payload", models.TextField(blank=True, db_default="", default="")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=django.utils.timezone.now,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.group",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="delivery",
            name="event",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="gateway.webhookevent",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("endpoint__isnull", False)),
                fields=["endpoint", "-id"],
                name="gateway_delivery_of_webhook",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("event__isnull", False)),
                fields=["event"],
                name="gateway_delivery_of_event",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("api_key__isnull", False),
                        ("endpoint__isnull", True),
                        ("event__isnull", True),
                    ),
                    models.Q(
                        ("api_key__isnull", True),
                        ("endpoint__isnull", False),
                        ("event__isnull", False),
                        ("task__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="gateway_delivery_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(("stopped_why", ""), ("is_enabled", False), _connector="OR"),
                name="gateway_webhook_stopped",
            ),
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
        migrations.RunPython(move_alert_webhooks, migrations.RunPython.noop),
    ]
