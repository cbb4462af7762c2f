"""What the examples name."""

from datetime import UTC, datetime

import pytest

from gateway.models import Model
from gateway.pages import snippets
from tests.people import People, make_people

USD = 1_000_000_000
FIRST, LAST = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def people(price_book: None, db: None) -> People:
    return make_people()


def test_the_snippets_name_a_model_that_may_be_called(people: People) -> None:
    assert snippets.example_model() == "gpt-5.5"
    Model.objects.filter(mode="chat").exclude(name="deepseek/deepseek-chat").update(
        is_enabled=False
    )
    assert snippets.example_model() in ("deepseek-chat", "deepseek/deepseek-chat")
    Model.objects.update(is_enabled=False)
    assert snippets.example_model() == snippets.EXAMPLE_MODEL


def test_the_anthropic_snippet_names_a_model_of_anthropic_where_one_is_sold(people: People) -> None:
    assert snippets.example_model(snippets.EXAMPLE_CLAUDE, "anthropic") == "claude-sonnet-4-6"
    Model.objects.filter(name=snippets.EXAMPLE_CLAUDE).update(is_enabled=False)
    other = snippets.example_model(snippets.EXAMPLE_CLAUDE, "anthropic")
    assert other.removeprefix("anthropic/").startswith("claude-")
    Model.objects.filter(provider="anthropic").update(is_enabled=False)
    assert "claude" not in snippets.example_model(snippets.EXAMPLE_CLAUDE, "anthropic")
