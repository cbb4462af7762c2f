"""Usage: days, stacks and measures by click and by keyboard, the table beside the chart, and narrow screens."""

import csv
import re
from datetime import datetime
from io import StringIO
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visitor


def shown(page: Page) -> dict[str, list[str]]:
    """What stands in the address."""
    return parse_qs(urlsplit(page.url).query)


def test_days_stacks_and_measures_live_in_the_address(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}usage/")
    page.evaluate("window.stayed = true")
    page.get_by_role("link", name="7 days").click()
    page.wait_for_url("**range=7d")
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
    assert page.evaluate("document.activeElement.id") == "range-7d", "focus stays"
    page.get_by_role("link", name="Tokens").click()
    page.wait_for_url("**measure=tokens**")
    expect(page.get_by_role("heading", name="Tokens per day")).to_be_visible()
    page.get_by_role("link", name="Member", exact=True).click()
    page.wait_for_url("**by=member**")
    expect(page.locator(".legend")).to_contain_text("Bob Brook")
    assert shown(page) == {"range": ["7d"], "measure": ["tokens"], "by": ["member"]}
    assert page.evaluate("window.stayed"), "no full page load"
    page.reload()
    expect(page.get_by_role("link", name="Member", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    page.go_back()
    expect(page.locator(".legend")).not_to_contain_text("Bob Brook")


def test_a_month_and_free_days(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}usage/?by=key")
    month = datetime.now(ZoneInfo("Asia/Seoul")).strftime("%Y-%m")
    page.get_by_label("Month").select_option(month)
    page.wait_for_url(f"**month={month}")
    assert shown(page) == {"by": ["key"], "month": [month]}
    page.get_by_text("Other days").click()
    page.get_by_label("First day").fill(f"{month}-01")
    page.get_by_label("Last day").fill(f"{month}-01")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**since=**")
    expect(page.get_by_role("heading", name="Spent per hour")).to_be_visible()
    page.goto(f"{site.group_url}usage/?since=2026-02-02&until=2026-02-01")
    expect(page.get_by_role("alert")).to_contain_text("The last day is before the first one.")


def test_arrow_keys_walk_through_the_chart(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}usage/?range=7d")
    plot = page.locator(".chart-plot")
    plot.focus()
    page.keyboard.press("End")
    status = page.locator("[data-chart-status]")
    expect(status).to_contain_text("$")
    last = status.inner_text()
    page.keyboard.press("ArrowLeft")
    expect(status).not_to_have_text(last)
    page.keyboard.press("ArrowRight")
    expect(status).to_have_text(last)
    page.keyboard.press("ArrowRight")
    expect(status).to_have_text(last)  # there is no later one
    page.keyboard.press("Escape")
    expect(page.locator(".tip:visible")).to_have_count(0)
    expect(plot).to_be_focused()


def test_lines_mark_the_column_under_the_pointer(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}usage/?measure=latency")
    expect(page.locator("path.line")).to_have_count(3)
    slot = page.locator(".day", has=page.locator(".slot")).last
    slot.locator(".slot").hover(force=True)
    expect(page.locator(".tip:visible")).to_contain_text("95th percentile")
    expect(page.locator(".dot.is-on").first).to_be_visible()


def test_table_and_file_say_what_the_chart_says(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}usage/?by=source")
    legend = page.locator(".legend-value").all_inner_texts()
    page.get_by_text("The chart as a table").click()
    rows = page.locator(".usage-steps tbody tr")
    cells = [row.locator("td").all_inner_texts() for row in rows.all()]
    for column, total in enumerate(legend):
        cents = [
            round(float(row[column].replace("$", "").replace("\n", "")) * 1e9) for row in cells
        ]
        assert sum(cents) == round(float(total.replace("$", "")) * 1e9)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV of the chart").click()
    assert re.fullmatch(r"usage-.*-spend-by-source\.csv", download.value.suggested_filename)
    with open(download.value.path(), encoding="utf-8") as file:
        table = list(csv.reader(StringIO(file.read())))
    assert len(table) == 31
    assert len([row for row in table[1:] if any(cell != "0.00" for cell in row[1:])]) == len(cells)


def test_a_row_leads_into_the_history_of_these_calls(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}usage/?range=7d")
    row = page.locator("section[aria-labelledby='model-head'] tbody tr").first
    calls = row.locator("td").first.inner_text()
    row.get_by_role("link").click()
    page.wait_for_url("**/calls/?model=**")
    expect(page.locator("#calls-rows > tr").first).to_be_visible()
    counted = site.database.one(
        "SELECT count(*) FROM gateway_callrecord r JOIN accounts_group g ON g.id = r.group_id"
        " WHERE g.name = 'Research' AND r.model = %s AND r.created_at >= %s",
        shown(page)["model"][0],
        datetime.fromisoformat(shown(page)["since"][0]).replace(tzinfo=ZoneInfo("Asia/Seoul")),
    )
    assert calls.replace(",", "") == str(counted)


def test_groups_of_an_organization_lead_to_their_own_usage(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.organization_url}usage/?range=12m")
    expect(page.locator(".legend")).to_contain_text("Research")
    page.locator("section[aria-labelledby='group-head']").get_by_role(
        "link", name="Research"
    ).click()
    page.wait_for_url("**/groups/**/usage/?range=12m")
    expect(page.get_by_role("link", name="12 months")).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["usage/?range=12m", "usage/?measure=latency"])
def test_a_narrow_screen_shows_everything_without_scrolling_sideways(
    visitor: Visitor, site: Site, scheme: str, path: str
) -> None:
    page = visitor.open(email="alice@example.com", width=390, height=844, scheme=scheme)
    page.goto(f"{site.group_url}{path}")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".chart-plot").focus()
    page.keyboard.press("End")
    tip = page.locator(".tip:visible").bounding_box()
    assert tip is not None
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 390
