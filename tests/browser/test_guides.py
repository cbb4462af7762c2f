"""Guides in the browser: they are read, switched and copied from."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, Visitor
from tests.browser.journeys.axe import violations

# One of each kind of endpoint, in a language each.
KINDS = (
    "guides/openclaw-gemini",
    "ko/guides/codex-gpt",
    "zh-hans/guides/anthropic-sdk-claude",
    "zh-hant/guides/hermes-gpt-image",
    "guides/vercel-ai-gpt-image",
    "guides/google-genai-gemini",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_kind_of_guide_fits_and_is_accessible(
    visitor: Visitor, site: Site, width: int, scheme: str
) -> None:
    page = visitor.open(width=width, scheme=scheme)
    for path in KINDS:
        page.goto(f"{site.root}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert violations(page) == [], path
        contents = page.locator(".guide-contents")
        expect(contents).to_be_visible(visible=width > 1000)


def test_code_is_copied_as_it_stands(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/guides/openai-python-gpt")
    page.get_by_role("button", name="Copy: One answer").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f'base_url="{site.root}/v1"' in copied
    assert 'model="gpt-5.5"' in copied
    compile(copied, "chat.py", "exec")


def test_contents_lead_to_their_section(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/guides/hermes-claude")
    page.get_by_role("navigation", name="On this page").get_by_role("link", name="Errors").click()
    heading = page.get_by_role("heading", name="Errors", exact=True)
    expect(heading).to_be_in_viewport()
    top = page.locator(".public-top").bounding_box()
    at = heading.bounding_box()
    assert top is not None
    assert at is not None
    assert at["y"] >= top["y"] + top["height"], "it does not stand under the head of the page"


def test_family_and_client_are_switched_by_keyboard(visitor: Visitor, site: Site) -> None:
    page = visitor.open()
    page.goto(f"{site.root}/ko/guides/hermes-gpt")
    family = page.locator(".guide-switches .segments").get_by_role("link", name="Gemini")
    family.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.root}/ko/guides/hermes-gemini")
    page.locator(".guide-clients summary").focus()
    page.keyboard.press("Enter")
    page.locator(".guide-clients").get_by_role("link", name="Codex CLI").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.root}/ko/guides/codex-gemini")
    expect(page.locator(".guide-switches .segments a[aria-current]")).to_have_text("Gemini")


def test_who_is_signed_in_finds_the_name_of_his_key(visitor: Visitor, site: Site) -> None:
    name = site.database.one(
        "SELECT k.name FROM accounts_apikey k JOIN accounts_user u ON u.id = k.created_by_id"
        " WHERE u.email = 'alice@example.com' AND k.revoked_at IS NULL AND k.purpose = 'caller'"
        " AND (k.expires_at IS NULL OR k.expires_at > now()) ORDER BY k.created_at DESC LIMIT 1"
    )
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.root}/guides/curl-gpt")
    expect(page.locator("#code-setup-1")).to_contain_text(f"# key: {' '.join(name[:60].split())}")
