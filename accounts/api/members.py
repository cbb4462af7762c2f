"""/api/v1/organizations/{id}/members: who is in an organization, and as what."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import membership_services
from accounts.api.fields import ObjectField, group_role_field, organization_role_field
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import GroupMembership, Membership, Organization

TAGS = ["Organizations"]


class PlaceSerializer(serializers.Serializer[GroupMembership]):
    """A group that a member is in."""

    id = serializers.UUIDField(source="group.pk")
    name = serializers.CharField(source="group.name")
    role = group_role_field()


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """A member of an organization, with the groups of it that he is in."""

    id = serializers.IntegerField(source="user.pk")
    object = ObjectField("member")
    name = serializers.CharField(source="user.name")
    email = serializers.EmailField(source="user.email")
    groups = serializers.SerializerMethodField()

    class Meta:
        model = Membership
        fields = ("id", "object", "name", "email", "role", "joined_at", "groups")

    @extend_schema_field(PlaceSerializer(many=True))
    def get_groups(self, membership: Membership) -> list[dict[str, Any]]:
        places = self.context["places"].get(membership.user_id, [])
        return list(PlaceSerializer(places, many=True).data)


class MemberInput(StrictSerializer):
    """A member's role in the organization."""

    role = organization_role_field()


class RemovalSerializer(serializers.Serializer[Any]):
    """What a removal has brought about."""

    object = ObjectField("removal")
    keys_revoked = serializers.IntegerField()


class MemberView(ManagementView):
    """What the views of members share."""

    serializer_class = MemberSerializer

    def describe(
        self, organization: Organization, memberships: Sequence[Membership]
    ) -> list[dict[str, Any]]:
        """The members with their groups, by one query for all."""
        places: dict[int, list[GroupMembership]] = defaultdict(list)
        inside = GroupMembership.objects.filter(
            user__in=[membership.user_id for membership in memberships],
            group__organization=organization,
            group__archived_at=None,
        )
        for place in inside.select_related("group").order_by("group__name"):
            places[place.user_id].append(place)
        return list(MemberSerializer(memberships, many=True, context={"places": places}).data)

    def find_membership(self, organization: Organization, user_id: int) -> Membership:
        """Raises Http404 where he is not in it."""
        return get_object_or_404(organization.memberships.select_related("user"), user=user_id)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_members", tags=TAGS, responses={200: MemberSerializer(many=True)}
    )
)
class Members(MemberView):
    """Lists the members of an organization."""

    pagination_class = CursorPages

    def get(self, request: Request, organization_id: UUID) -> Response:
        """Its members, who joined last first. For its admins."""
        found = self.administered_organization(organization_id)
        rows = self.page_of(found.memberships.select_related("user"))
        return self.get_paginated_response(self.describe(found, rows))


@extend_schema_view(
    get=extend_schema(operation_id="get_member", tags=TAGS),
    patch=extend_schema(
        operation_id="change_member_role",
        tags=TAGS,
        request=MemberInput,
        responses=MemberSerializer,
    ),
    delete=extend_schema(
        operation_id="remove_member", tags=TAGS, responses={200: RemovalSerializer}
    ),
)
class MemberDetail(MemberView):
    """One member of an organization."""

    def get(self, request: Request, organization_id: UUID, user_id: int) -> Response:
        """One member. For admins of the organization, and of oneself."""
        return self._answer(*self._find(organization_id, user_id))

    def patch(self, request: Request, organization_id: UUID, user_id: int) -> Response:
        """Make a member an admin, or an admin a member. The last admin stays one."""
        found = self.administered_organization(organization_id)
        membership = self.find_membership(found, user_id)
        given = MemberInput(data=request.data)
        given.is_valid(raise_exception=True)
        role = given.validated_data["role"]
        membership_services.change_role(found, membership.user, role, actor=self.user)
        return self._answer(found, self.find_membership(found, user_id))

    def delete(self, request: Request, organization_id: UUID, user_id: int) -> Response:
        """Take a member out of the organization and its groups, or leave it yourself. His keys there are revoked; the
        last admin stays."""
        found, membership = self._find(organization_id, user_id)
        revoked = membership_services.remove_from_organization(
            found, membership.user, actor=self.user
        )
        return Response(RemovalSerializer({"keys_revoked": revoked}).data)

    def _find(self, organization_id: UUID, user_id: int) -> tuple[Organization, Membership]:
        is_self = user_id == self.user.pk
        find = self.find_organization if is_self else self.administered_organization
        found = find(organization_id)
        return found, self.find_membership(found, user_id)

    def _answer(self, organization: Organization, membership: Membership) -> Response:
        return Response(self.describe(organization, [membership])[0])
