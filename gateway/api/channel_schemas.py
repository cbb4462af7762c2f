"""A channel as operators see it: never with its credential."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.api.fields import ObjectField
from gateway.models import Channel
from gateway.operator.costs import costs_at
from gateway.operator.health import Health, read_healths
from gateway.provisioning import channel_label, fingerprint


class ChannelHealthSerializer(serializers.Serializer[Health]):
    """What the tries of the last hour say. `state`: idle, good, degraded or failing; times are of tries that went
    well."""

    state = serializers.CharField()
    tries = serializers.IntegerField()
    failures = serializers.IntegerField()
    p50_ms = serializers.IntegerField(allow_null=True)
    p95_ms = serializers.IntegerField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)
    failed_at = serializers.DateTimeField(allow_null=True)
    failed_with = serializers.CharField(allow_blank=True)
    failed_status = serializers.IntegerField(allow_null=True)


class ChannelSerializer(serializers.Serializer[Any]):
    """A channel. `fingerprint` tells one credential from another; `cost_bps` is what it costs now."""

    id = serializers.IntegerField()
    object = ObjectField("channel")
    provider = serializers.CharField(source="provider_id")
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    base_url = serializers.CharField()
    fingerprint = serializers.CharField()
    priority = serializers.IntegerField()
    weight = serializers.IntegerField()
    model_map = serializers.DictField(child=serializers.CharField())
    is_enabled = serializers.BooleanField()
    cost_bps = serializers.IntegerField()
    health = ChannelHealthSerializer()
    created_at = serializers.DateTimeField()


def describe_channels(channels: Sequence[Channel]) -> list[dict[str, Any]]:
    """The channels with their health and cost, read once for all."""
    healths = read_healths()
    costs = costs_at(timezone.now())
    own = (
        "id", "provider_id", "name", "base_url", "priority", "weight", "model_map", "is_enabled", "created_at",
    )  # fmt: skip
    rows = [
        {name: getattr(channel, name) for name in own}
        | {
            "label": channel_label(channel),
            "fingerprint": fingerprint(channel),
            "cost_bps": costs.of(channel.pk),
            "health": healths.of(channel_label(channel)),
        }
        for channel in channels
    ]
    return list(ChannelSerializer(rows, many=True).data)
