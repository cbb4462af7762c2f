"""/api/v1/organizations: the tenants."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.api.errors import Problem
from accounts.api.fields import NameField, ObjectField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import Membership, Organization

TAGS = ["Organizations"]


class OrganizationSerializer(serializers.ModelSerializer[Organization]):
    """An organization. `role` is yours in it: `admin`, `member`, or null for an operator who is not in it."""

    object = ObjectField("organization")
    role = serializers.SerializerMethodField()

    class Meta:
        model = Organization
        fields = ("id", "object", "name", "role", "created_at")

    def get_role(self, organization: Organization) -> str | None:
        roles: dict[UUID, str] = self.context["roles"]
        return roles.get(organization.pk)


class OrganizationInput(StrictSerializer):
    """What an organization is called."""

    name = NameField()


class OrganizationView(ManagementView):
    """What the views of organizations share."""

    serializer_class = OrganizationSerializer

    def get_serializer_context(self) -> Mapping[str, Any]:
        context = super().get_serializer_context()
        if getattr(self, "swagger_fake_view", False):
            return context
        mine = Membership.objects.filter(user=self.user)
        return {**context, "roles": dict(mine.values_list("organization", "role"))}


@extend_schema_view(
    get=extend_schema(
        operation_id="list_organizations",
        tags=TAGS,
        responses={200: OrganizationSerializer(many=True)},
    ),
    post=extend_schema(
        operation_id="create_organization",
        tags=TAGS,
        request=OrganizationInput,
        responses={201: OrganizationSerializer},
    ),
)
class Organizations(OrganizationView):
    """Lists organizations, and makes new ones."""

    pagination_class = CursorPages

    def get(self, request: Request) -> Response:
        """Organizations that you belong to; an operator's are all."""
        return self.answer_page(self.organizations())

    def post(self, request: Request) -> Response:
        """Make an organization and administer it. Not by a key, which belongs to an organization already."""
        if self.key is not None and not self.user.is_staff:
            message = "A key acts in its own organization. Make another one in the browser."
            raise Problem(403, "forbidden", message)
        given = OrganizationInput(data=request.data)
        given.is_valid(raise_exception=True)
        made = services.create_organization(self.user, given.validated_data["name"])
        address = reverse("api_organization", args=[made.pk])
        return Response(self.get_serializer(made).data, status=201, headers={"Location": address})


@extend_schema_view(
    get=extend_schema(operation_id="get_organization", tags=TAGS),
    patch=extend_schema(
        operation_id="rename_organization",
        tags=TAGS,
        request=OrganizationInput,
        responses=OrganizationSerializer,
    ),
)
class OrganizationDetail(OrganizationView):
    """One organization."""

    def get(self, request: Request, organization_id: UUID) -> Response:
        """One organization that you belong to."""
        return Response(self.get_serializer(self.find_organization(organization_id)).data)

    def patch(self, request: Request, organization_id: UUID) -> Response:
        """Call it something else. For its admins."""
        found = self.administered_organization(organization_id)
        given = OrganizationInput(data=request.data)
        given.is_valid(raise_exception=True)
        services.rename_organization(found, given.validated_data["name"], actor=self.user)
        return Response(self.get_serializer(found).data)
