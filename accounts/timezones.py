"""Shows times in the viewer's zone."""

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

COOKIE = "timezone"


class ViewerTimeZoneMiddleware:
    """Activates the zone that the browser named in a cookie (static/tollgate.js sets it); UTC otherwise."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = request.COOKIES.get(COOKIE, "")
        try:
            zone = zoneinfo.ZoneInfo(name) if name else None
        except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
            zone = None  # a hostile or unknown name is no reason to fail the page
        with timezone.override(zone or "UTC"):
            return self.get_response(request)
