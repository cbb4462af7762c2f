"""What operators note down about their providers: the share of list price that a channel costs them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

__all__ = ["ChannelCost"]

COST_BPS_MAX = 100_000
LIST_BPS = 10_000


class ChannelCost(models.Model):
    """From when on a channel's provider bills us which share of list price. Before the first row: list price.

    Never edited: another share is another row; PostgreSQL refuses to alter or delete one. `effective_from` is a full
    hour, as roll-ups are hourly. No foreign key in the database, so that a channel that was never used can go.
    """

    id = models.BigAutoField(primary_key=True)
    channel = models.ForeignKey(
        "gateway.Channel",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="costs",
    )
    cost_bps = models.IntegerField()
    effective_from = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-effective_from"]
        constraints = [
            models.CheckConstraint(
                condition=Q(cost_bps__gte=0, cost_bps__lte=COST_BPS_MAX),
                name="gateway_channelcost_bps",
            ),
            models.UniqueConstraint(
                fields=["channel", "effective_from"], name="gateway_channelcost_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cost_bps} bps from {self.effective_from:%Y-%m-%d %H:%M}"
