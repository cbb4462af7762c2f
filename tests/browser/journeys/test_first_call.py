"""From nothing to the first call: sign up, organization, group, key, call, its charge, its place in the usage."""

from playwright.sync_api import Page, expect

from billing.money import NANOS_PER_USD
from tests.browser.journeys.calls import call, charge_text, record_of
from tests.browser.journeys.conftest import Traveller, primary
from tests.browser.place import Place
from tests.people import PASSWORD
from tests.world import Tenant

MODEL = "openai/gpt-5.4-nano"


def sign_up(traveller: Traveller, page: Page) -> None:
    page.goto(f"{traveller.site.root}/accounts/signup/")
    traveller.look_around(page, "sign up")
    page.locator("#id_email").fill(f"newcomer-{traveller.language}@example.com")
    page.locator("#id_password1").fill(PASSWORD)
    primary(page).click()
    page.wait_for_url("**/start/")
    traveller.look_around(page, "onboarding")
    page.locator("#id_organization_name").fill(f"Fresh {traveller.language}")
    page.locator("#id_group_name").fill("Première & <b>group</b>")
    primary(page).click()
    page.wait_for_url("**/keys/")


def issue_first_key(traveller: Traveller, page: Page) -> str:
    traveller.look_around(page, "no keys")
    page.locator("main a[href$='/keys/new/']").first.click()
    expect(page.locator("#key_name")).to_be_focused()
    traveller.look_around(page, "new key")
    page.locator("#key_name").fill("laptop")
    primary(page).click()
    expect(page.locator("#issued")).to_be_focused()
    traveller.look_around(page, "issued key")
    return page.locator("#issued-secret").inner_text()


def fund(place: Place, organization: str) -> None:
    """Ten dollars for the wallet of its only group, as an operator and an admin would move them."""
    row = place.world.database.query(
        "SELECT g.id AS group_id, g.organization_id, a.id AS wallet_id FROM accounts_group g"
        " JOIN accounts_organization o ON o.id = g.organization_id JOIN billing_account a ON a.group_id = g.id"
        " WHERE o.name = %s",
        organization,
    )[0]
    unused = {"name": "", "key_id": row["group_id"], "key": ""}
    place.world.fund(Tenant(**row, **unused), 10 * NANOS_PER_USD)


def test_from_sign_up_to_the_first_charged_call(traveller: Traveller, place: Place) -> None:
    page = traveller.open()
    sign_up(traveller, page)
    secret = issue_first_key(traveller, page)
    assert call(place, secret).status_code == 402, "an empty wallet pays nothing"
    fund(place, f"Fresh {traveller.language}")
    answer = call(place, secret)
    assert answer.status_code == 200, answer.text
    record = record_of(place, answer)
    assert record["amount_nanos"] > 0

    page.locator("#tab-calls").click()
    page.wait_for_url("**/calls/")
    row = page.locator(f"#{answer.headers['x-request-id']}")
    expect(row.locator("td.charge")).to_have_text(charge_text(record))
    traveller.look_around(page, "call history")
    row.locator("a.row-link").click()
    page.wait_for_url(f"**/calls/{answer.headers['x-request-id']}/")
    expect(page.locator(".charge-table tr.result td.num").first).to_have_text(charge_text(record))
    traveller.look_around(page, "call")

    page.locator("#tab-usage").click()
    page.wait_for_url("**/usage/")
    expect(page.locator(".usage-figures .value").first).to_contain_text(charge_text(record))
    by_model = page.locator("section[aria-labelledby=model-head] tbody tr")
    expect(by_model).to_have_count(1)
    expect(by_model.locator(".clip")).to_have_attribute("title", MODEL)
    expect(by_model.locator("td.num").last).to_have_text(charge_text(record))
    traveller.look_around(page, "usage")
