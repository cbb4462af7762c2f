"""Credits on the move in Chromium: one move whatever is clicked, promotions, refunds and redeem codes."""

import csv
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, Visitor
from tests.world import run_command

USD = 1_000_000_000


def balance_of(site: Site, group: str) -> int:
    return int(
        site.database.one(
            "SELECT balance_nanos FROM billing_account a JOIN accounts_group g ON g.id = a.group_id"
            " WHERE g.name = %s",
            group,
        )
    )


def move_url(site: Site, verb: str, group: str = "Empty group") -> str:
    return f"{site.organization_url}groups/{site.id_of('accounts_group', group)}/{verb}/"


def review(page: Page, url: str, amount: str) -> None:
    page.goto(url)
    page.get_by_label("Amount").fill(amount)
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_text("Is this right?")).to_be_visible()


@pytest.fixture(autouse=True)
def _books_stay_clean(site: Site) -> Iterator[None]:
    yield
    assert "0 violations" in run_command(site.database.url, "audit").stdout


def test_two_tabs_and_the_way_back_make_one_grant(visitor: Visitor, site: Site) -> None:
    before = balance_of(site, "Empty group")
    first = visitor.open(email="alice@example.com")
    second = first.context.new_page()
    for page in (first, second):
        review(page, move_url(site, "grant"), "2")
    for page in (first, second):
        page.get_by_role("button", name="Grant $2.00").dblclick()
        page.wait_for_url(site.organization_url)
        expect(page.get_by_text("$2.00 granted to “Empty group”.")).to_be_visible()
    second.go_back()
    assert balance_of(site, "Empty group") == before + 2 * USD


def test_without_javascript_two_tabs_make_one_grant(
    chromium: Browser, visitor: Visitor, site: Site
) -> None:
    before = balance_of(site, "Empty group")
    signed_in = visitor.open(email="alice@example.com")
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(signed_in.context.cookies())
    pages = [context.new_page(), context.new_page()]
    for page in pages:
        review(page, move_url(site, "grant"), "4")
    for page in pages:
        page.get_by_role("button", name="Grant $4.00").click()
        expect(page.get_by_text("$4.00 granted to “Empty group”.")).to_be_visible()
    context.close()
    assert balance_of(site, "Empty group") == before + 4 * USD


def test_an_operator_gives_and_ends_promotional_credits(visitor: Visitor, site: Site) -> None:
    before = balance_of(site, "Empty group")
    page = visitor.open(email="olga@example.com")
    page.goto(move_url(site, "promote"))
    page.get_by_label("Amount").fill("12")
    expect(page.locator("#move-preview")).to_contain_text(f"${before / USD + 12:,.2f}")
    page.get_by_label("Expires at the end of").fill("2031-05-31")
    page.get_by_label("Reason").fill("Hackathon in May")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Give $12.00").dblclick()
    row = page.locator(".given-table tbody tr").filter(has_text="Hackathon in May")
    expect(row).to_contain_text("Running")
    assert balance_of(site, "Empty group") == before + 12 * USD
    row.get_by_role("button", name="End").click()
    page.get_by_role("button", name="End it").click()
    expect(row).to_contain_text("Expired")
    assert balance_of(site, "Empty group") == before


def test_a_call_is_refunded_from_its_page_address(visitor: Visitor, site: Site) -> None:
    call_id, amount = site.database.query(
        "SELECT t.id, t.amount_nanos FROM billing_transfer t JOIN billing_account a ON a.id = t.debit_account_id"
        " JOIN accounts_group g ON g.id = a.group_id"
        " WHERE t.kind = 'capture' AND g.name = 'Research' ORDER BY t.amount_nanos DESC LIMIT 1"
    )[0].values()
    before = balance_of(site, "Research")
    page = visitor.open(email="olga@example.com")
    page.goto(f"{site.root}/operator/refunds/{call_id}/")
    page.get_by_label("Reason").fill("Answer was cut")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name=re.compile("^Refund")).dblclick()
    page.wait_for_url(re.compile("/calls/call_"))
    assert balance_of(site, "Research") == before + amount
    page.goto(f"{site.root}/operator/refunds/{call_id}/")
    expect(page.get_by_text("was refunded before")).to_be_visible()


def test_codes_are_made_downloaded_and_redeemed(
    visitor: Visitor, site: Site, tmp_path: Path
) -> None:
    page = visitor.open(email="olga@example.com")
    page.goto(f"{site.root}/operator/codes/")
    page.get_by_role("button", name="New codes").first.click()
    page.get_by_label("Note").fill("Conference in Busan")
    page.get_by_label("Amount of each redemption").fill("3")
    page.get_by_label("Promotional credits for").check()
    page.get_by_label("Days until they expire").fill("30")
    page.get_by_label("How many codes").fill("5")
    page.get_by_label("Can be redeemed until the end of").fill("2031-05-31")
    page.get_by_role("button", name="Make codes").click()
    codes = page.locator("#new-codes").inner_text().split()
    assert len(codes) == 5
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.suffix == ".csv"
    assert list(csv.reader(file.read_text().splitlines())) == [
        ["code"],
        *([code] for code in codes),
    ]
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text(f"••••-{codes[0][-4:]}")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(codes[0])

    before = balance_of(site, "Research")
    member = visitor.open(email="alice@example.com")
    member.goto(f"{site.group_url}credits/redeem/")
    member.get_by_role("textbox", name="Code").fill("0000-0000-0000-0000")
    member.keyboard.press("Enter")
    expect(member.get_by_text("This code cannot be redeemed.")).to_be_visible()
    expect(member.get_by_role("textbox", name="Code")).to_be_focused()
    member.get_by_role("textbox", name="Code").fill(codes[0].lower())
    member.get_by_role("button", name="Redeem").dblclick()
    expect(
        member.get_by_text("$3.00 of promotional credits redeemed for “Research”.")
    ).to_be_visible()
    assert balance_of(site, "Research") == before + 3 * USD
    assert urllib.parse.urlparse(member.url).path.endswith("/credits/")
