"""What keys, models, members and so on are called on pages about usage, and where they lead."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from accounts.models import APIKey, Group, Organization, User
from gateway.models import CallRecord
from gateway.usage_analytics import By, Key, Scope

TITLES = {
    "model": pgettext_lazy("of a provider", "Model"),
    "key": gettext_lazy("Key"),
    "member": gettext_lazy("Member"),
    "source": gettext_lazy("Source"),
    "group": gettext_lazy("Group"),
}
RESTS = {
    "model": gettext_lazy("Other models"),
    "key": gettext_lazy("Other keys"),
    "member": gettext_lazy("Other members"),
    "source": gettext_lazy("Other sources"),
    "group": gettext_lazy("Other groups"),
}


class Subject(NamedTuple):
    """Whose usage a page shows: that of a group, of one of its keys, or of an organization; by what it may be stacked,
    and which top lists it has."""

    organization: Organization
    group: Group | None
    key: APIKey | None
    stacks: tuple[By, ...]
    tops: tuple[By, ...]

    @property
    def scope(self) -> Scope:
        if self.key is not None:
            return Scope.of_key(self.key)
        if self.group is not None:
            return Scope.of_group(self.group)
        return Scope.of_organization(self.organization)

    @property
    def began(self) -> datetime:
        """Before that, nothing was used."""
        return (self.key or self.group or self.organization).created_at

    @property
    def url(self) -> str:
        if self.group is not None:
            return reverse("group_usage", args=[self.group.pk])
        return reverse("organization_usage", args=[self.organization.pk])

    @property
    def query(self) -> dict[str, str]:
        """What stands in the URL for a key."""
        return {"key": str(self.key.pk)} if self.key is not None else {}


def names_of(by: By, keys: Collection[Key]) -> dict[Key, str]:
    """The name of each; of what is gone, that it is."""
    names: dict[Any, str] = {}
    ids: Any = [key for key in keys if key is not None]
    if by == "model":
        names = {key: str(key) or _("no model named") for key in keys}
    elif by == "source":
        names = {str(source.value): str(source.label) for source in CallRecord.Source}
    elif by == "key":
        names = dict(APIKey.objects.filter(pk__in=ids).values_list("pk", "name"))
    elif by == "group":
        names = dict(Group.objects.filter(pk__in=ids).values_list("pk", "name"))
    elif by == "member":
        names = {user.pk: str(user) for user in User.objects.filter(pk__in=ids)}
    return {key: names.get(key) or _("deleted") for key in keys}


def links_of(
    subject: Subject, by: By, keys: Collection[Key], range_query: Mapping[str, str], days: "Days"
) -> dict[Key, str]:
    """Where each of them leads: of a group into its history of calls, of an organization to the usage of its group."""
    if subject.group is not None:
        field = {"model": "model", "key": "key", "member": "member", "source": "source"}[by]
        return {key: calls_url(subject, days, {field: str(key)}) for key in keys if key}
    if by == "group":
        return {key: _usage_url(key, range_query) for key in keys}
    if by == "key":
        ids: Any = keys
        groups = dict(APIKey.objects.filter(pk__in=ids).values_list("pk", "group_id"))
        return {
            key: _usage_url(groups[key], {**range_query, "key": str(key)})
            for key in keys
            if isinstance(key, UUID) and key in groups
        }
    return {}


class Days(NamedTuple):
    """A stretch of time on the viewer's clock."""

    since: datetime
    until: datetime


def calls_url(subject: Subject, days: Days, filters: Mapping[str, str]) -> str:
    """The history of the group's calls of that time."""
    assert subject.group is not None
    query = {
        **subject.query,
        **filters,
        "period": "custom",
        "since": f"{days.since:%Y-%m-%dT%H:%M}",
        "until": f"{days.until:%Y-%m-%dT%H:%M}",
    }
    return f"{reverse('group_calls', args=[subject.group.pk])}?{urlencode(query)}"


def _usage_url(group_id: Key, query: Mapping[str, str]) -> str:
    url = reverse("group_usage", args=[group_id])
    return f"{url}?{urlencode(query)}" if query else url
