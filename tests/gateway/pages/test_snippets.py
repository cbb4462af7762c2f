"""What the examples on the pages name and show."""

import pytest
from django.test import RequestFactory

from gateway.models import Model
from gateway.pages import snippets
from tests.people import People, make_people

KEY = "tollgate-v1-abc-secret"


@pytest.fixture
def people(price_book: None, db: None) -> People:
    return make_people()


def test_the_snippets_name_a_model_that_may_be_called(people: People) -> None:
    assert snippets.example_model("gpt") == "gpt-5.5"
    Model.objects.filter(name="openai/gpt-5.5").update(is_enabled=False)
    other = snippets.example_model("gpt")
    assert other.startswith("gpt-")
    assert other != "gpt-5.5"
    Model.objects.filter(mode__in=("chat", "responses")).exclude(
        name="deepseek/deepseek-chat"
    ).update(is_enabled=False)
    assert snippets.example_model("gpt") in ("deepseek-chat", "deepseek/deepseek-chat")
    Model.objects.update(is_enabled=False)
    assert snippets.example_model("gpt") == "openai/gpt-5.5"


def test_the_anthropic_snippet_names_a_model_of_anthropic_where_one_is_sold(people: People) -> None:
    assert snippets.example_model("claude") == "claude-sonnet-4-6"
    Model.objects.filter(name="anthropic/claude-sonnet-4-6").update(is_enabled=False)
    assert snippets.example_model("claude").startswith("claude-")
    Model.objects.filter(provider="anthropic").update(is_enabled=False)
    assert "claude" not in snippets.example_model("claude")


@pytest.mark.parametrize("key", [None, KEY])
def test_each_client_has_a_tab_that_tells_the_key_once_where_it_is_known(
    people: People, key: str | None
) -> None:
    request = RequestFactory().get("/")
    tabs = snippets.text_tabs(request, key) if key else snippets.text_tabs(request)
    assert [tab.slug for tab in tabs] == [
        "curl", "python", "node", "anthropic", "hermes", "openclaw"
    ]  # fmt: skip
    for tab in tabs:
        text = "\n".join(box.text for box in tab.boxes)
        assert "http://testserver" in text
        assert text.count(KEY) == (1 if key else 0)
        assert "{{" not in text
        named = "claude-sonnet-4-6" if tab.slug == "anthropic" else "gpt-5.5"
        assert named in text


def test_the_files_of_an_agent_are_named_and_those_of_a_program_are_not(people: People) -> None:
    tabs = {tab.slug: tab for tab in snippets.text_tabs(RequestFactory().get("/"))}
    hermes = tabs["hermes"].boxes
    assert [box.name for box in hermes] == ["~/.hermes/.env", "~/.hermes/config.yaml"]
    assert all(box.name in box.note for box in hermes)
    assert [box.note for box in tabs["curl"].boxes] == [""]
    assert "/v1" in tabs["anthropic"].boxes[0].note


def test_a_picture_is_asked_for_by_the_model_that_is_given(people: People) -> None:
    tabs = snippets.picture_tabs(RequestFactory().get("/"), "flux-kontext-pro")
    assert [tab.slug for tab in tabs] == ["curl", "python"]
    assert "/v1/text_to_image" in tabs[0].boxes[0].text
    assert all("flux-kontext-pro" in tab.boxes[0].text for tab in tabs)
