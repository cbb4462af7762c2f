"""Low-balance alerts of groups."""

from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import MomentField, ObjectField
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import Group
from billing import alerts
from billing.alerts import THRESHOLDS_MAX
from billing.api.fields import CountField, UsdField
from billing.api.transfers import TAGS
from billing.notice_models import Alert


class ThresholdSerializer(serializers.Serializer[Any]):
    """A threshold. It fires once when the balance falls below it, and is armed again a twentieth above it."""

    amount = UsdField(source="threshold_nanos")
    is_armed = serializers.BooleanField()
    fired_at = MomentField(allow_null=True)


class RecipientSerializer(serializers.Serializer[Any]):
    """Somebody who gets the mail."""

    id = serializers.IntegerField()
    name = serializers.CharField(source="get_full_name")
    email = serializers.EmailField()


class AlertsSerializer(serializers.Serializer[Any]):
    """The alerts of a group: thresholds from the highest down, and who gets mail. `possible_recipients` are the
    managers of the group and the admins of its organization."""

    object = ObjectField("alerts")
    thresholds = ThresholdSerializer(many=True)
    recipients = RecipientSerializer(many=True)
    possible_recipients = RecipientSerializer(many=True)


class AlertsInput(StrictSerializer):
    """What is to change: each list as a whole, what is not named stays. `recipients` are ids of people."""

    thresholds = serializers.ListField(child=UsdField(), max_length=THRESHOLDS_MAX, required=False)
    recipients = serializers.ListField(
        child=CountField(min_value=1, max_value=2**63 - 1), max_length=200, required=False
    )


class SentSerializer(serializers.Serializer[Any]):
    """How many messages are on their way."""

    object = ObjectField("alert_test")
    messages = serializers.IntegerField()


@extend_schema_view(
    get=extend_schema(operation_id="get_alerts", tags=TAGS),
    patch=extend_schema(
        operation_id="change_alerts", tags=TAGS, request=AlertsInput, responses=AlertsSerializer
    ),
)
class GroupAlerts(ManagementView):
    """The alerts of a group."""

    serializer_class = AlertsSerializer

    def get(self, request: Request, group_id: UUID) -> Response:
        """At which balances whom the group warns. For its managers."""
        return self._answer(self.managed_group(group_id))

    def patch(self, request: Request, group_id: UUID) -> Response:
        """Change thresholds and who gets mail. For managers of the group."""
        group = self.managed_group(group_id)
        given = AlertsInput(data=request.data)
        given.is_valid(raise_exception=True)
        values, plan = given.validated_data, alerts.read_plan(group)
        if "thresholds" in values:
            plan = plan._replace(thresholds=tuple(sorted(set(values["thresholds"]), reverse=True)))
        if "recipients" in values:
            plan = plan._replace(recipients=_people(group, values["recipients"]))
        base_url = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
        alerts.save_plan(group, plan, base_url=base_url, actor=self.user)
        return self._answer(group)

    def _answer(self, group: Group) -> Response:
        body = {
            "thresholds": Alert.objects.filter(group=group).order_by("-threshold_nanos"),
            "recipients": alerts.read_plan(group).recipients,
            "possible_recipients": alerts.can_receive(group),
        }
        return Response(AlertsSerializer(body).data)


def _people(group: Group, ids: list[int]) -> Any:
    """Raises ValidationError for whoever may not get mail about the group."""
    people = {user.pk: user for user in alerts.can_receive(group)}
    if set(ids) - people.keys():
        message = "Only managers of the group and admins of its organization get mail."
        raise serializers.ValidationError({"recipients": message})
    return tuple(people[pk] for pk in dict.fromkeys(ids))


class AlertTest(ManagementView):
    """A test of the alerts."""

    serializer_class = SentSerializer

    @extend_schema(operation_id="test_alerts", tags=TAGS, request=None)
    def post(self, request: Request, group_id: UUID) -> Response:
        """Send a test to everybody who would get a message. For managers of the group."""
        group = self.managed_group(group_id)
        try:
            sent = alerts.send_test(group)
        except alerts.TooManyTests:
            message = "Too many tests just now. Wait a minute."
            raise Problem(429, "rate_limited", message) from None
        return Response(SentSerializer({"messages": len(sent)}).data)
