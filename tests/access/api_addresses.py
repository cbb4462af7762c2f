"""Every address of the management API, out of Django's URL table, with the methods that it takes."""

from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from tests.access.addresses import Address, all_addresses, is_api

METHODS = ("get", "post", "put", "patch", "delete")


def api_addresses() -> dict[str, Address]:
    """The named ones, by name. Raises AssertionError where two share one."""
    named = [one for one in all_addresses() if is_api(one.route) and one.name]
    found = {one.name: one for one in named}
    assert len(found) == len(named), "two addresses of the API have one name"
    return found


def api_methods() -> dict[str, set[str]]:
    """By name, which methods its view takes."""
    return {
        pattern.name: {method for method in METHODS if hasattr(_class_of(pattern), method)}
        for pattern in _patterns(get_resolver().url_patterns)
        if pattern.name in api_addresses()
    }


def unnamed_routes() -> set[str]:
    """Routes without a name: the twins that end in a slash, and what answers for all that is not there."""
    return {one.route for one in all_addresses() if is_api(one.route) and not one.name}


def _class_of(pattern: URLPattern) -> Any:
    return getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)


def _patterns(patterns: list[URLPattern | URLResolver]) -> list[URLPattern]:
    found: list[URLPattern] = []
    for one in patterns:
        found += _patterns(one.url_patterns) if isinstance(one, URLResolver) else [one]
    return found
