"""Credits, statements and alerts in Chromium: filters, a statement on paper, the form of alerts."""

import re
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from billing.money import NANOS_PER_USD
from tests.browser.conftest import Site, Visitor

ROWS = ".statement tbody tr"
A4_POINTS = (595, 842)


def month() -> str:
    return f"{datetime.now(UTC):%Y-%m}"


def incoming(site: Site, reason: str = "%") -> int:
    """How many transfers came into the group's wallet: other tests of the same site move credits too."""
    return int(
        site.database.one(
            "SELECT count(*) FROM billing_transfer t JOIN billing_account a ON a.id = t.credit_account_id"
            " JOIN accounts_group g ON g.id = a.group_id WHERE g.name = 'Research' AND t.reason ILIKE %s",
            reason,
        )
    )


def test_filters_of_transfers_combine_and_survive_a_reload(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}credits/")
    expect(page.locator(ROWS)).to_have_count(50)
    page.get_by_role("link", name="Calls per day").click()
    page.wait_for_url("**/credits/?view=days")
    expect(page.locator(f"{ROWS} >> text=UTC").first).to_be_visible()
    page.get_by_label("Direction").select_option("in")
    page.wait_for_url("**/credits/?view=days&direction=in")
    expect(page.locator(ROWS)).to_have_count(incoming(site))
    page.get_by_role("searchbox", name="Search").fill("budget")
    page.get_by_role("searchbox", name="Search").press("Enter")
    page.wait_for_url("**/credits/?view=days&direction=in&search=budget")
    found = incoming(site, "%budget%")
    assert 0 < found < incoming(site)
    expect(page.locator(ROWS)).to_have_count(found)
    page.reload()
    expect(page.locator(ROWS)).to_have_count(found)
    expect(page.get_by_role("searchbox", name="Search")).to_have_value("budget")
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url(re.compile(r"/credits/\?view=days$"))


def test_pages_of_transfers_go_there_and_back(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}credits/")
    first = ids(page)
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**before=**")
    expect(page.locator("#pager-newer")).to_be_visible()
    second = ids(page)
    assert not set(first) & set(second)
    page.get_by_role("link", name="Newer").click()
    page.wait_for_url("**after=**")
    expect(page.locator(f"#{first[0]}")).to_be_visible()
    assert ids(page) == first
    page.goto(f"{site.group_url}credits/?transfer={second[7].removeprefix('transfer-')}")
    expect(page.locator("tr.is-found")).to_have_id(second[7])
    expect(page.locator("tr.is-found")).to_be_visible()


def ids(page: Page) -> list[str]:
    found: list[str] = page.locator(ROWS).evaluate_all("rows => rows.map(row => row.id)")
    return found


def test_the_balance_of_a_moment_is_told_without_leaving_the_page(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}credits/?direction=in")
    now = site.database.one(
        "SELECT balance_nanos FROM billing_account a JOIN accounts_group g ON g.id = a.group_id"
        " WHERE g.name = 'Research'"
    )
    page.get_by_role("textbox", name="Balance as of").fill("2999-01-01T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".balance-then strong")).to_contain_text(f"${now // NANOS_PER_USD:,}.")
    assert page.url.endswith("?direction=in"), "the filters stay"
    page.get_by_role("textbox", name="Balance as of").fill("2001-01-01T00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".balance-then strong")).to_have_text("$0.00")


def test_a_statement_prints_on_a4_without_the_frame_of_the_site(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="alice@example.com", scheme="dark")
    page.goto(f"{site.organization_url}statements/")
    page.locator("a.row-link").first.click()
    page.wait_for_url(f"**/statements/{month()}/")
    expect(page.get_by_text("add up to the closing balance")).to_be_visible()
    expect(page.get_by_role("button", name="Print")).to_be_visible()
    page.emulate_media(media="print")
    for gone in ("header.top", "footer", "nav.tabs", ".no-print"):
        assert page.locator(gone).count() > 0
        assert not [one for one in page.locator(gone).all() if one.is_visible()]
    expect(page.locator(".running-head")).to_be_visible()
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == "rgb(255, 255, 255)", "dark pages do not drink the ink"
    widest = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert widest <= 0
    page.emulate_media(media="screen")
    made = page.pdf(prefer_css_page_size=True)
    boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", made)
    assert boxes
    assert {(round(float(width)), round(float(height))) for width, height in boxes} == {A4_POINTS}


def test_alerts_are_set_and_tested(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}credits/")
    page.get_by_role("link", name="Low-balance alerts").click()
    page.wait_for_url("**/alerts/")
    page.get_by_label("Threshold 1").fill("$1,000")
    page.get_by_label("Threshold 2").fill("12.50")
    page.get_by_label("Alice Arden").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("watches again from $1,050.00")).to_be_visible()
    expect(page.get_by_text("Watching", exact=True)).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("A test is on its way.")).to_be_visible()
    expect(page.locator(".notices-table tbody tr")).to_have_count(1)
    page.get_by_label("Threshold 1").fill("a lot")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Write an amount in US dollars")).to_be_visible()
