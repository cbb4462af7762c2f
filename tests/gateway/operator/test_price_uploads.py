"""A price book that is brought in: what it would do, and then that."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Change
from billing.models import Price
from gateway.models import Model
from tests.gateway.operator.shop import add_model, sell
from tests.people import People
from tests.translated import korean_words

PAGE = "/operator/prices/import/"


def book(*names: str, begins: str = "2031-01-01", **facts: Any) -> str:
    table = {
        "tier": "standard",
        "above_input_tokens": 0,
        "per_million": {"input": "1", "output": "2"},
    }
    price = {
        "effective_from": begins,
        "sell_bps": 5000,
        "list_is_estimated": False,
        "tables": [table],
    }
    models = [
        {
            "name": name, "aliases": [], "mode": "chat", "context_length": None, "max_completion_tokens": None,
            "retires_on": None, "source": "s", "prices": [price],
        }
        | facts
        for name in names
    ]  # fmt: skip
    return json.dumps({"currency": "USD", "read_on": "2026-11-21", "models": models})


def upload(olga: Client, text: str) -> Any:
    return olga.post(PAGE, {"file": SimpleUploadedFile("book.json", text.encode())})


def confirm(olga: Client, shown: Any) -> Any:
    return olga.post(PAGE, {"text": shown.context["text"], "plan": shown.context["plan"].digest})


def test_a_faulty_book_is_refused_in_the_language_of_the_reader(olga: Client) -> None:
    olga.cookies["language"] = "ko"
    words = {"no price": "가격 없음", "%(where)s: %(why)s": "%(where)s – %(why)s"}
    with korean_words(words):
        shown = upload(olga, book("openai/new", prices=[]))
    assert shown.status_code == 422
    assert shown.context["form"].errors["file"] == ["models[0] openai/new – 가격 없음"]


def test_the_plan_is_shown_and_nothing_is_written(olga: Client, people: People) -> None:
    add_model()
    shown = upload(olga, book("openai/tiny", "openai/new", context_length=5))
    plan = shown.context["plan"]
    assert [(one.name, one.is_new, one.after, len(one.prices)) for one in plan.models] == [
        ("openai/tiny", False, {"context_length": 5}, 1),
        ("openai/new", True, {}, 1),
    ]
    assert "New model" in shown.content.decode()
    assert (Model.objects.count(), Price.objects.count()) == (1, 0)


def test_what_was_shown_is_brought_in_with_its_lines(olga: Client, people: People) -> None:
    add_model()
    answer = confirm(olga, upload(olga, book("openai/tiny", "openai/new", context_length=5)))
    assert answer.status_code == 302
    assert (Model.objects.count(), Price.objects.count()) == (2, 2)
    verbs = Change.objects.filter(actor=people.olga).values_list("verb", flat=True)
    assert sorted(verbs) == ["model.added", "model.changed", "price.added", "price.added"]
    again = upload(olga, book("openai/tiny", "openai/new", context_length=5))
    assert (again.context["plan"].models, again.context["plan"].unchanged) == ([], 2)
    assert "Nothing to do" in again.content.decode()


@pytest.mark.parametrize("facts", [{"source": "a\x00b"}, {"context_length": 2**40}])
def test_a_book_with_a_value_that_does_not_fit_is_refused_whole(
    olga: Client, people: People, facts: dict[str, Any]
) -> None:
    shown = upload(olga, book("openai/new", **facts))
    answer = confirm(olga, shown) if shown.context["plan"] else shown
    assert answer.status_code == 422
    assert answer.context["form"].errors["file"]
    assert not Model.objects.filter(name="openai/new").exists()


def test_a_plan_that_changed_meanwhile_is_shown_again(olga: Client, people: People) -> None:
    shown = upload(olga, book("openai/tiny"))
    add_model()
    answer = confirm(olga, shown)
    assert answer.status_code == 200
    assert Price.objects.count() == 0


def test_prices_that_have_begun_are_refused_for_models_that_are_sold(
    olga: Client, people: People
) -> None:
    sell(add_model())
    shown = upload(olga, book("openai/tiny", begins="2026-11-01"))
    assert shown.context["plan"].is_refused
    assert confirm(olga, shown).status_code == 200
    assert Price.objects.count() == 1
    new = upload(olga, book("openai/new", begins="2026-11-01"))
    assert not new.context["plan"].is_refused
    assert confirm(olga, new).status_code == 302


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\x00",
        book("tiny"),
        book("openai/tiny", "openai/tiny"),
        book("openai/tiny", aliases=["<script>"]),
        book("openai/tiny").replace('"input": "1"', '"input": "-1"'),
        book("openai/tiny").replace('"input": "1"', '"gold": "1"'),
        book("openai/tiny").replace('"input": "1"', '"input": 1.5'),
    ],
)
def test_what_is_no_price_book_is_refused_with_a_word(
    olga: Client, people: People, text: str
) -> None:
    answer = upload(olga, text)
    assert answer.status_code == 422
    assert '<div class="field-error"' in (html := answer.content.decode()) or "notice bad" in html
    assert not Model.objects.exists()


def test_too_large_a_file_and_no_text_are_refused(olga: Client, people: People) -> None:
    assert upload(olga, " " * 1_000_001).status_code == 422
    assert olga.post(PAGE, {"file": SimpleUploadedFile("b", b"\xff\xfe")}).status_code == 422
    assert olga.post(PAGE, {}).status_code == 422
