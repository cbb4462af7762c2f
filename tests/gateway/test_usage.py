"""Reported usage in disjoint buckets, and counting where nothing is reported."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.usage import TOKENS_MAX, Generated, read_chat_usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIGURE = st.none() | st.integers(-2, 60) | st.booleans() | st.floats() | st.text(max_size=3)


def reported(**changes: Any) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10, "audio_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 4},
    }
    return {**usage, **changes}


def test_parts_are_taken_out_of_their_totals_and_reasoning_stays_inside_output() -> None:
    usage = read_chat_usage(reported())
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens) == (55, 30)
    assert (usage.cache_write_tokens, usage.audio_input_tokens) == (10, 5)
    assert (usage.output_tokens, usage.reasoning_tokens, usage.audio_output_tokens) == (46, 20, 4)
    assert usage.basis == "reported"


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None}])
def test_absent_or_null_details_are_zero(details: Any) -> None:
    usage = read_chat_usage(
        {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": details}
    )
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (7, 0, 3)


def test_a_usage_of_zero_is_a_value_and_not_a_missing_one() -> None:
    usage = read_chat_usage({"prompt_tokens": 0, "completion_tokens": 0})
    assert usage is not None
    assert usage.is_empty


def test_a_report_without_completion_generated_nothing() -> None:
    usage = read_chat_usage({"prompt_tokens": 8, "total_tokens": 8})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (8, 0)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        "none",
        5,
        {},
        reported(prompt_tokens=None),
        reported(prompt_tokens=-1),
        reported(prompt_tokens="100"),
        reported(prompt_tokens=100.0),
        reported(prompt_tokens=True),
        reported(prompt_tokens=TOKENS_MAX + 1),
        reported(completion_tokens=-50),
        reported(completion_tokens="many"),
        reported(prompt_tokens_details=[]),
        reported(prompt_tokens_details="none"),
        reported(completion_tokens_details=3),
        reported(prompt_tokens_details={"cached_tokens": -1}),
        reported(prompt_tokens_details={"cached_tokens": "30"}),
        reported(prompt_tokens_details={"cached_tokens": 60, "audio_tokens": 41}),
        reported(prompt_tokens_details={"cached_tokens": 95, "cache_write_tokens": 6}),
        reported(completion_tokens_details={"reasoning_tokens": 51}),
        reported(completion_tokens_details={"reasoning_tokens": 47, "audio_tokens": 4}),
    ],
)
def test_a_report_that_cannot_be_true_is_none_at_all(usage: Any) -> None:
    assert read_chat_usage(usage) is None


@given(
    prompt=FIGURE, completion=FIGURE, cached=FIGURE, written=FIGURE, heard=FIGURE,
    reasoned=FIGURE, spoken=FIGURE,
)  # fmt: skip
def test_buckets_add_up_to_what_was_reported(
    prompt: Any, completion: Any, cached: Any, written: Any, heard: Any, reasoned: Any, spoken: Any
) -> None:
    usage = read_chat_usage(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": {
                "cached_tokens": cached,
                "cache_write_tokens": written,
                "audio_tokens": heard,
            },
            "completion_tokens_details": {"reasoning_tokens": reasoned, "audio_tokens": spoken},
        }
    )
    figures = (prompt, completion, cached, written, heard, reasoned, spoken)
    if usage is None:
        whole = [0 if figure is None else figure for figure in figures]
        assert (
            prompt is None
            or any(type(figure) is not int or figure < 0 for figure in whole)
            or cached_parts(whole) > whole[0]
            or whole[5] + whole[6] > whole[1]
        )
        return
    assert usage.total_input_tokens == prompt
    assert usage.output_tokens + usage.audio_output_tokens == (completion or 0)
    assert usage.reasoning_tokens <= usage.output_tokens


def cached_parts(figures: list[Any]) -> int:
    return int(sum(figures[2:5]))


@given(JSON)
def test_no_report_whatever_its_shape_breaks_the_reader(usage: Any) -> None:
    read_chat_usage(usage)
    read_chat_usage({"prompt_tokens": 1, "prompt_tokens_details": usage})
    read_chat_usage({"prompt_tokens": 1, "completion_tokens_details": usage})


def generated(*deltas: str) -> int:
    counter = Generated()
    for delta in deltas:
        counter.add(delta)
    return counter.tokens


def test_short_deltas_are_a_token_each() -> None:
    assert generated(" the", " quick", " brown", " fox") == 4
    assert generated("안녕", "하세요", "!") == 3
    assert generated("x" * 8) == 1


def test_long_deltas_are_counted_by_their_characters() -> None:
    assert generated("x" * 9) == 3
    assert generated("x" * 400) == 100
    assert generated("字" * 400) == 400
    assert generated("é" + "x" * 400) == 101


def test_nothing_generated_is_nothing_counted() -> None:
    assert generated() == 0
    assert generated("", "") == 0


@given(st.lists(st.text(max_size=30), max_size=30))
def test_a_count_is_between_one_and_a_token_per_character(deltas: list[str]) -> None:
    characters = len("".join(deltas))
    assert min(characters, 1) <= generated(*deltas) <= characters
    assert generated(*deltas) == generated(*reversed(deltas))
