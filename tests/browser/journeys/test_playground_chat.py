"""A question to a model in the playground, its streamed answer, and the call that it was."""

from playwright.sync_api import expect

from billing.presentation import dollars
from tests.browser.journeys.conftest import Traveller
from tests.browser.place import Place


def test_an_answer_streams_and_leads_to_its_call(traveller: Traveller, place: Place) -> None:
    page = traveller.open(email=place.email)
    page.goto(f"{place.site.root}/playground/?model=openai/gpt-5.5&group={place.payer.group_id}")
    expect(page.locator("#price")).to_contain_text("$")
    page.locator("details.more summary").first.click()
    traveller.look_around(page, "empty chat")
    before = len(place.charges())
    page.locator("#prompt").fill(
        'Hi [[simulate {"content": "**Bold**, `code`\\n\\n|a|b|\\n|-|-|\\n|1|2|"}]]'
    )
    page.keyboard.press("Enter")
    answer = page.locator(".message.is-assistant")
    expect(answer.locator("strong")).to_have_text("Bold")
    expect(answer.locator(".message-facts a")).to_be_visible()
    (charge,) = place.charges()[before:]
    expect(answer.locator(".message-facts")).to_contain_text(dollars(charge))
    page.locator("#code-box summary").click()
    expect(page.locator("#as-code")).to_contain_text("$TOLLGATE_API_KEY")
    traveller.look_around(page, "answered chat")
    answer.locator(".message-facts a").click()
    page.wait_for_url("**/calls/call_*/")
    expect(page.locator(".charge-table tr.result td.num").first).to_have_text(dollars(charge))
