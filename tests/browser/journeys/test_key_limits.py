"""A key with limits: used until it is refused, rotated, and its old secret stopped."""

from playwright.sync_api import Page, expect

from tests.browser.journeys.calls import call, comes_true
from tests.browser.journeys.conftest import Traveller, primary
from tests.browser.place import Place
from tests.world import Tenant

MODEL = "openai/gpt-5.4-nano"


def issue(traveller: Traveller, page: Page) -> str:
    page.locator("#key_name").fill("deploy")
    page.locator("#key_month_nanos").fill("2.50")
    page.locator("details.more summary").click()
    page.locator("[data-picker-search]").fill("nano 5.4")
    expect(page.locator(".picker-list label:visible")).to_have_count(1)
    page.locator(f".picker-list input[value='{MODEL}']").check()
    page.locator("#key_allowed_networks").fill("127.0.0.0/8")
    page.locator("#key_requests_per_minute").fill("2")
    traveller.look_around(page, "new key with limits")
    primary(page).click()
    return new_secret(page)


def new_secret(page: Page) -> str:
    expect(page.locator("#issued")).to_be_focused()
    return page.locator("#issued-secret").inner_text()


def test_a_key_is_used_until_refused_and_rotated(
    traveller: Traveller, place: Place, tenant: Tenant, email: str
) -> None:
    page = traveller.open(email=email)
    page.goto(f"{place.site.root}/groups/{tenant.group_id}/keys/new/")
    secret = issue(traveller, page)
    refused = call(place, secret, "openai/gpt-5.5")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert [call(place, secret).status_code for _ in range(3)] == [200, 200, 429]

    page.locator(".issued .button-row a").click()
    page.wait_for_url("**/keys/*-*/")
    expect(page.locator(".meter.is-bad .meter-value")).to_contain_text("2")
    expect(page.locator(".meter").first).to_contain_text("$2.50")
    expect(page.locator(".latest-calls tbody tr")).not_to_have_count(0)
    traveller.look_around(page, "key")

    page.locator("main a[href$='/rotate/']").click()
    page.locator("input[name=grace][value='1h'] + label").click()
    traveller.look_around(page, "rotation")
    primary(page).click()
    rotated = new_secret(page)
    traveller.look_around(page, "new secret")
    assert rotated != secret
    assert comes_true(lambda: call(place, rotated).status_code == 429), "they share one limit"
    assert call(place, secret).status_code == 429, "and the old one still works"

    page.locator(".issued .button-row a").click()
    page.locator("form[action$='/rotate/end/'] button").click()
    expect(page.locator("#confirm-dialog")).to_be_visible()
    traveller.look_around(page, "question")
    page.locator("#confirm-yes").click()
    expect(page.locator(".rotating")).to_have_count(0)
    assert comes_true(lambda: call(place, secret).status_code == 401)
    assert call(place, rotated).status_code == 429
