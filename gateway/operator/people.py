"""People of all organizations: find one, see where he belongs, shut him out or let him in again."""

from typing import Any

from allauth.account.forms import ResetPasswordForm
from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from accounts import trail
from accounts.forms import one_line
from accounts.membership_services import deactivate_user, reactivate_user
from accounts.models import APIKey, Change, GroupMembership, Membership, User
from accounts.reauthentication import recently_authenticated
from accounts.second_factors import remove_second_factors
from accounts.security_mfa import has_second_factor
from accounts.views import MemberRequest
from gateway.operator.access import operator_only

FRAME = {"operator_page": True, "tab": "people"}
ROWS_MAX = 50
LATEST = 10


class PeopleFilterForm(forms.Form):
    """Whom to look for."""

    q = forms.CharField(required=False, max_length=254, widget=forms.SearchInput())
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[
            ("", gettext_lazy("Everybody")),
            ("operator", gettext_lazy("Operators")),
            ("off", gettext_lazy("Deactivated")),
        ],
    )


@require_safe
@operator_only
def people(request: MemberRequest) -> HttpResponse:
    """Users by a part of their name or address, the newest first."""
    form = PeopleFilterForm(request.GET, auto_id="filter_%s")
    wanted = form.cleaned_data if form.is_valid() else {}
    found = User.objects.order_by("-joined_at", "-pk")
    if wanted.get("q"):
        found = found.filter(Q(email__icontains=wanted["q"]) | Q(name__icontains=wanted["q"]))
    if wanted.get("state") == "operator":
        found = found.filter(is_staff=True)
    if wanted.get("state") == "off":
        found = found.filter(is_active=False)
    rows = list(found[: ROWS_MAX + 1])
    ids = [user.pk for user in rows]
    counts = Membership.objects.filter(user__in=ids).order_by().values_list("user")
    context = FRAME | {
        "form": form,
        "rows": rows[:ROWS_MAX],
        "organizations": dict(counts.annotate(count=Count("pk"))),
        "is_cut": len(rows) > ROWS_MAX,
        "filtered": bool(wanted.get("q") or wanted.get("state")),
    }
    return render(request, "operator/people.html", context)


class SecondFactorForm(forms.Form):
    """Why somebody's second factors are taken away."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=300,
        help_text=gettext_lazy(
            "How you made sure that it is this person. It stands in the audit trail."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_reason(self) -> str:
        return one_line(self.cleaned_data["reason"])


@require_safe
@operator_only
def person(request: MemberRequest, user_id: int) -> HttpResponse:
    """One user: where he belongs, his keys, and what he did last."""
    return _show(request, get_object_or_404(User, pk=user_id), SecondFactorForm())


def _show(request: MemberRequest, found: User, form: SecondFactorForm) -> HttpResponse:
    groups: dict[Any, list[GroupMembership]] = {}
    in_groups = GroupMembership.objects.filter(user=found).select_related("group")
    for membership in in_groups.order_by("group__name"):
        groups.setdefault(membership.group.organization_id, []).append(membership)
    memberships = Membership.objects.filter(user=found).select_related("organization")
    context = FRAME | {
        "person": found,
        "memberships": [
            (one, groups.get(one.organization_id, []))
            for one in memberships.order_by("organization__name")
        ],
        "keys": APIKey.objects.filter(created_by=found).usable().count(),
        "has_second_factor": has_second_factor(found),
        "latest": [
            (change, trail.VERBS.get(change.verb, change.verb))
            for change in Change.objects.filter(actor=found).order_by("-id")[:LATEST]
        ],
        "is_self": found.pk == request.user.pk,
        "second_factor_form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "operator/person.html", context, status=status)


@require_POST
@operator_only
@recently_authenticated
def deactivate(request: MemberRequest, user_id: int) -> HttpResponse:
    """Shut the user out: sessions end, keys are revoked."""
    found = get_object_or_404(User, pk=user_id)
    if found.pk == request.user.pk:
        messages.error(request, _("Nobody deactivates his own account here."))
        return redirect("operator_person", found.pk)
    revoked = deactivate_user(found, actor=request.user)
    said = ngettext(
        "“%(name)s” is deactivated; %(count)d key is revoked.",
        "“%(name)s” is deactivated; %(count)d keys are revoked.",
        revoked,
    )
    messages.success(request, said % {"name": found, "count": revoked})
    return redirect("operator_person", found.pk)


@require_POST
@operator_only
@recently_authenticated
def reactivate(request: MemberRequest, user_id: int) -> HttpResponse:
    """Let the user sign in again. Keys that were revoked stay so."""
    found = get_object_or_404(User, pk=user_id)
    reactivate_user(found, actor=request.user)
    messages.success(request, _("“%(name)s” can sign in again.") % {"name": found})
    return redirect("operator_person", found.pk)


@require_POST
@operator_only
@recently_authenticated
def send_reset(request: MemberRequest, user_id: int) -> HttpResponse:
    """Send the user the mail by which he sets a new password."""
    found = get_object_or_404(User, pk=user_id, is_active=True)
    note_reset(found, actor=request.user)
    _send_reset(request, found.email)
    messages.success(request, _("A mail is on its way to %(address)s.") % {"address": found.email})
    return redirect("operator_person", found.pk)


@require_POST
@operator_only
@recently_authenticated
def remove_second_factor(request: MemberRequest, user_id: int) -> HttpResponse:
    """Take apps, passkeys and recovery codes from a user who lost them. His own nobody loses here: the page of his
    account asks for them."""
    found = get_object_or_404(User, pk=user_id)
    if found.pk == request.user.pk:
        messages.error(request, _("Nobody removes his own second factor here."))
        return redirect("operator_person", found.pk)
    form = SecondFactorForm(request.POST)
    if not form.is_valid():
        return _show(request, found, form)
    if remove_second_factors(found, actor=request.user, reason=form.cleaned_data["reason"]):
        words = _("The second factor of “%(name)s” is removed, and a mail says so.")
        messages.success(request, words % {"name": found})
    else:
        messages.info(request, _("“%(name)s” has no second factor.") % {"name": found})
    return redirect("operator_person", found.pk)


@transaction.atomic
def note_reset(user: User, *, actor: User) -> None:
    """Leave a line about it."""
    trail.record(actor, "user.reset_sent", user, after={"email": user.email})


def _send_reset(request: HttpRequest, address: str) -> None:
    form = ResetPasswordForm({"email": address})
    if form.is_valid():
        form.save(request)
