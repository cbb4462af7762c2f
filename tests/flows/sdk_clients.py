"""The official clients of OpenAI, Anthropic and Google, each sync and async, pointed at a gateway."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types

from tests.flows.billing_checks import Books
from tests.world import GatewayProcess

Speakers = Mapping[str, "Speaker"]
"""By how they call: sync, async."""


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
    given: dict[str, Any] = {"base_url": gateway.base_url, "api_key": key, "max_retries": 0}
    plain = openai.DefaultHttpxClient(event_hooks={"response": [books.note]})
    waiting = openai.DefaultAsyncHttpxClient(event_hooks={"response": [books.note_async]})
    with asyncio.Runner() as runner, openai.OpenAI(**given, http_client=plain) as client:
        made = openai.AsyncOpenAI(**given, http_client=waiting)
        yield {"sync": Speaker(client), "async": Speaker(made, runner)}
        runner.run(made.close())


@contextmanager
def speak_anthropic(gateway: GatewayProcess, key: str, books: Books) -> Iterator[Speakers]:
    """Anthropic's clients with that key."""
    given: dict[str, Any] = {"base_url": gateway.root, "api_key": key, "max_retries": 0}
    plain = anthropic.DefaultHttpxClient(event_hooks={"response": [books.note]})
    waiting = anthropic.DefaultAsyncHttpxClient(event_hooks={"response": [books.note_async]})
    with asyncio.Runner() as runner, anthropic.Anthropic(**given, http_client=plain) as client:
        made = anthropic.AsyncAnthropic(**given, http_client=waiting)
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
