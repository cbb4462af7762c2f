"""The reference of the management API: it is read, authorized and tried in the browser."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visitor
from tests.browser.journeys.axe import violations
from tests.browser.test_every_page import CONTRAST

ALICE = "alice@example.com"


def open_operation(page: Page, tag: str, operation: str) -> None:
    page.locator(f"#operations-tag-{tag}").click()
    page.locator(f"#operations-{tag}-{operation} .opblock-summary-control").click()


def execute(page: Page, operation: str) -> tuple[str, object]:
    """The status and the body that the page shows."""
    block = page.locator(f"[id$='-{operation}']")
    with page.expect_response("**/api/v1/**") as asked:
        block.get_by_role("button", name="Execute").click()
    live = block.locator(".live-responses-table .response")
    expect(live.locator(".response-col_status")).to_contain_text(str(asked.value.status))
    return str(asked.value.status), json.loads(asked.value.text())


def test_it_reads_with_ones_own_sign_in(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email=ALICE)
    page.goto(f"{site.root}/api/docs/")
    open_operation(page, "Organizations", "list_organizations")
    status, body = execute(page, "list_organizations")
    assert status == "200"
    assert "Arden Labs" in json.dumps(body)
    assert visitor.complaints == [], "nothing that the strict policy had to stop"


def test_it_writes_with_ones_own_sign_in(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email=ALICE)
    page.goto(f"{site.root}/api/docs/")
    open_operation(page, "Keys", "issue_key")
    block = page.locator("#operations-Keys-issue_key")
    group_id = site.id_of("accounts_group", "Research")
    block.locator("tr[data-param-name=group_id] input").fill(group_id)
    block.locator("textarea").fill('{"name": "from the reference", "scope": "manage"}')
    status, body = execute(page, "issue_key")
    assert status == "201"
    assert isinstance(body, dict)
    assert body["scope"] == "manage"
    assert visitor.complaints == []


def test_it_asks_with_a_key_that_is_pasted_in(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email=ALICE)
    page.goto(f"{site.group_url}keys/new/")
    page.get_by_label("Name").fill("for the reference")
    page.locator("label", has_text="Manage (management API)").click()
    expect(page.get_by_label("Budget per month")).to_be_hidden()
    page.get_by_role("button", name="Issue key").click()
    secret = page.locator("#issued-secret").inner_text()
    stranger = visitor.open()
    stranger.goto(f"{site.root}/api/docs/")
    stranger.locator(".btn.authorize").first.click()
    dialog = stranger.locator(".modal-ux")
    expect(dialog.locator(".auth-container")).to_have_count(1)
    dialog.locator("input").fill(secret)
    dialog.locator(".btn.authorize").click()
    dialog.get_by_role("button", name="Close").first.click()
    open_operation(stranger, "Groups", "list_groups")
    status, body = execute(stranger, "list_groups")
    assert status == "200"
    assert "Research" in json.dumps(body)
    assert visitor.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_open_operation_can_be_read(visitor: Visitor, site: Site, scheme: str) -> None:
    page = visitor.open(scheme=scheme, width=1280)
    page.goto(f"{site.root}/api/docs/")
    open_operation(page, "Keys", "issue_key")
    expect(page.locator("#operations-Keys-issue_key .responses-wrapper")).to_be_visible()
    assert page.evaluate(CONTRAST) == []
    assert violations(page) == []
    for width in (390, 1024):
        page.set_viewport_size({"width": width, "height": 860})
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0
