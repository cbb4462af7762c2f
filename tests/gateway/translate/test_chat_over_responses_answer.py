"""Whole answers of OpenAI's Responses API for a client of Chat Completions."""

from typing import Any

import msgspec
import pytest
from hypothesis import given

from gateway.translate.chat_over_responses import translate_answer
from tests.gateway.translate.chat_over_responses_samples import (
    CALL,
    MESSAGE,
    RESPONSE,
    asked,
    response,
)
from tests.gateway.translate.client_models import is_completion


def test_a_whole_answer_is_a_chat_completion() -> None:
    thought = {"type": "reasoning", "summary": [{"text": "One."}, {"text": "Two."}]}
    answer = translate_answer(response(thought, MESSAGE, CALL), asked())
    assert is_completion(answer)
    assert answer["id"].startswith("chatcmpl-")
    assert answer["created"] == 1_790_000_000
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "I look.",
        "refusal": None,
        "annotations": [],
        "reasoning_content": "One.\n\nTwo.",
        "tool_calls": [
            {
                "id": "a",
                "type": "function",
                "function": {"name": "terminal", "arguments": '{"cmd":"ls"}'},
            }
        ],
    }
    assert answer["usage"]["prompt_tokens"] == 30
    assert answer["usage"]["completion_tokens"] == 12
    assert answer["usage"]["total_tokens"] == 42
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 10
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 5


@pytest.mark.parametrize(
    ("output", "fields", "reason", "content"),
    [
        ([MESSAGE], {}, "stop", "I look."),
        ([], {}, "stop", ""),
        ([CALL], {}, "tool_calls", None),
        (
            [MESSAGE],
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "I look.",
        ),
        (
            [],
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "",
        ),
        ([], {"status": "incomplete"}, "length", ""),
    ],
)
def test_the_end_has_its_reason(
    output: list[Any], fields: dict[str, Any], reason: str, content: str | None
) -> None:
    answer = translate_answer(response(*output, **fields), asked())
    assert is_completion(answer)
    assert answer["choices"][0]["finish_reason"] == reason
    assert answer["choices"][0]["message"]["content"] == content


def test_a_refusal_stays_one() -> None:
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "I will not."}]}
    message = translate_answer(response(refused), asked())["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I will not.")


def test_citations_are_counted_in_the_joined_text() -> None:
    note = {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 2,
        "title": "t",
        "url": "https://a.example",
    }
    parts = [
        {"type": "output_text", "text": "abc"},
        {"type": "output_text", "text": "de", "annotations": [note, {"type": "file_path"}]},
    ]
    answer = translate_answer(response({"type": "message", "content": parts}), asked())
    assert is_completion(answer)
    [annotation] = answer["choices"][0]["message"]["annotations"]
    assert annotation["url_citation"]["start_index"] == 3
    assert annotation["url_citation"]["end_index"] == 5


@given(answer=RESPONSE)
def test_no_answer_is_too_odd_for_a_client(answer: dict[str, Any]) -> None:
    translated = translate_answer(answer, asked(logprobs=True))
    msgspec.json.encode(translated)
    assert is_completion(translated)
