"""What the official Anthropic client makes of the Messages API."""

import anthropic
import pytest

from simulator.tokens import split_tokens

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CLOCK = {"name": "read_clock", "input_schema": {"type": "object"}}
THINKING = {"type": "enabled", "budget_tokens": 2_000}
PIXEL = {"type": "base64", "media_type": "image/png", "data": "AA=="}


def ask(text):
    return [{"role": "user", "content": text}]


def create(claude, text="Say hello to the team.", **options):
    options.setdefault("messages", ask(text))
    options.setdefault("model", "claude-sonnet-4-6")
    options.setdefault("max_tokens", 4_000)
    script = options.pop("simulate", None)
    if script is not None:
        options["extra_body"] = {"simulate": script}
    return claude.messages.create(**options)


def test_a_plain_answer_has_the_text_and_the_usage(claude, last_ended):
    answer = create(claude, system="Be brief.")
    (block,) = answer.content
    assert "Say hello" in block.text
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "claude-sonnet-4-6")
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.id.startswith("msg_")
    assert answer._request_id.startswith("req_")
    assert answer.usage.output_tokens == len(split_tokens(block.text))
    entry = last_ended()
    assert (entry["id"], entry["dialect"], entry["stream"]) == (answer.id, "messages", False)
    assert entry["usage"]["output_tokens"] == entry["totals"]["output"]


def test_scripted_input_is_split_into_read_written_and_fresh(claude, last_ended):
    script = {
        "input_tokens": 1000,
        "cached_tokens": 600,
        "cache_write_tokens": 50,
        "cache_write_1h_tokens": 20,
        "output_tokens": 200,
        "reasoning_tokens": 30,
    }
    usage = create(claude, simulate=script).usage
    assert usage.to_dict() == {
        "input_tokens": 330,
        "cache_creation_input_tokens": 70,
        "cache_read_input_tokens": 600,
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 200,
        "service_tier": "standard",
    }
    assert last_ended()["totals"] == {
        "input": 1000,
        "cached": 600,
        "cache_write": 50,
        "cache_write_1h": 20,
        "output": 200,
        "reasoning": 30,
    }


def test_more_cached_than_there_is_input_is_refused(claude):
    with pytest.raises(anthropic.BadRequestError, match="part of `input_tokens`"):
        create(claude, simulate={"input_tokens": 10, "cached_tokens": 9, "cache_write_tokens": 2})


def test_a_stream_reports_the_input_first_and_everything_last(claude):
    script = {"input_tokens": 1000, "cached_tokens": 600, "output_tokens": 20}
    script["cache_write_1h_tokens"] = 50
    found = list(create(claude, stream=True, simulate=script))
    kinds = [event.type for event in found]
    assert [kind for kind in kinds if kind != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert kinds.count("content_block_delta") == 20
    first, last = found[0].message, found[-2]
    assert (first.content, first.stop_reason) == ([], None)
    assert (first.usage.input_tokens, first.usage.cache_read_input_tokens) == (350, 600)
    assert first.usage.cache_creation.ephemeral_1h_input_tokens == 50
    assert first.usage.output_tokens == 1
    assert last.delta.stop_reason == "end_turn"
    # How long what was written lives is told at the beginning alone.
    assert last.usage.to_dict() == {
        "input_tokens": 350,
        "cache_creation_input_tokens": 50,
        "cache_read_input_tokens": 600,
        "output_tokens": 20,
    }


def test_the_bytes_of_a_stream_name_each_event_and_ping(post, named_events):
    body = {"model": "claude-haiku-4-5", "max_tokens": 99, "stream": True, "messages": ask("Hi")}
    found = named_events(post("/v1/messages", body).text)
    assert all(name == data["type"] for name, data in found)
    assert "ping" in [name for name, _ in found]
    assert found[-1] == ("message_stop", {"type": "message_stop"})


def test_thinking_is_shown_signed_and_counted(claude):
    plain = create(claude, thinking=THINKING)
    thought, text = plain.content
    assert (thought.type, text.type) == ("thinking", "text")
    assert thought.thinking
    assert thought.signature
    assert plain.usage.output_tokens > len(split_tokens(text.text)) + 60
    kwargs = {"model": "claude-sonnet-4-6", "max_tokens": 4_000, "thinking": THINKING}
    with claude.messages.stream(messages=ask("Say hello to the team."), **kwargs) as stream:
        whole = stream.get_final_message()
    assert whole.content[0].thinking == thought.thinking
    assert whole.content[0].signature
    assert whole.content[1].text == text.text
    assert whole.usage.output_tokens == plain.usage.output_tokens


def test_tools_are_used_and_stream_as_partial_json(claude):
    text = "Call get_weather for Oslo, then read_clock"
    plain = create(claude, text, tools=[WEATHER, CLOCK])
    assert plain.stop_reason == "tool_use"
    assert [(block.name, block.input.get("city")) for block in plain.content] == [
        ("get_weather", "Oslo"),
        ("read_clock", None),
    ]
    assert all(block.id.startswith("toolu_") for block in plain.content)
    with claude.messages.stream(
        model="claude-sonnet-4-6", max_tokens=999, messages=ask(text), tools=[WEATHER, CLOCK]
    ) as stream:
        whole = stream.get_final_message()
    assert [block.input for block in whole.content] == [block.input for block in plain.content]
    assert whole.usage.output_tokens == plain.usage.output_tokens


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "auto"}, []),
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "read_clock"}, ["read_clock"]),
    ],
)
def test_tool_choice_is_obeyed(claude, choice, names):
    answer = create(claude, "Good morning", tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [block.name for block in answer.content if block.type == "tool_use"] == names


def test_parallel_use_can_be_declined(claude):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    text = "Call get_weather for Oslo, then read_clock"
    answer = create(claude, text, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert len(answer.content) == 1


def test_results_of_tools_are_quoted(claude):
    text = "Call get_weather for Oslo"
    called = create(claude, text, tools=[WEATHER])
    result = {
        "type": "tool_result",
        "tool_use_id": called.content[0].id,
        "content": [{"type": "text", "text": "-3 C"}],
    }
    history = [*ask(text), called.to_param(), {"role": "user", "content": [result]}]
    answer = create(claude, messages=history, tools=[WEATHER])
    assert "get_weather returned: -3 C" in answer.content[0].text


def test_limits_and_stop_sequences_end_the_answer(claude):
    cut = create(claude, max_tokens=4)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 4)
    stopped = create(claude, "Q", stop_sequences=["never", " settle"], simulate={"content": "x"})
    assert stopped.stop_reason == "end_turn"
    script = {"content": "One, two, three"}
    stopped = create(claude, "Q", stop_sequences=["never", ", t"], simulate=script)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", ", t")
    assert stopped.content[0].text == "One"


def test_system_blocks_pictures_and_cache_marks_are_taken(claude):
    mark = {"type": "ephemeral", "ttl": "1h"}
    system = [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    parts = [
        {"type": "text", "text": "Describe the violin"},
        {"type": "image", "source": PIXEL},
    ]
    answer = create(claude, messages=ask(parts), system=system)
    assert "Describe the violin" in answer.content[0].text
    assert answer.usage.input_tokens > 765
    assert answer.usage.cache_creation_input_tokens == 0


def test_structured_output_fits_the_schema(claude):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    answer = create(claude, "A recipe for Borscht", output_config=config)
    assert answer.content[0].text == '{"name":"Borscht"}'


def test_tokens_are_counted_as_they_would_be_billed_and_not_logged(claude, vendor, call_id):
    before = len(vendor.entries(None))
    counted = claude.messages.count_tokens(
        model="claude-sonnet-4-6",
        messages=ask("Say hello to the team."),
        system="Be brief.",
        tools=[WEATHER],
        extra_headers={"x-client-request-id": call_id},
    )
    assert len(vendor.entries(None)) == before
    assert vendor.requests(call_id)[0]["path"] == "/v1/messages/count_tokens"
    served = create(claude, system="Be brief.", tools=[WEATHER])
    assert counted.input_tokens == served.usage.input_tokens
    marked = ask('Hi [[simulate {"input_tokens": 7}]]')
    assert claude.messages.count_tokens(model="m", messages=marked).input_tokens == 7


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_every_error_status_comes_in_anthropics_envelope(claude, status, kind):
    with pytest.raises(anthropic.APIStatusError) as refused:
        create(claude, simulate={"status": status})
    assert refused.value.status_code == status
    body = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"] == refused.value.request_id


def test_an_error_event_ends_the_stream(claude, last_ended):
    script = {
        "error_event_after_chunks": 2,
        "error": {"message": "Too much.", "type": "overloaded_error"},
    }
    seen = []
    with pytest.raises(anthropic.APIStatusError, match="Too much"):
        seen.extend(create(claude, stream=True, simulate=script))
    assert [event.type for event in seen].count("content_block_delta") == 2
    entry = last_ended()
    assert (entry["outcome"], entry["usage"], entry["totals"]["output"]) == ("error", None, 2)


def test_a_stream_can_end_without_its_last_event(post, named_events):
    body = {"model": "m", "max_tokens": 99, "stream": True, "messages": ask("Hi")}
    found = named_events(post("/v1/messages", {**body, "simulate": {"no_done": True}}).text)
    assert found[-1][0] == "message_delta"
    cut = {"truncate_after_chunks": 1}
    found = named_events(post("/v1/messages", {**body, "simulate": cut}).text)
    assert found[-1][0] == "content_block_delta"


def test_usage_can_be_anything_or_missing_in_both_places(post):
    body = {"model": "m", "max_tokens": 99, "stream": True, "messages": ask("Hi")}
    text = post("/v1/messages", {**body, "simulate": {"usage": {"x": -1}}}).text
    assert text.count('"usage":{"x":-1}') == 2
    assert '"usage"' not in post("/v1/messages", {**body, "simulate": {"no_usage": True}}).text


def test_the_version_is_required(post):
    body = {"model": "m", "max_tokens": 9, "messages": ask("Hi")}
    answer = post("/v1/messages", body, **{"anthropic-version": ""})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "anthropic-version" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_missing_or_wrong_key_is_a_401(post, path):
    body = {"model": "m", "max_tokens": 9, "messages": ask("Hi")}
    for headers in (
        {"x-api-key": "", "authorization": ""},
        {"x-api-key": "sk-wrong"},
        {"x-api-key": "", "authorization": "Bearer sk-wrong"},
    ):
        answer = post(path, body, **headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "authentication_error"
    assert post(path, body, **{"x-api-key": ""}).status_code == 200


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": "claude-haiku-4-5", "max_tokens": 64_001}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": ask(3)}, "messages.0.content"),
        ({"messages": ask([{"type": "text"}])}, "messages.0.content.0.text"),
        ({"messages": ask([{"type": "magic"}])}, "messages.0.content.0.type"),
        ({"messages": ask([{"type": "tool_result", "tool_use_id": "t"}])}, "tool_use_id"),
        ({"system": 3}, "system"),
        ({"stream": 1}, "stream"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1_023}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2_000}}, "budget_tokens"),
        ({"tools": [{"name": "x"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"temperature": 1.5}, "temperature"),
        ({"simulate": {"nonsense": 1}}, "nonsense"),
    ],
)
def test_a_wrong_field_is_named_in_the_error(post, changes, word):
    body = {"model": "m", "max_tokens": 99, "messages": ask("Hi"), **changes}
    answer = post("/v1/messages", body)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]


def test_an_unknown_model_is_not_found(claude):
    with pytest.raises(anthropic.NotFoundError):
        create(claude, model="no-such-model")


def test_models_are_listed_in_anthropics_form(claude):
    listed = [model.id for model in claude.models.list()]
    assert "claude-sonnet-4-6" in listed
    assert all(name.startswith("claude-") for name in listed)
    assert claude.models.retrieve("claude-haiku-4-5").type == "model"
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("gpt-5.5")
