"""A newcomer's way: sign up, make an organization and a group, issue a key, see it once."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visitor
from tests.people import PASSWORD

SECRET = re.compile(r"^tollgate-v1-[a-z0-9]{12}-[A-Za-z0-9]{43}$")


def test_from_sign_up_to_a_key_that_is_shown_once(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(site.root)
    page.get_by_role("link", name="Get a key").first.click()
    page.get_by_label("Email").fill("fresh@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_label("Organization").fill("Fresh & Co")
    page.get_by_label("First group").fill("First")
    page.get_by_role("button", name="Make both").click()
    expect(page.get_by_role("heading", name="No keys yet")).to_be_visible()

    page.get_by_role("link", name="Issue the first key").click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Issue key").click()
    expect(page.locator("#issued")).to_be_focused()
    secret = page.locator("#issued-secret").inner_text()
    assert SECRET.match(secret)
    page.locator(".secret").get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert_snippets_are_filled(page, site, secret)

    page.get_by_role("link", name="Usage", exact=True).click()
    page.wait_for_url("**/usage/")
    page.go_back()
    page.wait_for_url("**/keys/new/")
    expect(page.get_by_label("Name")).to_have_value("")
    page.get_by_role("link", name="Keys", exact=True).first.click()
    expect(page.locator(".keys-table")).to_contain_text("laptop")
    assert secret not in page.content()
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert secret not in stored, "htmx keeps no snapshot of the page either"


def assert_snippets_are_filled(page: Page, site: Site, secret: str) -> None:
    v1 = f"{site.root}/v1"
    for tab, parts in (
        ("curl", [f"{v1}/chat/completions", f"Bearer {secret}"]),
        ("Python", [f'base_url="{v1}"', f'api_key="{secret}"']),
        ("Node.js", [f'baseURL: "{v1}"', f'apiKey: "{secret}"']),
        ("Anthropic SDK", [f'base_url="{site.root}"', f'api_key="{secret}"', "claude-"]),
        ("Hermes Agent", [f"TOLLGATE_API_KEY={secret}", f"base_url: {v1}", "custom:tollgate"]),
        ("OpenClaw", [f"TOLLGATE_API_KEY={secret}", f'"baseUrl": "{v1}"', "openai-completions"]),
    ):
        page.get_by_text(tab, exact=True).click()
        shown = "\n".join(page.locator(".snippet pre:visible").all_inner_texts())
        for part in parts:
            assert part in shown, (tab, part)
        assert shown.count(secret) == 1, tab


def test_a_key_is_renamed_in_its_row_and_revoked_after_a_question(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}keys/")
    row = page.locator("tr", has_text="Bob’s laptop")
    row.get_by_role("link", name="Rename").click()
    field = page.get_by_label("New name of")
    expect(field).to_be_focused()
    field.fill("Bob’s desk")
    page.keyboard.press("Enter")
    row = page.locator("tr", has_text="Bob’s desk")
    expect(row).to_be_visible()
    assert page.url.endswith("/keys/")

    row.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Revoke “Bob’s desk”?")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(row.get_by_text("Active")).to_be_visible()
    row.get_by_role("button", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text("calls with it are refused")).to_be_visible()
    expect(row).to_be_hidden()
    page.get_by_role("link", name="All", exact=True).click()
    expect(row.get_by_text("Revoked", exact=True)).to_be_visible()
    assert site.database.one(
        "SELECT count(*) FROM accounts_apikey WHERE name = 'Bob’s desk' AND revoked_at IS NOT NULL"
    )


def test_a_refused_form_comes_again_with_its_reason(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}keys/")
    page.get_by_role("link", name="New key").click()
    name = page.get_by_role("textbox", name="Name")
    name.fill("late")
    page.get_by_text("On a day").click()
    day = page.get_by_label("Last day")
    day.evaluate("field => field.removeAttribute('min')")
    day.fill("2020-01-01")
    page.get_by_role("button", name="Issue key").click()
    expect(page.get_by_text("That day is over.")).to_be_visible()
    expect(day).to_be_focused()
    expect(name).to_have_value("late")
