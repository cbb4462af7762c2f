"""Granting credits in the browser: both balances while typing, a confirmation, and one move in the end."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visitor

USD = 1_000_000_000


def balances(site: Site) -> tuple[int, int]:
    """The pool and the wallet of the group that the tests grant to."""
    pool = site.database.one(
        "SELECT balance_nanos FROM billing_account a JOIN accounts_organization o ON o.id = a.organization_id"
        " WHERE o.name = 'Arden Labs' AND kind = 'pool'"
    )
    wallet = site.database.one(
        "SELECT balance_nanos FROM billing_account a JOIN accounts_group g ON g.id = a.group_id"
        " WHERE g.name = 'Empty group'"
    )
    return int(pool), int(wallet)


def open_grant(visitor: Visitor, site: Site) -> Page:
    page = visitor.open(email="alice@example.com")
    page.goto(site.organization_url)
    page.get_by_role("link", name="Grant credits to “Empty group”").click()
    expect(page.get_by_label("Amount", exact=True)).to_be_focused()
    return page


def test_both_balances_follow_what_is_typed(visitor: Visitor, site: Site) -> None:
    pool, wallet = balances(site)
    page = open_grant(visitor, site)
    preview = page.locator("#move-preview")
    page.keyboard.type("12.50")
    expect(preview).to_contain_text(f"${(pool - 12_500_000_000) / USD:,.2f}")
    expect(preview).to_contain_text(f"${(wallet + 12_500_000_000) / USD:,.2f}")
    height = preview.bounding_box()
    page.keyboard.press("Control+A")
    page.keyboard.type("99999999")
    expect(preview).to_contain_text("is more than can be moved")
    assert preview.bounding_box() == height, "nothing jumps while typing"
    page.get_by_role("button", name="Review").click()
    expect(page.locator("#id_amount_error")).to_contain_text("is more than can be moved")
    expect(page.get_by_label("Amount", exact=True)).to_be_focused()
    assert balances(site) == (pool, wallet)


def test_a_confirmed_grant_moves_once(visitor: Visitor, site: Site) -> None:
    pool, wallet = balances(site)
    page = open_grant(visitor, site)
    page.keyboard.type("3")
    page.get_by_label("Reason").fill("for the launch")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Is this right?")
    for nanos in (pool, pool - 3 * USD, wallet, wallet + 3 * USD):
        expect(dialog).to_contain_text(f"${nanos / USD:,.2f}")
    dialog.get_by_role("button", name="Grant $3.00").dblclick()
    expect(
        page.get_by_role("status").filter(has_text="$3.00 granted to “Empty group”.")
    ).to_be_focused()
    expect(dialog).to_be_hidden()
    assert balances(site) == (pool - 3 * USD, wallet + 3 * USD)
    expect(page.locator(".statement")).to_contain_text("for the launch")


def test_the_same_confirmation_sent_twice_at_once_moves_once(visitor: Visitor, site: Site) -> None:
    pool, wallet = balances(site)
    page = open_grant(visitor, site)
    page.keyboard.type("1.25")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Is this right?")
    statuses = page.evaluate(
        """async () => {
            const form = document.querySelector('#move form');
            const body = new FormData(form);
            body.set('step', 'confirm');
            const send = () => fetch(form.action, {method: 'POST', body: new URLSearchParams(body)});
            return (await Promise.all([send(), send(), send()])).map(answer => answer.status);
        }"""
    )
    assert statuses == [200, 200, 200]
    assert balances(site) == (pool - 1_250_000_000, wallet + 1_250_000_000)


def test_credits_come_back_from_the_groups_own_page(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}credits/")
    page.get_by_role("link", name="Reclaim").click()
    page.get_by_label("Amount", exact=True).fill("0.000000001")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_label("Amount", exact=True)).to_have_value("0.000000001")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Reclaim $0.000000001").click()
    page.wait_for_url(re.compile("/organization/"))
    expect(page.locator(".statement tbody tr").first).to_contain_text("+$0.000000001")


def test_the_operator_deposits(visitor: Visitor, site: Site) -> None:
    pool, _wallet = balances(site)
    page = visitor.open(email="olga@example.com")
    page.get_by_role("link", name="Arden Labs").click()
    page.get_by_role("link", name="Deposit").click()
    page.get_by_label("Amount", exact=True).fill("1,000")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Deposit $1,000.00").click()
    expect(page.get_by_text("$1,000.00 deposited.")).to_be_visible()
    assert balances(site)[0] == pool + 1000 * USD
    assert "0 violations" in audit(site)


def audit(site: Site) -> str:
    from tests.world import run_command

    return run_command(site.database.url, "audit").stdout
