"""/api/v1/groups: the teams, each with a wallet and keys of its own."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django_filters.rest_framework import DjangoFilterBackend, FilterSet, UUIDFilter
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.fields import MomentField, NamedSerializer, NameField, ObjectField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.key_services import restrict_group
from accounts.models import Group, GroupMembership, Organization

TAGS = ["Groups"]


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A group. An empty list of models or networks allows all; both hold for every key of the group. The networks are
    shown to those who manage it; to others they are null."""

    object = ObjectField("group")
    organization = NamedSerializer()
    allowed_models = serializers.ListField(child=serializers.CharField())
    allowed_networks = serializers.ListField(child=serializers.CharField(), allow_null=True)

    class Meta:
        model = Group
        fields = (
            "id",
            "object",
            "name",
            "organization",
            "allowed_models",
            "allowed_networks",
            "expires_at",
            "created_at",
        )

    def to_representation(self, instance: Group) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        user = self.context["request"].user
        manages = self.context["managed"]
        if not user.is_staff and not {instance.pk, instance.organization_id} & manages:
            shown["allowed_networks"] = None
        return shown


class GroupInput(StrictSerializer):
    """A new group of an organization."""

    organization = serializers.UUIDField()
    name = NameField()


class GroupChangeInput(StrictSerializer):
    """What of a group is to change; what is not named stays."""

    name = NameField(required=False)
    allowed_models = serializers.ListField(child=serializers.CharField(), required=False)
    allowed_networks = serializers.ListField(child=serializers.CharField(), required=False)
    expires_at = MomentField(required=False, allow_null=True, in_future=True)


class GroupFilter(FilterSet):
    """Groups of one organization."""

    organization = UUIDFilter(field_name="organization")


class GroupView(ManagementView):
    """What the views of groups share."""

    serializer_class = GroupSerializer

    def get_serializer_context(self) -> Mapping[str, Any]:
        context = super().get_serializer_context()
        if getattr(self, "swagger_fake_view", False):
            return context
        administered = Organization.objects.administered_by(self.user).values_list("pk", flat=True)
        managed = GroupMembership.objects.filter(
            user=self.user, role=GroupMembership.Role.MANAGER
        ).values_list("group", flat=True)
        return {**context, "managed": {*administered, *managed}}


@extend_schema_view(
    get=extend_schema(
        operation_id="list_groups", tags=TAGS, responses={200: GroupSerializer(many=True)}
    ),
    post=extend_schema(
        operation_id="create_group",
        tags=TAGS,
        request=GroupInput,
        responses={201: GroupSerializer},
    ),
)
class Groups(GroupView):
    """Lists groups, and makes new ones."""

    pagination_class = CursorPages
    filter_backends = (DjangoFilterBackend,)
    filterset_class = GroupFilter
    queryset = Group.objects.none()

    def get(self, request: Request) -> Response:
        """Groups that you may see: your own, and all of an organization that you administer."""
        return self.answer_page(self.filter_queryset(self.groups()))

    def post(self, request: Request) -> Response:
        """Make a group in an organization that you administer. You manage it, unless you are not in it."""
        given = GroupInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        organization = self.administered_organization(values["organization"])
        is_in = organization.memberships.filter(user=self.user).exists()
        made = services.create_group(
            organization, values["name"], self.user if is_in else None, actor=self.user
        )
        address = reverse("api_group", args=[made.pk])
        return Response(self.get_serializer(made).data, status=201, headers={"Location": address})


@extend_schema_view(
    get=extend_schema(operation_id="get_group", tags=TAGS),
    patch=extend_schema(
        operation_id="change_group",
        tags=TAGS,
        request=GroupChangeInput,
        responses=GroupSerializer,
    ),
)
class GroupDetail(GroupView):
    """One group."""

    def get(self, request: Request, group_id: UUID) -> Response:
        """One group that you may see."""
        return Response(self.get_serializer(self.find_group(group_id)).data)

    def patch(self, request: Request, group_id: UUID) -> Response:
        """Change its name, what its keys may call and from where, or when it ends. For its managers."""
        found = self.managed_group(group_id)
        given = GroupChangeInput(data=request.data)
        given.is_valid(raise_exception=True)
        self._change(found, dict(given.validated_data))
        return Response(self.get_serializer(self.find_group(group_id)).data)

    @transaction.atomic
    def _change(self, group: Group, values: dict[str, Any]) -> None:
        name = values.pop("name", None)
        if name is not None:
            services.rename_group(group, name, actor=self.user)
        if values:
            restrict_group(group, self.user, **values)
