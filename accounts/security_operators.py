"""What is asked of operators beyond a password."""

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import ResolverMatch, reverse
from django.utils.translation import gettext
from django_htmx.http import HttpResponseClientRedirect

from accounts.anonymous import is_marked
from accounts.reauthentication import ask_for_proof, is_recent
from accounts.security_mfa import has_second_factor

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Pages that an operator without a second factor needs in order to get one, or to leave: routes as in config/urls.py.
ALWAYS_OPEN = ("accounts/", "language/", "i18n/")


class OperatorMiddleware:
    """Django's admin takes changes only after a recent proof; with TOLLGATE_OPERATORS_NEED_MFA an operator without a
    second factor sees nothing but the pages where he sets one up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponse | None:
        if is_marked(view):
            return None
        user = request.user
        if not user.is_authenticated:
            return None
        match = cast("ResolverMatch", request.resolver_match)
        guarded = settings.OPERATORS_NEED_MFA and not match.route.startswith(ALWAYS_OPEN)
        if guarded and second_factor_is_missing(user):
            return lead_to_setup(request)
        changes = "admin" in match.app_names and request.method not in SAFE_METHODS
        if changes and match.url_name != "logout" and not is_recent(request):
            return ask_for_proof(request, reading=False)
        return None


def second_factor_is_missing(user: Any) -> bool:
    """Whether the user is an operator who has none."""
    return bool(user.is_staff) and not has_second_factor(user)


def lead_to_setup(request: HttpRequest) -> HttpResponse:
    """To the page where a second factor is set up."""
    text = gettext("Operators of this installation need a second factor. Set one up to go on.")
    messages.warning(request, text)
    if cast("Any", request).htmx:
        return HttpResponseClientRedirect(reverse("mfa_index"))
    return HttpResponseRedirect(reverse("mfa_index"))


def second_factor_notice(request: HttpRequest) -> dict[str, Callable[[], bool]]:
    """Context for templates/base.html: `second_factor_missing`, asked for by full pages of operators only."""
    user = getattr(request, "user", None)
    return {"second_factor_missing": lambda: user is not None and second_factor_is_missing(user)}
