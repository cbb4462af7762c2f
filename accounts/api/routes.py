"""Addresses of the management API: written without a slash at the end, taken with one too."""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path

PREFIX = "api/v1/"


def route(address: str, view: Callable[..., Any], name: str) -> list[URLPattern]:
    """The patterns of `/api/v1/<address>`; only the one without the slash has a name and stands in the schema."""
    return [path(PREFIX + address, view, name=name), path(f"{PREFIX}{address}/", view)]
