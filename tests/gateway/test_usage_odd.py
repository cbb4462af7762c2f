"""Reports of every odd shape: none breaks a reader, none is read as something it does not say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.usage import (
    UsageReader,
    read_gemini_chat_usage,
    read_generate_usage,
    read_messages_usage,
    read_responses_usage,
    read_xai_chat_usage,
)
from tests.gateway.usage_reports import (
    JSON,
    ODD,
    READERS,
    WHOLE,
    chat,
    generate,
    messages,
    paths,
    put,
    responses,
)

SMALL = st.integers(0, 12)


def placed(kind: type) -> list[Any]:
    return [
        pytest.param(name, path, id=f"{name}-{'.'.join(map(str, path))}")
        for name, report in WHOLE.items()
        for path in paths(report, kind)
        if path
    ]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("report", [None, [], [{}], "none", "", 5, 0, 1.5, True, False, {}])
def test_what_is_no_report_is_none(reader: UsageReader, report: Any) -> None:
    assert reader(report) is None


@pytest.mark.parametrize("name", WHOLE)
def test_a_report_with_every_field_is_read(name: str) -> None:
    assert READERS[name](WHOLE[name]) is not None


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(("name", "path"), placed(int))
def test_an_odd_figure_anywhere_makes_the_whole_report_none(
    name: str, path: tuple[Any, ...], odd: Any
) -> None:
    assert READERS[name](put(WHOLE[name], path, odd)) is None


@pytest.mark.parametrize("odd", [5, "none", True, 1.5], ids=repr)
@pytest.mark.parametrize(("name", "path"), [*placed(dict), *placed(list)])
def test_details_of_another_shape_make_the_whole_report_none(
    name: str, path: tuple[Any, ...], odd: Any
) -> None:
    assert READERS[name](put(WHOLE[name], path, odd)) is None


@pytest.mark.parametrize("modality", [5, True, {"a": 1}, ["AUDIO"]])
def test_a_modality_that_is_no_name_is_none(modality: Any) -> None:
    report = put(WHOLE["generate"], ("promptTokensDetails", 0, "modality"), modality)
    assert read_generate_usage(report) is None


@given(SMALL, SMALL, SMALL, SMALL, SMALL, st.none() | st.integers(0, 40))
def test_input_and_output_of_chat_are_the_vendors_own(
    prompt: int, completion: int, cached: int, heard: int, reasoning: int, total: int | None
) -> None:
    report = chat(prompt, completion, total, cached=cached, heard=heard, reasoning=reasoning)
    for name in ("chat", "mistral", "deepseek"):
        usage = READERS[name](report)
        assert (usage is None) == (
            cached + heard > prompt
            or reasoning > completion
            or total not in (None, prompt + completion)
        )
        if usage is not None:
            assert (usage.total_input_tokens, usage.output_tokens) == (prompt, completion)
    usage = read_xai_chat_usage(report)
    if usage is not None:
        assert usage.total_input_tokens == prompt
        assert usage.output_tokens in (completion, completion + reasoning)
        assert total in (None, prompt + usage.output_tokens)
    usage = read_gemini_chat_usage(report)
    if usage is not None:
        assert usage.total_input_tokens + usage.output_tokens == total
        assert usage.total_input_tokens >= prompt
        assert usage.output_tokens >= completion


@given(SMALL, SMALL, SMALL, SMALL, SMALL)
def test_input_and_output_of_responses_are_the_vendors_own(
    input_tokens: int, output: int, cached: int, written: int, reasoning: int
) -> None:
    usage = read_responses_usage(
        responses(input_tokens, output, cached=cached, written=written, reasoning=reasoning)
    )
    assert (usage is None) == (cached + written > input_tokens or reasoning > output)
    if usage is not None:
        assert (usage.total_input_tokens, usage.output_tokens) == (input_tokens, output)
        assert usage.cached_input_tokens == cached


@given(SMALL, SMALL, SMALL, SMALL, SMALL)
def test_input_of_messages_is_fresh_read_and_written(
    fresh: int, read: int, short: int, long: int, output: int
) -> None:
    written = short + long
    usage = read_messages_usage(
        messages(fresh, output, read=read, written=written, short=short, long=long)
    )
    assert usage is not None
    assert usage.total_input_tokens == fresh + read + written
    assert (usage.output_tokens, usage.reasoning_tokens) == (output, 0)


@given(SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, st.none() | st.integers(0, 60))
def test_input_and_output_of_generate_content_make_its_total(
    prompt: int, visible: int, thoughts: int, fetched: int, cached: int, heard: int,
    total: int | None,
) -> None:  # fmt: skip
    report = generate(
        prompt, visible=visible, thoughts=thoughts, fetched=fetched, cached=cached,
        of_prompt={"AUDIO": heard}, of_visible={"IMAGE": visible},
    )  # fmt: skip
    usage = read_generate_usage({**report, "totalTokenCount": total})
    if usage is None:
        return
    assert cached <= prompt
    assert heard <= prompt
    output = usage.output_tokens + usage.image_output_tokens
    assert usage.total_input_tokens >= prompt + fetched
    assert output >= visible
    if total is not None:
        assert usage.total_input_tokens + output == total


@given(st.sampled_from(sorted(READERS)), JSON, st.data())
def test_no_report_whatever_its_shape_breaks_a_reader(name: str, odd: Any, data: Any) -> None:
    reader, whole = READERS[name], WHOLE[name]
    reader(odd)
    reader(put(whole, (data.draw(st.sampled_from(sorted(whole))),), odd))
