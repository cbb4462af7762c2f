"""Requests of a client of Responses in front of a provider that has Chat Completions alone."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.translate.responses_over_chat import dropped_fields, translate_request
from tests.gateway.translate.client_models import JSON, TEXT, odd
from tests.gateway.translate.responses_over_chat_samples import (
    APPLY_PATCH,
    CODEX,
    MODEL,
    SHELL,
    asked,
)

CONTINUE: dict[str, Any] = {
    "model": MODEL,
    "input": "Hello",
    "temperature": None,
    "top_p": None,
    "tools": None,
    "tool_choice": None,
    "max_output_tokens": None,
    "reasoning": None,
    "text": None,
    "include": None,
    "previous_response_id": None,
    "stream": True,
}


def refusal_of(fields: dict[str, Any]) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        translate_request(asked(**fields))
    return refused.value


def test_the_given_body_stays_as_it_is() -> None:
    body = copy.deepcopy(CODEX)
    translate_request(body)
    assert body == CODEX


def test_what_codex_sends_becomes_a_chat_request() -> None:
    chat = translate_request(CODEX)
    tools = chat.pop("tools")
    assert chat == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are Codex."},
            {"role": "developer", "content": "Sandbox: none.\nApproval: never."},
            {"role": "user", "content": "List the files."},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning_effort": "medium",
        "verbosity": "low",
        "prompt_cache_key": "thread-1",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert [tool["function"]["name"] for tool in tools] == [
        "exec_command",
        "apply_patch",
        "mcp__files__read",
    ]
    assert tools[0]["function"]["strict"] is False
    patch = tools[1]["function"]["parameters"]
    assert patch["required"] == ["input"]
    assert "start: patch" in patch["properties"]["input"]["description"]


def test_what_codex_sends_for_openai_alone_is_left_out_and_said() -> None:
    assert dropped_fields(CODEX) == [
        "client_metadata",
        "tools[2] (web_search)",
        "tools[3] (tool_search)",
        "reasoning.summary",
        "reasoning.context",
    ]


def test_nulls_ask_for_nothing() -> None:
    assert translate_request(CONTINUE) == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert dropped_fields(CONTINUE) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_output_tokens": 99}, {"max_tokens": 99}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"metadata": {"a": "b"}, "user": "u"}, {"metadata": {"a": "b"}, "user": "u"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"safety_identifier": "s"}, {"safety_identifier": "s"}),
        ({"some_vendors_own": 1}, {"some_vendors_own": 1}),
        ({"store": True, "background": False, "truncation": "disabled"}, {}),
        ({"text": {"format": {"type": "text"}}}, {}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            {
                "text": {
                    "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}
                }
            },
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}, "strict": True},
                }
            },
        ),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        ({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
    ],
)
def test_a_field_finds_its_place(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    plain = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    assert translate_request(asked(**fields)) == {**plain, **expected}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", "none"),
        ("required", "required"),
        (
            {"type": "function", "name": "exec_command"},
            {"type": "function", "function": {"name": "exec_command"}},
        ),
        (
            {"type": "custom", "name": "apply_patch"},
            {"type": "function", "function": {"name": "apply_patch"}},
        ),
    ],
)
def test_a_tool_choice_is_carried_over(choice: Any, expected: Any) -> None:
    body = asked(tools=[SHELL, APPLY_PATCH], tool_choice=choice)
    assert translate_request(body)["tool_choice"] == expected


def test_allowed_tools_are_the_only_ones_that_the_provider_gets() -> None:
    choice = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "custom", "name": "apply_patch"}],
    }
    chat = translate_request(asked(tools=[SHELL, APPLY_PATCH], tool_choice=choice))
    assert [tool["function"]["name"] for tool in chat["tools"]] == ["apply_patch"]
    assert chat["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [SHELL, {"type": "file_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type"),
        ({"tools": [{"type": "image_generation"}]}, "tools[0].type"),
        ({"tools": [{"type": "computer_use_preview"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp"}]}, "tools[0].type"),
        ({"tools": [SHELL], "tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"),
        ({"include": ["something.new"]}, "include[0]"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"n": 2}, "n"),
        ({"max_completion_tokens": 10**6}, "max_completion_tokens"),
        ({"messages": []}, "messages"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
            "input[0].content[0].file_url",
        ),
    ],
)
def test_what_cannot_be_carried_over_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal_of(fields)
    assert (error.code, error.param) == ("unsupported_parameter", param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["text"]}, "input[0]"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}, "input[0].call_id"),
        ({"instructions": ["x"]}, "instructions"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"reasoning": "high"}, "reasoning"),
        ({"top_logprobs": "3"}, "top_logprobs"),
    ],
)
def test_a_wrong_shape_is_named(fields: dict[str, Any], param: str) -> None:
    assert refusal_of(fields).param == param


PART = odd(
    type=st.sampled_from(["input_text", "output_text", "refusal", "input_image", "input_file"]),
    text=st.just("x"),
    refusal=st.just("x"),
    image_url=st.just("https://a.example"),
    file_data=st.just("x"),
)
ITEM = odd(
    type=st.sampled_from(
        ["message", "function_call", "custom_tool_call", "function_call_output", "reasoning"]
    ),
    role=st.sampled_from(["user", "assistant", "developer"]),
    content=st.lists(PART, max_size=2),
    output=st.lists(PART, max_size=2),
    call_id=st.just("a"),
    name=st.just("f"),
    namespace=st.just("n"),
    arguments=st.just("{}"),
    input=st.just("x"),
    encrypted_content=st.just("tollgate1.e30="),
)
TOOL = odd(
    type=st.sampled_from(["function", "custom", "namespace", "web_search"]),
    name=st.just("f"),
    tools=st.lists(odd(type=st.just("function"), name=st.just("g")), max_size=2),
)
BODY = odd(
    input=st.lists(ITEM, max_size=4),
    tools=st.lists(TOOL, max_size=3),
    tool_choice=odd(type=st.sampled_from(["function", "allowed_tools"]), tools=JSON),
    text=odd(format=odd(type=st.just("json_schema"))),
    reasoning=odd(effort=TEXT),
    include=JSON,
    top_logprobs=st.integers(),
    instructions=TEXT,
)


@given(body=BODY)
def test_a_request_is_carried_over_or_refused(body: dict[str, Any]) -> None:
    try:
        chat = translate_request(body)
    except BadRequest as error:
        refused = error
    else:
        assert chat["messages"] or body["input"] == []
        return
    assert refused.param
