"""The operator at work: a dated price with its effect, a channel tested, and both in the audit trail."""

from playwright.sync_api import Page, expect

from tests.browser.journeys.calls import call
from tests.browser.journeys.conftest import OPERATOR, Traveller
from tests.browser.place import Place

# A language books a price of a model of its own: a second one for the same moment is refused.
MODELS = {
    "en": "openai/gpt-5.4-nano",
    "ko": "openai/gpt-5.4-mini",
    "zh-hans": "anthropic/claude-sonnet-4-6",
    "zh-hant": "deepseek/deepseek-v4-pro",
}


def book_price(traveller: Traveller, place: Place, page: Page, model: str) -> None:
    page.goto(f"{place.site.root}/operator/prices/?q={model}")
    traveller.look_around(page, "prices")
    page.locator(f"a[href='/operator/models/{model}/']").first.click()
    page.wait_for_url(f"**/operator/models/{model}/")
    traveller.look_around(page, "model")
    page.locator("a[href$='/price/']").first.click()
    page.locator("#id_sell_bps").fill("60")
    traveller.look_around(page, "new price")
    page.locator("#show-effect").click()
    expect(page.locator("#effect")).to_be_focused()
    expect(page.locator("#effect .effect-line strong")).to_be_visible()
    assert booked(place, model) == [], "a preview books nothing"
    traveller.look_around(page, "effect of a price")
    page.locator("#book-price").click()
    page.wait_for_url(f"**/operator/models/{model}/")
    expect(page.locator(".price-row .badge.accent")).to_have_count(1)


def booked(place: Place, model: str) -> list[dict[str, object]]:
    """The prices of the model that are to come."""
    return place.world.database.query(
        "SELECT sell_bps FROM billing_price WHERE model = %s AND effective_from > now()", model
    )


def send_test(traveller: Traveller, place: Place, page: Page) -> int:
    """Send the channel's test; its id."""
    page.goto(f"{place.site.root}/operator/channels/")
    traveller.look_around(page, "channels")
    channel = place.world.database.one(
        "SELECT id FROM gateway_channel WHERE provider_id = 'openai'"
    )
    page.locator(f"a[href='/operator/channels/{channel}/']").first.click()
    page.locator("#test-button").click()
    expect(page.locator("#test-result .badge.good")).to_be_visible()
    traveller.look_around(page, "tested channel")
    return int(channel)


def test_a_dated_price_a_tested_channel_and_the_trail(traveller: Traveller, place: Place) -> None:
    model = MODELS[traveller.language]
    assert call(place, place.payer.key, model).status_code == 200
    page = traveller.open(email=OPERATOR)
    page.goto(f"{place.site.root}/operator/")
    traveller.look_around(page, "overview")
    book_price(traveller, place, page, model)
    assert booked(place, model) == [{"sell_bps": 6000}]
    channel = send_test(traveller, place, page)

    page.goto(f"{place.site.root}/operator/audit/")
    newest = page.locator(".trail-line")
    expect(newest.nth(0).locator(".trail-subject")).to_be_visible()
    expect(newest.nth(0).locator(f"a[href*='/operator/channels/{channel}/']")).to_be_visible()
    expect(newest.nth(1)).to_contain_text(model)
    expect(newest.nth(1)).to_contain_text("60%")
    expect(newest.nth(1).locator(".trail-who")).to_have_text("Olga Orlov")
    traveller.look_around(page, "audit trail")
