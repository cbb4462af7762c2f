"""A page in three looks: light, dark, and as narrow as a telephone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from playwright.sync_api import Page

from tests.browser.journeys.axe import violations


class Look(NamedTuple):
    """A width in CSS pixels and a colour scheme. In `colours_only`, nothing else differs from a look before it."""

    width: int
    scheme: Literal["light", "dark"]
    colours_only: bool = False


LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "light": Look(1280, "light"),
        "dark": Look(1280, "dark", colours_only=True),
        "narrow": Look(390, "light"),
    }
)
HEIGHT = 860

_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def faults(page: Page, language: str) -> list[str]:
    """What is wrong with the page in each look, after which it looks as before, and whether it tells its language."""
    before = page.viewport_size
    spoken = page.locator("html").get_attribute("lang")
    found = [] if spoken == language else [f"speaks {spoken} instead of {language}"]
    for name, look in LOOKS.items():
        page.set_viewport_size({"width": look.width, "height": HEIGHT})
        page.emulate_media(color_scheme=look.scheme, reduced_motion="reduce")
        wrong = violations(page, colours_only=look.colours_only)
        if (sideways := page.evaluate(_SIDEWAYS)) > 0:
            wrong.append(f"scrolls sideways by {sideways} px")
        found += [f"{name}: {fault}" for fault in wrong]
    if before:
        page.set_viewport_size(before)
    page.emulate_media(color_scheme="light")
    return found
