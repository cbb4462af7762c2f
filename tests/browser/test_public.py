"""Public pages in a browser: without a script, while typing, by keyboard, and for who is signed in."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, Visitor


@pytest.fixture
def without_script(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def names(page: Page) -> list[str]:
    """The models of the price list, as they stand."""
    return page.locator(".price-table .row-link").all_inner_texts()


def test_the_price_list_follows_what_is_typed(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/pricing")
    before = len(names(page))
    page.evaluate("window.stayed = true")
    search = page.get_by_label("Search")
    search.press_sequentially("sonnet")
    expect(page.locator(".result-line")).to_contain_text(re.compile(r"^[1-9] models? of"))
    assert 0 < len(names(page)) < before
    assert all("sonnet" in name for name in names(page))
    expect(search).to_be_focused()
    assert "q=sonnet" in page.url
    page.get_by_role("link", name="Output", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Output")
    assert all("sonnet" in name for name in names(page)), "sorting keeps the search"
    expect(page.get_by_role("link", name="Output", exact=True)).to_be_focused()
    search.press("End")
    search.press_sequentially(" 4-6")
    expect(page.locator(".price-table .row-link")).to_have_count(1)
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Output")
    assert page.evaluate("window.stayed"), "no full page load"


def test_the_price_list_and_the_calculator_work_without_a_script(
    without_script: Page, site: Site
) -> None:
    page = without_script
    page.goto(f"{site.root}/pricing")
    page.get_by_label("Search").fill("sonnet")
    page.get_by_role("button", name="Show").click()
    assert names(page)
    assert all("sonnet" in name for name in names(page))
    page.get_by_role("link", name="Input", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Input")
    page.get_by_label("Model", exact=True).select_option("openai/gpt-5.5")
    page.get_by_label("Input tokens").fill("1000000")
    page.get_by_label("Output tokens").fill("0")
    page.get_by_role("button", name="Calculate").click()
    expect(page.locator(".is-yours dd")).to_have_text("$5.00")


def test_the_calculator_follows_what_is_typed(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/pricing")
    page.get_by_label("Input tokens").fill("200000")
    page.get_by_label("Output tokens").fill("0")
    expect(page.locator(".is-yours dd")).to_have_text("$0.50")
    expect(page.get_by_label("Output tokens")).to_be_focused()
    assert page.url.endswith("/pricing")


def test_the_tabs_of_programs_need_no_script(without_script: Page, site: Site) -> None:
    page = without_script
    page.goto(f"{site.root}/")
    expect(page.locator(".panel-1")).to_be_visible()
    expect(page.locator(".panel-2")).to_be_hidden()
    page.locator("label[for=example-2]").click()
    expect(page.locator(".panel-2")).to_be_visible()
    expect(page.locator(".panel-2")).to_contain_text("from openai import OpenAI")
    expect(page.locator(".panel-1")).to_be_hidden()


def test_a_program_is_copied(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/models/openai/gpt-5.5")
    page.get_by_role("button", name="Copy the example for curl").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#example-code-1").inner_text()
    assert f"{site.root}/v1/chat/completions" in copied


def test_the_language_menu_keeps_the_page_by_keyboard(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/models/openai/gpt-5.5")
    menu = page.locator(".language-menu summary")
    menu.focus()
    page.keyboard.press("Enter")
    page.locator(".language-menu").get_by_role("link", name="한국어").click()
    page.wait_for_url("**/ko/models/openai/gpt-5.5")
    expect(page.locator("html")).to_have_attribute("lang", "ko")


def test_who_is_signed_in_is_led_home_and_still_reads_prices(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.root}/pricing")
    page.get_by_role("link", name="Dashboard").click()
    page.wait_for_url("**/groups/**")
    page.goto(f"{site.root}/zh-hans/")
    expect(page.locator("h1")).to_be_visible()


def test_signing_in_leads_from_the_kept_home_page_to_the_dashboard(
    visitor: Visitor, site: Site
) -> None:
    """The browser keeps the strangers' home page for a minute; it is another page for who has signed in."""
    page = visitor.open()
    page.goto(f"{site.root}/")
    page.goto(f"{site.root}/accounts/login/")
    page.locator("[name=login]").fill("bob@example.com")
    page.locator("[name=password]").fill("correct-horse-battery")
    page.locator("form button.primary").click()
    page.wait_for_url("**/groups/**")
