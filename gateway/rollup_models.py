"""Sums of calls, from which the pages about usage read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class UsageSum(models.Model):
    """What the calls that began within `minutes` from `began_at` used, for one key, model, source and channel.

    Every call stands in four of them, all cut in UTC: a day of any time zone is made up of whole quarters of an hour,
    and long spans are read from few rows. Written by gateway/rollups.py alone, which says what the
    columns mean; calls that are not in here yet stand in the table `gateway_uncounted` (migration 0008).

    `member_id` is who made the key, 0 where that is not known; `channel_id` the channel that was tried last, 0 where
    there was none or it is gone.
    """

    class Minutes(models.IntegerChoices):
        QUARTER = 15
        HOUR = 60
        FOUR_HOURS = 240
        DAY = 1440

    pk = models.CompositePrimaryKey(
        "api_key_id", "minutes", "began_at", "model", "source", "channel_id"
    )
    minutes = models.SmallIntegerField(choices=Minutes)
    began_at = models.DateTimeField()
    organization_id = models.UUIDField()
    group_id = models.UUIDField()
    api_key_id = models.UUIDField()
    member_id = models.BigIntegerField()
    model = models.CharField(max_length=120, blank=True)
    source = models.CharField(max_length=4)
    channel_id = models.BigIntegerField()

    completed = models.BigIntegerField()
    client_gone = models.BigIntegerField()
    upstream_failed = models.BigIntegerField()
    timed_out = models.BigIntegerField()
    lost = models.BigIntegerField()
    refused = models.BigIntegerField()

    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    cache_write_1h_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    audio_input_tokens = models.BigIntegerField()
    audio_output_tokens = models.BigIntegerField()
    images = models.BigIntegerField()

    list_nanos = models.BigIntegerField()
    amount_nanos = models.BigIntegerField()
    written_off_nanos = models.BigIntegerField()

    duration_ms = models.BigIntegerField()
    first_token_ms = models.BigIntegerField()
    first_tokens = models.BigIntegerField()
    # Histograms as of gateway/latencies.py.
    latencies = models.DecimalField(max_digits=744, decimal_places=0)
    first_token_latencies = models.DecimalField(max_digits=744, decimal_places=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(minutes__in=[15, 60, 240, 1440]), name="gateway_usagesum_minutes"
            ),
        ]
        indexes = [
            models.Index(fields=["group_id", "minutes", "began_at"], name="gateway_usagesum_group"),
            models.Index(
                fields=["organization_id", "minutes", "began_at"], name="gateway_usagesum_org"
            ),
            models.Index(fields=["minutes", "began_at"], name="gateway_usagesum_time"),
        ]

    def __str__(self) -> str:
        return f"{self.minutes} min from {self.began_at:%Y-%m-%d %H:%M} of {self.api_key_id}"
