"""Whole answers of Chat Completions for a client of Responses."""

from typing import Any

import msgspec
from hypothesis import given

from gateway.translate.responses_over_chat import translate_answer, translate_request
from tests.gateway.translate.client_models import is_response
from tests.gateway.translate.responses_over_chat_samples import (
    APPLY_PATCH,
    CHUNK,
    CODEX,
    MCP_FILES,
    SHELL,
    asked,
    chat_call,
    completion,
    messages,
    result,
)


def test_a_whole_answer_is_a_response() -> None:
    message = {"content": "Two files.", "reasoning_content": "Count."}
    request = asked(
        instructions="Be short.",
        tools=[SHELL, {k: v for k, v in SHELL.items() if k != "strict"}, APPLY_PATCH],
        metadata={"a": "b"},
        temperature=0.5,
        max_output_tokens=99,
        text={"verbosity": "low"},
        reasoning={"effort": "low"},
    )
    answer = translate_answer(completion(message), request)
    assert is_response(answer)
    assert answer["status"] == "completed"
    assert [item["type"] for item in answer["output"]] == ["reasoning", "message"]
    assert answer["output"][0]["content"] == [{"type": "reasoning_text", "text": "Count."}]
    assert answer["output"][1]["content"] == [
        {"type": "output_text", "text": "Two files.", "annotations": [], "logprobs": []}
    ]
    assert answer["usage"] == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 42,
    }
    assert answer["created_at"] == 1_790_000_000
    assert answer["instructions"] == "Be short."
    assert [tool.get("strict") for tool in answer["tools"]] == [False, False, None]
    assert answer["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert answer["reasoning"] == {"effort": "low", "summary": None}
    assert (answer["temperature"], answer["top_p"]) == (0.5, 1.0)
    assert answer["max_output_tokens"] == 99
    assert answer["store"] is False


def test_every_field_of_the_open_responses_schema_is_there() -> None:
    answer = translate_answer(completion({"content": "Hi"}), asked())
    required = """id object created_at completed_at status incomplete_details model previous_response_id instructions
        output error tools tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty
        top_logprobs temperature reasoning usage max_output_tokens max_tool_calls store background service_tier
        metadata safety_identifier prompt_cache_key"""
    assert set(required.split()) - set(answer) == set()


def test_a_provider_without_ids_still_gives_items_that_can_be_told_apart() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "f"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    answer = translate_answer({"choices": [{"message": message}]}, asked())
    assert is_response(answer)
    first, second = answer["output"]
    assert first["arguments"] == '{"a":1}'
    assert first["call_id"] != second["call_id"]
    assert first["id"] != second["id"]
    assert answer["usage"] is None


def test_a_custom_call_of_the_answer_is_one_again() -> None:
    calls = [chat_call("a", "apply_patch", '{"input": "*** Begin"}')]
    answer = translate_answer(completion({"tool_calls": calls}, "tool_calls"), CODEX)
    assert is_response(answer)
    [item] = answer["output"]
    assert (item["type"], item["name"], item["input"]) == (
        "custom_tool_call",
        "apply_patch",
        "*** Begin",
    )
    assert item["call_id"] == "a"


def test_a_namespaced_tool_is_called_by_both_its_names() -> None:
    calls = [chat_call("a", "mcp__files__read", '{"path":"x"}')]
    answer = translate_answer(completion({"tool_calls": calls}), CODEX)
    assert is_response(answer)
    [item] = answer["output"]
    assert (item["namespace"], item["name"]) == ("mcp__files", "read")
    [turn, _] = messages(item, result("a", "text"))
    assert turn["tool_calls"] == calls


def test_a_long_name_of_a_namespace_stays_within_what_providers_take() -> None:
    tool = {**MCP_FILES, "name": "mcp__" + "x" * 80}
    [translated] = translate_request(asked(tools=[tool]))["tools"]
    name = translated["function"]["name"]
    assert len(name) == 64
    answer = translate_answer(
        completion({"tool_calls": [chat_call("c", name)]}), asked(tools=[tool])
    )
    assert answer["output"][0]["name"] == "read"
    assert answer["output"][0]["namespace"] == tool["name"]


@given(answer=CHUNK)
def test_no_answer_is_too_odd_for_a_client(answer: dict[str, Any]) -> None:
    translated = translate_answer(answer, CODEX)
    msgspec.json.encode(translated)
    assert is_response(translated)
