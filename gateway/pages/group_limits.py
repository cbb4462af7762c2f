"""What holds for all keys of a group together."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest, find_group, signed_in
from billing import key_settings
from billing.presentation import group_frame
from gateway.pages import key_figures
from gateway.pages.key_forms import AccessForm, add_errors
from gateway.pages.keys import go_to


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@recently_authenticated
def group_limits(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """Restrictions and limits of a group, for its managers. They widen what every key may spend, so who changes them
    shows again who he is."""
    found = find_group(request, group_id)
    frame = group_frame(request.user, found)
    if not frame["manages"]:
        raise Http404
    form = AccessForm(request.POST or None, owner=found)
    if request.method == "POST" and form.is_valid():
        try:
            key_settings.change_group(found, request.user, form.restrictions(), form.limits())
        except ValidationError as error:
            add_errors(form, error)
        else:
            messages.success(
                request, _("The limits of “%(name)s” are changed.") % {"name": found.name}
            )
            return go_to(request, reverse("group_limits", args=[found.pk]))
    limit = key_figures.find_limit(found)
    context = frame | {
        "tab": "settings",
        "form": form,
        "budgets": key_figures.budget_meters(limit),
        "rates": key_figures.rate_meters(limit),
    }
    status = 422 if form.errors else 200
    return render(request, "gateway/group_limits.html", context, status=status)
