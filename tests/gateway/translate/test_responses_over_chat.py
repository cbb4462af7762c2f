"""A client of Responses in front of a provider that has Chat Completions alone."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.translate.responses_over_chat import (
    StreamTranslation,
    dropped_fields,
    translate_answer,
    translate_request,
)
from tests.gateway.translate.client_models import (
    JSON,
    TEXT,
    client_of,
    is_response,
    odd,
    read_response_events,
)

MODEL = "anthropic/claude-sonnet-5"
SHELL: dict[str, Any] = {
    "type": "function",
    "name": "exec_command",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}},
}
APPLY_PATCH: dict[str, Any] = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: patch"},
}
MCP_FILES: dict[str, Any] = {
    "type": "namespace",
    "name": "mcp__files",
    "description": "Tools of the server files.",
    "tools": [
        {"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}}
    ],
}
CODEX: dict[str, Any] = {
    "model": MODEL,
    "instructions": "You are Codex.",
    "input": [
        {
            "type": "message",
            "role": "developer",
            "content": [
                {"type": "input_text", "text": "Sandbox: none."},
                {"type": "input_text", "text": "Approval: never."},
            ],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "List the files."}],
        },
    ],
    "tools": [SHELL, APPLY_PATCH, {"type": "web_search"}, {"type": "tool_search"}, MCP_FILES],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto", "context": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "thread-1",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "1"},
}
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
USAGE: dict[str, Any] = {
    "prompt_tokens": 30,
    "completion_tokens": 12,
    "total_tokens": 42,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": "Hello", **fields}


def messages(*items: Any, **fields: Any) -> Any:
    return translate_request(asked(input=list(items), **fields))["messages"]


def say(role: str, *texts: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"role": role, "content": [{"type": kind, "text": text} for text in texts]}


def call(call_id: str, name: str = "exec_command", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def result(call_id: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def chat_call(call_id: str, name: str = "exec_command", arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def completion(message: dict[str, Any], reason: str = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "claude-sonnet-5",
        "choices": [choice],
        "usage": USAGE,
        **fields,
    }


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "claude-sonnet-5",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


def fragment(arguments: Any = "", name: Any = None, **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({} if name is None else {"name": name})}
    return {"function": function, **fields}


def stream(
    *chunks: Any, request: dict[str, Any] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The events of a stream, read by the client's models, and the Response at its end."""
    translation = StreamTranslation(request or asked())
    passed = [event for one in chunks for event in translation.feed(one)]
    events = read_response_events([*passed, *translation.finish()])
    return events, events[-1]["response"]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


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
    with pytest.raises(BadRequest) as refused:
        translate_request(asked(**fields))
    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param == param


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
    with pytest.raises(BadRequest) as refused:
        translate_request(asked(**fields))
    assert refused.value.param == param


def test_a_turn_of_text_and_calls_is_one_message() -> None:
    assert messages(
        say("user", "List them."),
        {"type": "reasoning", "summary": [], "encrypted_content": "of OpenAI"},
        say("assistant", "I ", "look."),
        call("a"),
        call("b", arguments=""),
        result("a", "one.txt"),
        result("b", [{"type": "input_text", "text": "two.txt"}]),
        say("user", "And?"),
    ) == [
        {"role": "user", "content": "List them."},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [chat_call("a"), chat_call("b")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "one.txt"},
        {"role": "tool", "tool_call_id": "b", "content": "two.txt"},
        {"role": "user", "content": "And?"},
    ]


def test_text_after_a_call_does_not_part_it_from_its_result() -> None:
    first, second = messages(call("a"), say("assistant", "Running."), result("a", "ok"))
    assert first == {
        "role": "assistant",
        "content": "Running.",
        "tool_calls": [chat_call("a")],
    }
    assert second["role"] == "tool"


def test_two_messages_of_the_assistant_stay_two() -> None:
    assert messages(say("assistant", "A"), say("assistant", "B")) == [
        {"role": "assistant", "content": "A"},
        {"role": "assistant", "content": "B"},
    ]


def test_a_custom_call_and_its_result_are_a_function_call_and_its_result() -> None:
    assert messages(
        {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": 'say "é"'},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
    ) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [chat_call("a", "apply_patch", '{"input":"say \\"é\\""}')],
        },
        {"role": "tool", "tool_call_id": "a", "content": "done"},
    ]


def test_a_picture_in_a_result_follows_the_results() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA"}
    shown = messages(call("a"), call("b"), result("a", [picture]), result("b", "ok"))
    assert [message["role"] for message in shown] == ["assistant", "tool", "tool", "user"]
    assert shown[-1]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    ]


def test_parts_that_are_no_text_are_carried_over() -> None:
    parts = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]
    [message] = messages({"role": "user", "content": parts})
    assert message["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        },
        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
    ]


def test_a_refusal_in_the_conversation_is_told_as_text() -> None:
    said = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]}
    assert messages(said) == [{"role": "assistant", "content": "I will not."}]


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


@pytest.mark.parametrize(
    ("reason", "cut"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_answer_that_was_cut_is_incomplete(reason: str, cut: str) -> None:
    answer = translate_answer(completion({"content": "Two"}, reason), asked())
    assert answer["status"] == "incomplete"
    assert answer["incomplete_details"] == {"reason": cut}
    assert answer["output"][0]["status"] == "incomplete"
    events, response = stream(chunk(content="Two"), chunk(reason))
    assert types(events)[-1] == "incomplete"
    assert response["incomplete_details"] == {"reason": cut}


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


def test_text_comes_out_as_it_comes_in() -> None:
    translation = StreamTranslation(asked())
    first = translation.feed(chunk(role="assistant", content=""))
    assert types(read_response_events(first)) == ["created", "in_progress"]
    for text in ("He", "llo"):
        [*_, event] = translation.feed(chunk(content=text))
        assert json.loads(event.split(b"data: ")[1])["delta"] == text
    assert translation.feed(chunk("stop")) == []
    assert translation.feed({"choices": [], "usage": USAGE}) == []


def test_a_stream_of_reasoning_text_and_a_call_is_told_in_order() -> None:
    events, response = stream(
        chunk(role="assistant", content=""),
        chunk(reasoning_content="Hm"),
        chunk(content="I look."),
        chunk(tool_calls=[fragment("", "exec_command", index=0, id="a")]),
        chunk(tool_calls=[fragment('{"cmd"', index=0)]),
        chunk(tool_calls=[fragment(':"ls"}', index=0)]),
        chunk("tool_calls"),
        {"choices": [], "usage": USAGE},
        request=asked(tools=[SHELL]),
    )
    assert types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == response["output"]
    assert response["output"][2]["arguments"] == '{"cmd":"ls"}'
    assert response["output"][2]["call_id"] == "a"
    assert response["usage"]["input_tokens"] == 30


def test_a_stream_ends_with_what_a_whole_answer_says() -> None:
    tool_calls = [chat_call("a", arguments='{"cmd":"ls"}'), chat_call("b")]
    message = {"content": "I look.", "reasoning": "Hm", "tool_calls": tool_calls}
    numbered = [{**one, "index": index} for index, one in enumerate(tool_calls)]
    _, response = stream(
        chunk(reasoning="Hm"),
        chunk(content="I look."),
        *[chunk(tool_calls=[one]) for one in numbered],
        {**chunk("tool_calls"), "usage": USAGE},
        request=CODEX,
    )
    whole = translate_answer(completion(message, "tool_calls"), CODEX)
    assert {**response, "completed_at": 0} == {**whole, "completed_at": 0}


def test_the_official_client_makes_the_same_answer_of_the_stream() -> None:
    translation = StreamTranslation(CODEX)
    chunks = [
        chunk(reasoning_content="Hm"),
        chunk(content="I look."),
        chunk(tool_calls=[fragment("{", "exec_command", index=0, id="a")]),
        chunk(tool_calls=[fragment('{"input":"x', "apply_patch", index=1, id="b")]),
        chunk(tool_calls=[fragment("}", index=0), fragment('y"}', index=1)]),
        chunk("tool_calls"),
    ]
    events = [event for one in chunks for event in translation.feed(one)] + translation.finish()
    with (
        client_of(events) as client,
        client.responses.stream(model=MODEL, input="Hello") as answer,
    ):
        response = answer.get_final_response()
    assert response.output_text == "I look."
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    [_, _, function_call, custom_call] = response.model_dump()["output"]
    assert function_call["arguments"] == "{}"
    assert custom_call["input"] == "xy"


def test_a_refusal_is_streamed_as_one() -> None:
    events, response = stream(chunk(refusal="I "), chunk(refusal="will not."), chunk("stop"))
    assert types(events)[4:7] == ["refusal.delta", "refusal.delta", "refusal.done"]
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "I will not."}]


@pytest.mark.parametrize(
    "fragments",
    [
        # interleaved
        [
            fragment("{", "f", index=0, id="a"),
            fragment("{", "g", index=1, id="b"),
            fragment("}", index=0),
            fragment("}", index=1),
        ],
        # every call numbered 0, as Gemini does
        [fragment("{}", "f", index=0, id="a"), fragment("{}", "g", index=0, id="b")],
        # no numbers
        [fragment("{", "f", id="a"), fragment("}"), fragment("{}", "g", id="b")],
        [fragment("{", "f", id="a"), fragment("}", id="a"), fragment("{}", "g", id="b")],
        # the name after the id
        [
            fragment("", index=0, id="a"),
            fragment("{}", "f", index=0),
            fragment("{}", "g", index=1, id="b"),
        ],
        [fragment({}, "f", id="a"), fragment({}, "g", id="b")],
    ],
)
def test_fragments_find_their_call(fragments: list[Any]) -> None:
    _, response = stream(*[chunk(tool_calls=[one]) for one in fragments], chunk("tool_calls"))
    calls = [(item["call_id"], item["name"], item["arguments"]) for item in response["output"]]
    assert calls == [("a", "f", "{}"), ("b", "g", "{}")]


@pytest.mark.parametrize(
    "text",
    [
        '*** Begin Patch\n+é "quoted" \\ back\u2028slash \U0001f600\n',
        "",
        "plain",
    ],
)
@pytest.mark.parametrize("is_ascii", [True, False])
def test_a_custom_input_is_unwrapped_while_it_comes(text: str, is_ascii: bool) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=is_ascii)
    fragments = [fragment("", "apply_patch", index=0, id="a")]
    fragments += [fragment(character, index=0) for character in arguments]
    events, response = stream(*[chunk(tool_calls=[one]) for one in fragments], request=CODEX)
    deltas = [e["delta"] for e in events if e["type"].endswith("custom_tool_call_input.delta")]
    assert "".join(deltas) == text
    assert len(deltas) == len(text)
    assert response["output"][0]["input"] == text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("*** Begin", "*** Begin"),
        ('{"patch": "x"}', '{"patch": "x"}'),
        ('{"why": "so", "input": "x"}', "x"),
        ('{"input": "cut', "cut"),
        (r'{"input": "a\u00', "a"),
        (r'{"input": "a\qb\uzzzz"}', r"a\qb\uzzzz"),
        ('{"input": "a\nb"}', "a\nb"),
    ],
)
def test_a_custom_input_that_is_wrapped_badly_is_not_lost(arguments: str, expected: str) -> None:
    calls = [fragment(arguments, "apply_patch", index=0, id="a")]
    events, response = stream(chunk(tool_calls=calls), chunk("tool_calls"), request=CODEX)
    assert response["output"][0]["input"] == expected
    deltas = [e["delta"] for e in events if e["type"].endswith("custom_tool_call_input.delta")]
    assert "".join(deltas) == expected


def test_a_character_cut_in_two_comes_out_whole() -> None:
    events, response = stream(
        chunk(content="a\ud83d"), chunk(content="\ude00b"), chunk(content="\ud83d")
    )
    deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    assert deltas == ["a", "\U0001f600b", "\ufffd"]
    assert response["output"][0]["content"][0]["text"] == "a\U0001f600b\ufffd"


def test_logprobs_go_with_their_text() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    with_logprobs = chunk(content="Hi")
    with_logprobs["choices"][0]["logprobs"] = {"content": [entry]}
    events, response = stream(with_logprobs)
    expected = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
    assert events[4]["logprobs"] == expected
    assert response["output"][0]["content"][0]["logprobs"] == expected


def test_a_namespaced_tool_is_called_by_both_its_names() -> None:
    calls = [chat_call("a", "mcp__files__read", '{"path":"x"}')]
    answer = translate_answer(completion({"tool_calls": calls}), CODEX)
    assert is_response(answer)
    [item] = answer["output"]
    assert (item["namespace"], item["name"]) == ("mcp__files", "read")
    [turn, _] = messages(item, result("a", "text"))
    assert turn["tool_calls"] == calls


def second_leg(message: dict[str, Any], model: str = MODEL, **fields: Any) -> Any:
    """The assistant's message as the provider gets it back with the result of its call."""
    request = {**CODEX, **fields}
    numbered = [{**one, "index": i} for i, one in enumerate(message["tool_calls"])]
    events, _ = stream(chunk("tool_calls", **{**message, "tool_calls": numbered}), request=request)
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    body = {**request, "model": model, "input": [*items, result("a", "one.txt")]}
    [_, said, answered] = translate_request(body)["messages"]
    assert answered == {"role": "tool", "tool_call_id": "a", "content": "one.txt"}
    return said


def test_a_tool_turn_comes_back_as_the_provider_said_it() -> None:
    signed = {**chat_call("a"), "extra_content": {"google": {"thought_signature": "c2ln"}}}
    message = {"content": "I look.", "reasoning_content": "Hm \u00e9", "tool_calls": [signed]}
    assert second_leg(message) == {"role": "assistant", **message}


def test_what_one_model_wants_back_is_not_shown_to_another() -> None:
    signed = {**chat_call("a"), "extra_content": {"google": {"thought_signature": "c2ln"}}}
    message = {"content": "I look.", "reasoning_content": "Hm", "tool_calls": [signed]}
    assert second_leg(message, model="deepseek/deepseek-v4-pro") == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [chat_call("a")],
    }


def test_reasoning_travels_sealed_only_for_clients_that_ask() -> None:
    message = {"content": None, "reasoning_content": "Hm", "tool_calls": [chat_call("a")]}
    assert "reasoning_content" in second_leg(message)
    assert "reasoning_content" not in second_leg(message, include=None)


def test_reasoning_without_a_call_is_not_sent_back() -> None:
    _, response = stream(chunk(reasoning_content="Hm"), chunk(content="Hi"), request=CODEX)
    assert messages(*response["output"]) == [{"role": "assistant", "content": "Hi"}]


def test_an_empty_stream_is_an_empty_response() -> None:
    events, response = stream()
    assert types(events) == ["created", "in_progress", "completed"]
    assert response["output"] == []


FRAGMENT = odd(
    index=st.integers(-1, 2),
    id=st.sampled_from(["a", "b", ""]),
    function=odd(name=st.sampled_from(["exec_command", "apply_patch"]), arguments=TEXT),
    extra_content=odd(google=JSON),
)
DELTA = odd(
    content=TEXT,
    reasoning_content=TEXT,
    reasoning=TEXT,
    refusal=TEXT,
    tool_calls=st.lists(FRAGMENT, max_size=3),
    function_call=odd(name=TEXT, arguments=TEXT),
)
LOGPROBS = odd(content=st.lists(odd(token=TEXT, logprob=st.floats(), top_logprobs=JSON)))
CHOICE = odd(index=st.just(0), delta=DELTA, message=DELTA, finish_reason=TEXT, logprobs=LOGPROBS)
CHUNK = odd(
    id=TEXT,
    created=st.integers(),
    model=TEXT,
    choices=st.lists(CHOICE, max_size=2),
    usage=odd(prompt_tokens=st.integers(), prompt_tokens_details=JSON),
    service_tier=TEXT,
)


@given(chunks=st.lists(CHUNK | JSON, max_size=5))
def test_no_stream_is_too_odd_for_a_client(chunks: list[Any]) -> None:
    stream(*chunks, request=CODEX)


@given(answer=CHUNK)
def test_no_answer_is_too_odd_for_a_client(answer: dict[str, Any]) -> None:
    translated = translate_answer(answer, CODEX)
    msgspec.json.encode(translated)
    assert is_response(translated)


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
