"""A picture: its price, its order from the playground, its task, and the call that paid for it."""

from playwright.sync_api import expect

from billing.presentation import dollars
from tests.browser.journeys.conftest import Traveller, primary
from tests.browser.place import Place

DRAWN_MS = 30_000


def test_a_picture_is_ordered_and_its_task_looked_at(traveller: Traveller, place: Place) -> None:
    page = traveller.open(email=place.email)
    page.goto(
        f"{place.site.root}/playground/?mode=images&model=openai/gpt-image-2&group={place.payer.group_id}"
    )
    expect(page.locator("#price b")).to_have_text("$0.06")
    page.locator("#resolutions").select_option("2k")
    expect(page.locator("#price b")).to_have_text("$0.10")
    traveller.look_around(page, "empty order")
    before = len(place.charges())
    page.locator("#prompt").fill("A quiet harbour at dawn")
    primary(page).click()
    result = page.locator(".result")
    expect(result.locator("img")).to_be_visible(timeout=DRAWN_MS)
    assert place.charges()[before:] == [100_000_000]
    traveller.look_around(page, "drawn")

    result.locator("a[href*='/tasks/']").click()
    page.wait_for_url("**/tasks/tsk_*/")
    expect(page.locator("#task-prompt")).to_have_text("A quiet harbour at dawn")
    expect(page.locator(".sums-of-task dd.result")).to_have_text(dollars(100_000_000))
    expect(page.locator("figure.picture img")).to_be_visible()
    traveller.look_around(page, "task")
    page.locator("#tab-tasks").click()
    page.wait_for_url("**/tasks/")
    traveller.look_around(page, "tasks")
