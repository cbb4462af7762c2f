"""Shapes that several answers of this part have; they describe, and their answers are built as they say."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


@extend_schema_field({"type": "string", "example": "0.00152"})
class UsdText(serializers.CharField):
    """An exact amount in US dollars."""


class KeyNameSerializer(serializers.Serializer[Any]):
    """A key by its id and name; the name is empty where the key has gone."""

    id = serializers.UUIDField()
    name = serializers.CharField(allow_blank=True)


class CallUsageSerializer(serializers.Serializer[Any]):
    """Counted quantities in disjoint buckets; reasoning stands inside output. `basis`: reported, counted, estimated."""

    input_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    cache_write_1h_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    audio_input_tokens = serializers.IntegerField()
    audio_output_tokens = serializers.IntegerField()
    images = serializers.IntegerField()
    basis = serializers.CharField(allow_null=True)


class FaultSerializer(serializers.Serializer[Any]):
    """Why something failed."""

    code = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)


class CallSerializer(serializers.Serializer[Any]):
    """A call, as GET /v1/calls answers it to its own key."""

    id = serializers.CharField()
    object = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    model = serializers.CharField(allow_blank=True)
    status = serializers.CharField()
    stream = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    first_token_ms = serializers.IntegerField(allow_null=True)
    usage = CallUsageSerializer()
    list_price = UsdText()
    charge = UsdText()
    currency = serializers.CharField()
    key = KeyNameSerializer()
    task_id = serializers.CharField(allow_null=True)
    error = FaultSerializer(allow_null=True)


class ChargeLineSerializer(serializers.Serializer[Any]):
    """A bucket of a charge: quantity x list_rate / unit x sell_bps / 10000 is its amount."""

    bucket = serializers.CharField()
    quantity = serializers.IntegerField()
    list_rate = UsdText()
    unit = serializers.CharField()
    sell_bps = serializers.IntegerField()
    amount = UsdText()


class AttemptSerializer(serializers.Serializer[Any]):
    """One try on one channel."""

    channel = serializers.CharField(allow_blank=True)
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_null=True, allow_blank=True)
    ms = serializers.IntegerField()


class ExplainedCallSerializer(CallSerializer):
    """A call with the lines that recompute its charge; `attempts` is there for operators alone."""

    hold = UsdText()
    price_id = serializers.IntegerField(allow_null=True)
    service_tier = serializers.CharField()
    endpoint = serializers.CharField()
    lines = ChargeLineSerializer(many=True)
    attempts = AttemptSerializer(many=True, required=False)
