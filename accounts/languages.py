"""The language of the pages: what the reader chose, else what his browser asks for."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from accounts.anonymous import is_marked
from accounts.models import User


class ChosenLanguageMiddleware:
    """Shows a user his language on a browser that was never told: without it, a new laptop speaks its own.

    Stands behind the sign-in; LocaleMiddleware before it has settled cookie and browser.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> None:
        """Before the view, once it is known which it is."""
        if is_marked(view) or settings.LANGUAGE_COOKIE_NAME in request.COOKIES:
            return
        if request.user.is_authenticated:
            language = request.user.language
            if language and translation.check_for_language(language):
                translation.activate(language)
                request.LANGUAGE_CODE = language


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keep the choice in a cookie, and with the user for his mail. `language` that is none of ours changes nothing."""
    language = request.POST.get("language", "")
    if language in dict(settings.LANGUAGES) and request.user.is_authenticated:
        User.objects.filter(pk=request.user.pk).update(language=language)
    response: HttpResponse = set_language(request)
    return response
