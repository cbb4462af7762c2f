"""simulator.tokens: the pieces are lossless and the counts are near what o200k gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answers import MERGE_ANSWER
from simulator.tokens import TokenCounter, split_tokens


@given(st.text())
def test_pieces_join_back_to_any_text(text):
    assert "".join(split_tokens(text)) == text


@given(st.text(alphabet="aZé 1_-'\n\r\t()好안あ😀", max_size=60))
def test_pieces_join_back_to_texts_that_mix_every_class(text):
    pieces = split_tokens(text)
    assert "".join(pieces) == text
    assert all(pieces)


def test_the_documented_example_counts_exactly(seed_messages):
    assert TokenCounter().count_prompt(seed_messages, (), None) == 38
    assert len(split_tokens(MERGE_ANSWER)) == 95


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The quick brown fox jumps over the lazy dog.", 9, 11),
        ("안녕하세요, 만나서 반갑습니다.", 7, 14),
        ("你好，世界！今天天气很好。", 6, 11),
        ("1234567890", 4, 4),
        ("    if x == 10:\n        return None\n", 9, 13),
        ("getHTTPResponseCode", 3, 5),
        ("", 0, 0),
    ],
)
def test_counts_are_plausible_per_script(text, least, most):
    assert least <= len(split_tokens(text)) <= most


def test_a_remembered_text_counts_the_same_after_the_memory_was_dropped():
    counter = TokenCounter()
    first = counter.count("one two three")
    for number in range(3):
        counter.count(f"{number} " + "filler " * 600_000)
    assert counter.count("one two three") == first == 3


def test_tools_schemas_names_and_pictures_add_to_the_prompt(seed_messages):
    counter = TokenCounter()
    plain = counter.count_prompt(seed_messages, (), None)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    assert counter.count_prompt(seed_messages, [tool], None) > plain + 10
    assert counter.count_prompt(seed_messages, (), schema) > plain + 10
    named = [{**seed_messages[0], "name": "Ann"}, seed_messages[1]]
    assert counter.count_prompt(named, (), None) == plain + 2
    parts = [
        {"type": "text", "text": seed_messages[1]["content"]},
        {"type": "image_url", "image_url": {"url": "data:", "detail": "low"}},
    ]
    pictured = [seed_messages[0], {"role": "user", "content": parts}]
    assert counter.count_prompt(pictured, (), None) == plain + 85
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}],
    }
    assert counter.count_prompt([*seed_messages, called], (), None) > plain + 15
