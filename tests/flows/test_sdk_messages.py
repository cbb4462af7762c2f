"""Anthropic's clients on Messages."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.flows.billing_checks import BOOK, Books
from tests.flows.sdk_clients import (
    BOTH,
    CITY,
    TEXT,
    Speaker,
    Speakers,
    allow_models,
    every_way,
    speak_anthropic,
)
from tests.gateway.batching import put_limit
from tests.world import GatewayProcess, Tenant, World

BARE, FULL = "claude-sonnet-4-6", "anthropic/claude-sonnet-4-6"
pytestmark = pytest.mark.usefixtures("each_call_is_recorded_once_and_charged_as_listed")
every_name = pytest.mark.parametrize("model", [BARE, FULL])

CREATE, FOLLOW = "messages.create", ("messages.stream", "get_final_message")
WEATHER = {
    "name": "get_weather",
    "input_schema": CITY,
}
CLOCK = {"name": "read_clock", "input_schema": {"type": "object"}}


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: 21"


async def get_weather_later(city: str) -> str:
    """The weather of a city."""
    return get_weather(city)


SEARCH = {"type": "web_search_20260318", "name": "web_search"}
THINKING = {"type": "enabled", "budget_tokens": 2_000}


@pytest.fixture(scope="module")
def speakers(
    all_vendors_gateway: GatewayProcess, alice: Tenant, books: Books
) -> Iterator[Speakers]:
    with speak_anthropic(all_vendors_gateway, alice.key, books) as made:
        yield made


def asked(text: str = TEXT, /, **fields: Any) -> dict[str, Any]:
    script = fields.pop("simulate", None)
    if script is not None:
        fields["extra_body"] = {"simulate": script}
    messages = [{"role": "user", "content": text}]
    return {"model": BARE, "max_tokens": 3_000, "messages": messages, **fields}


def error_of(raised: pytest.ExceptionInfo[anthropic.APIStatusError]) -> Any:
    """The body of the answer that the client raised."""
    return raised.value.body


@every_way
@every_name
def test_a_question_is_answered(speaker: Speaker, model: str) -> None:
    answer = speaker.call(CREATE, **asked(model=model))
    (block,) = answer.content
    assert TEXT[:9] in block.text
    assert (answer.role, answer.stop_reason) == ("assistant", "end_turn")
    assert answer._request_id.startswith("call_")


@every_way
@every_name
def test_a_stream_says_what_the_plain_answer_says(speaker: Speaker, model: str) -> None:
    plain = speaker.call(CREATE, **asked(model=model))
    events = speaker.call(CREATE, **asked(model=model, stream=True))
    kinds = [event.type for event in events if event.type != "content_block_delta"]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    events, whole = speaker.follow(*FOLLOW, **asked(model=model))
    assert "".join(event.text for event in events if event.type == "text") == whole.content[0].text
    assert whole.content[0].text == plain.content[0].text
    assert whole.usage.output_tokens == plain.usage.output_tokens


@every_way
@every_name
def test_tools_are_used_and_their_results_read(speaker: Speaker, model: str) -> None:
    tools = [WEATHER, CLOCK]
    first = speaker.call(CREATE, **asked(BOTH, model=model, tools=tools))
    assert first.stop_reason == "tool_use"
    assert [block.name for block in first.content] == ["get_weather", "read_clock"]
    assert first.content[0].input["city"]
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"{block.name}: 21"}
        for block in first.content
    ]
    history = [
        {"role": "user", "content": BOTH},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = speaker.call(CREATE, **asked(model=model, tools=tools, messages=history))
    assert "get_weather: 21" in second.content[0].text
    assert "read_clock: 21" in second.content[0].text


@every_way
def test_uses_of_tools_stream_in_fragments_that_join_to_json(speaker: Speaker) -> None:
    plain = speaker.call(CREATE, **asked(BOTH, tools=[WEATHER, CLOCK]))
    events, whole = speaker.follow(*FOLLOW, **asked(BOTH, tools=[WEATHER, CLOCK]))
    fragments = [event.partial_json for event in events if event.type == "input_json"]
    assert "".join(fragments).startswith('{"city"')
    assert [block.input for block in whole.content] == [block.input for block in plain.content]
    assert whole.stop_reason == "tool_use"


@every_way
def test_thinking_is_shown_signed_and_charged_as_output(speaker: Speaker, books: Books) -> None:
    speaker.call(CREATE, **asked())
    silent = books.record()["output_tokens"]
    plain = speaker.call(CREATE, **asked(thinking=THINKING))
    thought, text = plain.content
    assert (thought.type, text.type) == ("thinking", "text")
    assert thought.signature
    charged = books.record()["output_tokens"]
    assert charged == silent + books.entry()["totals"]["reasoning"] > silent
    events, whole = speaker.follow(*FOLLOW, **asked(thinking=THINKING))
    thoughts = "".join(event.thinking for event in events if event.type == "thinking")
    assert thoughts == whole.content[0].thinking == thought.thinking
    assert books.record()["output_tokens"] == charged


@every_way
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("read", "short", "long"), [(600, 0, 0), (0, 50, 0), (0, 0, 20), (601, 51, 23)]
)
def test_each_way_through_the_cache_has_its_own_rate(
    speaker: Speaker, books: Books, stream: bool, read: int, short: int, long: int
) -> None:
    script = {
        "input_tokens": 1_000,
        "cached_tokens": read,
        "cache_write_tokens": short,
        "cache_write_1h_tokens": long,
        "output_tokens": 7,
    }
    mark = {"type": "ephemeral", "ttl": "1h" if long else "5m"}
    system = [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    fields = asked(system=system, simulate=script)
    if stream:
        _, whole = speaker.follow(*FOLLOW, **fields)
    else:
        whole = speaker.call(CREATE, **fields)
    assert whole.usage.cache_read_input_tokens == read
    assert whole.usage.cache_creation_input_tokens == short + long
    record = books.record()
    names = ("input", "cached_input", "cache_write", "cache_write_1h")
    fresh = 1_000 - read - short - long
    assert [record[f"{name}_tokens"] for name in names] == [fresh, read, short, long]
    # 3, 0.30, 3.75 and 6 dollars a million, 15 for output, at half the list price: in thousandths of a nano-dollar.
    exact = (fresh * 3_000 + read * 300 + short * 3_750 + long * 6_000 + 7 * 15_000) * 500
    assert record["amount_nanos"] * 1_000 == exact


@every_way
def test_thinking_before_the_use_of_a_tool_goes_back_with_its_result(
    speaker: Speaker, world: World
) -> None:
    text = "Use get_weather for Oslo."
    first = speaker.call(CREATE, **asked(text, tools=[WEATHER], thinking=THINKING))
    thought, use = first.content
    assert (thought.type, use.type) == ("thinking", "tool_use")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "-3 C"}
    history = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = speaker.call(CREATE, **asked(messages=history, tools=[WEATHER], thinking=THINKING))
    assert "get_weather returned: -3 C" in second.content[-1].text
    sent = world.simulator.requests()[-1]["body"]["messages"][1]["content"][0]
    assert sent["signature"] == thought.signature


@every_way
def test_features_in_beta_are_asked_for_at_the_provider(speaker: Speaker, world: World) -> None:
    beta = "context-1m-2025-08-07"
    answer = speaker.call("beta.messages.create", **asked(betas=[beta]))
    assert answer.content[0].text
    headers = world.simulator.requests()[-1]["headers"]
    assert headers["anthropic-beta"] == beta
    counted = {name: value for name, value in asked(betas=[beta]).items() if name != "max_tokens"}
    tokens = speaker.call("beta.messages.count_tokens", **counted).input_tokens
    assert tokens == answer.usage.input_tokens


@every_way
def test_blocks_of_the_system_prompt_reach_the_provider(speaker: Speaker, world: World) -> None:
    system = [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
    ]
    bare = speaker.call(CREATE, **asked())
    led = speaker.call(CREATE, **asked(system=system))
    assert led.usage.input_tokens > bare.usage.input_tokens
    assert world.simulator.requests()[-1]["body"]["system"] == system


@every_way
@every_name
def test_counting_tokens_is_exact_and_free(
    speaker: Speaker, books: Books, world: World, alice: Tenant, model: str
) -> None:
    fields = asked(BOTH, model=model, tools=[WEATHER, CLOCK], system="Be brief.")
    fields.pop("max_tokens")
    before = world.wallet(alice)
    counted = speaker.call("messages.count_tokens", **fields)
    assert world.wallet(alice) == before
    answer = speaker.call(CREATE, **fields, max_tokens=3_000)
    assert counted.input_tokens == answer.usage.input_tokens


@every_way
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thread", {"type": "create"}),
        ("thread", {"type": "continue", "previous_message_id": "msg_of_bob"}),
        ("container", "container_of_bob"),
        ("billing_policy", {"type": "billing_policy", "bill_to": "user_profile"}),
        ("fallback_credit_token", "token_of_bob"),
    ],
)
def test_neither_the_account_s_objects_nor_another_payer_can_be_named(
    speaker: Speaker, field: str, value: Any
) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        speaker.call("beta.messages.create", **asked(), **{field: value})
    assert error_of(refused)["error"]["code"] == "unsupported_parameter"
    assert error_of(refused)["error"]["param"] == field


@every_way
@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": SEARCH}},
        {
            "type": "compaction",
            "content": "Hello.",
            "tool_changes": [
                {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": SEARCH}}
            ],
        },
    ],
)
def test_a_tool_that_is_billed_apart_cannot_come_in_a_message(
    speaker: Speaker, block: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": TEXT}, block]}]
    with pytest.raises(anthropic.BadRequestError) as refused:
        speaker.call(
            "beta.messages.create", **asked(messages=messages, betas=["inline-tools-2026-09-15"])
        )
    assert error_of(refused)["error"]["param"] == "messages.content.tool.definition.type"


@every_way
@pytest.mark.parametrize("method", [CREATE, "messages.count_tokens"])
@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "file", "file_id": "file_of_bob"}},
        {"type": "container_upload", "file_id": "file_of_bob"},
    ],
)
def test_a_file_of_the_account_is_neither_read_nor_counted(
    speaker: Speaker, method: str, block: dict[str, Any]
) -> None:
    fields = asked(messages=[{"role": "user", "content": [block]}])
    if method != CREATE:
        fields.pop("max_tokens")
    with pytest.raises(anthropic.BadRequestError) as refused:
        speaker.call(method, **fields)
    assert error_of(refused)["error"]["code"] == "unsupported_parameter"


@every_way
def test_how_an_earlier_message_was_cached_is_not_asked_for(speaker: Speaker, world: World) -> None:
    speaker.call(CREATE, **asked(), diagnostics={"previous_message_id": "msg_of_bob"})
    assert "diagnostics" not in world.simulator.requests()[-1]["body"]


@every_way
def test_the_runner_of_tools_calls_them_by_itself(speaker: Speaker, books: Books) -> None:
    tool: Any = anthropic.beta_tool(get_weather)
    if speaker.is_async:
        tool = anthropic.beta_async_tool(get_weather_later, name="get_weather")
    # It asks for a thread that the provider would keep, and goes on without.
    fields = asked("Use get_weather for Oslo.", tools=[tool])
    runner = speaker.make("beta.messages.tool_runner", **fields)
    answer = runner.call("until_done")
    assert "Oslo: 21" in answer.content[0].text
    assert [call.status for call in books.answers] == [400, 200, 200]


@every_way
def test_errors_are_the_client_s_own(speaker: Speaker) -> None:
    def fail(expected: type[anthropic.APIStatusError], **fields: Any) -> Any:
        with pytest.raises(expected) as raised:
            speaker.call(CREATE, **asked(**fields))
        said = error_of(raised)
        assert said["type"] == "error"
        assert str(said["request_id"]).startswith("call_")
        assert raised.value.request_id == said["request_id"]
        return said["error"]

    bad = fail(anthropic.BadRequestError, messages=[])
    assert (bad["type"], bad["param"]) == ("invalid_request_error", "messages")
    missing = fail(anthropic.NotFoundError, model="claude-none")
    assert (missing["type"], missing["code"]) == ("not_found_error", "model_not_found")
    elsewhere = fail(anthropic.BadRequestError, model="gpt-5.5")
    assert elsewhere["code"] == "model_endpoint_mismatch"
    theirs = fail(anthropic.BadRequestError, extra_body={"temperature": 7})
    assert theirs["type"] == "invalid_request_error"
    slow_down = fail(anthropic.RateLimitError, simulate={"status": 429})
    assert slow_down["type"] == "rate_limit_error"
    for script in ({"status": 500}, {"status": 529}, {"reset_before_headers": True}):
        failed = fail(anthropic.InternalServerError, simulate=script)
        assert failed["type"] == "api_error"


def test_a_key_gets_the_client_s_own_errors_for_what_it_may_not(
    speakers: Speakers, world: World
) -> None:
    def fail(expected: type[anthropic.APIStatusError], key: str) -> Any:
        client = speakers["sync"].client.with_options(api_key=key)
        with pytest.raises(expected) as raised:
            client.messages.create(**asked())
        return error_of(raised)["error"]

    unknown = fail(anthropic.AuthenticationError, "nonsense")
    assert (unknown["type"], unknown["code"]) == ("authentication_error", "invalid_api_key")
    narrow = world.add_tenant("Narrow", balance="1")
    allow_models(world, narrow, "openai/*")
    barred = fail(anthropic.PermissionDeniedError, narrow.key)
    assert (barred["type"], barred["code"]) == ("permission_error", "model_not_allowed")
    poor = fail(anthropic.APIStatusError, world.add_tenant("Poor").key)
    assert (poor["type"], poor["code"]) == ("billing_error", "insufficient_credits")


def test_a_limit_of_requests_is_the_client_s_own_error(
    speakers: Speakers, world: World, bob: Tenant
) -> None:
    put_limit(world, key=bob, requests_per_minute=1)
    client = speakers["sync"].client.with_options(api_key=bob.key)
    assert client.messages.create(**asked()).content
    with pytest.raises(anthropic.RateLimitError) as raised:
        client.messages.create(**asked())
    assert error_of(raised)["error"]["type"] == "rate_limit_error"
    assert int(raised.value.response.headers["retry-after"]) > 0


@every_way
def test_an_error_in_mid_stream_is_raised_and_not_charged(speaker: Speaker, books: Books) -> None:
    script = {"error_event_after_chunks": 3}
    with pytest.raises(anthropic.APIStatusError):
        speaker.follow(*FOLLOW, **asked(simulate=script))
    record = books.record()
    assert (record["status"], record["amount_nanos"]) == ("upstream_failed", 0)


def test_the_models_are_listed(speakers: Speakers) -> None:
    client = speakers["sync"].client
    listed = {model.id: model for model in client.models.list()}
    found = client.models.retrieve(BARE)
    assert found.id == BARE
    for model in (listed[FULL], found):
        assert model.display_name == BARE
        assert model.created_at.tzinfo is not None
        assert model.max_input_tokens == BOOK[FULL]["context_length"]
        assert model.max_tokens == BOOK[FULL]["max_completion_tokens"]
