"""What every page's frame shows."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.models import Group, Organization, User

THEMES = ("light", "dark")
SWITCHER_ROWS_MAX = 100


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context for templates/base.html: `theme`, and for a signed-in user `nav_groups` and `nav_organizations`.

    The lists cost their query only where a template uses them, which fragments for htmx do not.
    """
    theme = request.COOKIES.get("theme", "")
    context: dict[str, Any] = {"theme": theme if theme in THEMES else "auto"}
    user = getattr(request, "user", None)
    if not isinstance(user, User) and not getattr(user, "is_authenticated", False):
        return context
    return context | {
        "nav_groups": SimpleLazyObject(lambda: own_groups(request.user)),  # type: ignore[arg-type]
        "nav_organizations": SimpleLazyObject(lambda: own_organizations(request.user)),  # type: ignore[arg-type]
    }


def own_groups(user: User) -> list[Group]:
    """The groups to switch between, by organization and name. An operator sees every group of the installation
    elsewhere; here he has those he is a member of, like anybody."""
    groups = Group.objects.filter(memberships__user=user)
    if not user.is_staff:
        groups = Group.objects.visible_to(user)
    ordered = groups.select_related("organization").order_by(
        "organization__name", "organization", "name"
    )
    return list(ordered[:SWITCHER_ROWS_MAX])


def own_organizations(user: User) -> list[Organization]:
    """The organizations whose credits the user administers as a member of them."""
    if user.is_staff:
        return []
    return list(Organization.objects.administered_by(user).order_by("name")[:SWITCHER_ROWS_MAX])
