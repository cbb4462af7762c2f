"""Who changes money or keys shows once more that it is he.

A proof is a sign-in, or the password, passkey or code that allauth's page of re-authentication took. It holds for
`ACCOUNT_REAUTHENTICATION_TIMEOUT` seconds (NIST SP 800-63B, 7.2).
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, cast, overload
from urllib.parse import urlsplit

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.reauthentication import stash_and_reauthenticate
from allauth.account.utils import get_next_redirect_url
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext
from django_htmx.http import HttpResponseClientRedirect

P = ParamSpec("P")
View = Callable[P, HttpResponse]

# When the session's user signed in, in seconds since the epoch; accounts/adapter.py writes it.
SIGNED_IN_AT = "signed_in_at"
# Where allauth goes on after the proof, as an import path.
AFTERWARDS = "accounts.reauthentication.return_after_post"


@overload
def recently_authenticated(view: View[P], /) -> View[P]: ...
@overload
def recently_authenticated(*, on_get: bool) -> Callable[[View[P]], View[P]]: ...


def recently_authenticated(
    view: View[P] | None = None, /, *, on_get: bool = False
) -> View[P] | Callable[[View[P]], View[P]]:
    """A page that asks for the password, a passkey or a code where the last proof is too long ago.

    Stands directly below `signed_in`. GET and HEAD pass unless `on_get`. A POST is not carried out and not repeated
    later: the user comes back to the page that he sent it from, with a message that says so.
    """
    if view is None:
        return lambda decorated: _guard(decorated, on_get)
    return _guard(view, on_get)


def _guard(view: View[P], on_get: bool) -> View[P]:
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        request = cast("HttpRequest", args[0])
        reading = request.method in ("GET", "HEAD")
        if (reading and not on_get) or is_recent(request):
            return view(*args, **kwargs)
        return ask_for_proof(request, reading)

    return guarded


def is_recent(request: HttpRequest) -> bool:
    """Whether the user's last proof is young enough."""
    age_s = time.time() - last_proof_at(request)
    return age_s < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def last_proof_at(request: HttpRequest) -> float:
    """When the session's user last proved who he is, in seconds since the epoch; 0 where that is unknown."""
    records = get_authentication_records(request, cast("Any", request.user))
    times = [record["at"] for record in records]
    return float(max([*times, request.session.get(SIGNED_IN_AT, 0)]))


def ask_for_proof(request: HttpRequest, reading: bool) -> HttpResponse:
    """Leads to the page that asks for it. By htmx the whole page moves, so that no form lands inside of a table."""
    methods = get_adapter().get_reauthentication_methods(request.user)
    url = methods[0]["url"] if methods else reverse("account_reauthenticate")
    page = request.get_full_path() if reading else _page_of_post(request)
    if not reading:
        stash_and_reauthenticate(request, {"page": page}, AFTERWARDS)
    url = f"{url}?{urlencode({REDIRECT_FIELD_NAME: page})}"
    if cast("Any", request).htmx:
        return HttpResponseClientRedirect(url)
    return HttpResponseRedirect(url)


def return_after_post(request: HttpRequest, state: dict[str, Any]) -> HttpResponse:
    """Called by allauth after the proof: back to the page of the POST.

    Who left the question and was asked again for another page since then goes to that page, without the message.
    """
    wanted = get_next_redirect_url(request) or reverse("home")
    if wanted == state["page"]:
        text = gettext("Thank you. What you had sent was not carried out: please do it again.")
        messages.warning(request, text)
    return HttpResponseRedirect(wanted)


def _page_of_post(request: HttpRequest) -> str:
    """The path of the page that a POST was sent from, as far as the browser names one of ours."""
    htmx = cast("Any", request).htmx
    page = (htmx.current_url if htmx else None) or request.headers.get("Referer", "")
    hosts = {request.get_host()}
    if not page or not url_has_allowed_host_and_scheme(page, hosts, request.is_secure()):
        return reverse("home")
    parts = urlsplit(page)
    return parts._replace(scheme="", netloc="", fragment="").geturl() or reverse("home")
