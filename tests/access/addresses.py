"""Every address of the site, out of Django's URL table."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver


class Address(NamedTuple):
    """A pattern of the URL table. `module` is that of its view, `namespace` "" or "admin"."""

    name: str
    route: str
    parameters: tuple[str, ...]
    module: str
    namespace: str

    @property
    def is_ours(self) -> bool:
        """Not one of allauth's or of Django's admin, nor of the management API, which has a table of its own."""
        others = self.module.startswith("allauth.") or is_api(self.route)
        return not self.namespace and not others and not is_translated(self.route)


def is_translated(route: str) -> bool:
    """Whether it is a public page's address in another language: the same view as the English one."""
    return route.startswith(("ko/", "zh-hans/", "zh-hant/"))


def is_api(route: str) -> bool:
    """Whether the route is one of the management API's (api_expectations.py)."""
    return route.removeprefix("^").startswith("api/v1/")


def all_addresses() -> list[Address]:
    """All of them, in the order in which Django tries them."""
    return list(_walk(get_resolver().url_patterns, "", ()))


def our_addresses() -> dict[str, Address]:
    """Ours, by name; where several share one name, by name and parameters: `adjust(organization_id)`.

    Raises AssertionError for an address without a name.
    """
    ours = [address for address in all_addresses() if address.is_ours]
    counts = Counter(address.name for address in ours)
    found: dict[str, Address] = {}
    for address in ours:
        assert address.name, f"{address.route} needs a name"
        shared = f"{address.name}({', '.join(address.parameters)})"
        found[shared if counts[address.name] > 1 else address.name] = address
    assert len(found) == len(ours), "two addresses have one name and the same parameters"
    return found


def _walk(
    patterns: list[URLPattern | URLResolver], before: str, outer: tuple[str, ...]
) -> Iterator[Address]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        parameters = (*outer, *pattern.pattern.regex.groupindex)
        if isinstance(pattern, URLResolver):
            if pattern.namespace:
                for address in _walk(pattern.url_patterns, route, parameters):
                    yield address._replace(namespace=pattern.namespace)
            else:
                yield from _walk(pattern.url_patterns, route, parameters)
        else:
            view = getattr(pattern.callback, "view_class", pattern.callback)
            yield Address(pattern.name or "", route, parameters, view.__module__, "")
