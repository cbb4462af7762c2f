"""What OpenAI's own client makes of what we write, and JSON as no provider should send it."""

import json
from typing import Any

import httpx2
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

_stream_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

TEXT = st.text(st.characters(), max_size=5)  # with halves of surrogate pairs
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def odd(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these fields, each as it should be or as anything else."""
    return st.fixed_dictionaries({}, optional={name: s | JSON for name, s in fields.items()})


def read_response_events(chunks: list[bytes]) -> list[dict[str, Any]]:
    """The data of a Responses stream, every event as the client's own model takes it and numbered from 0."""
    events = []
    for number, chunk in enumerate(chunks):
        name, data, *rest = chunk.decode().split("\n")
        assert rest == ["", ""]
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        assert _stream_event.validate_python(event, strict=True).type == event["type"]
        events.append(event)
    return events


def read_chunks(chunks: list[bytes]) -> list[dict[str, Any]]:
    """The data of a Chat Completions stream but for `[DONE]`, as the client's own model takes it."""
    found = []
    for chunk in chunks:
        assert chunk.startswith(b"data: ")
        assert chunk.endswith(b"\n\n")
        if chunk == b"data: [DONE]\n\n":
            assert chunk is chunks[-1]
            continue
        found.append(json.loads(chunk.removeprefix(b"data: ").decode()))
        ChatCompletionChunk.model_validate(found[-1], strict=True)
    return found


def is_response(answer: dict[str, Any]) -> bool:
    """Raises if the client's model does not take it."""
    Response.model_validate(answer, strict=True)
    return bool(json.loads(json.dumps(answer)) == answer)


def is_completion(answer: dict[str, Any]) -> bool:
    """Raises if the client's model does not take it."""
    ChatCompletion.model_validate(answer, strict=True)
    return bool(json.loads(json.dumps(answer)) == answer)


def client_of(events: list[bytes]) -> OpenAI:
    """The official client, with these events as the answer to whatever it asks."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=b"".join(events))

    transport = httpx2.MockTransport(answer)
    http_client = httpx2.Client(transport=transport)
    return OpenAI(api_key="none", base_url="http://far.example/v1", http_client=http_client)
