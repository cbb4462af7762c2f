"""The two sides of a change as people read them."""

import re
from typing import Any

import pytest
from django.utils import translation

from gateway.operator.differences import read_lines


def told(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (line.label, line.removed, line.added)
        if line.is_list
        else (line.label, line.before, line.after)
        for line in read_lines(before, after)
    ]


@pytest.mark.parametrize(
    ("name", "before", "after", "line"),
    [
        ("day_nanos", 1_500_000_000, None, ("Credits per day", "$1.50", "")),
        ("amount_nanos", None, -1, ("Amount", "", "−$0.000000001")),
        ("sell_bps", 5000, 5250, ("Share of list price", "50%", "52.5%")),
        ("is_enabled", True, False, ("Enabled", "yes", "no")),
        ("weight", 1, 1200, ("Weight", "1", "1,200")),
        ("base_url", "http://a", "http://b", ("Base URL", "http://a", "http://b")),
        ("something_new", "x", "y", ("Something new", "x", "y")),
        ("aliases", ["a", "b"], ["b", "c"], ("Aliases", ["a"], ["c"])),
        ("aliases", None, ["c"], ("Aliases", [], ["c"])),
        ("model_map", {"a": "1", "b": "2"}, {"b": "3"}, ("Models", ["a → 1", "b → 2"], ["b → 3"])),
        (
            "expires_at",
            None,
            "2026-11-21T10:00:00+00:00",
            ("Expires", "", "21 Nov 2026, 10:00:00 UTC"),
        ),
        ("expires_at", "no time", None, ("Expires", "no time", "")),
        ("role", "member", "manager", ("Role", "Member", "Manager")),
        ("role", None, "guest of honour", ("Role", "", "guest of honour")),
        ("mode", "chat", "embedding", ("Mode", "Chat", "Embeddings")),
        ("purpose", None, "playground", ("Purpose", "", "Playground")),
        ("groups", {"Core": "member"}, {}, ("Groups", ["Core → Member"], [])),
        ("retires_on", None, "2027-01-31", ("Retires on", "", "2027-01-31")),
    ],
)
def test_values_are_written_as_people_write_them(
    name: str, before: Any, after: Any, line: tuple[Any, ...]
) -> None:
    assert told({name: before}, {name: after}) == [line]


def test_what_stayed_is_not_told_and_the_order_is_kept() -> None:
    before = {"name": "a", "weight": 1, "aliases": ["x"]}
    after = {"name": "b", "weight": 1, "aliases": ["x"], "priority": 0}
    assert told(before, after) == [("Name", "a", "b"), ("Priority", "", "0")]


def test_words_of_the_program_are_told_in_the_language_of_the_reader() -> None:
    with translation.override("ko"):
        role, enabled, kind = read_lines(
            {"role": "member", "is_enabled": True, "kind": None},
            {"role": "admin", "is_enabled": False, "kind": "pool"},
        )
    told = f"{role.before}{role.after}{enabled.before}{enabled.after}{kind.after}"
    assert told
    assert not re.search("[A-Za-z]", told)


def test_a_long_text_is_cut() -> None:
    assert len(read_lines({}, {"source": "x" * 5000})[0].after) == 300
