"""Image tasks: a gallery that keeps itself up to date, the page of one task, cancelling."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from accounts.ids import uuid7
from gateway.images.pictures import read_picture
from gateway.picture_store import save_picture
from tests.browser.conftest import Site, Visitor, open_site
from tests.browser.gallery import SIZE_MAX, draw_picture
from tests.browser.test_keyboard import tab_to

CARDS = "#task-cards > li"
HOLD_NANOS = 200_000_000


@pytest.fixture(scope="module")
def site(server_url: str, template_database: str) -> Iterator[Site]:
    """Its tasks are written as rows, without the ledger's moves, and their pictures expire."""
    with open_site(server_url, template_database) as made:
        yield made


def ask(site: Site, prompt: str, *, group: str = "Research", **fields: Any) -> UUID:
    """A task that waits, made as the gateway makes it: with its hold."""
    key = site.database.query(
        "SELECT k.id AS key, g.id AS group, g.organization_id AS organization, a.id AS wallet FROM accounts_apikey k"
        " JOIN accounts_group g ON g.id = k.group_id JOIN billing_account a ON a.group_id = g.id"
        " WHERE g.name = %s ORDER BY k.name = 'ci' DESC, k.id LIMIT 1",
        group,
    )[0]
    task_id = uuid7()
    row = {
        "id": str(task_id), "organization_id": str(key["organization"]), "group_id": str(key["group"]),
        "api_key_id": str(key["key"]), "account_id": key["wallet"], "action": "text_to_image",
        "endpoint": "text_to_image", "requested_model": "gpt-image-2", "model": "openai/gpt-image-2", "count": 2,
        "price_id": 0, "price_key": "2k", "hold_nanos": HOLD_NANOS, "base_url": "http://x", "callback_url": "",
        "idempotency_key": "", "request_digest": "d", "timeout_s": 900,
        "request": {"action": "text_to_image", "prompt": prompt, "output_resolution": "2k", "output_count": 2},
    }  # fmt: skip
    made = site.database.one(
        "SELECT outcome FROM gateway_create_task(%s::jsonb, NULL, NULL)", json.dumps(row | fields)
    )
    assert made == "created"
    return task_id


def begin(site: Site, task_id: UUID, progress: int = 0) -> None:
    """A worker has it in hand and has come so far."""
    site.database.query(
        "UPDATE gateway_task SET status = 'processing', attempts = 1, progress = %s, updated_at = clock_timestamp(),"
        " started_at = coalesce(started_at, clock_timestamp()), events = CASE WHEN attempts = 0"
        " THEN events || gateway_event('started', '') ELSE events END WHERE id = %s",
        progress,
        task_id,
    )


def complete(site: Site, task_id: UUID, size: tuple[int, int] = (320, 240)) -> None:
    """It ends with two pictures, which are stored and charged."""
    for position in range(2):
        data = draw_picture(size, position)
        names = save_picture(task_id, position, data, read_picture(data, SIZE_MAX, SIZE_MAX))
        site.database.query(
            "INSERT INTO gateway_picture (task_id, position, name, thumbnail, content_type, extension, width, height,"
            " size_bytes, expires_at)"
            " VALUES (%s, %s, %s, %s, 'image/png', 'png', %s, %s, %s, now() + interval '7 days')",
            task_id, position, *names, *size, len(data),
        )  # fmt: skip
    end(site, task_id, "completed", amount_nanos=HOLD_NANOS)


def end(
    site: Site, task_id: UUID, status: str, code: str = "", message: str = "", amount_nanos: int = 0
) -> None:
    """The end of a task in hand."""
    done = site.database.one(
        "SELECT gateway_end_task(%s, 1, %s, %s, %s, %s, NULL, %s)",
        task_id, status, code, message, amount_nanos, uuid7(),
    )  # fmt: skip
    assert done is True


def name_of(task_id: UUID) -> str:
    return f"tsk_{task_id.hex}"


def task_url(site: Site, task_id: UUID) -> str:
    return f"{site.group_url}tasks/{name_of(task_id)}/"


def card_ids(page: Page) -> list[str]:
    ids: list[str] = page.locator(CARDS).evaluate_all("cards => cards.map(card => card.id)")
    return ids


def test_a_task_appears_progresses_and_completes_while_one_looks(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}tasks/")
    expect(page.locator(CARDS)).to_have_count(24)
    neighbour = page.locator(f"{CARDS}:has(img)").first.get_attribute("id")
    page.evaluate("id => document.querySelector(`#${id} img`).marked = true", neighbour)
    page.locator(f"#{neighbour} .task-link").focus()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))

    task = ask(site, "A kite above the dunes")
    card = page.locator(f"#{name_of(task)}")
    expect(card).to_contain_text("Waiting for its turn")  # by itself, within its two seconds
    expect(card).to_contain_text("reserved $0.20")
    assert card_ids(page)[0] == name_of(task)
    begin(site, task)
    expect(card).to_contain_text("Under way")
    begin(site, task, progress=40)
    expect(card).to_contain_text("40% done")
    expect(card.locator("progress")).to_have_js_property("value", 40)
    complete(site, task)
    expect(card).to_contain_text("Completed")
    expect(card).to_contain_text("2 images")
    expect(card.locator(".task-price")).to_have_text("$0.20")
    expect(card.locator("img")).to_have_js_property("naturalWidth", 320)

    assert page.evaluate("id => document.querySelector(`#${id} img`).marked", neighbour)
    assert page.evaluate("document.activeElement.closest('li')?.id") == neighbour
    pictures = [url for url in fetched if "/pictures/" in url]
    assert len(pictures) == 1, "only the new one: what was there is not loaded again"
    assert all("seen=" in url or "/pictures/" in url for url in fetched), "no full page"
    assert len(card_ids(page)) == 24
    older = page.get_by_role("link", name="Older").get_attribute("href") or ""
    assert card_ids(page)[-1].removeprefix("tsk_") in older, "the next page begins where this ends"


def test_a_failure_is_told_in_words_and_gives_the_credit_back(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}tasks/")
    credit = page.locator(".credit-figure")
    before = credit.inner_text()
    task = ask(site, "A kite that nobody may see")
    card = page.locator(f"#{name_of(task)}")
    expect(card).to_be_visible()
    expect(credit).not_to_have_text(before)
    begin(site, task)
    end(site, task, "failed", "content_refused", "Violence.")
    expect(card).to_contain_text("The provider refused the content")
    expect(card).to_contain_text("Violence.")
    expect(card).to_contain_text("not charged")
    expect(credit).to_have_text(before)


def test_live_can_be_paused(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}tasks/")
    switch = page.get_by_role("switch", name="Live")
    switch.click()
    polls: list[str] = []
    page.on(
        "request", lambda request: polls.append(request.url) if "seen=" in request.url else None
    )
    missed = ask(site, "Something that nobody waits for")
    page.evaluate("htmx.trigger('#live', 'refresh')")
    assert polls == []
    # A page without the switch is not paused by it.
    page.goto(task_url(site, missed))
    begin(site, missed, progress=7)
    expect(page.locator("#task")).to_contain_text("7% done")
    page.goto(f"{site.group_url}tasks/")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    begin(site, missed, progress=8)
    expect(page.locator(f"#{name_of(missed)}")).to_contain_text("8% done")
    end(site, missed, "failed", "upstream_error", "500")


def test_the_filters_combine_and_live_in_the_address(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}tasks/")
    page.get_by_label("Status").select_option("completed")
    page.wait_for_url("**/tasks/?status=completed")
    page.get_by_label("Action").select_option("edit_image")
    page.wait_for_url("**/tasks/?status=completed&action=edit_image")
    expect(page.locator(CARDS)).to_have_count(1)
    expect(page.locator(CARDS)).to_contain_text("Replace the sky")
    page.reload()
    expect(page.get_by_label("Action")).to_have_value("edit_image")
    page.go_back()
    page.wait_for_url("**/tasks/?status=completed")
    expect(page.get_by_label("Action")).to_have_value("")
    page.get_by_label("Status").select_option("cancelled")
    page.wait_for_url("**status=cancelled")
    expect(page.locator(f"{CARDS} .badge")).to_have_text(
        ["Cancelled"] * page.locator(CARDS).count()
    )
    page.get_by_label("Model").select_option("openai/gpt-4o-image")
    expect(page.get_by_role("heading", name="No task matches")).to_be_visible()
    page.get_by_role("link", name="Clear the filters").click()
    page.wait_for_url(re.compile(r"/tasks/\??$"))
    expect(page.locator(CARDS)).to_have_count(24)


def test_paging_goes_there_and_back(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}tasks/")
    first = card_ids(page)
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**before=**")
    expect(page.get_by_role("link", name="Newer")).to_be_visible()
    assert min(first) > max(card_ids(page))
    expect(page.get_by_role("switch", name="Live")).to_have_count(0)
    page.get_by_role("link", name="Newer").click()
    page.wait_for_url("**after=**")
    expect(page.locator(f"#{first[0]}")).to_be_visible()
    assert card_ids(page) == first


def test_the_first_task_of_a_group_appears_by_itself(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    group = uuid7()
    site.database.query(
        "INSERT INTO accounts_group (id, organization_id, name, created_at) VALUES (%s, %s, 'Still', now())",
        group,
        site.id_of("accounts_organization", "Arden Labs"),
    )
    page.goto(f"{site.root}/groups/{group}/tasks/")
    expect(page.get_by_role("heading", name="No image tasks yet")).to_be_visible()
    page.get_by_role("button", name="Copy the curl command").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {site.root}/v1/text_to_image")
    assert '"model": "gpt-image-2"' in copied
    task = ask(site, "The very first")
    site.database.query("UPDATE gateway_task SET group_id = %s WHERE id = %s", group, task)
    page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(page.locator(f"#{name_of(task)}")).to_be_visible()
    expect(page.get_by_role("heading", name="No image tasks yet")).to_have_count(0)


def test_the_gallery_and_a_task_by_keyboard_alone(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    page.goto(f"{site.group_url}calls/")
    tab_to(page, "#tab-tasks")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/")
    tab_to(page, "#filter_action")
    page.keyboard.type("Image")
    page.wait_for_url("**action=edit_image")
    expect(page.locator("#filter_action")).to_be_focused()
    expect(page.locator(CARDS)).to_have_count(2)
    tab_to(page, ".task-link[aria-labelledby]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/tsk_*/")
    tab_to(page, "[data-copy='task-prompt']")
    page.keyboard.press("Enter")
    prompt = page.locator("#task-prompt").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == prompt
    tab_to(page, ".id-line a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/calls/call_*/")
    tab_to(page, ".call-title .button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/tsk_*/")
    tab_to(page, ".back")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/")


def test_the_page_of_a_task_follows_it_to_its_end_and_then_rests(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="bob@example.com")
    task = ask(site, "A kite on a string\nin two lines")
    page.goto(task_url(site, task))
    page.evaluate("window.stayed = true")
    shown = page.locator("#task")
    expect(shown).to_contain_text("Waiting for its turn")
    expect(shown.get_by_role("button", name="Cancel the task")).to_have_count(0)
    begin(site, task, progress=55)
    expect(shown).to_contain_text("55% done")
    expect(page.locator(".timeline li")).to_have_count(3)
    complete(site, task)
    expect(page.locator(".picture img")).to_have_count(2)
    expect(page.locator(".picture img").first).not_to_have_js_property("naturalWidth", 0)
    expect(page.locator(".timeline li").last).to_contain_text("Completed")
    expect(page.locator("#task-prompt")).to_have_text(
        re.compile("A kite on a string\nin two lines")
    )
    assert page.evaluate("window.stayed"), "no full page load"
    polls: list[str] = []
    page.on("request", lambda request: polls.append(request.url))
    page.evaluate("htmx.trigger('#live', 'refresh')")
    page.wait_for_timeout(2600)
    assert polls == []

    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open picture 2").click()
    assert f"/pictures/{task.hex}/1.png?" in popup.value.url
    popup.value.close()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download picture 1").click()
    assert download.value.suggested_filename == f"{task.hex}-0.png"


def test_a_task_is_cancelled_only_after_a_question(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    task = ask(site, "Never mind")
    page.goto(task_url(site, task))
    cancel = page.locator("#cancel-task")
    cancel.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel this task?")
    expect(dialog).to_contain_text("The $0.20 that is reserved goes back to the wallet.")
    polls: list[str] = []
    page.on(
        "request", lambda request: polls.append(request.url) if "seen=" in request.url else None
    )
    page.evaluate("htmx.trigger('#live', 'refresh')")
    assert polls == [], "nothing moves under a question"
    dialog.get_by_role("button", name="Keep it").click()
    assert site.database.one("SELECT status FROM gateway_task WHERE id = %s", task) == "pending"
    cancel.click()
    dialog.get_by_role("button", name="Cancel the task").click()
    expect(page.locator("#messages")).to_contain_text("The task is cancelled: nothing is charged.")
    expect(page.locator("#task [role=status]")).to_have_text("Cancelled")
    expect(cancel).to_have_count(0)
    assert site.database.one("SELECT state FROM billing_hold WHERE id = %s", task) == "released"


def test_a_task_that_begins_under_the_question_goes_on(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    task = ask(site, "Too late")
    page.goto(task_url(site, task))
    page.locator("#cancel-task").click()
    begin(site, task)
    page.get_by_role("dialog").get_by_role("button", name="Cancel the task").click()
    expect(page.locator("#messages")).to_contain_text("had already begun")
    expect(page.locator("#task [role=status]")).to_have_text("Processing")
    end(site, task, "failed", "upstream_error", "500")


@pytest.mark.parametrize("width", [390, 1024])
def test_nothing_moves_when_a_picture_comes(visitor: Visitor, site: Site, width: int) -> None:
    page = visitor.open(width=width, email="bob@example.com")
    task = ask(site, "A very tall picture")
    begin(site, task, progress=90)
    page.goto(f"{site.group_url}tasks/")
    card = page.locator(f"#{name_of(task)}")
    place = (
        "card => JSON.stringify([card.offsetWidth, card.querySelector('.task-stage').offsetHeight])"
    )
    before = card.evaluate(place)
    complete(site, task, size=(200, 600))
    expect(card.locator("img")).to_have_js_property("naturalHeight", 512)
    assert card.evaluate(place) == before


def test_words_stand_where_the_file_of_a_picture_is_lost(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    task = ask(site, "Lost and not found")
    begin(site, task)
    complete(site, task)
    site.database.query(
        "UPDATE gateway_picture SET name = 'lost', thumbnail = 'lost' WHERE task_id = %s", task
    )
    page.goto(f"{site.group_url}tasks/")
    expect(page.locator(f"#{name_of(task)}")).to_contain_text("The picture cannot be shown")
    page.goto(task_url(site, task))
    expect(page.get_by_text("The picture cannot be shown").first).to_be_visible()
    expect(page.locator("img[data-picture]")).to_have_count(0)
    assert all("410" in complaint for complaint in visitor.complaints)
    visitor.complaints.clear()


def test_an_open_delivery_stays_open_when_another_try_comes(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="bob@example.com")
    sent = site.database.query(
        "SELECT id, task_id FROM gateway_delivery WHERE state = 'waiting' AND task_id IS NOT NULL"
    )[0]
    page.goto(task_url(site, sent["task_id"]))
    delivery = page.locator(f"#msg_{sent['id'].hex}")
    delivery.locator("summary").click()
    expect(delivery.locator("tbody tr")).to_have_count(1)
    site.database.query(
        'UPDATE gateway_delivery SET log = log || \'[{"at": 1, "status": 502, "ms": 9, "error": "Bad gateway"}]\''
        " WHERE id = %s",
        sent["id"],
    )
    page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(delivery.locator("tbody tr")).to_have_count(2)
    expect(delivery.get_by_text("Bad gateway")).to_be_visible()
