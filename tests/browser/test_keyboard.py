"""The whole way with nothing but a keyboard."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visitor
from tests.people import PASSWORD


def tab_to(page: Page, selector: str, limit: int = 60) -> None:
    """Press Tab until the element has the focus; every stop on the way must be seen to have it."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
                const at = document.activeElement, near = at.labels?.[0] ?? at;
                const seen = [at, near].some(one => getComputedStyle(one).outlineStyle !== 'none');
                return [at.outerHTML.slice(0, 90), seen, at === document.body];
            }"""
        )
        assert stop[1] or stop[2], f"no visible focus: {stop[0]}"
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached")


def test_sign_in_issue_a_key_and_revoke_it(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/accounts/login/?next={site.group_url.removeprefix(site.root)}keys/")
    tab_to(page, "#id_login")
    page.keyboard.type("bob@example.com")
    tab_to(page, "#id_password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="API keys")).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "a[href$='/keys/new/']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")
    expect(page.locator("#issued")).to_be_focused()
    tab_to(page, ".secret .copy")
    page.keyboard.press("Space")
    secret = page.locator("#issued-secret").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    tab_to(page, "#snippet-curl")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#code-python")).to_be_visible()
    tab_to(page, ".issued .button-row a")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="by hand")).to_be_visible()
    tab_to(page, "[aria-label='Revoke “by hand”']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Revoke “by hand”?")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    tab_to(page, "#confirm-yes")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The key “by hand” is revoked")).to_be_visible()
    expect(page.locator("#messages")).to_be_focused()


def test_switch_the_group_filter_and_open_a_call(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    tab_to(page, "#group-menu summary")
    page.keyboard.press("Enter")
    tab_to(page, "#group-menu li:last-child a")
    page.keyboard.press("Escape")
    expect(page.locator("#group-menu")).not_to_have_attribute("open", "")
    expect(page.locator("#group-menu summary")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, f"[href='{site.group_url.removeprefix(site.root)}']")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.group_url}keys/")
    tab_to(page, "#tab-calls")
    page.keyboard.press("Enter")
    page.wait_for_url("**/calls/")
    tab_to(page, "#source-api")
    page.keyboard.press("Enter")
    page.wait_for_url("**?source=api")
    tab_to(page, "#live-switch")
    page.keyboard.press("Space")
    expect(page.locator("#live-switch")).to_have_attribute("aria-checked", "false")
    tab_to(page, "#status-menu summary")
    page.keyboard.press("Enter")
    tab_to(page, "#status-menu input[value=completed]")
    page.keyboard.press("Space")
    page.wait_for_url("**status=completed")
    expect(page.locator("#status-menu input[value=completed]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#status-menu summary")).to_be_focused()
    tab_to(page, "a.row-link")
    page.keyboard.press("Enter")
    page.wait_for_url("**/calls/call_*/?*")
    tab_to(page, ".back")
    page.keyboard.press("Enter")
    page.wait_for_url("**/calls/?*status=completed")
