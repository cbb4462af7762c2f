"""Requests of a client of Chat Completions in front of a model that OpenAI serves by its Responses API alone."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.translate import responses_over_chat
from gateway.translate.chat_over_responses import translate_request
from tests.gateway.translate.chat_over_responses_samples import (
    HERMES,
    MODEL,
    TERMINAL,
    asked,
    items,
)
from tests.gateway.translate.client_models import JSON, odd

APPLY_PATCH: dict[str, Any] = {
    "type": "custom",
    "custom": {
        "name": "apply_patch",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: a"}},
    },
}
OPENCODE: dict[str, Any] = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You are opencode."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ],
    "tools": [{**TERMINAL, "function": {**TERMINAL["function"], "strict": True}}],
    "max_tokens": 8192,
    "reasoning_effort": "medium",
    "stream": True,
    "stream_options": {"include_usage": True},
}


def refusal_of(fields: dict[str, Any]) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        translate_request(asked(**fields))
    return refused.value


def test_the_given_body_stays_as_it_is() -> None:
    body = copy.deepcopy(HERMES)
    translate_request(body)
    assert body == HERMES


def test_what_hermes_sends_becomes_a_responses_request() -> None:
    assert translate_request(HERMES) == {
        "model": MODEL,
        "input": [
            {"type": "message", "role": "developer", "content": "You are Hermes."},
            {"type": "message", "role": "user", "content": "List the files."},
            {
                "type": "function_call",
                "call_id": "a",
                "name": "terminal",
                "arguments": '{"cmd":"ls"}',
            },
            {"type": "function_call_output", "call_id": "a", "output": "one.txt"},
        ],
        "tools": [{"type": "function", **TERMINAL["function"], "strict": False}],
        "tool_choice": "auto",
        "max_output_tokens": 65536,
        "reasoning": {"effort": "medium"},
        "store": False,
        "stream": True,
        "stream_options": {"include_obfuscation": False},
    }


def test_what_opencode_sends_becomes_a_responses_request() -> None:
    body = translate_request(OPENCODE)
    assert body["input"][1]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert body["tools"][0]["strict"] is True
    assert body["max_output_tokens"] == 8192


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"metadata": {"a": "b"}, "user": "u"}, {"metadata": {"a": "b"}, "user": "u"}),
        (
            {"service_tier": "flex", "prompt_cache_key": "k", "safety_identifier": "s"},
            {"service_tier": "flex", "prompt_cache_key": "k", "safety_identifier": "s"},
        ),
        ({"store": True}, {"store": True}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"max_tokens": 5, "max_completion_tokens": 9}, {"max_output_tokens": 9}),
        ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
        ({"reasoning": {"effort": "high"}}, {"reasoning": {"effort": "high"}}),
        (
            {"response_format": {"type": "json_object"}},
            {"text": {"format": {"type": "json_object"}}},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}},
                }
            },
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}},
        ),
        (
            {"logprobs": True, "top_logprobs": 2},
            {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        ),
        ({"logprobs": False, "top_logprobs": 0}, {}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "function", "name": "f"}},
        ),
        (
            {"tool_choice": {"type": "custom", "custom": {"name": "f"}}},
            {"tool_choice": {"type": "custom", "name": "f"}},
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "f"}}],
                    },
                }
            },
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "f"}],
                }
            },
        ),
        (
            {"tools": [APPLY_PATCH]},
            {
                "tools": [
                    {
                        "type": "custom",
                        "name": "apply_patch",
                        "format": {"type": "grammar", "syntax": "lark", "definition": "start: a"},
                    }
                ]
            },
        ),
        # What asks for nothing.
        ({"n": 1, "stop": None, "seed": 7, "logit_bias": {}, "tools": []}, {}),
        ({"frequency_penalty": 0, "presence_penalty": 0.0, "modalities": ["text"]}, {}),
    ],
)
def test_a_field_finds_its_place(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    hello = {"type": "message", "role": "user", "content": "Hello"}
    plain = {"model": MODEL, "input": [hello], "store": False}
    assert translate_request(asked(**fields)) == {**plain, **expected}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"stop": ["x"]}, "stop"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -1}, "presence_penalty"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"web_search_options": {"user_location": None}}, "web_search_options"),
        ({"max_output_tokens": 10**6}, "max_output_tokens"),
        ({"background": True}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
            "messages[0].function_call",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "x"}}]}, "messages[0].audio"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0]",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}
                ]
            },
            "messages[0].content[0].file.file_id",
        ),
    ],
)
def test_what_cannot_be_carried_over_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    error = refusal_of(fields)
    assert (error.code, error.param) == ("unsupported_parameter", param)


@pytest.mark.parametrize("name", ["web_search_options", "background", "max_output_tokens"])
def test_a_refusal_names_the_endpoint_that_takes_it(name: str) -> None:
    with pytest.raises(BadRequest, match="/v1/responses takes it"):
        translate_request(asked(**{name: {"x": 1}}))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"role": "wizard"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
        ({"top_logprobs": 3}, "logprobs"),
    ],
)
def test_a_wrong_shape_is_named(fields: dict[str, Any], param: str) -> None:
    assert refusal_of(fields).param == param


def test_parts_of_a_users_message_are_carried_over() -> None:
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x;base64,AA"}},
    ]
    [item] = items({"role": "user", "content": parts})
    assert item["content"] == [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:x;base64,AA"},
    ]


def test_what_the_assistant_said_and_refused_are_parts_of_its_message() -> None:
    said = {"role": "assistant", "content": [{"type": "text", "text": "A"}], "refusal": "B"}
    assert items({"role": "assistant", "content": "A"}, said, {"role": "assistant"}) == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "A"}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "A"},
                {"type": "refusal", "refusal": "B"},
            ],
        },
    ]


def test_the_result_of_a_custom_call_is_one_too() -> None:
    called = {"id": "a", "type": "custom", "custom": {"name": "apply_patch", "input": "x"}}
    assert items(
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "done"}]},
    ) == [
        {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": "x"},
        {
            "type": "custom_tool_call_output",
            "call_id": "a",
            "output": [{"type": "input_text", "text": "done"}],
        },
    ]


def test_both_translations_in_a_row_give_back_the_request() -> None:
    [_, *fields] = HERMES
    back = responses_over_chat.translate_request(translate_request(HERMES))
    back["max_completion_tokens"] = back.pop("max_tokens")
    said = {k: v for k, v in HERMES["messages"][2].items() if k != "reasoning_content"}
    answered = {k: v for k, v in HERMES["messages"][3].items() if k != "name"}
    function = {**TERMINAL["function"], "strict": False}
    assert {name: back[name] for name in fields} == {
        **{name: HERMES[name] for name in fields},
        "messages": [*HERMES["messages"][:2], said, answered],
        "tools": [{"type": "function", "function": function}],
    }


ASKED_PART = odd(
    type=st.sampled_from(["text", "image_url", "file", "refusal"]),
    text=st.just("x"),
    image_url=odd(url=st.just("https://a.example")),
    file=odd(file_data=st.just("x")),
)
ASKED_CALL = odd(
    id=st.just("a"),
    type=st.sampled_from(["function", "custom"]),
    function=odd(name=st.just("f"), arguments=st.just("{}")),
    custom=odd(name=st.just("f"), input=st.just("x")),
)
BODY = odd(
    messages=st.lists(
        odd(
            role=st.sampled_from(["system", "user", "assistant", "tool", "function"]),
            content=st.lists(ASKED_PART, max_size=2),
            tool_calls=st.lists(ASKED_CALL, max_size=2),
            tool_call_id=st.just("a"),
        ),
        max_size=4,
    ),
    tools=st.lists(odd(type=st.just("function"), function=odd(name=st.just("f"))), max_size=2),
    tool_choice=odd(type=st.sampled_from(["function", "allowed_tools"])),
    response_format=odd(type=st.just("json_schema"), json_schema=JSON),
    n=st.just(1),
    stop=JSON,
    reasoning=JSON,
    logprobs=st.booleans(),
)


@given(body=BODY)
def test_a_request_is_carried_over_or_refused(body: dict[str, Any]) -> None:
    try:
        asked_for = translate_request(body)
    except BadRequest as error:
        refused = error
    else:
        assert asked_for["store"] is False
        return
    assert refused.param
