"""Fields that several serializers of the management API have."""

from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils import timezone
from rest_framework import serializers

from accounts.forms import one_line
from accounts.invitations import normalize
from accounts.models import Group, GroupMembership, Membership, Organization

NAME_LENGTH_MAX = Organization._meta.get_field("name").max_length
EMAILS_MAX = 50
# Moments outside of it are no dates with some clocks, and no ids.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)


class LineField(serializers.CharField):
    """One line of text without control characters."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return one_line(super().to_internal_value(data))
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from None


class NameField(LineField):
    """What something is called."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": NAME_LENGTH_MAX, **kwargs})


class MomentField(serializers.DateTimeField):
    """A moment in ISO 8601, with its zone; answered in UTC. Years are 2000 to 2999."""

    default_error_messages = {
        "zone": "The time zone is missing: write such as 2026-01-31T12:00:00Z.",
        "far": "Give a moment between 2000 and 2999.",
        "past": "This moment is over.",
    }

    def __init__(self, *, in_future: bool = False, **kwargs: Any) -> None:
        self.in_future = in_future
        super().__init__(default_timezone=UTC, **kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ssZ")
        moment: datetime = super().to_internal_value(value)
        if not EARLIEST < moment < LATEST:
            self.fail("far")
        if self.in_future and moment <= timezone.now():
            self.fail("past")
        return moment

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("zone")
        return super().enforce_timezone(value)


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
