"""A caller changes the base URL and the key, and nothing else: what he sends reaches the provider as it is, and what
the provider answers comes back as it is."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.flows.canned import (
    CANNED_CREDENTIAL,
    CANNED_MODEL,
    DONE,
    MODEL,
    PATH,
    USER,
    chat,
    chunk,
    completion,
    frames,
    record_of,
    usage_chunk,
)
from tests.gateway.far_end import ThreadedFarEnd, stream, threaded_far_end, whole
from tests.world import GatewayProcess, Tenant, World, client


@pytest.fixture(scope="module")
def canned(world: World) -> Iterator[ThreadedFarEnd]:
    """A provider that answers calls of CANNED_MODEL with the bytes it is given."""
    with threaded_far_end() as far:
        world.put_channel("deepseek", far.base_url, CANNED_CREDENTIAL, name="canned")
        yield far


@pytest.fixture(scope="module")
def gateway(world: World, canned: ThreadedFarEnd) -> GatewayProcess:
    return world.start_gateway()


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


@pytest.fixture(scope="module")
def direct(simulator: SimulatorProcess) -> Iterator[httpx.Client]:
    """The simulator without a gateway."""
    headers = {"authorization": f"Bearer {simulator.api_key}"}
    with httpx.Client(base_url=simulator.base_url, headers=headers, trust_env=False) as opened:
        yield opened


@pytest.fixture(autouse=True)
def calm(gateway: GatewayProcess) -> Iterator[None]:
    """Failures of providers are ordinary: the process wrote no traceback during the test."""
    before = len(gateway.log)
    yield
    assert "Traceback" not in gateway.log[before:]


# What reaches the provider.

EVERYTHING: dict[str, Any] = {
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "Ann", "content": [{"type": "text", "text": "안녕 😀 \u2028"}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "look_up", "arguments": "{\"q\": 1.0}"}}]},
        {"role": "tool", "tool_call_id": "a", "name": "look_up", "content": "found"},
        {"role": "user", "content": "And now?"},
    ],
    "tools": [{"type": "function", "function": {
        "name": "look_up", "strict": True, "parameters": {"type": "object", "properties": {"q": {"type": "number"}}}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "temperature": 0.30000000000000004,
    "top_p": 1,
    "presence_penalty": -0.5,
    "seed": 9007199254740993,
    "stop": ["\n\n", "END"],
    "logit_bias": {"50256": -100},
    "metadata": {"a": "b", "empty": "", "null": None, "nested": [[], {}, [1, 2.5, True]]},
    "store": False,
    "user": "ann@example.com",
    "reasoning_effort": "low",
    "response_format": {"type": "text"},
    "prompt_cache_key": "k",
    "safety_identifier": "s",
    "verbosity": "low",
    "an_unknown_field": {"deep": [{"er": "x"}]},
    "max_completion_tokens": 64,
}  # fmt: skip


def forwarded(world: World, answer: httpx.Response) -> dict[str, Any]:
    """The request that the simulator got for this answer."""
    [request] = world.simulator.requests(answer.headers["x-request-id"])
    return request


def test_every_field_reaches_the_provider_and_only_the_name_of_the_model_changes(
    world: World, http: httpx.Client
) -> None:
    answer = http.post(PATH, json={"model": f"openai/{MODEL}", **EVERYTHING})
    assert answer.status_code == 200, answer.text
    request = forwarded(world, answer)
    assert request["path"] == PATH
    assert request["body"] == {"model": MODEL, **EVERYTHING}
    assert list(request["body"]) == ["model", *EVERYTHING]


def test_a_stream_is_asked_for_its_usage_and_nothing_else_changes(
    world: World, http: httpx.Client
) -> None:
    answer = http.post(PATH, json={"model": MODEL, "stream": True, **EVERYTHING})
    assert forwarded(world, answer)["body"] == {
        "model": MODEL,
        "stream": True,
        **EVERYTHING,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include_usage": True}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
        ({}, {"include_usage": True}),
        (None, {"include_usage": True}),
    ],
)
def test_other_options_of_the_stream_are_kept(
    world: World, http: httpx.Client, options: Any, expected: dict[str, Any]
) -> None:
    answer = chat(http, stream=True, stream_options=options)
    assert forwarded(world, answer)["body"]["stream_options"] == expected


RAW_BODIES = [
    b'{"model":"deepseek-v4-flash","messages":[{"role":"user","content":"x"}]}',
    b'  {\r\n"messages" : [ {"content":"\\u0041\\/ \xea\xb0\x80 \\ud83d\\ude00","role":"user"} ],\t"model":'
    b' "deepseek-v4-flash", "temperature":1.0, "top_p":1e0, "seed":-0, "x":1.10, "big":1234567890123456789012345}\n',
    b'{"stream":true,"stream_options":{"include_usage":true},"model":"deepseek-v4-flash","messages":[1]}',
]


@pytest.mark.parametrize("raw", RAW_BODIES)
def test_a_body_that_needs_no_change_is_forwarded_byte_for_byte(
    canned: ThreadedFarEnd, http: httpx.Client, raw: bytes
) -> None:
    canned.answer_with(stream(DONE) if b'"stream":true' in raw else whole(completion()))
    http.post(PATH, content=raw)
    assert canned.requests[-1].body == raw


def test_a_limit_that_the_provider_could_obey_is_never_above_what_is_held(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant
) -> None:
    # Two names for one limit: which of them counts is the provider's choice.
    canned.answer_with(whole(completion()))
    both = chat(http, CANNED_MODEL, max_tokens=100_000, max_completion_tokens=1)
    if both.status_code == 400:
        return
    sent = json.loads(canned.requests[-1].body)
    most = max(sent.get(name) or 0 for name in ("max_tokens", "max_completion_tokens"))
    alone = chat(http, CANNED_MODEL, max_tokens=most)
    held = [record_of(world, alice, answer)["hold_nanos"] for answer in (both, alone)]
    assert held[0] >= held[1] * 0.99  # the two bodies differ by a few bytes


CLIENT_HEADERS = {
    "cookie": "session=secret",
    "x-stainless-lang": "python",
    "x-stainless-retry-count": "2",
    "x-stainless-read-timeout": "1800",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "session-id": "s",
    "x-codex-turn-metadata": "{}",
    "x-session-affinity": "a",
    "openai-organization": "org-mine",
    "openai-project": "proj-mine",
    "x-api-key": "mine",
    "x-forwarded-for": "10.0.0.1",
    "x-client-request-id": "mine",
    "user-agent": "Agent/1.0",
    "accept": "text/html",
    "accept-encoding": "gzip, br, zstd",
    "accept-language": "ko",
    "referer": "http://example.com/",
    "idempotency-key": "mine",
    "content-type": "application/json; charset=utf-8",
}


@pytest.mark.parametrize("streamed", [False, True])
def test_no_header_of_the_client_reaches_the_provider(
    canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant, streamed: bool
) -> None:
    canned.answer_with(stream(DONE) if streamed else whole(completion()))
    body = {"model": CANNED_MODEL, "messages": USER, "stream": streamed}
    answer = http.post(PATH, json=body, headers=CLIENT_HEADERS)
    sent = dict(canned.requests[-1].headers)
    assert sent.pop("host") == canned.base_url.split("/")[2]
    assert int(sent.pop("content-length")) == len(canned.requests[-1].body)
    assert sent == {
        "authorization": f"Bearer {CANNED_CREDENTIAL}",
        "content-type": "application/json",
        "accept": "text/event-stream" if streamed else "application/json",
        "user-agent": "tollgate",
        "x-client-request-id": answer.headers["x-request-id"],
    }
    assert alice.key.encode() not in canned.requests[-1].body


# What comes back, byte for byte.


PLAIN_BODIES = [
    completion(),
    b' {\r\n "choices" :[{"message":{"content":"\\u00e9\\ud83d\\ude00 \xf0\x9f\x98\x80\\/"}}],"usage":'
    b'{"prompt_tokens":1,"completion_tokens":1.0e0,"completion_tokens":2},"x":1.0, "y":1E2}\n\n ',
    completion(choices=[], system_fingerprint=None, extra={"kept": [1, {"a": None}]}),
    completion(choices=[{"message": {"content": "x" * 2_000_000}}]),
]


@pytest.mark.parametrize("body", PLAIN_BODIES, ids=lambda body: str(len(body)))
def test_a_plain_answer_comes_back_byte_for_byte(
    canned: ThreadedFarEnd, http: httpx.Client, body: bytes
) -> None:
    raw = whole(body)
    canned.answer_with(*(raw[at : at + 100_000] for at in range(0, len(raw), 100_000)))
    answer = chat(http, CANNED_MODEL)
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-type"] == "application/json"


def test_half_a_character_in_a_plain_answer_comes_back_and_is_billed(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant
) -> None:
    body = completion().replace(b'"Hi"', b'"cut at \\ud83d"')
    canned.answer_with(whole(body))
    answer = chat(http, CANNED_MODEL)
    assert (answer.status_code, answer.content) == (200, body)
    record = record_of(world, alice, answer)
    assert (record["status"], record["basis"], record["output_tokens"]) == (
        "completed",
        "reported",
        3,
    )


EVENT_STREAMS = {
    "plain": [chunk("Hel"), chunk("lo"), chunk(None, "stop"), DONE],
    "crlf": [
        part.replace(b"\n", b"\r\n")
        for part in (chunk("Hel"), chunk("lo"), chunk(None, "stop"), DONE)
    ],
    "cr": [
        part.replace(b"\n", b"\r")
        for part in (chunk("Hel"), chunk("lo"), chunk(None, "stop"), DONE)
    ],
    "comments": [
        b": hello\n\n",
        chunk("a"),
        b": ping\n\n: ping\n\n",
        chunk(None, "stop"),
        b": bye\n\n",
        DONE,
    ],
    "named": [
        b"event: message\nid: 7\nretry: 10\n" + chunk("a"),
        b"\n\n",
        chunk(None, "stop"),
        DONE,
    ],
    "no blank": [chunk("a").replace(b"data: ", b"data:"), chunk(None, "stop"), b"data:[DONE]\n\n"],
    "halves": [chunk("\ud83d"), chunk("\ude00"), chunk(None, "stop"), DONE],
    "many lines": [
        b'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n',
        chunk(None, "stop"),
        DONE,
    ],
    "odd": [
        b"data: x\n\n",
        b'data: {"choices":[{"delta":{"tool_calls":5}}]}\n\n',
        chunk(None, "stop"),
        DONE,
    ],
    "no done": [chunk("a"), chunk(None, "stop")],
    "role first": [
        chunk(None, None, usage=None),
        chunk("a", usage=None),
        chunk(None, "stop", usage=None),
        DONE,
    ],
    "filter results": [
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
        chunk("a"),
        chunk(None, "stop"),
        DONE,
    ],
    "long": [chunk("x" * 300_000), chunk(None, "stop"), DONE],
}


@pytest.mark.parametrize("size", [9, 100_000])
@pytest.mark.parametrize("name", list(EVENT_STREAMS))
def test_a_stream_comes_back_byte_for_byte(
    canned: ThreadedFarEnd, http: httpx.Client, name: str, size: int
) -> None:
    data = b"".join(EVENT_STREAMS[name])
    canned.answer_with(*frames(data, max(size, len(data) // 300)))
    answer = chat(http, CANNED_MODEL, stream=True)
    assert answer.status_code == 200
    assert answer.content == data
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("asked", [True, False])
def test_the_usage_event_is_for_those_who_asked(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant, asked: bool
) -> None:
    events = [chunk("Hi"), chunk(None, "stop"), usage_chunk(), DONE]
    canned.answer_with(*frames(b"".join(events), 20))
    answer = chat(http, CANNED_MODEL, stream=True, stream_options={"include_usage": asked})
    assert answer.content == b"".join([one for one in events if asked or one != usage_chunk()])
    record = record_of(world, alice, answer)
    assert (record["input_tokens"], record["output_tokens"], record["basis"]) == (11, 3, "reported")


def test_an_event_that_ends_with_the_stream_and_without_a_blank_line_is_not_lost(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant
) -> None:
    data = chunk("Hi") + chunk(None, "stop") + usage_chunk() + b"data: [DONE]\n"
    canned.answer_with(*frames(data, 50))
    answer = chat(http, CANNED_MODEL, stream=True, stream_options={"include_usage": True})
    assert answer.content == data
    canned.answer_with(*frames(data[: -len(b"\ndata: [DONE]\n")], 50))
    answer = chat(http, CANNED_MODEL, stream=True)
    assert record_of(world, alice, answer)["basis"] == "reported"


VARIABLE = re.compile(rb'"id":"(?:chatcmpl-|call_)[^"]*"|"created":\d+')
SCRIPTS: list[dict[str, Any]] = [
    {},
    {"simulate": {"crlf": True}},
    {"simulate": {"comments": True}},
    {"simulate": {"comments": True, "crlf": True, "chunk_tokens": 3}},
    {"simulate": {"content": "Bridges 🌉 span 江 и 강.", "split_surrogates": True}},
    {"simulate": {"usage_on_last_chunk": True}},
    {"simulate": {"no_done": True}},
    {"simulate": {"reasoning_tokens": 30, "cached_tokens": 4}},
    {"n": 3},
    {"logprobs": True, "top_logprobs": 2},
    {"stop": ["."]},
    {"max_completion_tokens": 3, "max_tokens": None},
]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fields", SCRIPTS, ids=json.dumps)
def test_the_same_call_with_and_without_a_gateway_gives_the_same_bytes(
    http: httpx.Client, direct: httpx.Client, fields: dict[str, Any], streamed: bool
) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    body = {"model": MODEL, "messages": USER, "max_tokens": 300, **options, **fields}
    there, here = direct.post("/chat/completions", json=body), http.post(PATH, json=body)
    assert (there.status_code, here.status_code) == (200, 200)
    assert VARIABLE.sub(b"", here.content) == VARIABLE.sub(b"", there.content)
