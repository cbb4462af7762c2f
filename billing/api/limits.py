"""The limits of keys and groups: what they may use, and what of it is used."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import ObjectField
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import APIKey, Group
from billing.api.fields import CountField, UsdField
from billing.limits import Limits, change_limits
from billing.models import NANOS_MAX, Limit

BUDGETS = ("day", "month", "lifetime")


def _count(**kwargs: Any) -> CountField:
    return CountField(
        min_value=1, max_value=NANOS_MAX - 1, required=False, allow_null=True, **kwargs
    )


class LimitsInput(StrictSerializer):
    """Limits that are to change: null takes one away, what is not named stays. Days and months are UTC."""

    requests_per_minute = _count()
    tokens_per_minute = _count()
    concurrent_calls = _count()
    day_usd = UsdField(source="day_nanos", required=False, allow_null=True)
    month_usd = UsdField(source="month_nanos", required=False, allow_null=True)
    lifetime_usd = UsdField(source="lifetime_nanos", required=False, allow_null=True)

    @staticmethod
    def limits_of(values: Mapping[str, Any]) -> Limits:
        """As the services take them."""
        return cast("Limits", dict(values))


class LimitValuesSerializer(serializers.Serializer[Any]):
    """The limits that are set; null: none."""

    requests_per_minute = serializers.IntegerField(allow_null=True)
    tokens_per_minute = serializers.IntegerField(allow_null=True)
    concurrent_calls = serializers.IntegerField(allow_null=True)
    day_usd = UsdField(source="day_nanos", allow_null=True)
    month_usd = UsdField(source="month_nanos", allow_null=True)
    lifetime_usd = UsdField(source="lifetime_nanos", allow_null=True)


class UsedSerializer(serializers.Serializer[Any]):
    """What is used of the limits: counted while any of them is set, null before."""

    day_usd = UsdField(allow_null=True)
    month_usd = UsdField(allow_null=True)
    lifetime_usd = UsdField(allow_null=True)
    concurrent_calls = serializers.IntegerField(allow_null=True)
    held_usd = UsdField(allow_null=True)


class LimitsSerializer(LimitValuesSerializer):
    """The limits of a key or a group, and what is used of them."""

    object = ObjectField("limits")
    used = serializers.SerializerMethodField()

    @extend_schema_field(UsedSerializer)
    def get_used(self, limit: Limit) -> dict[str, Any]:
        return dict(UsedSerializer(read_used(limit)).data)


def read_limit(owner: APIKey | Group) -> Limit:
    """The owner's row of limits as it is now; one without limits where nothing is set."""
    if isinstance(owner, APIKey):
        return Limit.objects.filter(api_key=owner).first() or Limit(api_key=owner)
    return Limit.objects.filter(group=owner).first() or Limit(group=owner)


def read_used(limit: Limit) -> dict[str, int | None]:
    """Nano-dollars and calls; those of a day or a month that is over stand in the row until the next call."""
    if limit._state.adding:
        return dict.fromkeys(UsedSerializer().fields)
    today = datetime.now(UTC).date()
    begins: dict[str, date] = {"day": today, "month": today.replace(day=1)}
    used: dict[str, int | None] = {
        "concurrent_calls": limit.running_calls,
        "held_usd": limit.held_nanos,
    }
    for name in BUDGETS:
        is_over = name in begins and (getattr(limit, name) or date.min) < begins[name]
        used[f"{name}_usd"] = 0 if is_over else getattr(limit, f"{name}_spent_nanos")
    return used


class LimitsView(ManagementView):
    """What the views of limits share."""

    serializer_class = LimitsSerializer

    def change(self, owner: APIKey | Group) -> Response:
        """Change what the body names. Raises ValidationError."""
        given = LimitsInput(data=self.request.data)
        given.is_valid(raise_exception=True)
        change_limits(owner, self.user, **LimitsInput.limits_of(given.validated_data))
        return self.answer(owner)

    def answer(self, owner: APIKey | Group) -> Response:
        return Response(LimitsSerializer(read_limit(owner)).data)


@extend_schema_view(
    get=extend_schema(operation_id="get_group_limits", tags=["Groups"]),
    patch=extend_schema(
        operation_id="change_group_limits",
        tags=["Groups"],
        request=LimitsInput,
        responses=LimitsSerializer,
    ),
)
class GroupLimits(LimitsView):
    """What all keys of a group may use together."""

    def get(self, request: Request, group_id: UUID) -> Response:
        """The limits of a group, and what is used of them. For its managers."""
        return self.answer(self.managed_group(group_id))

    def patch(self, request: Request, group_id: UUID) -> Response:
        """Change limits of a group. For its managers. They hold beside those of each key."""
        return self.change(self.managed_group(group_id))


def find_key(view: ManagementView, group_id: UUID, key_id: UUID) -> APIKey:
    """A key that the user may change: a manager any, a member his own. Raises Http404 where he may not see it,
    Problem 403 where he only may see it. The playground's are made and ended by Tollgate."""
    group = view.find_group(group_id)
    people = APIKey.objects.exclude(purpose=APIKey.Purpose.PLAYGROUND)
    rows = people.filter(group=group).select_related("created_by", "group__organization")
    key = get_object_or_404(rows, pk=key_id)
    if not APIKey.objects.manageable_by(view.user, group).filter(pk=key.pk).exists():
        raise Problem(403, "forbidden", "Only its owner and managers of the group may do this.")
    return key


@extend_schema_view(
    get=extend_schema(operation_id="get_key_limits", tags=["Keys"]),
    patch=extend_schema(
        operation_id="change_key_limits",
        tags=["Keys"],
        request=LimitsInput,
        responses=LimitsSerializer,
    ),
)
class KeyLimits(LimitsView):
    """What one key may use."""

    def get(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """The limits of a key, and what is used of them."""
        return self.answer(find_key(self, group_id, key_id))

    def patch(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Change limits of a key."""
        key = find_key(self, group_id, key_id)
        if key.purpose == APIKey.Purpose.MANAGE:
            message = "A management key calls nothing: it has no limits."
            raise Problem(400, "invalid_request_error", message)
        return self.change(key)
