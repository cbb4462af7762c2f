"""What the official OpenAI clients make of the gateway, with only the base URL and the key changed."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.flows.canned import MODEL, ask
from tests.world import GatewayProcess, Tenant, World


@pytest.fixture(scope="module")
def sdk(gateway: GatewayProcess, alice: Tenant) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.base_url, api_key=alice.key, max_retries=0) as made:
        yield made


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {"name": "read_clock", "parameters": {"type": "object", "properties": {}}},
}


def test_tools_are_called_in_parallel_and_their_results_read(sdk: openai.OpenAI) -> None:
    text = "Use get_weather and read_clock for Paris."
    first = ask(sdk, text, tools=[WEATHER, CLOCK]).choices[0]
    assert first.finish_reason == "tool_calls"
    assert [call.function.name for call in first.message.tool_calls] == [
        "get_weather",
        "read_clock",
    ]
    assert json.loads(first.message.tool_calls[0].function.arguments)["city"]
    messages = [{"role": "user", "content": text}, first.message]
    for call in first.message.tool_calls:
        messages.append(
            {"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name}: 21"}
        )
    second = ask(sdk, messages=messages, tools=[WEATHER, CLOCK]).choices[0]
    assert "get_weather: 21" in second.message.content
    assert "read_clock: 21" in second.message.content


def test_a_tool_call_comes_in_fragments_that_join_to_json(
    world: World, sdk: openai.OpenAI, alice: Tenant
) -> None:
    names, arguments = [], ["", ""]
    for part in ask(
        sdk, "Use get_weather and read_clock for Paris.", tools=[WEATHER, CLOCK], stream=True
    ):
        for call in part.choices[0].delta.tool_calls or ():
            if call.function.name:
                names.append(call.function.name)
            arguments[call.index] += call.function.arguments or ""
    assert names == ["get_weather", "read_clock"]
    assert all(isinstance(json.loads(text), dict) for text in arguments)
    assert world.records(alice)[-1]["output_tokens"] > 10


class Bridge(BaseModel):
    """What a bridge is described by."""

    name: str
    length_m: int
    tags: list[str]


def test_a_schema_is_answered_with_an_object_of_that_shape(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "Describe the Golden Gate bridge."}],
        response_format=Bridge,
    )
    assert isinstance(answer.choices[0].message.parsed, Bridge)


def test_choices_stops_and_log_probabilities_come_through(sdk: openai.OpenAI) -> None:
    answer = ask(sdk, n=3, logprobs=True, top_logprobs=2)
    assert len(answer.choices) == 3
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2
    full = ask(sdk).choices[0].message.content
    word = full.split()[3]
    assert ask(sdk, stop=[word]).choices[0].message.content == full[: full.index(word)]


def test_reasoning_is_counted_apart_within_output(
    world: World, sdk: openai.OpenAI, alice: Tenant
) -> None:
    answer = ask(sdk, reasoning_effort="medium")
    reasoning = answer.usage.completion_tokens_details.reasoning_tokens
    assert reasoning > 0
    record = world.records(alice)[-1]
    assert (record["reasoning_tokens"], record["output_tokens"]) == (
        reasoning,
        answer.usage.completion_tokens,
    )


def test_a_stream_without_usage_has_a_choice_in_every_chunk(sdk: openai.OpenAI) -> None:
    # The documented loop reads chunk.choices[0] and dies on a chunk without one.
    text = "".join(part.choices[0].delta.content or "" for part in ask(sdk, stream=True))
    assert text == ask(sdk).choices[0].message.content


def test_a_stream_with_usage_ends_in_it(world: World, sdk: openai.OpenAI, alice: Tenant) -> None:
    parts = list(ask(sdk, stream=True, stream_options={"include_usage": True}))
    assert parts[-1].choices == []
    assert all(part.usage is None for part in parts[:-1])
    record = world.records(alice)[-1]
    assert (parts[-1].usage.prompt_tokens, parts[-1].usage.completion_tokens) == (
        record["input_tokens"],
        record["output_tokens"],
    )


def test_the_async_client_works_in_parallel(
    world: World, gateway: GatewayProcess, alice: Tenant
) -> None:
    before = len(world.records(alice))

    async def one(made: openai.AsyncOpenAI, number: int) -> str:
        messages: Any = [{"role": "user", "content": f"Tell me about topic {number}."}]
        if number % 2:
            answer = await made.chat.completions.create(model=MODEL, messages=messages)
            return answer.choices[0].message.content or ""
        parts = await made.chat.completions.create(model=MODEL, messages=messages, stream=True)
        return "".join([part.choices[0].delta.content or "" async for part in parts])

    async def run() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=gateway.base_url, api_key=alice.key, max_retries=0
        ) as made:
            return await asyncio.gather(*(one(made, number) for number in range(20)))

    texts = asyncio.run(run())
    assert all(f"topic {number}" in text for number, text in enumerate(texts))
    new = world.records(alice)[before:]
    assert len(new) == 20
    assert {(record["status"], record["basis"]) for record in new} == {("completed", "reported")}


def test_the_official_client_raises_its_own_errors(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        ask(sdk, model="no-such-model")
    assert missing.value.code == "model_not_found"
    assert str(missing.value.request_id).startswith("call_")
    with pytest.raises(openai.BadRequestError) as bad:
        ask(sdk, n=0)
    assert bad.value.param == "n"
    with pytest.raises(openai.AuthenticationError):
        ask(sdk.with_options(api_key="nonsense"))
    with pytest.raises(openai.RateLimitError):
        ask(sdk, extra_body={"simulate": {"status": 429}})
