"""/api/v1/people: users of all organizations, for operators."""

from typing import Any

from allauth.account.forms import ResetPasswordForm
from django.db.models import Q
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import ObjectField
from accounts.api.paging import CursorPages
from accounts.api.serializers import StrictSerializer
from accounts.api.views import OperatorView
from accounts.membership_services import deactivate_user, reactivate_user
from accounts.models import APIKey, Membership, User
from accounts.security_mfa import has_second_factor
from gateway.api.queries import names_of, page_of, read_query
from gateway.operator.people import note_reset

TAGS = ["Operators"]


class UserSerializer(serializers.ModelSerializer[User]):
    """A user."""

    object = ObjectField("person")
    is_operator = serializers.BooleanField(source="is_staff")

    class Meta:
        model = User
        fields = (
            "id",
            "object",
            "email",
            "name",
            "is_active",
            "is_operator",
            "joined_at",
            "seen_at",
        )


class UserPlaceSerializer(serializers.Serializer[Membership]):
    """An organization that he is in."""

    id = serializers.UUIDField(source="organization.pk")
    name = serializers.CharField(source="organization.name")
    role = serializers.CharField()


class UserDetailSerializer(UserSerializer):
    """A user with where he belongs."""

    organizations = serializers.SerializerMethodField()
    keys = serializers.SerializerMethodField()
    has_second_factor = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "organizations", "keys", "has_second_factor")  # type: ignore[assignment]

    @extend_schema_field(UserPlaceSerializer(many=True))
    def get_organizations(self, person: User) -> list[dict[str, Any]]:
        memberships = Membership.objects.filter(user=person).select_related("organization")
        places: Any = memberships.order_by("organization__name")
        return list(UserPlaceSerializer(places, many=True).data)

    def get_keys(self, person: User) -> int:
        return APIKey.objects.filter(created_by=person).usable().count()

    def get_has_second_factor(self, person: User) -> bool:
        return bool(has_second_factor(person))


class PeopleQuery(StrictSerializer):
    """Whom to look for: `q` is a part of the name or of the address."""

    q = serializers.CharField(max_length=254, required=False)
    state = serializers.ChoiceField(choices=["operator", "off"], required=False)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_people",
        tags=TAGS,
        parameters=[PeopleQuery],
        responses={200: UserSerializer(many=True)},
    )
)
class People(OperatorView):
    """Lists users."""

    pagination_class = CursorPages
    query_names = names_of(PeopleQuery)
    serializer_class = UserSerializer
    queryset = User.objects.none()

    def get(self, request: Request) -> Response:
        """Users of the whole installation, who joined last first."""
        values = read_query(request, PeopleQuery)
        found = User.objects.all()
        if "q" in values:
            found = found.filter(Q(email__icontains=values["q"]) | Q(name__icontains=values["q"]))
        if values.get("state") == "operator":
            found = found.filter(is_staff=True)
        if values.get("state") == "off":
            found = found.filter(is_active=False)
        rows = page_of(self, found)
        return self.get_paginated_response(self.get_serializer(rows, many=True).data)


class PersonViews(OperatorView):
    """What the views of one user share."""

    def describe(self, person: User) -> dict[str, Any]:
        """The user as he stands now."""
        person.refresh_from_db()
        return dict(UserDetailSerializer(person).data)


@extend_schema_view(
    get=extend_schema(operation_id="get_person", tags=TAGS, responses=UserDetailSerializer)
)
class PersonDetail(PersonViews):
    """One user."""

    def get(self, request: Request, user_id: int) -> Response:
        """One user, and where he belongs."""
        return Response(self.describe(get_object_or_404(User, pk=user_id)))


@extend_schema_view(
    post=extend_schema(
        operation_id="deactivate_person",
        tags=TAGS,
        request=None,
        responses={200: UserDetailSerializer},
    )
)
class PersonDeactivation(PersonViews):
    """Shuts a user out."""

    def post(self, request: Request, user_id: int) -> Response:
        """Shut the user out: sessions end, keys are revoked."""
        found = get_object_or_404(User, pk=user_id)
        if found.pk == self.user.pk:
            raise Problem(409, "own_account", "Nobody deactivates his own account here.")
        deactivate_user(found, actor=self.user)
        return Response(self.describe(found))


@extend_schema_view(
    post=extend_schema(
        operation_id="reactivate_person",
        tags=TAGS,
        request=None,
        responses={200: UserDetailSerializer},
    )
)
class PersonReactivation(PersonViews):
    """Lets a user in again."""

    def post(self, request: Request, user_id: int) -> Response:
        """Let the user sign in again. Keys that were revoked stay so."""
        found = get_object_or_404(User, pk=user_id)
        reactivate_user(found, actor=self.user)
        return Response(self.describe(found))


@extend_schema_view(
    post=extend_schema(
        operation_id="reset_password_of_person",
        tags=TAGS,
        request=None,
        responses={202: UserDetailSerializer},
    )
)
class PersonReset(PersonViews):
    """Lets a user set a new password."""

    def post(self, request: Request, user_id: int) -> Response:
        """Send the user the mail by which he sets a new password."""
        found = get_object_or_404(User, pk=user_id, is_active=True)
        note_reset(found, actor=self.user)
        form = ResetPasswordForm({"email": found.email})
        if form.is_valid():
            form.save(request._request)
        return Response(self.describe(found), status=202)
