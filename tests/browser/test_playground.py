"""The playground on a real gateway in front of the simulator, paid by a group's credits."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from simulator.process import SimulatorProcess
from tests.browser.conftest import Visitor
from tests.browser.place import Place, open_place


@pytest.fixture(scope="module")
def place(
    server_url: str,
    template_database: str,
    simulator: SimulatorProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("crew")
    with open_place(server_url, template_database, simulator, home) as opened:
        yield opened


@pytest.fixture
def visitor(chromium: Browser, place: Place) -> Iterator[Visitor]:
    made = Visitor(chromium, place.site)
    yield made
    made.close()
    refused = [one for one in made.complaints if "status of 4" not in one]
    assert refused == []


def open_chat(visitor: Visitor, place: Place, query: str = "") -> Page:
    page = visitor.open(email=place.email)
    page.goto(f"{place.site.root}/playground/?model=gpt-5.5{query}")
    expect(page.locator("#price")).to_contain_text("per 1M tokens")
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def test_an_answer_streams_is_laid_out_and_shows_its_charge(visitor: Visitor, place: Place) -> None:
    page = open_chat(visitor, place)
    before = len(place.charges())
    available = page.locator("#available").inner_text()
    say(page, 'Hello [[simulate {"content": "**Bold** and `code` <script>x</script>"}]]')
    answer = page.locator(".message.is-assistant")
    expect(answer.locator("strong")).to_have_text("Bold")
    expect(answer).to_contain_text("<script>x</script>")
    expect(answer.locator(".message-facts")).to_contain_text("charged")
    (charge,) = place.charges()[before:]
    assert f"${charge / 1e9:.9f}".rstrip("0") in answer.locator(".message-facts").inner_text()
    expect(page.locator("#available")).not_to_have_text(available)
    answer.get_by_role("link", name="How this is charged").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert re.search(r"/calls/call_[0-9a-f]{32}/$", page.url)


def test_what_was_said_before_goes_with_the_next_message(visitor: Visitor, place: Place) -> None:
    page = open_chat(visitor, place)
    page.get_by_label("System prompt").fill("Be brief.")
    say(page, "First")
    expect(page.locator(".message-facts")).to_have_count(1)
    say(page, "Second")
    expect(page.locator(".message-facts")).to_have_count(2)
    page.get_by_text("As code").click()
    code = page.locator("#as-code")
    for part in ("Be brief.", "First", "Second", '"role": "assistant"', "$TOLLGATE_API_KEY"):
        expect(code).to_contain_text(part)
    page.get_by_role("button", name="Start again").click()
    expect(page.locator(".message")).to_have_count(0)
    expect(page.get_by_role("heading", name="Say something to a model")).to_be_visible()


def test_a_stopped_stream_keeps_its_text_and_is_charged_for_it(
    visitor: Visitor, place: Place
) -> None:
    page = open_chat(visitor, place)
    before = len(place.charges())
    say(page, 'Count [[simulate {"output_tokens": 400, "chunk_delay_s": 0.1}]]')
    answer = page.locator(".message.is-assistant")
    expect(answer.locator(".message-text")).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    page.get_by_role("button", name="Stop").click()
    expect(answer).to_contain_text("Stopped.")
    expect(answer.locator(".message-facts")).to_contain_text("charged", timeout=20_000)
    (charge,) = place.charges()[before:]
    assert 0 < charge < 6_200_000, "less than the 400 tokens would have cost"
    assert answer.locator(".message-text").inner_text().strip()


def test_a_tool_call_is_shown_and_its_result_sent_back(visitor: Visitor, place: Place) -> None:
    page = open_chat(visitor, place)
    page.get_by_text("Tools", exact=True).click()
    page.get_by_label("Tools as JSON").fill(
        '[{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object",'
        ' "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]'
    )
    say(page, "Use get_weather for Seoul")
    call = page.locator(".tool-call")
    expect(call).to_contain_text("get_weather")
    expect(call.locator("pre")).to_contain_text('"city"')
    call.get_by_label("Result of the tool").fill("21 degrees, clear")
    page.get_by_role("button", name="Send the results").click()
    expect(page.locator(".message.is-assistant").last).to_contain_text("21 degrees, clear")


def test_errors_are_told_in_the_gateways_words(visitor: Visitor, place: Place) -> None:
    page = open_chat(visitor, place)
    before = place.charges()
    say(page, 'Fail [[simulate {"status": 400}]]')
    expect(page.get_by_role("alert").filter(has_text="Try again")).to_be_visible()
    page.get_by_role("button", name="Start again").click()
    page.get_by_label("Temperature").fill("warm")
    say(page, "Hello")
    expect(page.locator("#settings-error")).to_have_text(
        "This is not a number that the field takes."
    )
    page.get_by_label("Temperature").fill("")
    say(page, 'Break [[simulate {"reset_after_chunks": 3, "output_tokens": 50}]]')
    expect(page.locator(".message-note.is-bad")).to_be_visible()
    assert sum(place.charges()) == sum(before)


def test_a_picture_is_priced_drawn_and_charged(visitor: Visitor, place: Place) -> None:
    page = visitor.open(email=place.email)
    page.goto(f"{place.site.root}/playground/?mode=images&model=gpt-image-2")
    before = len(place.charges())
    expect(page.locator("#price")).to_contain_text("$0.06")
    page.get_by_label("Resolution").select_option("2k")
    expect(page.locator("#price")).to_contain_text("$0.10")
    page.get_by_label("Prompt").fill("A quiet harbour at dawn")
    page.get_by_role("button", name="Generate").click()
    result = page.locator(".result")
    expect(result.locator("img")).to_be_visible(timeout=20_000)
    assert result.locator("img").evaluate("image => image.naturalWidth") > 1000
    expect(result).to_contain_text("$0.10 charged")
    assert place.charges()[before:] == [100_000_000]
    result.get_by_role("link", name="Task").click()
    expect(page.locator(".prompt")).to_have_text("A quiet harbour at dawn")


def test_a_source_makes_it_an_edit(visitor: Visitor, place: Place, tmp_path: Path) -> None:
    page = visitor.open(email=place.email)
    page.goto(f"{place.site.root}/playground/?mode=images")
    for name, shown in (("openai/gpt-4o-image", True), ("topaz/topaz-upscale-image", False)):
        page.locator("#model").select_option(name)
        expect(page.get_by_label("Prompt")).to_be_visible(visible=shown)
        expect(page.get_by_label("Factor")).to_be_visible(visible=not shown)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#order-error")).to_have_text("This model works on a picture: choose one.")
