"""Whatever JSON arrives, it is answered or refused: nothing else can come out of the composer."""

import contextlib
import copy
import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.chat_request import check, parse_body
from simulator.encoding import EventWriter, encode_plain, make_stamp
from simulator.errors import ApiError
from simulator.replies import Composer
from simulator.script import NO_SCRIPT, parse_script

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "minLength": 2, "format": "date"},
        "b": {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 1, "uniqueItems": True},
        "c": {"anyOf": [{"type": "null"}, {"type": "number", "minimum": 1, "multipleOf": 0.5}]},
    },
    "required": ["a"],
    "allOf": [{"properties": {"d": {"enum": [1]}}}],
    "$defs": {"n": {"type": "integer", "maximum": 3}},
}
WHOLE = {
    "model": "gpt-5.5",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "s"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "found"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look at Rome"},
                {"type": "image_url", "image_url": {"url": "x", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA"}},
            ],
        },
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "n": 2,
    "stop": ["x"],
    "max_tokens": 50,
    "temperature": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "auto",
            "tools": [{"type": "function", "function": {"name": "look"}}],
        },
    },
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    "reasoning_effort": "low",
    "service_tier": "flex",
    "simulate": {"output_tokens": 30, "reasoning_tokens": 3, "chunk_tokens": 2},
}


def places(value, path=()):
    """Every path into a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, part in items:
        found += places(part, (*path, key))
    return found


PLACES = [path for path in places(WHOLE) if path]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 200),
    st.sampled_from([1e308, -1e308, 2**70, 0.0, 1e-300]),
    st.text(max_size=5),
    st.sampled_from([[], {}, [[]], [{}], {"a": {}}, [None], {"$ref": "#"}, {"type": "object"}]),
)
REMOVE = object()


def changed(changes):
    body = copy.deepcopy(WHOLE)
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


def answer(composer, raw):
    body = parse_body(raw)
    check(body)
    script = parse_script(body.simulate) if body.simulate else NO_SCRIPT
    reply = composer.compose(body, script)
    stamp = make_stamp("chatcmpl-1", 1, body.model, body.service_tier)
    top = (body.top_logprobs or 0) if body.logprobs else None
    msgspec.json.decode(encode_plain(stamp, reply, top))
    writer = EventWriter(stamp, script, top, include_usage=body.wants_usage)
    tokens = reply.reasoning_tokens
    for event, spent in writer.content(reply):
        msgspec.json.decode(event.removeprefix(b"data: "))
        tokens += spent
    assert tokens == reply.completion_tokens
    list(writer.opening(reply))
    list(writer.closing(reply))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES | st.just(REMOVE)), max_size=3))
def test_a_body_with_anything_in_any_place_is_answered_or_refused(changes):
    with contextlib.suppress(ApiError):
        answer(Composer(), json.dumps(changed(changes)).encode())


def test_the_whole_body_itself_is_answered():
    answer(Composer(), json.dumps(WHOLE).encode())


@given(st.binary(max_size=40))
def test_bytes_are_answered_or_refused(data):
    with contextlib.suppress(ApiError):
        answer(Composer(), data)
