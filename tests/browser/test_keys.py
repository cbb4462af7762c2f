"""Keys in the browser: issued with limits, used, refused by them, rotated and revoked."""

import re
import time

import httpx
import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from gateway.credentials import seal
from simulator.process import SimulatorProcess
from tests.browser.conftest import Site, Visitor

HEARD_S = 1.2


@pytest.fixture(scope="module")
def open_site(site: Site, simulator: SimulatorProcess) -> Site:
    """The site with a channel, so that its gateway serves calls."""
    site.database.query(
        "INSERT INTO gateway_channel (provider_id, name, base_url, credential, priority, weight, is_enabled,"
        " created_at) VALUES ('openai', 'keys', %s, %s, 0, 1, true, now()) ON CONFLICT DO NOTHING",
        simulator.base_url,
        seal(simulator.api_key, settings.CREDENTIAL_KEY, "openai:keys"),
    )
    time.sleep(HEARD_S)
    return site


def call(site: Site, secret: str, model: str = "gpt-5.4-nano") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20}
    headers = {"authorization": f"Bearer {secret}"}
    url = f"{site.root}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)


def new_secret(page: Page) -> str:
    expect(page.locator("#issued")).to_be_focused()
    return page.locator("#issued-secret").inner_text()


def issue_limited_key(page: Page, site: Site) -> str:
    page.goto(f"{site.group_url}keys/new/")
    expect(page.get_by_label("Networks")).to_be_hidden()
    page.get_by_label("Name").fill("deploy")
    page.get_by_text("30 days", exact=True).click()
    page.get_by_label("Budget per month").fill("12.50")
    page.get_by_text("More options").click()
    expect(page.locator(".picker-count")).to_have_text("Every model")
    page.get_by_label("Search models").fill("nano 5.4")
    expect(page.locator(".picker-list label:visible")).to_have_count(1)
    page.get_by_label("openai/gpt-5.4-nano").check()
    expect(page.locator(".picker-count")).to_have_text("Chosen: 1")
    page.get_by_label("Search models").fill("no such thing")
    expect(page.get_by_text("No model is called that.")).to_be_visible()
    page.get_by_label("Networks").fill("127.0.0.0/8")
    page.get_by_label("Requests per minute").fill("1")
    page.get_by_role("button", name="Issue key").click()
    return new_secret(page)


def test_a_key_with_limits_is_used_refused_rotated_and_revoked(
    visitor: Visitor, open_site: Site
) -> None:
    page = visitor.open(email="alice@example.com")
    secret = issue_limited_key(page, open_site)
    refused = call(open_site, secret, "gpt-5.5")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    served = call(open_site, secret)
    assert served.status_code == 200, served.text
    assert call(open_site, secret).status_code == 429

    page.get_by_role("link", name="I have kept it").click()
    expect(page.get_by_text("expires in 30 days")).to_be_visible()
    meters = page.locator(".meter")
    expect(meters.filter(has_text="Requests this minute")).to_contain_text("1 of 1")
    expect(meters.filter(has_text="This month")).to_contain_text("of $12.50")
    call_id = served.headers["x-request-id"]
    expect(page.locator(f"a.row-link[href$='{call_id}/']")).to_be_visible()

    rotated = rotate(page, "In 1 hour")
    assert rotated != secret
    time.sleep(HEARD_S)
    assert [call(open_site, text).status_code for text in (secret, rotated)] == [429, 429], (
        "both are good, and share one limit"
    )
    page.get_by_role("link", name="I have kept it").click()
    page.get_by_role("button", name="Stop it now").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("Two secrets work")).to_be_hidden()
    time.sleep(HEARD_S)
    assert [call(open_site, text).status_code for text in (secret, rotated)] == [401, 429]

    page.get_by_role("button", name="Revoke “deploy”").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text("Revoked", exact=True)).to_be_visible()
    time.sleep(HEARD_S)
    assert call(open_site, rotated).status_code == 401


def rotate(page: Page, grace: str) -> str:
    page.get_by_role("link", name="Rotate", exact=True).click()
    page.get_by_text(grace, exact=True).click()
    page.get_by_role("button", name="Make a new secret").click()
    return new_secret(page)


def test_a_key_is_edited(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}keys/")
    page.get_by_role("link", name="workshop", exact=True).click()
    page.get_by_role("link", name="Edit", exact=True).click()
    page.get_by_label("Budget per month").fill("3")
    page.get_by_text("More options").click()
    page.get_by_label("Budget per day").fill("x")
    page.get_by_role("button", name="Save").click()
    day = page.get_by_label("Budget per day")
    expect(day).to_be_focused()
    expect(page.get_by_text("Write an amount in US dollars")).to_be_visible()
    day.fill("0.75")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The key “workshop” is changed.")).to_be_visible()
    expect(page.locator(".meter").filter(has_text="Today")).to_contain_text("$0.00 of $0.75")
    assert page.url.endswith("/edit/") is False


def test_the_forms_work_without_scripts(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    plain = page.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    plain.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    page = plain.new_page()
    try:
        page.goto(f"{site.group_url}keys/new/")
        page.get_by_label("Name").fill("plain")
        page.get_by_text("More options").click()
        expect(page.locator("[data-picker-search]")).to_be_hidden()
        page.get_by_label("openai/gpt-5.5", exact=True).check()
        page.get_by_role("button", name="Issue key").click()
        secret = page.locator("#issued-secret").inner_text()
        assert re.fullmatch(r"tollgate-v1-[a-z0-9]{12}-[A-Za-z0-9]{43}", secret)
        page.get_by_text("Hermes Agent").click()
        expect(page.locator("#code-hermes")).to_be_visible()
        page.get_by_role("link", name="I have kept it").click()
        page.get_by_role("link", name="Rotate", exact=True).click()
        page.get_by_text("Immediately", exact=True).click()
        page.get_by_role("button", name="Make a new secret").click()
        assert page.locator("#issued-secret").inner_text() != secret
        page.get_by_role("link", name="I have kept it").click()
        page.get_by_role("button", name="Revoke “plain”").click()
        expect(page.get_by_text("The key “plain” is revoked")).to_be_visible()
    finally:
        plain.close()
