"""Errors in the reader's language."""

import ast
from pathlib import Path

from billing.faults import Fault
from billing.wording import KnownTexts, say_fault
from tests.translated import korean_words

BILLING = Path(__file__).resolve().parents[2] / "billing"


def test_an_error_inside_another_is_said_in_the_language_of_the_reader() -> None:
    error = Fault("%(where)s: %(why)s", where="acme/one", why=Fault("no price"))
    with korean_words({"%(where)s: %(why)s": "%(where)s – %(why)s", "no price": "가격 없음"}):
        assert say_fault(error) == "acme/one – 가격 없음"
    assert say_fault(error) == str(error) == "acme/one: no price"


def test_what_a_parser_says_is_recognised_with_its_values() -> None:
    words = {"Object missing required field `%(field)s` - at `%(place)s`": "%(place)s: %(field)s?"}
    with korean_words(words):
        assert say_fault(ValueError("Object missing required field `n` - at `$.a`")) == "$.a: n?"


def test_a_text_of_nobody_here_stays_as_it_is() -> None:
    texts = KnownTexts(["%(host)s was not resolved"])
    with korean_words({"%(host)s was not resolved": "%(host)s 미확인"}):
        assert texts.say("example.com was not resolved") == "example.com 미확인"
        assert texts.say("100 % of it was lost") == "100 % of it was lost"


def test_the_price_book_raises_nothing_that_cannot_be_translated() -> None:
    bare = [
        f"{name}:{node.lineno}"
        for name in ("price_book.py", "money.py")
        for node in ast.walk(ast.parse((BILLING / name).read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ValueError"
    ]
    assert bare == []
