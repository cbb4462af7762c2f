"""The base of every view of the management API: who may reach what.

A key acts for its maker with what he may do at this moment, in the organization of the key's group; an operator's key
acts for the whole installation. A session acts for its user everywhere, and writes only after a recent proof.
"""

from datetime import UTC
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.models import (
    APIKey,
    Group,
    GroupMembership,
    GroupQuerySet,
    Organization,
    OrganizationQuerySet,
    User,
)
from accounts.reauthentication import is_recent


class ManagementView(GenericAPIView[Any]):
    """A view of /api/v1. Query parameters that the view does not name are refused.

    `query_names` are those besides `limit` and `after` of lists and the fields of `filterset_class`.
    """

    query_names: ClassVar[frozenset[str]] = frozenset()
    pagination_class: Any = None
    filterset_class: Any = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Not the zone of the viewer's pages: programs read these times.
        timezone.activate(UTC)
        if request.method not in SAFE_METHODS:
            self._check_proof(request)
        if getattr(self, (request.method or "").lower(), None) is None:
            raise MethodNotAllowed(request.method or "")
        self._check_query(request)

    @property
    def user(self) -> User:
        """Whom the request acts for."""
        return cast("User", self.request.user)

    @property
    def key(self) -> APIKey | None:
        """The management key, None for a session."""
        return self.request.auth if isinstance(self.request.auth, APIKey) else None

    def organizations(self) -> OrganizationQuerySet:
        """Those that may be seen."""
        return self._within(Organization.objects.visible_to(self.user))

    def groups(self) -> GroupQuerySet:
        """Those that may be seen, with their organizations."""
        groups = Group.objects.visible_to(self.user).select_related("organization")
        if self.key is None or self.user.is_staff:
            return groups
        return groups.filter(organization=self.key.group.organization_id)

    def find_organization(self, organization_id: UUID) -> Organization:
        """One that may be seen. Raises Http404."""
        return get_object_or_404(self.organizations(), pk=organization_id)

    def administered_organization(self, organization_id: UUID) -> Organization:
        """One that may be changed. Raises Http404 where it may not be seen, Problem 403 where it may only be seen."""
        found = self.find_organization(organization_id)
        if not Organization.objects.administered_by(self.user).filter(pk=found.pk).exists():
            raise Problem(403, "forbidden", "Only admins of the organization may do this.")
        return found

    def find_group(self, group_id: UUID) -> Group:
        """One that may be seen. Raises Http404."""
        return get_object_or_404(self.groups(), pk=group_id)

    def managed_group(self, group_id: UUID) -> Group:
        """One that may be changed. Raises Http404 where it may not be seen, Problem 403 where it may only be seen."""
        found = self.find_group(group_id)
        if found.role_of(self.user) != GroupMembership.Role.MANAGER:
            raise Problem(403, "forbidden", "Only managers of the group may do this.")
        return found

    def page_of(self, rows: QuerySet[Any]) -> list[Any]:
        """The rows of the page that is asked for, by the view's `pagination_class`."""
        return self.paginate_queryset(rows) or []

    def answer_page(self, rows: QuerySet[Any]) -> Response:
        """That page in the words of the view's serializer."""
        data = self.get_serializer(self.page_of(rows), many=True).data
        return self.get_paginated_response(data)

    def require_operator(self) -> None:
        """Raises Http404 for everybody else: to them this part is not there."""
        if not self.user.is_staff:
            raise Http404

    def _within(self, organizations: OrganizationQuerySet) -> OrganizationQuerySet:
        if self.key is None or self.user.is_staff:
            return organizations
        return organizations.filter(pk=self.key.group.organization_id)

    def _check_proof(self, request: Request) -> None:
        if self.key is None and not is_recent(request._request):
            message = "Your last sign-in is too long ago to change anything. Sign in again."
            raise Problem(403, "reauthentication_required", message)

    def _check_query(self, request: Request) -> None:
        known = set(self.query_names)
        is_list = request.method in SAFE_METHODS and self.pagination_class is not None
        if is_list:
            known |= {"limit", "after"}
        if self.filterset_class is not None and is_list:
            known |= set(self.filterset_class.base_filters)
        for name in request.query_params:
            if name not in known:
                message = f"'{name[:60]}' is unknown here."
                raise Problem(400, "invalid_request_error", message, name[:60])


class OperatorView(ManagementView):
    """A view for operators; to everybody else it is not there."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.require_operator()
