"""Every page, in every light and width: no scrolling sideways, text that can be read, nothing that jumps."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visitor
from tests.browser.journeys.axe import violations
from tests.browser.pages import ADMIN, OPERATOR, stops, unlisted

# The contrast of every visible text with what lies behind it (WCAG 2.2, 1.4.3), painted on a canvas to resolve
# whatever notation the browser answers for a colour.
CONTRAST = """() => {
    const brush = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const painted = new Map();
    const rgba = colour => {
        if (!painted.has(colour)) {
            brush.clearRect(0, 0, 1, 1); brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1);
            painted.set(colour, Array.from(brush.getImageData(0, 0, 1, 1).data));
        }
        return painted.get(colour);
    };
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255, 255];
    };
    const poor = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
        if (!text || !element.checkVisibility({visibilityProperty: true})) continue;
        if (element.closest('.visually-hidden, svg, [aria-disabled=true], [disabled]')) continue;
        const style = getComputedStyle(element), size = parseFloat(style.fontSize);
        const [a, b] = [light(rgba(style.color)), light(behind(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5)) poor.add(`${ratio.toFixed(2)} ${element.className} ${text.slice(0, 30)}`);
    }
    return Array.from(poor);
}"""


def test_no_page_is_missing_from_the_list(site: Site) -> None:
    missing = unlisted(site)
    assert missing == [], f"give {missing} an address in tests/browser/pages.py"


@pytest.mark.parametrize("viewer", ["", ADMIN, OPERATOR], ids=["stranger", "admin", "operator"])
def test_every_page_fits_and_can_be_read(visitor: Visitor, site: Site, viewer: str) -> None:
    page = visitor.open(email=viewer)
    found: dict[tuple[object, ...], object] = {}
    for stop in stops(site):
        if stop.viewer != viewer:
            continue
        answer = page.goto(stop.url)
        assert answer is not None
        assert answer.status == stop.status, stop.name
        if broken := violations(page):
            found[stop.name, "axe"] = broken
        found |= faults(page, stop.name)
        if stop.status == 404:  # which the browser logs, too
            visitor.complaints = [one for one in visitor.complaints if "of 404" not in one]
    assert found == {}


def faults(page: Page, name: str) -> dict[tuple[object, ...], object]:
    """What is wrong with the page in three widths or two schemes, without loading it anew."""
    found: dict[tuple[object, ...], object] = {}
    for width in (390, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 860})
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if wide > 0:
            found[name, width] = f"scrolls sideways by {wide} px"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        if poor := page.evaluate(CONTRAST):
            found[name, scheme] = poor
    return found


def test_a_dialog_fits_a_telephone(visitor: Visitor, site: Site) -> None:
    page = visitor.open(width=390, height=700, email="alice@example.com")
    page.goto(site.organization_url)
    page.get_by_role("link", name="Grant credits to “Research”").click()
    page.get_by_label("Amount").fill("0.000000001")
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_role("dialog")).to_contain_text("Is this right?")
    assert faults(page, "dialog") == {}
    page.set_viewport_size({"width": 390, "height": 700})
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_the_theme_is_chosen_and_remembered_without_a_flash(visitor: Visitor, site: Site) -> None:
    page = visitor.open(scheme="light", email="bob@example.com")
    background = page.locator("html")
    light, dark = "rgb(251, 251, 252)", "rgb(11, 12, 15)"
    expect(background).to_have_css("background-color", light)
    page.locator("label[for=theme-dark]").click()
    expect(background).to_have_css("background-color", dark)
    page.goto(f"{site.group_url}usage/")
    expect(background).to_have_css("background-color", dark)
    assert 'data-theme="dark"' in page.request.get(page.url).text(), "known before any script runs"
    page.locator("label[for=theme-auto]").click()
    expect(background).to_have_css("background-color", light)
    page.emulate_media(color_scheme="dark")
    expect(background).to_have_css("background-color", dark)


def test_times_are_the_viewers_from_the_second_page_on(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    expect(page.locator("#calls-rows time").first).to_have_attribute(
        "title", re.compile(r"^\d+ \w+ \d{4}, \d\d:\d\d:\d\d KST, ")
    )


def test_tabs_change_what_is_below_them_and_move_nothing_else(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}keys/")
    page.evaluate("window.stayed = true")
    place = "JSON.stringify([...document.querySelectorAll('.tabs a')].map(tab => tab.getBoundingClientRect()))"
    before = page.evaluate(place)
    for name, path in (
        ("Usage", "usage"),
        ("Call history", "calls"),
        ("Tasks", "tasks"),
        ("Credits", "credits"),
        ("Keys", "keys"),
    ):
        page.get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/{path}/")
        tab = page.locator(f"#tab-{path}")
        expect(tab).to_have_attribute("aria-current", "page")
        expect(tab).to_be_focused()
        assert page.evaluate(place) == before
        assert name in page.title()
    assert page.evaluate("window.stayed"), "no full page load"
    page.go_back()
    expect(page.locator("#tab-credits")).to_have_attribute("aria-current", "page")


def test_the_chart_tells_its_figures_to_pointers_and_arrow_keys(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}usage/")
    bars = page.locator(".day:has(rect:not(.slot))")
    day = bars.last.get_attribute("data-day") or ""
    bars.last.locator(".slot").hover(force=True)
    tip = page.locator(f".tip[data-tip='{day}']")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("$")
    page.mouse.move(2, 2)
    expect(tip).to_be_hidden()
    page.locator(".chart-plot").focus()
    for _ in range(int(day)):
        page.keyboard.press("ArrowRight")
    expect(tip).to_be_visible()
    expect(page.locator("[data-chart-status]")).to_contain_text("$")


def test_a_session_that_ended_leads_to_the_sign_in_page(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    page.context.clear_cookies()
    page.evaluate("htmx.trigger('#live', 'refresh')")
    page.wait_for_url("**/accounts/login/?next=/groups/**")
