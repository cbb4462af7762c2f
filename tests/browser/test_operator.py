"""The operator's journeys: a price with its effect, a channel from its test to its end, and the trail of both."""

import re
import time
from typing import Any

import httpx
import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from gateway.credentials import seal
from simulator.process import SimulatorProcess
from tests.browser.conftest import Site, Visitor

CHANNELS = ("openai", "anthropic", "gemini", "deepseek")
OPERATOR = "olga@example.com"


def furnish(site: Site, simulator: SimulatorProcess) -> None:
    """Channels at the simulator, and calls that went through them."""
    root = simulator.base_url.removesuffix("/v1")
    for provider in CHANNELS:
        base_url = f"{root}/v1beta/openai" if provider == "gemini" else f"{root}/v1"
        sealed = seal(simulator.api_key, settings.CREDENTIAL_KEY, f"{provider}:main")
        site.database.query(
            "INSERT INTO gateway_channel (provider_id, name, base_url, credential, priority, weight, is_enabled,"
            " created_at) VALUES (%s, 'main', %s, %s, 0, 1, true, now()) ON CONFLICT DO NOTHING",
            provider, base_url, sealed,
        )  # fmt: skip
    site.database.query(
        "UPDATE gateway_callrecord SET attempts = jsonb_build_array(jsonb_build_object("
        " 'channel', split_part(model, '/', 1) || ':main', 'ms', duration_ms, 'error', NULL,"
        " 'status', CASE status WHEN 'completed' THEN 200 WHEN 'client_gone' THEN 200"
        " WHEN 'upstream_failed' THEN 500 END)) WHERE source = 'api' AND status <> 'refused'"
    )


@pytest.fixture
def page(visitor: Visitor, site: Site, simulator: SimulatorProcess) -> Page:
    """The operator's browser, in a shop that runs."""
    furnish(site, simulator)
    return visitor.open(email=OPERATOR)


def test_a_dated_price_is_previewed_and_booked(page: Page, site: Site) -> None:
    page.goto(f"{site.root}/operator/prices/?q=gpt-5.5")
    page.get_by_role("link", name="openai/gpt-5.5", exact=True).click()
    page.get_by_role("link", name="New price").click()
    page.get_by_label("Share of list price, in %").fill("60")
    before = site.database.one("SELECT count(*) FROM billing_price WHERE model = 'openai/gpt-5.5'")
    page.get_by_role("button", name="Show its effect", exact=True).click()
    effect = page.get_by_role("region", name="What it changes")
    expect(effect).to_contain_text("would have cost")
    expect(effect).to_contain_text("1,000 tokens in, 1,000 out")
    expect(effect).to_contain_text("Research")
    assert before == site.database.one(
        "SELECT count(*) FROM billing_price WHERE model = 'openai/gpt-5.5'"
    )
    page.get_by_role("button", name="Book this price").click()
    expect(page.get_by_text("The price is booked.")).to_be_visible()
    expect(page.get_by_text("To come")).to_be_visible()
    expect(page.get_by_text("In force")).to_be_visible()
    booked = site.database.query(
        "SELECT sell_bps, effective_from > now() AS is_coming FROM billing_price WHERE model = 'openai/gpt-5.5'"
        " ORDER BY id DESC LIMIT 1"
    )[0]
    assert booked == {"sell_bps": 6000, "is_coming": True}
    page.get_by_role("link", name="Audit trail").click()
    expect(page.get_by_role("heading", name="Audit trail")).to_be_visible()
    line = page.locator(".trail-line").filter(has_text="Price added").first
    expect(line).to_contain_text("openai/gpt-5.5")
    expect(line).to_contain_text("60%")
    expect(line).to_contain_text("Olga Orlov")


def call(site: Site, key: str) -> int:
    """The status of one small call."""
    body: dict[str, Any] = {
        "model": "openai/gpt-5.4-mini",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{site.root}/v1/chat/completions", json=body, headers=headers).status_code


def becomes(site: Site, key: str, status: int) -> bool:
    """Whether calls are answered so within a second."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        if call(site, key) == status:
            return True
        time.sleep(0.05)
    return False


def new_key(visitor: Visitor, site: Site) -> str:
    """A key of Alice's, as the page shows it once."""
    alice = visitor.open(email="alice@example.com")
    alice.goto(f"{site.group_url}keys/")
    alice.get_by_role("link", name="New key").or_(
        alice.get_by_role("button", name="New key")
    ).first.click()
    alice.get_by_label("Name").first.fill("operator test")
    alice.get_by_role("button", name=re.compile("Issue")).last.click()
    return alice.locator("#issued-secret").inner_text()


def test_a_channel_is_tested_disabled_and_enabled_and_gateways_follow(
    page: Page, visitor: Visitor, site: Site
) -> None:
    key = new_key(visitor, site)
    channel = site.database.one(
        "SELECT id FROM gateway_channel WHERE provider_id = 'openai' AND name = 'main'"
    )
    assert becomes(site, key, 200)
    page.goto(f"{site.root}/operator/channels/")
    page.get_by_role("row", name=re.compile("main")).filter(
        has=page.locator(f"a[href$='/{channel}/']")
    ).get_by_role("link").click()
    page.get_by_role("button", name="Test the channel").click()
    expect(page.get_by_text("It works")).to_be_visible()
    expect(page.locator("#test-result")).to_contain_text("Status 200")

    page.get_by_role("button", name="Disable").click()
    page.get_by_role("button", name="Disable the channel").click()
    expect(page.get_by_text("“main” is disabled.")).to_be_visible()
    assert becomes(site, key, 503)
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_text("Calls go through “main” again.")).to_be_visible()
    assert becomes(site, key, 200)

    page.goto(f"{site.root}/operator/audit/?subject=channel:{channel}")
    titles = page.locator(".trail-line strong")
    expect(titles).to_have_text(["Channel enabled", "Channel disabled", "Channel tested"])


def test_the_trail_is_searched_and_leads_to_a_person(page: Page, site: Site) -> None:
    page.goto(f"{site.root}/operator/audit/")
    page.get_by_label("What").select_option("key.revoked")
    page.wait_for_url("**verb=key.revoked**")
    expect(page.locator(".trail-line strong").first).to_have_text("Key revoked")
    page.get_by_role("link", name="Bob Brook").first.click()
    expect(page.get_by_role("heading", name="Bob Brook")).to_be_visible()


def test_the_operators_pages_fit_every_width_and_read_in_every_light(
    page: Page, site: Site
) -> None:
    from tests.browser.test_every_page import faults

    channel = site.database.one("SELECT min(id) FROM gateway_channel")
    bob = site.database.one("SELECT id FROM accounts_user WHERE email = 'bob@example.com'")
    organization = site.id_of("accounts_organization", "Arden Labs")
    found: dict[Any, Any] = {}
    for path in (
        "operator/", "operator/?period=90d&by=model", "operator/channels/", f"operator/channels/{channel}/",
        "operator/channels/new/", "operator/providers/new/", "operator/prices/", "operator/models/openai/gpt-5.5/",
        "operator/models/openai/gpt-image-2/price/", "operator/prices/import/", "operator/failures/?span=7d",
        "operator/audit/", "operator/people/", f"operator/people/{bob}/", "organization/",
        f"organization/{organization}/audit/",
    ):  # fmt: skip
        page.goto(f"{site.root}/{path}")
        found |= faults(page, path)
    assert found == {}
