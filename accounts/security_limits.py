"""What is answered where something was tried too often.

allauth counts by `ACCOUNT_RATE_LIMITS`; the counts lie in the cache, which all processes share.
"""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# What the answer tells a browser: the span of the narrowest limits of ACCOUNT_RATE_LIMITS.
RETRY_AFTER_S = 300


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """The page that says so, which allauth's views answer with too."""
    response = render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(RETRY_AFTER_S)
    return response
