"""Keys of a group: issued, changed, rotated and revoked.

They stand in this app since what a key may spend is a part of it, and is set with the rest in one transaction.
"""

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from django_filters.rest_framework import (
    BooleanFilter,
    CharFilter,
    ChoiceFilter,
    DjangoFilterBackend,
    FilterSet,
    NumberFilter,
)
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import key_services
from accounts.api.errors import Problem
from accounts.api.fields import MomentField, NamedSerializer, NameField, ObjectField
from accounts.api.idempotency import optional_operation_id_of
from accounts.api.paging import CursorPages
from accounts.api.schema import OPTIONAL_IDEMPOTENCY_KEY
from accounts.api.schema import REPLAYED as REPLAYED_HEADER
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.key_services import GRACE_MAX, IssuedBefore, RotatedBefore, RotatedMeanwhile
from accounts.models import APIKey, APIKeyQuerySet, GroupMembership, User
from billing import key_settings
from billing.api.fields import CountField
from billing.api.limits import LimitsInput, LimitValuesSerializer, find_key
from billing.api.moves import REPLAYED
from billing.api.transfers import MakerSerializer
from billing.key_settings import KeySettings
from billing.models import LIMIT_NAMES, Limit

TAGS = ["Keys"]
SCOPES = {"call": APIKey.Purpose.CALLER, "manage": APIKey.Purpose.MANAGE}
RESTRICTIONS = ("allowed_models", "allowed_networks", "expires_at")
KEY_NAME_LENGTH_MAX = APIKey._meta.get_field("name").max_length
ID_MAX = 2**63 - 1
CONFLICT = "idempotency_conflict"


class TextsField(serializers.ListField):
    """A list of texts, which the services look at one by one."""

    child = serializers.CharField(max_length=200)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list) or any(not isinstance(text, str) for text in data):
            raise serializers.ValidationError("A list of texts is needed.", "not_a_list")
        return super().to_internal_value(data)


class KeySerializer(serializers.Serializer[Any]):
    """A key. Its text is shown once, when it is issued or rotated; `masked` is what may be shown later.

    Others' keys show a member no more than who made them: `masked`, the restrictions and the limits are null then.
    An empty list allows all. `scope`: `call` calls models, `manage` is for this API. `state`: `active`, `expired` or
    `revoked`. `rotating_until`: so long the secret from before the last rotation works, too.
    """

    id = serializers.UUIDField()
    object = ObjectField("key")
    name = serializers.CharField()
    scope = serializers.ChoiceField(choices=list(SCOPES))
    state = serializers.ChoiceField(choices=["active", "expired", "revoked"])
    masked = serializers.CharField(allow_null=True)
    group = NamedSerializer()
    created_by = MakerSerializer()
    allowed_models = serializers.ListField(child=serializers.CharField(), allow_null=True)
    allowed_networks = serializers.ListField(child=serializers.CharField(), allow_null=True)
    limits = serializers.SerializerMethodField()
    created_at = MomentField()
    expires_at = MomentField(allow_null=True)
    revoked_at = MomentField(allow_null=True)
    rotated_at = MomentField(allow_null=True)
    rotating_until = MomentField(allow_null=True)

    @extend_schema_field(LimitValuesSerializer(allow_null=True))
    def get_limits(self, key: APIKey) -> dict[str, Any]:
        limit = self.context["limits"].get(key.pk) or Limit()
        return dict(LimitValuesSerializer(limit).data)

    def to_representation(self, key: APIKey) -> dict[str, Any]:
        shown = super().to_representation(key)
        if not self.context["shows_all"] and key.created_by_id != self.context["user"].pk:
            shown |= dict.fromkeys(("masked", "allowed_models", "allowed_networks", "limits"))
        return shown


class IssuedKeySerializer(KeySerializer):
    """A key with its text, which is shown in this answer alone: `secret`, and the same as `key`."""

    secret = serializers.CharField()
    key = serializers.CharField()


class KeySettingsInput(StrictSerializer):
    """What may be said of a key when it is issued and later."""

    allowed_models = TextsField(required=False, help_text="Names, aliases or `provider/*`.")
    allowed_networks = TextsField(required=False, help_text="Addresses or networks.")
    expires_at = MomentField(required=False, allow_null=True, in_future=True)
    limits = LimitsInput(required=False)

    def settings(self) -> KeySettings:
        """What the valid body says, as the services take it."""
        values = self.validated_data
        restrictions: Any = {name: values[name] for name in RESTRICTIONS if name in values}
        limits = LimitsInput.limits_of(values.get("limits", {}))
        return KeySettings(values.get("name"), restrictions, limits)


class KeyInput(KeySettingsInput):
    """A new key."""

    name = NameField(max_length=KEY_NAME_LENGTH_MAX)
    scope = serializers.ChoiceField(choices=list(SCOPES), default="call")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["scope"] == "manage":
            refuse_calling(attrs)
        return attrs


class KeyChangeInput(KeySettingsInput):
    """What of a key is to change; what is not named stays."""

    name = NameField(max_length=KEY_NAME_LENGTH_MAX, required=False)


class RotationInput(StrictSerializer):
    """For so many seconds the present secret works on, too."""

    grace_s = CountField(min_value=0, max_value=int(GRACE_MAX.total_seconds()), default=24 * 3600)


class KeyFilter(FilterSet):
    """Which keys to list."""

    name = CharFilter(lookup_expr="icontains", max_length=80, help_text="A part of the name.")
    created_by = NumberFilter(
        min_value=1, max_value=ID_MAX, help_text="The id of the person who made it."
    )
    scope = ChoiceFilter(
        choices=[(name, name) for name in SCOPES], method="of_scope", help_text="What it is for."
    )
    usable = BooleanFilter(method="that_work", help_text="Whether it works at this moment.")

    def of_scope(self, keys: APIKeyQuerySet, name: str, value: str) -> APIKeyQuerySet:
        return keys.filter(purpose=SCOPES[value])

    def that_work(self, keys: APIKeyQuerySet, name: str, value: bool) -> APIKeyQuerySet:
        usable = APIKey.objects.usable()
        return keys.filter(pk__in=usable) if value else keys.exclude(pk__in=usable)


def refuse_calling(values: dict[str, Any]) -> None:
    """Raises ValidationError where something about calls is said of a management key."""
    faults = {
        name: "A management key calls nothing: it has none."
        for name in ("allowed_models", "limits")
        if values.get(name)
    }
    if faults:
        raise serializers.ValidationError(faults)


class KeyView(ManagementView):
    """What the views of keys share."""

    serializer_class = KeySerializer

    def describe(
        self, keys: Sequence[APIKey], group_id: UUID, secret: str | None = None
    ) -> list[dict[str, Any]]:
        """The keys of a group with their limits, and with the text of the one that has just got one."""
        context = {
            "user": self.user,
            "limits": {row.api_key_id: row for row in Limit.objects.filter(api_key__in=keys)},
            "shows_all": self.find_group(group_id).role_of(self.user)
            == GroupMembership.Role.MANAGER,
        }
        shown = [dict(row) for row in KeySerializer(keys, many=True, context=context).data]
        texts = {} if secret is None else {"secret": secret, "key": secret}
        return [row | texts for row in shown]

    def refuse_managing(self, purpose: str) -> None:
        """Raises Problem 403 for a key that would issue or change management keys: it could outlive its own end and
        leave its own networks."""
        if self.key is not None and purpose == APIKey.Purpose.MANAGE:
            message = "Management keys are issued and changed in the browser, not by a key."
            raise Problem(403, "key_scope", message)

    def answer(self, key: APIKey, secret: str | None = None, **options: Any) -> Response:
        """The key as it is stored now."""
        rows = APIKey.objects.select_related("created_by", "group")
        return Response(
            self.describe([rows.get(pk=key.pk)], key.group_id, secret)[0],
            headers={"Cache-Control": "no-store"} | options.pop("headers", {}),
            **options,
        )


class Keys(KeyView):
    """The keys of a group."""

    pagination_class = CursorPages
    filter_backends = (DjangoFilterBackend,)
    filterset_class = KeyFilter
    queryset = APIKey.objects.none()

    @extend_schema(operation_id="list_keys", tags=TAGS, responses=KeySerializer(many=True))
    def get(self, request: Request, group_id: UUID) -> Response:
        """The group's keys, newest first, revoked ones too; the playground's are none of them."""
        keys = APIKey.objects.filter(group=self.find_group(group_id), purpose__in=SCOPES.values())
        found = self.filter_queryset(keys.select_related("created_by", "group"))
        rows = self.paginate_queryset(found) or []
        return self.get_paginated_response(self.describe(rows, group_id))

    @extend_schema(
        operation_id="issue_key",
        tags=TAGS,
        parameters=[OPTIONAL_IDEMPOTENCY_KEY, REPLAYED_HEADER],
        request=KeyInput,
        responses={201: IssuedKeySerializer},
        examples=[
            OpenApiExample(
                "A key with a budget",
                value={"name": "ci", "limits": {"month_usd": "25.00"}},
                request_only=True,
            ),
            OpenApiExample(
                "A management key", value={"name": "deploy", "scope": "manage"}, request_only=True
            ),
        ],
    )
    def post(self, request: Request, group_id: UUID) -> Response:
        """Issue a key of your own. Its text stands in this answer alone and is kept nowhere. Management keys are issued
        by a session alone.

        With an Idempotency-Key, the same request within a minute answers the same key; later, 409 names it.
        """
        group = self.find_group(group_id)
        if group.role_of(self.user) is None:
            raise Problem(403, "forbidden", "Only members of the group may issue keys.")
        given = KeyInput(data=request.data)
        given.is_valid(raise_exception=True)
        settings, purpose = given.settings(), SCOPES[given.validated_data["scope"]]
        self.refuse_managing(purpose)
        operation_id = optional_operation_id_of(request)
        try:
            key, text = key_settings.issue(
                group, self.user, settings, operation_id, purpose=purpose
            )
        except IssuedBefore as before:
            _check_same(before, settings, purpose)
            headers = {"Location": _address(before.key), REPLAYED: "true"}
            return self.answer(before.key, before.text, status=201, headers=headers)
        return self.answer(key, text, status=201, headers={"Location": _address(key)})


def _address(key: APIKey) -> str:
    return reverse("api_key", args=[key.group_id, key.pk])


def _check_same(before: IssuedBefore, settings: KeySettings, purpose: str) -> None:
    """Raises Problem 409 for an Idempotency-Key that issued another key, or one whose text is not shown any more."""
    key = before.key
    if before.text is None:
        message = f"This Idempotency-Key has issued the key {key.pk}. Its secret was shown then."
        raise Problem(409, CONFLICT, message, "Idempotency-Key")
    limit = Limit.objects.filter(api_key=key).first() or Limit()
    stored = [key.name, key.purpose, *(getattr(key, name) for name in RESTRICTIONS)]
    stored += [getattr(limit, name) for name in LIMIT_NAMES]
    if stored != [settings.name, purpose, *_asked(settings)]:
        message = "This Idempotency-Key has issued another key. Nothing was issued now."
        raise Problem(409, CONFLICT, message, "Idempotency-Key")


def _asked(settings: KeySettings) -> list[Any]:
    """Restrictions and limits in the order and the spelling in which they are stored."""
    asked: Any = settings.restrictions
    networks = (ip_network(text.strip(), strict=False) for text in asked.get(RESTRICTIONS[1], []))
    return [
        list(dict.fromkeys(asked.get(RESTRICTIONS[0], []))),
        list(dict.fromkeys(map(str, networks))),
        asked.get(RESTRICTIONS[2]),
        *(settings.limits.get(name) for name in LIMIT_NAMES),
    ]


class KeyDetail(KeyView):
    """One key."""

    @extend_schema(operation_id="get_key", tags=TAGS)
    def get(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """One key of the group."""
        rows = APIKey.objects.filter(group=self.find_group(group_id), purpose__in=SCOPES.values())
        return self.answer(get_object_or_404(rows, pk=key_id))

    @extend_schema(
        operation_id="change_key", tags=TAGS, request=KeyChangeInput, responses=KeySerializer
    )
    def patch(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Change name, limits, models, networks and end of a key: all that is named, or nothing.

        It holds within a second, for the same secret.
        """
        key = find_key(self, group_id, key_id)
        given = KeyChangeInput(data=request.data)
        given.is_valid(raise_exception=True)
        if key.purpose == APIKey.Purpose.MANAGE:
            refuse_calling(given.validated_data)
            self.refuse_managing(key.purpose)
        key_settings.change(key, self.user, given.settings())
        return self.answer(key)

    @extend_schema(operation_id="delete_key", tags=TAGS, responses={204: None})
    def delete(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Revoke a key, as its `revoke` does. It stays in lists, for the history of its calls."""
        key_services.revoke_key(find_key(self, group_id, key_id), self.user)
        return Response(status=204)


class KeyRevocation(KeyView):
    """The end of a key."""

    @extend_schema(operation_id="revoke_key", tags=TAGS, request=None)
    def post(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Stop a key for good, within a second. Revoking it again changes nothing."""
        key = find_key(self, group_id, key_id)
        key_services.revoke_key(key, self.user)
        return self.answer(key)


class KeyRotation(KeyView):
    """Another secret for a key."""

    @extend_schema(
        operation_id="rotate_key",
        tags=TAGS,
        parameters=[OPTIONAL_IDEMPOTENCY_KEY, REPLAYED_HEADER],
        request=RotationInput,
        responses={201: IssuedKeySerializer},
    )
    def post(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Give a key another secret, shown in this answer alone. Settings, limits and history stay.

        The present secret works on for `grace_s`, at most seven days. A management key is rotated by its maker alone.
        """
        key = find_key(self, group_id, key_id)
        if key != self.key:
            self.refuse_managing(key.purpose)
        given = RotationInput(data=request.data)
        given.is_valid(raise_exception=True)
        grace = timedelta(seconds=given.validated_data["grace_s"])
        had = key.public_id
        try:
            text = _rotate(key, self.user, grace, optional_operation_id_of(request))
        except RotatedMeanwhile:
            message = "Somebody has rotated this key just now. It was not rotated again."
            raise Problem(409, "rotated_meanwhile", message) from None
        headers = {"Location": _address(key)}
        if f"-{had}-" in text:
            headers[REPLAYED] = "true"
        return self.answer(key, text, status=201, headers=headers)


def _rotate(key: APIKey, actor: User, grace: timedelta, operation_id: UUID | None) -> str:
    """The key's new text; that of the rotation which the operation has made just before, if it has.

    Rotating again then would stop the secret that is in use, for one whose answer was lost.
    """
    if operation_id is not None and key.previous_public_id is not None:
        try:
            return key_services.rotate_key(key, actor, grace, operation_id, key.previous_public_id)
        except RotatedMeanwhile as meanwhile:
            # Where another operation made that rotation, this one is new.
            if isinstance(meanwhile, RotatedBefore):
                raise
    return key_services.rotate_key(key, actor, grace, operation_id)


class KeyRotationEnd(KeyView):
    """The end of the secret from before."""

    @extend_schema(operation_id="end_key_rotation", tags=TAGS, request=None)
    def post(self, request: Request, group_id: UUID, key_id: UUID) -> Response:
        """Stop the secret from before the last rotation now."""
        key = find_key(self, group_id, key_id)
        key_services.end_rotation(key, self.user)
        return self.answer(key)
