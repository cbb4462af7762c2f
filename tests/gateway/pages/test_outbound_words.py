"""What senders write about addresses and messages, in the reader's language."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.pages.outbound_words import OUTBOUND_TEXTS
from tests.translated import korean_words

GATEWAY = Path(__file__).resolve().parents[3] / "gateway"
# What refuses an address, or is written into logs that pages show: its first argument, or one of that name.
SAID_BY = {"UnsafeAddress": "message", "FetchFailed": "reason", "Try": "error"}


def spoken(folder: Path = GATEWAY) -> Iterator[tuple[str, str]]:
    """Where a text is said, and one that it may be, with letters for what varies."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if name in SAID_BY and isinstance(node, ast.Call):
                texts = [word.value for word in node.keywords if word.arg == SAID_BY[name]]
                found = map(_text_of, [*node.args[:1], *texts])
                yield from ((f"{path.name}:{node.lineno}", text) for text in found if text)


def _text_of(node: ast.expr) -> str:
    """The text of a literal; empty for what is computed elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "x7" for part in node.values
        )
    return ""


def test_every_text_of_the_senders_is_known() -> None:
    found = list(spoken())
    assert len(found) > 30
    assert [(at, text) for at, text in found if not OUTBOUND_TEXTS.knows(text)] == []


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("no connection", {"no connection": "연결 없음"}, "연결 없음"),
        (
            "hooks.example was not resolved in time",
            {"%(host)s was not resolved in time": "%(host)s 시간 초과"},
            "hooks.example 시간 초과",
        ),
        ("Nginx says no", {}, "Nginx says no"),
    ],
)
def test_a_log_is_read_in_the_language_of_the_reader(
    text: str, words: dict[str, str], said: str
) -> None:
    with korean_words(words):
        assert OUTBOUND_TEXTS.say(text) == said
