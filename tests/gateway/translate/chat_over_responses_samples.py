"""What a client of Chat Completions asks, and what OpenAI's Responses API answers, and might answer."""

from typing import Any

from hypothesis import strategies as st

from gateway.translate.chat_over_responses import translate_request
from tests.gateway.translate.client_models import JSON, TEXT, odd

MODEL = "openai/gpt-5.5-pro"
TERMINAL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "terminal",
        "description": "Runs a command.",
        "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}},
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
