"""The history of calls: tasks or API, filters, pages, one call, and the same list as a file."""

import csv
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.journeys.calls import call, comes_true
from tests.browser.journeys.conftest import Traveller
from tests.browser.place import Place, let_in
from tests.world import Tenant

ROWS = "#calls-rows > tr"
CALLS, MODELS, TASKS = 32, ("openai/gpt-5.4-nano", "openai/gpt-5.4-mini"), 2


@pytest.fixture(scope="module")
def busy(place: Place) -> tuple[Tenant, str]:
    """A group that called two models, one of them in vain now and then, and ordered pictures; with its admin."""
    tenant = place.world.add_tenant("Bess", balance="10")
    for number in range(CALLS):
        assert call(place, tenant.key, MODELS[number % 2]).status_code == 200
    for _ in range(3):
        assert call(place, tenant.key, "openai/no-such-model").status_code == 404
    for number in range(TASKS):
        order_picture(place, tenant, f"Harbour {number}")
    ended = "SELECT count(*) FROM gateway_callrecord WHERE group_id = %s AND source = 'task'"
    for _ in range(10):
        if comes_true(lambda: place.world.database.one(ended, tenant.group_id) == TASKS):
            break
    return tenant, let_in(place.world, tenant)


def order_picture(place: Place, tenant: Tenant, prompt: str) -> None:
    answer = httpx.post(
        f"{place.site.root}/v1/text_to_image",
        json={"model": "openai/gpt-image-2", "prompt": prompt},
        headers={"authorization": f"Bearer {tenant.key}"},
        trust_env=False,
    )
    assert answer.status_code == 202, answer.text


def ids(place: Place, tenant: Tenant, condition: str = "true") -> list[str]:
    """The ids of the group's calls, newest first."""
    rows = place.world.database.query(
        f"SELECT id FROM gateway_callrecord WHERE group_id = %s AND {condition} ORDER BY id DESC",
        tenant.group_id,
    )
    return [f"call_{row['id'].hex}" for row in rows]


def shown(page: Page) -> list[str]:
    return [row.get_attribute("id") or "" for row in page.locator(ROWS).all()]


def toggle_and_page(traveller: Traveller, place: Place, tenant: Tenant, page: Page) -> None:
    page.locator("#source-task").click()
    page.wait_for_url("**?source=task")
    expect(page.locator(ROWS)).to_have_count(TASKS)
    assert shown(page) == ids(place, tenant, "source = 'task'")
    traveller.look_around(page, "calls of tasks")
    page.locator("#source-api").click()
    page.wait_for_url("**?source=api")
    page.locator("#size-25").click()
    page.wait_for_url("**size=25**")
    expect(page.locator(ROWS)).to_have_count(25)
    everything = ids(place, tenant, "source = 'api'")
    assert shown(page) == everything[:25]
    page.locator("#pager-older").click()
    page.wait_for_url("**before=**")
    expect(page.locator(ROWS)).to_have_count(len(everything) - 25)
    assert shown(page) == everything[25:]
    traveller.look_around(page, "older calls")
    page.locator("#pager-newer").click()
    page.wait_for_url("**after=**")
    assert shown(page) == everything[:25]


def set_filters(traveller: Traveller, page: Page) -> None:
    page.locator("#filter_model").select_option(MODELS[1])
    page.wait_for_url("**model=**")
    page.locator("#status-menu summary").click()
    traveller.look_around(page, "menu of states")
    page.locator("#status-menu input[value=completed]").check()
    page.wait_for_url("**status=completed**")
    expect(page.locator(".chips .chip")).to_have_count(2)
    expect(page.locator(ROWS)).to_have_count(CALLS // 2)


def test_toggle_filter_page_open_and_export(
    traveller: Traveller, place: Place, busy: tuple[Tenant, str]
) -> None:
    tenant, email = busy
    page = traveller.open(email=email)
    page.goto(f"{place.site.root}/groups/{tenant.group_id}/calls/")
    toggle_and_page(traveller, place, tenant, page)
    set_filters(traveller, page)
    traveller.look_around(page, "filtered calls")
    found = ids(place, tenant, f"source = 'api' AND model = '{MODELS[1]}' AND status = 'completed'")
    assert shown(page) == found

    page.locator("#export-menu summary").click()
    traveller.look_around(page, "menu of exports")
    with page.expect_download() as download:
        page.locator("#export-csv").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert [row["id"] for row in rows] == found
    booked = place.world.database.query(
        "SELECT amount_nanos FROM gateway_callrecord WHERE group_id = %s AND source = 'api' AND model = %s"
        " AND status = 'completed' ORDER BY id DESC",
        tenant.group_id,
        MODELS[1],
    )
    charges = [Decimal(row["charge_usd"]) * 10**9 for row in rows]
    assert charges == [row["amount_nanos"] for row in booked]

    page.keyboard.press("Escape")
    page.locator("a.row-link").first.click()
    page.wait_for_url(f"**/calls/{found[0]}/**")
    traveller.look_around(page, "call")
    page.go_back()
    page.wait_for_url("**status=completed**")
    assert shown(page) == found
    page.goto(f"{place.site.root}/groups/{tenant.group_id}/calls/?model=none")
    traveller.look_around(page, "no call matches")
