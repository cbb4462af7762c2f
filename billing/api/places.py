"""/api/v1/organizations/{id} and /api/v1/groups/{id}: reading, changing, and their end, which settles what is left."""

from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ValidationError
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import ObjectField
from accounts.api.groups import TAGS as GROUP_TAGS
from accounts.api.groups import GroupDetail as PlainGroupDetail
from accounts.api.organizations import TAGS as ORGANIZATION_TAGS
from accounts.api.organizations import OrganizationDetail as PlainOrganizationDetail
from accounts.forms import one_line
from billing.archiving import NotEmpty, archive_group, archive_organization
from billing.money import format_usd

OBSTACLES = {
    "held": "Calls of this group are running and hold credits. Revoke its keys, or wait until they have ended.",
    "owed": "The wallet of this group is below zero. Grant it what it owes first.",
    "ending": "Promotional credits are just being taken back. Try again in a minute.",
    "groups": "The organization still has groups. Delete them first.",
    "credits": "There are credits in the pool. An operator can refund them and delete the organization.",
}
NOTE_LENGTH_MAX = 300
CONFIRM = OpenApiParameter(
    "confirm", str, required=True, description="The name of what is to be deleted, as it stands."
)
NOTE = OpenApiParameter(
    "note", str, description="How credits that are left were refunded. For operators."
)


class DeletedGroupSerializer(serializers.Serializer[Any]):
    """What went back to the organization's pool."""

    object = ObjectField("deleted_group")
    returned = serializers.CharField()


class ConfirmedView:
    """Deletion asks for the name."""

    def check_name(self, request: Request, name: str) -> None:
        """Raises Problem 400 unless `confirm` is the name."""
        if request.query_params.get("confirm") != name:
            message = "'confirm' must be the name of what is to be deleted."
            raise Problem(400, "invalid_request_error", message, "confirm")


@extend_schema_view(
    delete=extend_schema(
        operation_id="delete_group",
        tags=GROUP_TAGS,
        parameters=[CONFIRM],
        responses={200: DeletedGroupSerializer},
    )
)
class GroupDetail(ConfirmedView, PlainGroupDetail):
    """One group."""

    query_names: ClassVar[frozenset[str]] = frozenset({"confirm"})

    def delete(self, request: Request, group_id: UUID) -> Response:
        """Delete it: its keys are revoked, its paid credits go back to the pool. For admins of its organization."""
        found = self.find_group(group_id)
        self.administered_organization(found.organization_id)
        self.check_name(request, found.name)
        try:
            returned_nanos = archive_group(found, actor=self.user)
        except NotEmpty as error:
            raise Problem(409, "not_empty", OBSTACLES[error.obstacle]) from None
        return Response(DeletedGroupSerializer({"returned": format_usd(returned_nanos)}).data)


@extend_schema_view(
    delete=extend_schema(
        operation_id="delete_organization",
        tags=ORGANIZATION_TAGS,
        parameters=[CONFIRM, NOTE],
        responses={204: None},
    )
)
class OrganizationDetail(ConfirmedView, PlainOrganizationDetail):
    """One organization."""

    query_names: ClassVar[frozenset[str]] = frozenset({"confirm", "note"})

    def delete(self, request: Request, organization_id: UUID) -> Response:
        """Delete it, once it has neither groups nor credits. For its admins."""
        found = self.administered_organization(organization_id)
        self.check_name(request, found.name)
        note = self._read_note(request)
        try:
            archive_organization(found, actor=self.user, note=note)
        except NotEmpty as error:
            raise Problem(409, "not_empty", OBSTACLES[error.obstacle]) from None
        return Response(status=204)

    def _read_note(self, request: Request) -> str:
        try:
            return one_line(request.query_params.get("note", ""))[:NOTE_LENGTH_MAX]
        except ValidationError as error:
            raise Problem(400, "invalid_request_error", error.messages[0], "note") from None
