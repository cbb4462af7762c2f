"""What every page's frame shows."""

from itertools import groupby
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Group, Organization, User

THEMES = ("light", "dark")
SWITCHER_ROWS_MAX = 200
# A list shorter than that is read faster than filtered.
FILTER_FROM = 9


class Section(NamedTuple):
    """An organization in the switcher, with those of its groups that the user may open."""

    organization: Organization
    groups: list[Group]
    is_administered: bool


class Switcher(NamedTuple):
    """What can be switched to."""

    sections: list[Section]

    @property
    def has_filter(self) -> bool:
        return sum(1 + len(section.groups) for section in self.sections) >= FILTER_FROM

    @property
    def is_cut(self) -> bool:
        return sum(len(section.groups) for section in self.sections) >= SWITCHER_ROWS_MAX


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context for templates/base.html: `theme`, and for a signed-in user `nav_groups`, `nav_organizations` and
    `switcher`.

    The lists cost their queries only where a template uses them, which fragments for htmx do not.
    """
    theme = request.COOKIES.get("theme", "")
    context: dict[str, Any] = {"theme": theme if theme in THEMES else "auto"}
    user = getattr(request, "user", None)
    if not isinstance(user, User) and not getattr(user, "is_authenticated", False):
        return context
    groups = SimpleLazyObject(lambda: own_groups(request.user))  # type: ignore[arg-type]
    organizations = SimpleLazyObject(lambda: own_organizations(request.user))  # type: ignore[arg-type]
    return context | {
        "nav_groups": groups,
        "nav_organizations": organizations,
        "switcher": SimpleLazyObject(lambda: arrange(groups, organizations)),  # type: ignore[arg-type]
    }


def own_groups(user: User) -> list[Group]:
    """The groups to switch between, by organization and name. An operator sees every group of the installation
    elsewhere; here he has those he is a member of, like anybody."""
    groups = Group.objects.visible_to(user)
    if user.is_staff:
        groups = groups.filter(memberships__user=user)
    ordered = groups.select_related("organization").order_by(
        "organization__name", "organization", "name"
    )
    return list(ordered[:SWITCHER_ROWS_MAX])


def own_organizations(user: User) -> list[Organization]:
    """The organizations whose credits the user administers as a member of them."""
    if user.is_staff:
        return []
    return list(Organization.objects.administered_by(user).order_by("name")[:SWITCHER_ROWS_MAX])


def arrange(groups: list[Group], organizations: list[Organization]) -> Switcher:
    """Groups under their organizations, and organizations that have none, by name."""
    administered = {organization.pk for organization in organizations}
    sections = {
        organization.pk: Section(organization, list(inside), organization.pk in administered)
        for organization, inside in groupby(groups, key=lambda group: group.organization)
    }
    for organization in organizations:
        sections.setdefault(organization.pk, Section(organization, [], True))
    ordered = sorted(sections.values(), key=lambda section: section.organization.name.casefold())
    return Switcher(ordered)
