"""What a client of Responses asks, and what a provider of Chat Completions answers, and might answer."""

from typing import Any

from hypothesis import strategies as st

from gateway.translate.responses_over_chat import translate_request
from tests.gateway.translate.client_models import JSON, TEXT, odd

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
USAGE: dict[str, Any] = {
    "prompt_tokens": 30,
    "completion_tokens": 12,
    "total_tokens": 42,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
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


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": "Hello", **fields}


def messages(*items: Any, **fields: Any) -> Any:
    return translate_request(asked(input=list(items), **fields))["messages"]


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
