"""A client of Chat Completions in front of a model that OpenAI serves by its Responses API alone."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.translate import responses_over_chat
from gateway.translate.chat_over_responses import (
    StreamTranslation,
    translate_answer,
    translate_request,
)
from tests.gateway.translate.client_models import (
    JSON,
    TEXT,
    client_of,
    is_completion,
    odd,
    read_chunks,
)

MODEL = "openai/gpt-5.5-pro"
TERMINAL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "terminal",
        "description": "Runs a command.",
        "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}},
    },
}
APPLY_PATCH: dict[str, Any] = {
    "type": "custom",
    "custom": {
        "name": "apply_patch",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: a"}},
    },
}
HERMES: dict[str, Any] = {
    "model": MODEL,
    "messages": [
        {"role": "developer", "content": "You are Hermes."},
        {"role": "user", "content": "List the files."},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "terminal", "arguments": '{"cmd":"ls"}'},
                }
            ],
        },
        {"role": "tool", "name": "terminal", "tool_call_id": "a", "content": "one.txt"},
    ],
    "tools": [TERMINAL],
    "tool_choice": "auto",
    "max_completion_tokens": 65536,
    "reasoning_effort": "medium",
    "stream": True,
    "stream_options": {"include_usage": True},
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
USAGE: dict[str, Any] = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 42,
}
MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "a",
    "name": "terminal",
    "arguments": '{"cmd":"ls"}',
}


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **fields}


def items(*messages: Any) -> Any:
    return translate_request(asked(messages=list(messages)))["input"]


def response(*output: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "model": "gpt-5.5-pro",
        "status": "completed",
        "service_tier": "default",
        "output": list(output),
        "usage": USAGE,
        **fields,
    }


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": 0, "item_id": "i", **fields}


CREATED = event("created", response=response(status="in_progress", usage=None))
COMPLETED = event("completed", response=response())


def text_delta(text: Any, **fields: Any) -> dict[str, Any]:
    return event("output_text.delta", content_index=0, delta=text, **fields)


def stream(
    *events: Any, request: dict[str, Any] | None = None
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The chunks of a stream, read by the client's models, and the bytes that its end added."""
    translation = StreamTranslation(request or asked(stream=True))
    passed = [data for one in events for data in translation.feed(one)]
    ending = translation.finish()
    assert ending[-1] == b"data: [DONE]\n\n"
    assert b"data: [DONE]\n\n" not in passed
    return read_chunks([*passed, *ending]), ending


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["delta"]]


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of the chunks."""
    message: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    for delta in deltas(chunks):
        for name in ("content", "refusal", "reasoning_content"):
            if delta.get(name):
                message[name] = message.get(name, "") + delta[name]
        for fragment in delta.get("tool_calls", []):
            if fragment["index"] == len(calls):
                calls.append({k: v for k, v in fragment.items() if k != "index"})
            else:
                kind = "custom" if "custom" in fragment else "function"
                for name, text in fragment[kind].items():
                    calls[fragment["index"]][kind][name] += text
    return {**message, **({"tool_calls": calls} if calls else {})}


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
    with pytest.raises(BadRequest) as refused:
        translate_request(asked(**fields))
    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param == param


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
    with pytest.raises(BadRequest) as refused:
        translate_request(asked(**fields))
    assert refused.value.param == param


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


def test_logprobs_come_where_they_were_asked_for() -> None:
    entry = {"token": "A", "bytes": [65], "logprob": -0.5, "top_logprobs": []}
    part = {"type": "output_text", "text": "A", "logprobs": [entry]}
    told = response({"type": "message", "content": [part]})
    assert translate_answer(told, asked())["choices"][0]["logprobs"] is None
    answer = translate_answer(told, asked(logprobs=True))
    assert is_completion(answer)
    assert answer["choices"][0]["logprobs"]["content"] == [entry]
    delta = text_delta("A", logprobs=[entry])
    chunks, _ = stream(CREATED, delta, request=asked(logprobs=True))
    assert chunks[1]["choices"][0]["logprobs"]["content"] == [entry]


def test_text_comes_out_as_it_comes_in() -> None:
    translation = StreamTranslation(HERMES)
    [first] = read_chunks(translation.feed(CREATED))
    assert first["choices"][0]["delta"]["role"] == "assistant"
    for text in ("He", "llo"):
        [chunk] = read_chunks(translation.feed(text_delta(text)))
        assert chunk["choices"][0]["delta"] == {"content": text}
        assert chunk["usage"] is None
    assert translation.feed(event("output_text.done", content_index=0, text="Hello")) == []
    assert translation.feed(COMPLETED) == []
    end, usage = read_chunks(translation.finish())
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 42
    assert {chunk["id"] for chunk in (first, end, usage)} == {first["id"]}


def test_usage_is_for_clients_that_asked() -> None:
    chunks, ending = stream(CREATED, text_delta("Hi"), COMPLETED)
    assert all("usage" not in chunk for chunk in chunks)
    assert len(ending) == 2


def test_calls_are_streamed_with_their_numbers() -> None:
    empty = {**CALL, "arguments": ""}
    patch = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "b", "name": "p", "input": ""}
    translation = StreamTranslation(asked())
    events = [
        CREATED,
        event("output_item.added", item=empty, output_index=1),
        event("function_call_arguments.delta", delta='{"cmd"', output_index=1, item_id="fc_1"),
        event("function_call_arguments.delta", delta=':"ls"}', output_index=1, item_id="fc_1"),
        event("output_item.done", item=CALL, output_index=1),
        event("output_item.added", item=patch, output_index=2),
        event("custom_tool_call_input.delta", delta="x", output_index=2),
        COMPLETED,
    ]
    passed = [json.loads(data[6:]) for one in events for data in translation.feed(one)]
    assert [delta["tool_calls"] for delta in deltas(passed)[1:]] == [
        [
            {
                "index": 0,
                "id": "a",
                "type": "function",
                "function": {"name": "terminal", "arguments": ""},
            }
        ],
        [{"index": 0, "function": {"arguments": '{"cmd"'}}],
        [{"index": 0, "function": {"arguments": ':"ls"}'}}],
        [{"index": 1, "id": "b", "type": "custom", "custom": {"name": "p", "input": ""}}],
        [{"index": 1, "custom": {"input": "x"}}],
    ]
    assert b'"finish_reason":"tool_calls"' in translation.finish()[0]


def test_the_official_client_makes_the_same_answer_of_the_stream() -> None:
    translation = StreamTranslation(HERMES)
    events = [
        CREATED,
        text_delta("I look."),
        event("output_item.added", item={**CALL, "arguments": ""}, output_index=1),
        event("function_call_arguments.delta", delta=CALL["arguments"], output_index=1),
        COMPLETED,
    ]
    chunks = [data for one in events for data in translation.feed(one)] + translation.finish()
    with (
        client_of(chunks) as client,
        client.chat.completions.stream(model=MODEL, messages=[]) as answer,
    ):
        completion = answer.get_final_completion().model_dump()
    [choice] = completion["choices"]
    assert choice["message"]["content"] == "I look."
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == CALL["arguments"]
    assert choice["finish_reason"] == "tool_calls"
    assert completion["usage"]["total_tokens"] == 42


@pytest.mark.parametrize(
    "events",
    [
        # only the ends
        [
            event("output_text.done", content_index=0, text="I look."),
            event("output_item.done", item=MESSAGE),
            event("output_item.done", item=CALL, output_index=1),
        ],
        # items alone
        [event("output_item.done", item=MESSAGE), event("output_item.done", item=CALL, output_index=1)],
        # no places, ids only
        [
            {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "I look."},
            {"type": "response.output_item.done", "item": MESSAGE},
            {"type": "response.output_item.added", "item": {**CALL, "arguments": ""}},
            {
                "type": "response.function_call_arguments.delta",
                "item_id": "fc_1",
                "delta": CALL["arguments"],
            },
            {"type": "response.output_item.done", "item": CALL},
        ],
        # ids that change
        [
            text_delta("I look."),
            event("output_item.added", item={**CALL, "arguments": ""}, output_index=1),
            event(
                "function_call_arguments.done",
                output_index=1,
                item_id="other",
                arguments=CALL["arguments"],
            ),
            event("output_item.done", item={**CALL, "id": "another"}, output_index=1),
        ],
    ],
)  # fmt: skip
def test_nothing_is_lost_or_said_twice(events: list[Any]) -> None:
    chunks, _ = stream(CREATED, *events, COMPLETED)
    whole = translate_answer(response(MESSAGE, CALL), asked())["choices"][0]["message"]
    assert joined(chunks) == {
        "content": whole["content"],
        "tool_calls": whole["tool_calls"],
    }


def test_parts_of_a_summary_are_parted() -> None:
    chunks, _ = stream(
        event("reasoning_summary_text.delta", summary_index=0, delta="On"),
        event("reasoning_summary_text.delta", summary_index=0, delta="e."),
        event("reasoning_summary_text.delta", summary_index=1, delta="Two."),
    )
    assert joined(chunks) == {"reasoning_content": "One.\n\nTwo."}


def test_a_streamed_refusal_stays_one() -> None:
    chunks, _ = stream(event("refusal.delta", delta="No"), event("refusal.delta", delta="."))
    assert joined(chunks) == {"refusal": "No."}


def test_a_character_cut_in_two_comes_out_whole() -> None:
    chunks, _ = stream(text_delta("a\ud83d"), text_delta("\ude00b"), text_delta("\ud83d"))
    assert joined(chunks) == {"content": "a\U0001f600b\ufffd"}


def test_a_cut_stream_says_so() -> None:
    cut = response(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    chunks, _ = stream(CREATED, text_delta("Hi"), event("incomplete", response=cut))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_an_empty_stream_has_a_beginning_and_an_end() -> None:
    chunks, _ = stream()
    assert [bool(chunk["choices"][0]["delta"]) for chunk in chunks] == [True, False]


def test_a_tool_turn_comes_back_as_the_provider_said_it() -> None:
    chunks, _ = stream(
        CREATED,
        text_delta("I look."),
        event("output_item.added", item={**CALL, "arguments": ""}, output_index=1),
        event("function_call_arguments.delta", delta=CALL["arguments"], output_index=1),
        COMPLETED,
    )
    said = {"role": "assistant", **joined(chunks)}
    answered = {"role": "tool", "tool_call_id": "a", "content": "one.txt"}
    assert items(said, answered) == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look."}],
        },
        {name: value for name, value in CALL.items() if name != "id"},
        {"type": "function_call_output", "call_id": "a", "output": "one.txt"},
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


PART = odd(type=st.just("output_text"), text=TEXT, refusal=TEXT, annotations=JSON, logprobs=JSON)
ITEM = odd(
    type=st.sampled_from(["message", "function_call", "custom_tool_call", "reasoning"]),
    id=TEXT,
    call_id=TEXT,
    name=st.just("f"),
    arguments=TEXT,
    input=TEXT,
    content=st.lists(PART, max_size=2),
    summary=st.lists(PART, max_size=2),
)
RESPONSE = odd(
    id=TEXT,
    created_at=st.floats(),
    model=TEXT,
    status=st.sampled_from(["completed", "incomplete", "failed"]),
    incomplete_details=odd(reason=TEXT),
    output=st.lists(ITEM, max_size=3),
    usage=odd(input_tokens=st.integers(), input_tokens_details=JSON),
)
EVENT = odd(
    type=st.sampled_from(
        [
            "response.created",
            "response.output_text.delta",
            "response.output_text.done",
            "response.refusal.delta",
            "response.reasoning_summary_text.delta",
            "response.output_item.added",
            "response.output_item.done",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.custom_tool_call_input.delta",
            "response.completed",
        ]
    ),
    response=RESPONSE,
    item=ITEM,
    delta=TEXT,
    text=TEXT,
    arguments=TEXT,
    output_index=st.integers(0, 2),
    content_index=st.integers(0, 1),
    item_id=TEXT,
    logprobs=JSON,
)


@given(events=st.lists(EVENT | JSON, max_size=6), logprobs=st.booleans())
def test_no_stream_is_too_odd_for_a_client(events: list[Any], logprobs: bool) -> None:
    translation = StreamTranslation({**HERMES, "logprobs": logprobs})
    passed = [data for one in events for data in translation.feed(one)]
    for data in [*passed, *translation.finish()[:-1]]:
        assert (
            msgspec.json.decode(data.removeprefix(b"data: "))["object"] == "chat.completion.chunk"
        )


@given(answer=RESPONSE)
def test_no_answer_is_too_odd_for_a_client(answer: dict[str, Any]) -> None:
    translated = translate_answer(answer, asked(logprobs=True))
    msgspec.json.encode(translated)
    assert is_completion(translated)


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
