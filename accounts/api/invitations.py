"""/api/v1/organizations/{id}/invitations: who was asked in and has not come yet."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import invitations
from accounts.api.errors import Problem
from accounts.api.fields import (
    ObjectField,
    emails_field,
    group_role_field,
    living_groups,
    organization_role_field,
)
from accounts.api.members import PlaceSerializer
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.invitation_models import Invitation, InvitationQuerySet, InvitedGroup
from accounts.models import Group, Organization
from accounts.tasks import nudge_invitations

TAGS = ["Organizations"]
GROUPS_MAX = 100


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation that waits. It can be joined until `expires_at`."""

    object = ObjectField("invitation")
    groups = PlaceSerializer(source="places", many=True)
    invited_by = serializers.CharField(source="invited_by.email", default=None, allow_null=True)

    class Meta:
        model = Invitation
        fields = (
            "id",
            "object",
            "email",
            "role",
            "groups",
            "invited_by",
            "created_at",
            "expires_at",
        )


class OfferedGroupInput(StrictSerializer):
    """A group that comes along with an invitation."""

    id = serializers.UUIDField()
    role = group_role_field(default="member")


class InvitationInput(StrictSerializer):
    """Whom to invite, as what, and into which groups."""

    emails = emails_field()
    role = organization_role_field(default="member")
    groups = serializers.ListField(child=OfferedGroupInput(), default=list, max_length=GROUPS_MAX)


class OutcomeSerializer(serializers.Serializer[Any]):
    """What became of each address: `joined` are in now, `waiting` have a mail, `unchanged` were in before."""

    object = ObjectField("invitation_outcome")
    joined = serializers.ListField(child=serializers.EmailField())
    waiting = serializers.ListField(child=serializers.EmailField())
    unchanged = serializers.ListField(child=serializers.EmailField())


class InvitationView(ManagementView):
    """What the views of invitations share."""

    serializer_class: type[serializers.BaseSerializer[Any]] = InvitationSerializer

    def invite(
        self, organization: Organization, emails: list[str], role: str, groups: Mapping[Group, str]
    ) -> Response:
        """Invite, and say what became of each."""
        outcome = invitations.invite(
            organization,
            emails,
            invitations.Offer(role, groups),
            actor=self.user,
            site_url=self.request.build_absolute_uri("/"),
        )
        nudge_invitations()
        return Response(OutcomeSerializer(outcome._asdict()).data, status=201)

    def resend(self, found: Invitation) -> Response:
        """Raises ValidationError where the last mail has just gone out."""
        invitations.resend(found, actor=self.user)
        nudge_invitations()
        again = self.waiting().get(pk=found.pk)
        return Response(self.get_serializer(again).data, status=202)

    def waiting(self) -> InvitationQuerySet:
        """Invitations that wait, with what answers show of them."""
        living = InvitedGroup.objects.filter(group__archived_at=None).select_related("group")
        return (
            Invitation.objects.waiting()
            .select_related("invited_by", "organization")
            .prefetch_related(Prefetch("places", living))
        )


@extend_schema_view(
    get=extend_schema(
        operation_id="list_invitations", tags=TAGS, responses={200: InvitationSerializer(many=True)}
    ),
    post=extend_schema(
        operation_id="invite",
        tags=TAGS,
        request=InvitationInput,
        responses={201: OutcomeSerializer},
    ),
)
class Invitations(InvitationView):
    """Lists invitations into an organization, and makes them."""

    pagination_class = CursorPages

    def get(self, request: Request, organization_id: UUID) -> Response:
        """Who is waited for. For admins of the organization."""
        found = self.administered_organization(organization_id)
        return self.answer_page(self.waiting().filter(organization=found))

    def post(self, request: Request, organization_id: UUID) -> Response:
        """Invite people by e-mail. Who has an account joins at once; others get a mail with a link."""
        found = self.administered_organization(organization_id)
        given = InvitationInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        groups = self._offered(found, values["groups"])
        return self.invite(found, values["emails"], values["role"], groups)

    def _offered(
        self, organization: Organization, offered: list[dict[str, Any]]
    ) -> dict[Group, str]:
        living = living_groups(organization)
        for place, offer in enumerate(offered):
            if offer["id"] not in living:
                message = "The organization has no such group."
                raise Problem(400, "invalid_request_error", message, f"groups.{place}.id")
        return {living[offer["id"]]: offer["role"] for offer in offered}


class OrganizationInvitationView(InvitationView):
    """What the views of one invitation into an organization share."""

    def find(self, organization_id: UUID, invitation_id: UUID) -> Invitation:
        """Raises Http404 where it does not wait."""
        found = self.administered_organization(organization_id)
        return get_object_or_404(self.waiting().filter(organization=found), pk=invitation_id)


@extend_schema_view(
    get=extend_schema(operation_id="get_invitation", tags=TAGS),
    delete=extend_schema(operation_id="withdraw_invitation", tags=TAGS, responses={204: None}),
)
class InvitationDetail(OrganizationInvitationView):
    """One invitation into an organization."""

    def get(self, request: Request, organization_id: UUID, invitation_id: UUID) -> Response:
        """An invitation that waits."""
        found = self.find(organization_id, invitation_id)
        return Response(self.get_serializer(found).data)

    def delete(self, request: Request, organization_id: UUID, invitation_id: UUID) -> Response:
        """Take it back: its link works no more."""
        invitations.withdraw(self.find(organization_id, invitation_id), actor=self.user)
        return Response(status=204)


@extend_schema_view(
    post=extend_schema(
        operation_id="resend_invitation",
        tags=TAGS,
        request=None,
        responses={202: InvitationSerializer},
    )
)
class InvitationResend(OrganizationInvitationView):
    """The mail of an invitation."""

    def post(self, request: Request, organization_id: UUID, invitation_id: UUID) -> Response:
        """Send its mail again, with a new link."""
        return self.resend(self.find(organization_id, invitation_id))
