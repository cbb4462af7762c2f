"""The official clients of OpenAI, Anthropic and Google, each sync and async, at a gateway, and what they are asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from pydantic import BaseModel

from tests.flows.billing_checks import Books
from tests.world import GatewayProcess, Tenant, World

Speakers = Mapping[str, "Speaker"]
"""By how they call: sync, async."""
every_way = pytest.mark.parametrize("kind", ["sync", "async"])

TEXT = "Say hello to the team."
BOTH = "Use get_weather and read_clock for Paris."
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


class Bridge(BaseModel):
    """What a bridge is described by."""

    name: str
    length_m: int
    tags: list[str]


def cases(names: Iterable[str]) -> pytest.MarkDecorator:
    """Each model by both of its names, each kind of client by one of them."""
    pairs = [case for name in names for case in ((name.partition("/")[2], "sync"), (name, "async"))]
    return pytest.mark.parametrize(("model", "kind"), pairs)


def allow_models(world: World, tenant: Tenant, *patterns: str) -> None:
    """The tenant's key may call these alone from now on."""
    world.database.query(
        "UPDATE accounts_apikey SET allowed_models = %s::jsonb WHERE id = %s",
        json.dumps(patterns),
        tenant.key_id,
    )


class Speaker:
    """One client. A test says a call once; `runner` is there if the client is async."""

    def __init__(self, client: Any, runner: asyncio.Runner | None = None) -> None:
        self.client = client
        self._runner = runner

    @property
    def is_async(self) -> bool:
        return self._runner is not None

    def call(self, name: str, **fields: Any) -> Any:
        """What the client's method answers; a list of events where that is a stream."""
        method = attrgetter(name)(self.client)
        if self._runner is not None:
            return self._runner.run(_call(method, fields))
        answer = method(**fields)
        return list(answer) if isinstance(answer, Iterator) else answer

    def make(self, name: str, **fields: Any) -> "Speaker":
        """What the client's method makes without a call, such as a chat; it speaks as this one does."""
        return Speaker(attrgetter(name)(self.client)(**fields), self._runner)

    def follow(self, name: str, ending: str, **fields: Any) -> tuple[list[Any], Any]:
        """The events of the client's stream manager, and what it made of them."""
        method = attrgetter(name)(self.client)
        if self._runner is not None:
            return self._runner.run(_follow(method, ending, fields))
        with method(**fields) as stream:
            return list(stream), getattr(stream, ending)()


async def _call(method: Any, fields: dict[str, Any]) -> Any:
    answer = await method(**fields)
    return [event async for event in answer] if isinstance(answer, AsyncIterator) else answer


async def _follow(method: Any, ending: str, fields: dict[str, Any]) -> tuple[list[Any], Any]:
    async with method(**fields) as stream:
        events = [event async for event in stream]
        return events, await getattr(stream, ending)()


@contextmanager
def speak_openai(gateway: GatewayProcess, key: str, books: Books) -> Iterator[Speakers]:
    """OpenAI's clients with that key."""
    with _speak(openai, "OpenAI", gateway.base_url, key, books) as speakers:
        yield speakers


@contextmanager
def speak_anthropic(gateway: GatewayProcess, key: str, books: Books) -> Iterator[Speakers]:
    """Anthropic's clients with that key."""
    with _speak(anthropic, "Anthropic", gateway.root, key, books) as speakers:
        yield speakers


@contextmanager
def _speak(library: Any, name: str, url: str, key: str, books: Books) -> Iterator[Speakers]:
    """The clients of one of the two libraries that are made alike; `name`: of its sync client."""
    given: dict[str, Any] = {"base_url": url, "api_key": key, "max_retries": 0}
    plain = library.DefaultHttpxClient(event_hooks={"response": [books.note]})
    waiting = library.DefaultAsyncHttpxClient(event_hooks={"response": [books.note_async]})
    with asyncio.Runner() as runner, getattr(library, name)(**given, http_client=plain) as client:
        made = getattr(library, f"Async{name}")(**given, http_client=waiting)
        yield {"sync": Speaker(client), "async": Speaker(made, runner)}
        runner.run(made.close())


@contextmanager
def speak_google(
    gateway: GatewayProcess, key: str, books: Books, version: str | None = None
) -> Iterator[Speakers]:
    """Google's clients with that key; `version`: of the API, None for the client's own choice."""
    options = types.HttpOptions(
        base_url=gateway.root,
        api_version=version,
        client_args={"event_hooks": {"response": [books.note]}},
        async_client_args={"event_hooks": {"response": [books.note_async]}},
    )
    with (
        asyncio.Runner() as runner,
        genai.Client(api_key=key, http_options=options) as client,
    ):
        yield {"sync": Speaker(client), "async": Speaker(client.aio, runner)}
        runner.run(client.aio.aclose())
