"""Stopping mail about a balance by the link in it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from billing.alerts import stop_mail as stop
from billing.unsubscribing import read_token


@sensitive_variables("token")
@csrf_exempt  # Mail programs post here; what proves who they are stands in the address.
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def stop_mail(request: HttpRequest, token: str) -> HttpResponse:
    """A page with one button, since mail programs open links by themselves; its POST, and theirs, stops the mail."""
    found = read_token(token)
    if found is None:
        return render(request, "billing/stop_mail.html", {"receiver": None}, status=404)
    group, user = found
    is_done = request.method == "POST"
    if is_done:
        stop(group, user)
    context = {"group": group, "receiver": user, "is_done": is_done}
    return render(request, "billing/stop_mail.html", context)
