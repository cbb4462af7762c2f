"""Who comes in, and where he is led."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect, HttpResponseLocation
from django_htmx.middleware import HtmxDetails

from accounts import services
from accounts.forms import OnboardingForm
from accounts.invitations import addresses_of, waiting_for
from accounts.models import Group, Membership, Organization, User
from accounts.navigation import own_groups

P = ParamSpec("P")

SEEN_EVERY = timedelta(minutes=10)


class MemberRequest(HttpRequest):
    """A request of somebody who is signed in."""

    user: User
    htmx: HtmxDetails


def signed_in(
    view: Callable[Concatenate[MemberRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A page for users who are signed in; others are led to the sign-in page. Nothing of it stays in caches.

    A request by htmx is answered so that the whole page moves: a redirect would put the sign-in form into the middle
    of a table when a session ends.
    """

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.user.is_authenticated:
            _note_presence(request.user)
            return view(cast("MemberRequest", request), *args, **kwargs)
        htmx: HtmxDetails = cast("Any", request).htmx
        if htmx:
            login = redirect_to_login(htmx.current_url_abs_path or reverse("home"))
            return HttpResponseClientRedirect(login.url)
        return redirect_to_login(request.get_full_path())

    return never_cache(cast("Callable[Concatenate[HttpRequest, P], HttpResponse]", guarded))


def _note_presence(user: User) -> None:
    """Keep that the user was here, to within SEEN_EVERY: colleagues see who is still about."""
    now = timezone.now()
    if user.seen_at is None or user.seen_at < now - SEEN_EVERY:
        user.seen_at = now
        User.objects.filter(pk=user.pk).update(seen_at=now)


def find_group(request: MemberRequest, group_id: UUID) -> Group:
    """The group, with its organization. Raises Http404 where the user may not see it."""
    groups = Group.objects.visible_to(request.user).select_related("organization")
    return get_object_or_404(groups, pk=group_id)


def find_organization(request: MemberRequest, organization_id: UUID) -> Organization:
    """The organization. Raises Http404 where the user may not administer it."""
    return get_object_or_404(Organization.objects.administered_by(request.user), pk=organization_id)


def go_to(request: MemberRequest, url: str) -> HttpResponse:
    """To a page after a change, for htmx as for plain forms."""
    if request.htmx:
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)


@require_safe
@signed_in
def home(request: MemberRequest) -> HttpResponse:
    """The user's first group; where there is none, the page that makes one."""
    groups = own_groups(request.user)
    if groups:
        return redirect("group", groups[0].pk)
    if request.user.is_staff or Organization.objects.administered_by(request.user).exists():
        return redirect("organizations")
    return redirect("onboarding")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def onboarding(request: MemberRequest) -> HttpResponse:
    """Makes an organization and its first group."""
    form = OnboardingForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            group = _open_organization(request.user, form.cleaned_data)
        except ValidationError as error:
            form.add_error("group_name", error.messages)
        else:
            return redirect("group", group.pk)
    memberships = Membership.objects.filter(
        user=request.user, organization__archived_at=None
    ).select_related("organization")
    context = {
        "form": form,
        "invitations": waiting_for(request.user),
        "memberships": [] if own_groups(request.user) else memberships,
        "unconfirmed": request.user.email not in addresses_of(request.user),
    }
    return render(request, "accounts/onboarding.html", context, status=422 if form.errors else 200)


@transaction.atomic
def _open_organization(owner: User, names: dict[str, str]) -> Group:
    organization = services.create_organization(owner, names["organization_name"])
    return services.create_group(organization, names["group_name"], owner)
