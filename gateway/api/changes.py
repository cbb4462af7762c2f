"""/api/v1/organizations/{id}/changes and /api/v1/changes: the audit trail."""

from datetime import datetime
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import trail
from accounts.api.fields import MomentField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView, OperatorView
from accounts.models import Change
from billing.money import format_usd
from gateway.api.queries import names_of, page_of, read_query, refuse
from gateway.operator.changes import CUSTOM, ChangeFilterForm, find_changes

WORD_CHARS_MAX = 120
NANOS = "_nanos"


class ChangeQuery(StrictSerializer):
    """Which lines. `subject` is a kind and an id, `channel:7`; `q` looks for words in the newest lines."""

    q = serializers.CharField(max_length=WORD_CHARS_MAX, required=False)
    who = serializers.CharField(max_length=WORD_CHARS_MAX, required=False)
    verb = serializers.ChoiceField(choices=sorted(trail.VERBS), required=False)
    subject = serializers.CharField(max_length=170, required=False)
    since = MomentField(required=False)
    until = MomentField(required=False)


class OperatorChangeQuery(ChangeQuery):
    """The same, of organizations with a name that has this part."""

    organization = serializers.CharField(max_length=WORD_CHARS_MAX, required=False)


class ActorSerializer(serializers.Serializer[Any]):
    """Who did it."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class SubjectSerializer(serializers.Serializer[Any]):
    """What it was done to."""

    kind = serializers.CharField()
    id = serializers.CharField(allow_blank=True)
    name = serializers.CharField(allow_blank=True)


class ChangeSerializer(serializers.Serializer[Any]):
    """A line of the audit trail. `actor` is null for what Tollgate did itself; amounts are in US dollars."""

    id = serializers.UUIDField()
    object = serializers.CharField()
    created_at = serializers.DateTimeField()
    actor = ActorSerializer(allow_null=True)
    verb = serializers.CharField()
    subject = SubjectSerializer()
    organization_id = serializers.UUIDField(allow_null=True)
    group_id = serializers.UUIDField(allow_null=True)
    before = serializers.DictField()
    after = serializers.DictField()


def describe_change(change: Change) -> dict[str, Any]:
    """As ChangeSerializer says."""
    actor = {"id": change.actor_id, "name": change.actor_name} if change.actor_id else None
    return {
        "id": change.pk,
        "object": "change",
        "created_at": change.at,
        "actor": actor,
        "verb": change.verb,
        "subject": {
            "kind": change.subject_kind,
            "id": change.subject_id,
            "name": change.subject_name,
        },
        "organization_id": change.organization_id,
        "group_id": change.group_id,
        "before": _in_dollars(change.before),
        "after": _in_dollars(change.after),
    }


def _in_dollars(side: dict[str, Any]) -> dict[str, Any]:
    """Amounts as texts in US dollars, under their names without the unit."""
    return {
        name.removesuffix(NANOS): format_usd(value)
        if name.endswith(NANOS) and isinstance(value, int)
        else value
        for name, value in side.items()
    }


def read_form(values: dict[str, Any], *, for_operators: bool) -> ChangeFilterForm:
    """The parameters as the page's filter. Raises Problem 400."""
    since: datetime | None = values.get("since")
    until: datetime | None = values.get("until")
    period = {"period": CUSTOM} if since or until else {}
    form = ChangeFilterForm(values | period, for_operators=for_operators)
    if not form.is_valid():
        name, faults = next(iter(form.errors.items()))
        raise refuse(name, " ".join(map(str, faults)))
    return form


@extend_schema_view(
    get=extend_schema(
        operation_id="list_organization_changes",
        tags=["Organizations"],
        parameters=[ChangeQuery],
        responses={200: ChangeSerializer(many=True)},
    )
)
class OrganizationChanges(ManagementView):
    """The trail of an organization."""

    pagination_class = CursorPages
    query_names = names_of(ChangeQuery)

    def get(self, request: Request, organization_id: UUID) -> Response:
        """Who changed what in the organization, newest first. For its admins."""
        found = self.administered_organization(organization_id)
        form = read_form(read_query(request, ChangeQuery), for_operators=False)
        changes, _is_cut = find_changes(Change.objects.filter(organization=found), form)
        rows = page_of(self, changes)
        return self.get_paginated_response([describe_change(row) for row in rows])


@extend_schema_view(
    get=extend_schema(
        operation_id="list_changes",
        tags=["Operators"],
        parameters=[OperatorChangeQuery],
        responses={200: ChangeSerializer(many=True)},
    )
)
class Changes(OperatorView):
    """The whole trail."""

    pagination_class = CursorPages
    query_names = names_of(OperatorChangeQuery)

    def get(self, request: Request) -> Response:
        """Who changed what in the whole installation, newest first. For operators."""
        form = read_form(read_query(request, OperatorChangeQuery), for_operators=True)
        changes, _is_cut = find_changes(Change.objects.all(), form)
        rows = page_of(self, changes)
        return self.get_paginated_response([describe_change(row) for row in rows])
