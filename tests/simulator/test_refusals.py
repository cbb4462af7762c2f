"""simulator.chat_request: requests OpenAI refuses are refused in its words."""

import httpx
import pytest

TOOL = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x"}}
CALLED = {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f"}}]}
USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"model": None}, None, None),
        ({"model": 5}, "model", "invalid_type"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": ["x"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", None),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "invalid_type",
        ),
        ({"messages": [{**USER, "role": "tool"}]}, "messages[0].role", None),
        (
            {"messages": [CALLED, {"role": "tool", "content": "x"}]},
            "messages[1].tool_call_id",
            "missing_required_parameter",
        ),
        (
            {"messages": [CALLED, {"role": "tool", "content": "x", "tool_call_id": "c2"}]},
            "messages[1].tool_call_id",
            None,
        ),
        ({"messages": [{**CALLED, "tool_calls": 3}]}, "messages[0].tool_calls", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"stream": True, "stream_options": []}, "stream_options", "invalid_type"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"n": 1.5}, "n", "invalid_type"),
        ({"n": True}, "n", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 128_001}, "max_tokens", "invalid_value"),
        ({"max_completion_tokens": 128_001}, "max_completion_tokens", "invalid_value"),
        ({"max_tokens": 9, "max_completion_tokens": 9}, None, "invalid_parameter_combination"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"top_p": -1}, "top_p", "decimal_below_min_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"top_logprobs": 3}, "top_logprobs", None),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
        ({"logprobs": 1}, "logprobs", "invalid_type"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length"),
        ({"stop": [1]}, "stop", "invalid_type"),
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": ["f"]}, "tools[0]", "invalid_type"),
        ({"tools": [{"type": "magic"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name", "missing_required_parameter"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
            "invalid_value",
        ),
        ({"tool_choice": "auto"}, "tool_choice", None),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": 3}, "tool_choice", "invalid_type"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
            "invalid_value",
        ),
        ({"response_format": "json"}, "response_format", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": SCHEMA},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        ({"reasoning_effort": "heroic"}, "reasoning_effort", "invalid_value"),
        ({"service_tier": "gold"}, "service_tier", "invalid_value"),
        ({"simulate": {"nonsense": 1}}, "simulate", "invalid_script"),
        ({"simulate": None}, "simulate", "invalid_script"),
    ],
)
def test_a_wrong_field_is_named_in_the_error(http, body, changes, param, code):
    answer = http.post("/chat/completions", json=body(**changes))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


def test_the_unknown_model_is_a_404(http, body):
    answer = http.post("/chat/completions", json=body(model="no-such-model"))
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


def test_a_prompt_over_the_window_is_refused(http, body):
    answer = http.post("/chat/completions", json=body("word " * 33_000, model="solar-mini"))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("content", [b"", b"{", b'{"model": "x"} trailing', b"[1]", b'"text"'])
def test_what_is_no_json_object_is_a_400(http, content):
    answer = http.post("/chat/completions", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, None),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer sk-wrong-key-of-someone-else", "invalid_api_key"),
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/models", "/models/gpt-5.5"])
def test_a_missing_or_wrong_bearer_is_a_401(vendor, body, header, code, path):
    method = "POST" if path == "/chat/completions" else "GET"
    headers = {} if header is None else {"authorization": header}
    payload = body() if method == "POST" else None
    answer = httpx.request(method, vendor.base_url + path, headers=headers, json=payload)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == code
    assert "wrong-key-of-someone" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/chat/completions"),
        ("POST", "/models"),
        ("GET", "/responses"),
        ("GET", "/nothing"),
        ("DELETE", "/models/gpt-5.5"),
    ],
)
def test_any_other_path_or_method_is_a_json_404(http, method, path):
    answer = http.request(method, path)
    assert answer.status_code == 404
    assert "Invalid URL" in answer.json()["error"]["message"]
