"""Whatever JSON arrives in whatever dialect, it is answered or refused: nothing else can come out."""

import contextlib
import copy
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.calls import find_script
from simulator.connection import Request
from simulator.dialect import Order
from simulator.embeddings import Embeddings
from simulator.errors import ApiError
from simulator.flux import Flux
from simulator.gates import Gates
from simulator.generate import Generate
from simulator.images import ImageGenerations
from simulator.jobs import Jobs
from simulator.messages import Messages
from simulator.replies import Composer
from simulator.responses import Responses
from simulator.script import NO_SCRIPT

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
SCRIPT = {"output_tokens": 30, "reasoning_tokens": 3, "chunk_tokens": 2}
RESPONSES = {
    "model": "gpt-5.5",
    "instructions": "Be brief.",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "look"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "found"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look at Rome"},
                {"type": "input_image", "detail": "low"},
                {"type": "input_audio", "input_audio": {"data": "AAAA"}},
                {"type": "input_file"},
            ],
        },
    ],
    "stream": True,
    "store": True,
    "tools": [
        {"type": "function", "name": "look", "parameters": SCHEMA},
        {"type": "custom", "name": "c"},
        {"type": "web_search"},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "look"}],
    },
    "parallel_tool_calls": True,
    "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
    "max_output_tokens": 500,
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "metadata": {"a": "b"},
    "simulate": SCRIPT,
}
MESSAGES = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 4000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "x", "signature": "y"},
                {"type": "tool_use", "id": "t", "name": "look", "input": {"a": "b"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "found"},
                {"type": "text", "text": "look at Rome"},
                {"type": "image", "source": {}},
            ],
        },
    ],
    "stream": True,
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "tools": [{"name": "look", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "stop_sequences": ["zz"],
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    "simulate": SCRIPT,
}
GENERATE = {
    "contents": [
        {"role": "user", "parts": [{"text": "look"}]},
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True},
                {"functionCall": {"name": "look", "args": {"a": 1}}},
            ],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "look", "response": {"a": 1}}}],
        },
        {
            "parts": [
                {"text": "look at Rome"},
                {"inline_data": {"mime_type": "image/png", "data": "AA"}},
                {"inlineData": {"mimeType": "audio/wav", "data": "AA"}},
                {"fileData": {"fileUri": "x"}},
            ]
        },
    ],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {
        "maxOutputTokens": 500,
        "candidateCount": 2,
        "stopSequences": ["zz"],
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        "thinkingConfig": {"thinkingBudget": 2000, "includeThoughts": True},
    },
    "tools": [{"functionDeclarations": [{"name": "look", "parameters": SCHEMA}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
    "simulate": SCRIPT,
}
EMBEDDINGS = {
    "model": "text-embedding-3-small",
    "input": ["one", [1, 2], "two"],
    "encoding_format": "base64",
    "dimensions": 8,
    "simulate": {"input_tokens": 7},
}
IMAGES = {
    "model": "gpt-image-2",
    "prompt": "look",
    "n": 1,
    "size": "1024x640",
    "quality": "low",
    "background": "transparent",
    "moderation": "low",
    "output_format": "png",
    "output_compression": 100,
    "input_fidelity": "low",
    "stream": True,
    "partial_images": 1,
    "simulate": SCRIPT,
}
FLUX = {
    "prompt": "look",
    "input_image": (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
        "gg=="
    ),
    "aspect_ratio": "16:9",
    "width": 512,
    "height": 512,
    "seed": 5,
    "output_format": "png",
    "safety_tolerance": 2,
    "webhook_url": "https://example.com",
    "simulate": {"job_delay_s": 1, "same_job_twice": True},
}
GEMINI = b"/v1beta/models/gemini-2.5-pro:"
CASES = {
    "responses": (Responses, RESPONSES, b"/v1/responses"),
    "messages": (Messages, MESSAGES, b"/v1/messages"),
    "generate": (Generate, GENERATE, GEMINI + b"streamGenerateContent"),
    "generate_sse": (Generate, GENERATE, GEMINI + b"streamGenerateContent?alt=sse"),
    "embeddings": (Embeddings, EMBEDDINGS, b"/v1/embeddings"),
    "images": (ImageGenerations, IMAGES, b"/v1/images/generations"),
    "flux": (lambda: Flux(Jobs(Gates())), FLUX, b"/v1/flux-kontext-pro"),
    "flux_plain": (lambda: Flux(Jobs(Gates())), FLUX, b"/v1/flux-pro-1.1"),
}
UNSTREAMED = ("embeddings", "flux")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 200),
    st.sampled_from([1e308, 2**70, 0.0, "", "none", "auto", "model", "\ud800"]),
    st.text(max_size=5),
    st.sampled_from([[], {}, [[]], [{}], {"a": {}}, [None], {"$ref": "#"}, {"type": "object"}]),
)
REMOVE = object()


def places(value, path=()):
    """Every path into a JSON value but the whole."""
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


def changed(whole, changes):
    body = copy.deepcopy(whole)
    for path, value in changes:
        at = body
        try:
            for key in path[:-1]:
                at = at[key]
            if value is REMOVE:
                del at[path[-1]]
            else:
                at[path[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue
    return body


def serve(dialect, target, raw):
    """The plain body, the stream's bytes, and whether the tokens of the stream add up."""
    request = Request(b"POST", target, {b"anthropic-version": b"1"})
    request.body = raw
    body = dialect.parse(request)
    ask = dialect.read(request, body)
    script = find_script(request, body, ask) or NO_SCRIPT
    reply = dialect.compose(Composer(), ask, script)
    order = Order("id-1", "1", 1, body, ask, script, reply)
    totals = dialect.totals(script, reply)
    plain = dialect.answer(order, totals).plain()
    msgspec.json.decode(plain)
    dialect.plan(body, "id-1")
    if dialect.name in UNSTREAMED:
        return plain
    answer = dialect.answer(order, totals)
    stream = b"".join(answer.opening())
    tokens = reply.reasoning_tokens
    for event, spent in answer.content():
        stream += event
        tokens += spent
    stream += b"".join(answer.closing())
    assert tokens == reply.completion_tokens
    if b"streamGenerate" in target and b"alt" not in target:
        msgspec.json.decode(stream)
    else:
        for line in stream.splitlines():
            if line.startswith(b"data: "):
                msgspec.json.decode(line[6:])
    answer.complete()
    dialect.failure(500, None, "1")
    return plain


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_body_with_anything_in_any_place_is_answered_or_refused(name, data):
    make, whole, target = CASES[name]
    spots = st.sampled_from(list(places(whole)))
    changes = data.draw(st.lists(st.tuples(spots, VALUES | st.just(REMOVE)), max_size=3))
    dialect = make()
    try:
        serve(dialect, target, json.dumps(changed(whole, changes)).encode())
    except ApiError as refused:
        msgspec.json.decode(dialect.refusal(refused, "1"))


@pytest.mark.parametrize("name", CASES)
def test_the_whole_body_itself_is_answered(name):
    make, whole, target = CASES[name]
    assert serve(make(), target, json.dumps(whole).encode())


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=50)
@given(raw=st.binary(max_size=40))
def test_bytes_are_answered_or_refused(name, raw):
    make, _, target = CASES[name]
    with contextlib.suppress(ApiError):
        serve(make(), target, raw)
