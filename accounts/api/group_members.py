"""/api/v1/groups/{id}/members and /invitations: who is in a group, as what, and who is waited for."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import invitations, membership_services
from accounts.api.fields import ObjectField, emails_field, group_role_field
from accounts.api.invitations import InvitationSerializer, InvitationView, OutcomeSerializer
from accounts.api.members import RemovalSerializer
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.invitation_models import Invitation
from accounts.models import Group, GroupMembership, Membership

TAGS = ["Groups"]


class GroupMemberSerializer(serializers.ModelSerializer[GroupMembership]):
    """A member of a group."""

    id = serializers.IntegerField(source="user.pk")
    object = ObjectField("group_member")
    name = serializers.CharField(source="user.name")
    email = serializers.EmailField(source="user.email")

    class Meta:
        model = GroupMembership
        fields = ("id", "object", "name", "email", "role", "joined_at")


class GroupPeopleInput(StrictSerializer):
    """Whom to take into a group, as what."""

    emails = emails_field()
    role = group_role_field(default="member")


class GroupMemberInput(StrictSerializer):
    """A member's role in the group."""

    role = group_role_field()


@extend_schema_view(
    get=extend_schema(
        operation_id="list_group_members",
        tags=TAGS,
        responses={200: GroupMemberSerializer(many=True)},
    ),
    post=extend_schema(
        operation_id="add_group_members",
        tags=TAGS,
        request=GroupPeopleInput,
        responses={201: OutcomeSerializer},
    ),
)
class GroupMembers(InvitationView):
    """Lists the members of a group, and takes people in."""

    pagination_class = CursorPages
    serializer_class = GroupMemberSerializer

    def get(self, request: Request, group_id: UUID) -> Response:
        """Its members, who joined last first."""
        members = self.find_group(group_id).memberships.select_related("user")
        return self.answer_page(members)

    def post(self, request: Request, group_id: UUID) -> Response:
        """Take people in by their e-mail addresses. Members of the organization are in at once; others are invited."""
        found = self.managed_group(group_id)
        given = GroupPeopleInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        offered = {found: values["role"]}
        return self.invite(found.organization, values["emails"], Membership.Role.MEMBER, offered)


@extend_schema_view(
    get=extend_schema(operation_id="get_group_member", tags=TAGS),
    patch=extend_schema(
        operation_id="change_group_role",
        tags=TAGS,
        request=GroupMemberInput,
        responses=GroupMemberSerializer,
    ),
    delete=extend_schema(
        operation_id="remove_group_member", tags=TAGS, responses={200: RemovalSerializer}
    ),
)
class GroupMemberDetail(ManagementView):
    """One member of a group."""

    serializer_class = GroupMemberSerializer

    def get(self, request: Request, group_id: UUID, user_id: int) -> Response:
        """One member."""
        return self._answer(self.find_group(group_id), user_id)

    def patch(self, request: Request, group_id: UUID, user_id: int) -> Response:
        """Put a member in charge of the group, or back. For its managers."""
        found = self.managed_group(group_id)
        membership = self._find(found, user_id)
        given = GroupMemberInput(data=request.data)
        given.is_valid(raise_exception=True)
        role = given.validated_data["role"]
        membership_services.change_group_role(found, membership.user, role, actor=self.user)
        return self._answer(found, user_id)

    def delete(self, request: Request, group_id: UUID, user_id: int) -> Response:
        """Take a member out, or leave yourself. The keys that he made there are revoked."""
        is_self = user_id == self.user.pk
        found = self.find_group(group_id) if is_self else self.managed_group(group_id)
        member = self._find(found, user_id).user
        revoked = membership_services.remove_from_group(found, member, actor=self.user)
        return Response(RemovalSerializer({"keys_revoked": revoked}).data)

    def _find(self, group: Group, user_id: int) -> GroupMembership:
        return get_object_or_404(group.memberships.select_related("user"), user=user_id)

    def _answer(self, group: Group, user_id: int) -> Response:
        return Response(self.get_serializer(self._find(group, user_id)).data)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_group_invitations",
        tags=TAGS,
        responses={200: InvitationSerializer(many=True)},
    )
)
class GroupInvitations(InvitationView):
    """Lists invitations into a group."""

    pagination_class = CursorPages

    def get(self, request: Request, group_id: UUID) -> Response:
        """Who is waited for. For managers of the group."""
        found = self.managed_group(group_id)
        return self.answer_page(self.waiting().filter(places__group=found))


class GroupInvitationView(InvitationView):
    """What the views of one invitation into a group share."""

    def find(self, group_id: UUID, invitation_id: UUID) -> tuple[Group, Invitation]:
        """Raises Http404 where it does not wait for this group."""
        group = self.managed_group(group_id)
        waiting = self.waiting().filter(places__group=group)
        return group, get_object_or_404(waiting, pk=invitation_id)


@extend_schema_view(
    delete=extend_schema(operation_id="withdraw_group_invitation", tags=TAGS, responses={204: None})
)
class GroupInvitationDetail(GroupInvitationView):
    """One invitation into a group."""

    def delete(self, request: Request, group_id: UUID, invitation_id: UUID) -> Response:
        """Take it back; one into other groups as well goes on without this one."""
        group, found = self.find(group_id, invitation_id)
        invitations.withdraw_from_group(found, group, actor=self.user)
        return Response(status=204)


@extend_schema_view(
    post=extend_schema(
        operation_id="resend_group_invitation",
        tags=TAGS,
        request=None,
        responses={202: InvitationSerializer},
    )
)
class GroupInvitationResend(GroupInvitationView):
    """The mail of an invitation into a group."""

    def post(self, request: Request, group_id: UUID, invitation_id: UUID) -> Response:
        """Send its mail again, with a new link."""
        return self.resend(self.find(group_id, invitation_id)[1])
