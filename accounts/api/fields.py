"""Fields that several serializers of the management API have."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from accounts.forms import one_line
from accounts.invitations import normalize
from accounts.models import Group, GroupMembership, Membership, Organization

NAME_LENGTH_MAX = Organization._meta.get_field("name").max_length
EMAILS_MAX = 50


class NameField(serializers.CharField):
    """What something is called: one line without control characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": NAME_LENGTH_MAX, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return one_line(super().to_internal_value(data))
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from None


class EmailField(serializers.EmailField):
    """An address, in lower case."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return normalize(super().to_internal_value(data))


def emails_field() -> serializers.ListField:
    """Up to EMAILS_MAX addresses."""
    return serializers.ListField(child=EmailField(), min_length=1, max_length=EMAILS_MAX)


def organization_role_field(**kwargs: Any) -> serializers.ChoiceField:
    """`admin` or `member` of an organization."""
    return serializers.ChoiceField(choices=Membership.Role.values, **kwargs)


def group_role_field(**kwargs: Any) -> serializers.ChoiceField:
    """`manager` or `member` of a group."""
    return serializers.ChoiceField(choices=GroupMembership.Role.values, **kwargs)


class NamedSerializer(serializers.Serializer[Any]):
    """A thing by its id and name."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class ObjectField(serializers.ReadOnlyField):
    """`object`: what kind of thing the answer is."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(source="*")

    def to_representation(self, value: Any) -> str:
        return self.kind


def living_groups(organization: Organization) -> dict[Any, Group]:
    """The groups of the organization that are not deleted, by id."""
    return {group.pk: group for group in organization.groups.filter(archived_at=None)}
