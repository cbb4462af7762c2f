"""The history of calls: toggle, filters, paging, and rows that come in while one looks."""

import csv
import json
import re
from pathlib import Path
from uuid import UUID, uuid4

from playwright.sync_api import Page, expect

from accounts.ids import uuid7
from tests.browser.conftest import Site, Visitor

ROWS = "#calls-rows > tr"


def add_call(site: Site, *, model: str = "fresh/model", minutes_ago: int = 0) -> str:
    """A call that has just ended; it began that long ago. Returns the id of its row."""
    call_id = uuid7()
    if minutes_ago:
        call_id = type(call_id)(int=call_id.int - (minutes_ago * 60_000 << 80))
    site.database.query(
        "INSERT INTO gateway_callrecord (id, organization_id, group_id, api_key_id, source, endpoint, model, status,"
        " stream, service_tier, created_at, duration_ms, input_tokens, cached_input_tokens, cache_write_tokens,"
        " cache_write_1h_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, images,"
        " basis, hold_nanos, list_nanos, amount_nanos, written_off_nanos, error_code, error_message, attempts)"
        " SELECT %s, organization_id, group_id, api_key_id, 'api', 'chat/completions', %s, 'completed', false,"
        " 'standard', now() - make_interval(mins => %s), 5, 1, 0, 0, 0, 1, 0, 0, 0, 0, 'reported', 0, 0, 0, 0, '', '',"
        " '[]' FROM gateway_callrecord WHERE group_id = %s LIMIT 1",
        call_id, model, minutes_ago, site.id_of("accounts_group", "Research"),
    )  # fmt: skip
    return f"call_{call_id.hex}"


def row_ids(page: Page) -> list[str]:
    ids: list[str] = page.locator(ROWS).evaluate_all("rows => rows.map(row => row.id)")
    return ids


def choose(page: Page, label: str, value: str) -> None:
    """Picks from one of the filters that are always in sight."""
    page.get_by_label(label, exact=True).select_option(value)


def tick(page: Page, *labels: str) -> None:
    """Ticks statuses one after another, with the menu staying open in between."""
    menu = page.locator("#status-menu")
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    for label in labels:
        with page.expect_response(lambda response: "/calls/?" in response.url):
            menu.get_by_label(label, exact=True).click()
        expect(menu.get_by_label(label, exact=True)).to_be_focused()


def chip_texts(page: Page) -> list[str]:
    values: list[str] = page.locator(".chip").evaluate_all(
        "chips => chips.map(chip => chip.querySelector('.chip-label').textContent + ' '"
        " + chip.querySelector('.chip-value').textContent)"
    )
    return values


def test_several_statuses_are_ticked_in_one_go_and_taken_off_as_chips(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    tick(page, "Refused", "Lost", "Timed out")
    page.wait_for_url(re.compile("status=timed_out&status=lost&status=refused"))
    assert sorted(chip_texts(page)) == ["Status Lost", "Status Refused", "Status Timed out"]
    badges = page.locator(f"{ROWS} td.status").all_inner_texts()
    assert set(badges) == {"Lost", "Refused", "Timed out"}
    page.keyboard.press("Escape")
    page.locator(".chip", has_text="Lost").click()
    page.wait_for_url(re.compile("status=timed_out&status=refused$"))
    assert sorted(chip_texts(page)) == ["Status Refused", "Status Timed out"]
    page.go_back()
    expect(page.locator(".chip")).to_have_count(3)
    page.get_by_role("link", name="Clear", exact=True).click()
    page.wait_for_url(re.compile(r"/calls/\??$"))
    expect(page.locator(".chip")).to_have_count(0)


def test_the_filters_behind_the_button_combine_with_the_others(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    page.locator("#more-menu summary").click()
    page.get_by_label("Charged at least, USD").fill("0.01")
    page.get_by_label("Charged at least, USD").press("Enter")
    page.wait_for_url("**charge_min=0.01**")
    page.get_by_label("Streaming").select_option("yes")
    page.wait_for_url("**stream=yes**")
    expected = site.database.one(
        "SELECT count(*) FROM gateway_callrecord r JOIN accounts_group g ON g.id = r.group_id WHERE g.name = 'Research'"
        " AND stream AND amount_nanos >= 10000000"
    )
    assert page.locator(ROWS).count() == min(expected, 50) > 0
    expect(page.locator("#more-menu .count")).to_have_text("2")
    page.get_by_label("Charged at least, USD").fill("lots")
    page.get_by_label("Charged at least, USD").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Write an amount in US dollars")
    page.wait_for_load_state("networkidle")


def test_an_id_leads_to_its_call_from_the_box_and_what_is_not_there_says_so(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    wanted = row_ids(page)[7]
    box = page.get_by_role("searchbox", name="Call id")
    box.fill(wanted)
    box.press("Enter")
    page.wait_for_url(f"**/{wanted}/**")
    page.go_back()
    box.fill("00000000")
    box.press("Enter")
    expect(page.get_by_role("heading", name="No call found")).to_be_visible()
    expect(box).to_have_value("00000000")
    page.get_by_role("link", name="Back to all calls").click()
    expect(page.locator(ROWS)).to_have_count(50)


def test_the_export_is_the_filtered_list(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/?status=refused&status=lost")
    shown = row_ids(page)
    page.locator("#export-menu summary").click()
    with page.expect_download() as ndjson:
        page.get_by_role("link", name="NDJSON").click()
    assert ndjson.value.suggested_filename.endswith(".ndjson")
    lines = Path(ndjson.value.path()).read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == shown
    with page.expect_download() as table:
        page.get_by_role("link", name="CSV").click()
    assert table.value.suggested_filename.startswith("calls-research-")
    rows = list(csv.DictReader(Path(table.value.path()).read_text().splitlines()))
    assert [row["id"] for row in rows] == shown


def test_a_page_may_be_shorter_or_longer_and_stays_so(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    page.locator("#size-25").click()
    page.wait_for_url("**size=25")
    expect(page.locator(ROWS)).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**before=**")
    expect(page.locator(ROWS)).to_have_count(25)
    page.locator("#size-100").click()
    page.wait_for_url("**size=100")
    expect(page.locator(ROWS)).to_have_count(100)


def test_live_rows_are_those_that_the_filters_let_through(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/?stream=no&status=completed")
    before = row_ids(page)
    fits = add_call(site, model="fresh/fits")
    expect(page.locator(f"#{fits}")).to_be_visible()
    page.goto(f"{site.group_url}calls/?stream=yes")
    other = add_call(site, model="fresh/not-streamed")
    page.evaluate("htmx.trigger('#live', 'refresh')")
    page.wait_for_timeout(500)
    expect(page.locator(f"#{other}")).to_have_count(0)
    assert fits not in before


def test_the_page_of_a_call_leads_on(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/?status=completed&charge_min=0.000000001&source=api")
    call = row_ids(page)[9]
    page.goto(f"{site.group_url}calls/{call}/")
    expect(page.locator(".around tr.is-this")).to_have_count(1)
    expect(page.locator(".around tbody tr")).to_have_count(7)
    page.locator("#raw summary").click()
    raw = json.loads(page.locator("#raw-json").inner_text())
    assert (raw["id"], raw["object"]) == (call, "call")
    assert raw["lines"]
    page.get_by_role("button", name="Copy the JSON").click()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == raw
    page.locator("#in-history").click()
    expect(page.locator(f"#{call}")).to_be_visible()
    page.go_back()
    page.locator("#to-transfer").click()
    page.wait_for_url(f"**/credits/?transfer={UUID(call.removeprefix('call_'))}")
    expect(page.get_by_role("heading", name="Research")).to_be_visible()


def test_the_toggle_and_the_filters_combine_and_live_in_the_address(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    expect(page.locator(ROWS)).to_have_count(50)
    page.get_by_role("link", name="Task", exact=True).click()
    page.wait_for_url("**/calls/?source=task")
    expect(page.locator(f"{ROWS} .tag").first).to_be_visible()
    assert page.locator(ROWS).count() == page.locator(f"{ROWS} .tag").count()
    assert page.evaluate("document.activeElement.id") == "source-task", "focus stays on the toggle"

    tick(page, "Completed")
    page.wait_for_url("**/calls/?source=task&status=completed")
    choose(page, "Model", "openai/gpt-image-2")
    page.wait_for_url(re.compile("source=task&model=openai%2Fgpt-image-2&status=completed"))
    shown = row_ids(page)
    expected = site.database.one(
        "SELECT count(*) FROM gateway_callrecord r JOIN accounts_group g ON g.id = r.group_id WHERE g.name = 'Research'"
        " AND r.source = 'task' AND r.status = 'completed' AND r.model = 'openai/gpt-image-2'"
    )
    assert len(shown) == expected > 0

    page.reload()
    assert row_ids(page) == shown
    assert chip_texts(page) == ["Model openai/gpt-image-2", "Status Completed"]
    page.go_back()
    page.wait_for_url("**/calls/?source=task&status=completed")
    expect(page.get_by_label("Model", exact=True)).to_have_value("")
    assert chip_texts(page) == ["Status Completed"]
    page.get_by_role("link", name="Clear", exact=True).click()
    page.wait_for_url(re.compile(r"/calls/\??$"))
    expect(page.locator(ROWS)).to_have_count(50)


def test_paging_goes_there_and_back(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    first = row_ids(page)
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**before=**")
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    second = row_ids(page)
    assert not set(first) & set(second)
    assert min(first) > max(second)
    expect(page.get_by_role("switch", name="Live")).to_have_count(0)
    page.get_by_role("link", name="Newer").click()
    page.wait_for_url("**after=**")
    expect(page.locator(f"#{first[0]}")).to_be_visible()
    assert row_ids(page) == first


def test_new_calls_come_in_without_disturbing_what_is_there(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    rows = page.locator(ROWS)
    expect(rows).to_have_count(50)
    before = row_ids(page)
    page.evaluate("document.querySelector('#calls-rows > tr').marked = true")
    page.locator(f"#{before[3]} a.row-link").focus()
    newest = add_call(site)
    late = add_call(site, minutes_ago=2)
    expect(page.locator(f"#{newest}")).to_be_visible()  # within its three seconds, by itself
    after = row_ids(page)
    assert after[0] == newest
    assert late in after
    assert after == sorted(after, reverse=True), "a late call stands where it began"
    assert len(after) == 50
    assert page.evaluate(f"document.getElementById('{before[0]}').marked"), (
        "rows are kept, not redrawn"
    )
    assert page.evaluate("document.activeElement.closest('tr').id") == before[3]
    older = page.get_by_role("link", name="Older").get_attribute("href") or ""
    assert after[-1].removeprefix("call_") in older, "the next page begins where this one ends"


def test_live_can_be_paused_and_rests_while_nobody_looks(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    polls: list[str] = []
    page.on(
        "request", lambda request: polls.append(request.url) if "seen=" in request.url else None
    )
    switch = page.get_by_role("switch", name="Live")
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    page.evaluate("htmx.trigger('#live', 'refresh')")
    tick(page, "Completed")
    page.wait_for_url("**status=completed")
    expect(switch).to_have_attribute("aria-checked", "false")
    page.evaluate("htmx.trigger('#live', 'refresh')")
    assert polls == []

    missed = add_call(site)
    switch.click()
    expect(page.locator(f"#{missed}")).to_be_visible()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    polls.clear()
    page.evaluate("htmx.trigger('#live', 'refresh')")
    assert polls == []
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    with page.expect_request(lambda request: "seen=" in request.url):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_the_first_call_of_a_group_appears_by_itself(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    group = uuid7()
    site.database.query(
        "INSERT INTO accounts_group (id, organization_id, name, created_at) VALUES (%s, %s, 'Quiet', now())",
        group,
        site.id_of("accounts_organization", "Arden Labs"),
    )
    page.goto(f"{site.root}/groups/{group}/calls/")
    expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    call = add_call(site, model=f"fresh/{uuid4().hex[:6]}")
    site.database.query(
        "UPDATE gateway_callrecord SET group_id = %s WHERE id = %s",
        group,
        call.removeprefix("call_"),
    )
    page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(page.locator(f"#{call}")).to_be_visible()


def test_a_row_leads_to_its_call_by_pointer_and_by_keyboard(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/?status=completed")
    first, second = row_ids(page)[:2]
    page.locator(f"#{first} td.status").click()
    page.wait_for_url(f"**/{first}/**")
    expect(page.get_by_role("heading", name="The charge, explained")).to_be_visible()
    page.go_back()
    page.locator(f"#{second} a.row-link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{second}/**")
    page.get_by_role("button", name="Copy the id of the call").click()
    assert page.evaluate("navigator.clipboard.readText()") == second


def test_every_charge_of_the_scenery_agrees_with_its_explanation(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    calls = site.database.query(
        "SELECT DISTINCT ON (status, written_off_nanos > 0, amount_nanos > 0) r.id, amount_nanos FROM"
        " gateway_callrecord r JOIN accounts_group g ON g.id = r.group_id"
        " WHERE g.name = 'Research' AND price_id IS NOT NULL"
    )
    assert len(calls) > 7
    for call in calls:
        html = page.request.get(f"{site.group_url}calls/call_{call['id'].hex}/").text()
        agrees = "Recomputed: agrees with what was booked" in html
        assert agrees is bool(call["amount_nanos"]), call
        assert "Does not agree" not in html
