"""Credits on their way: deposited by the operator, granted and reclaimed by an admin; balances are told before."""

from typing import Any

from playwright.sync_api import Locator, Page, expect

from billing.presentation import dollars
from tests.browser.journeys.conftest import OPERATOR, Traveller, primary
from tests.browser.place import Place
from tests.world import Tenant

USD = 10**9


def balances(place: Place, tenant: Tenant) -> dict[str, int]:
    """Of pool and wallet, in nano-dollars."""
    rows = place.world.database.query(
        "SELECT CASE WHEN group_id IS NULL THEN 'pool' ELSE 'wallet' END AS kind, balance_nanos FROM billing_account"
        " WHERE organization_id = %s AND (kind = 'pool' OR id = %s)",
        tenant.organization_id,
        tenant.wallet_id,
    )
    return {row["kind"]: row["balance_nanos"] for row in rows}


def told(step: Locator) -> list[list[str]]:
    """The table of balances: now and after, for each account."""
    cells = step.locator(".balances tbody tr")
    return [row.locator("td.num").all_inner_texts() for row in cells.all()]


def move(traveller: Traveller, page: Page, kind: str, amount: str) -> list[list[str]]:
    """Through the dialog of that kind of move; the balances that it tells before it is confirmed."""
    page.locator(f"main a[href$='/{kind}/']:visible").first.click()
    step = page.locator("#move-dialog #move")
    expect(step.locator("#id_amount")).to_be_focused()
    step.locator("#id_amount").fill(amount)
    step.locator("#id_reason").fill("Invoice 7 & <i>more</i>")
    expect(step.locator("#move-preview strong").first).to_be_visible()
    traveller.look_around(page, kind)
    step.locator("button[value=review]").click()
    expect(step.locator(".confirm-line")).to_be_visible()
    traveller.look_around(page, f"{kind}, to be confirmed")
    before = told(step)
    primary(step).dblclick()
    expect(page.locator("#move-dialog")).to_be_hidden()
    return before


def nanos(*amounts: int) -> list[list[str]]:
    """Balances as `told` tells them, two for each account."""
    texts = [dollars(amount) for amount in amounts]
    return [texts[at : at + 2] for at in range(0, len(texts), 2)]


def test_deposit_grant_and_reclaim(
    traveller: Traveller, place: Place, tenant: Tenant, email: str
) -> None:
    address = f"{place.site.root}/organization/{tenant.organization_id}/"
    operator = traveller.open(email=OPERATOR)
    operator.goto(address)
    move(traveller, operator, "deposit", "1234.5")
    assert balances(place, tenant) == {"pool": 1_234_500_000_000, "wallet": 10 * USD}

    page = traveller.open(email=email)
    page.goto(address)
    pool, wallet = 1_234_500_000_000, 10 * USD
    granted = move(traveller, page, "grant", "34.000000001")
    after: dict[str, Any] = {"pool": pool - 34 * USD - 1, "wallet": wallet + 34 * USD + 1}
    assert granted == nanos(pool, after["pool"], wallet, after["wallet"])
    assert balances(place, tenant) == after
    reclaimed = move(traveller, page, "reclaim", "4")
    left = {"pool": after["pool"] + 4 * USD, "wallet": after["wallet"] - 4 * USD}
    assert sorted(reclaimed) == sorted(
        nanos(after["wallet"], left["wallet"], after["pool"], left["pool"])
    )
    assert balances(place, tenant) == left
    traveller.look_around(page, "organization")

    page.goto(f"{place.site.root}/groups/{tenant.group_id}/credits/")
    expect(page.locator(".credits-figures .value").first).to_have_text(dollars(left["wallet"]))
    # The ten dollars that it began with, the grant and the reclaim.
    expect(page.locator("#transfers tbody tr")).to_have_count(3)
    traveller.look_around(page, "credits")
    place.world.audit()
