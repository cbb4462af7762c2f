"""What the official OpenAI client makes of the Responses API."""

import json

import openai
import pytest
from pydantic import BaseModel

from simulator.tokens import split_tokens

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
CLOCK = {"type": "function", "name": "read_clock", "parameters": {"type": "object"}}


def create(client, text="Say hello to the team.", /, **options):
    options.setdefault("model", "gpt-5.5")
    script = options.pop("simulate", None)
    if script is not None:
        options["extra_body"] = {"simulate": script}
    return client.responses.create(input=text, **options)


def test_a_plain_answer_has_the_text_and_the_usage(client, last_ended):
    answer = create(client, instructions="Be brief.", metadata={"team": "a"}, temperature=0.5)
    assert "Say hello" in answer.output_text
    assert (answer.object, answer.status, answer.model) == ("response", "completed", "gpt-5.5")
    assert answer.id.startswith("resp_")
    assert (answer.instructions, answer.metadata, answer.temperature) == (
        "Be brief.",
        {"team": "a"},
        0.5,
    )
    usage = answer.usage
    assert usage.output_tokens == len(split_tokens(answer.output_text))
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens_details.cached_tokens == 0
    assert usage.output_tokens_details.reasoning_tokens == 0
    entry = last_ended()
    assert (entry["id"], entry["dialect"]) == (answer.id, "responses")
    assert entry["usage"]["input_tokens"] == entry["totals"]["input"] == usage.input_tokens


def test_scripted_figures_are_split_as_openai_does(client, last_ended):
    script = {
        "input_tokens": 1000,
        "cached_tokens": 600,
        "output_tokens": 200,
        "reasoning_tokens": 30,
    }
    answer = create(client, simulate=script)
    assert answer.usage.to_dict() == {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 600},
        "output_tokens": 200,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 1200,
    }
    assert len(split_tokens(answer.output_text)) == 170
    assert last_ended()["totals"] == {
        "input": 1000,
        "cached": 600,
        "cache_write": 0,
        "cache_write_1h": 0,
        "output": 200,
        "reasoning": 30,
    }


def test_a_stream_tells_each_step_in_order(client):
    plain = create(client)
    found = list(create(client, stream=True))
    kinds = [event.type for event in found]
    deltas = kinds.count("response.output_text.delta")
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in found] == list(range(len(found)))
    text = "".join(event.delta for event in found if event.type.endswith("text.delta"))
    assert text == plain.output_text
    assert (found[0].response.status, found[0].response.usage) == ("in_progress", None)
    last = found[-1].response
    assert last.usage == plain.usage
    assert last.output == [event.item for event in found if event.type.endswith("item.done")]


def test_the_event_line_names_each_event(http, named_events):
    answer = http.post("/responses", json={"model": "gpt-5.5", "input": "Hi", "stream": True})
    assert all(name == data["type"] for name, data in named_events(answer.text))
    assert "[DONE]" not in answer.text


def test_the_stream_helper_assembles_the_same_response(client):
    with client.responses.stream(model="gpt-5.5", input="Say hello to the team.") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == create(client).output_text


def test_reasoning_is_an_item_with_a_summary_if_asked(client):
    asked = {"effort": "low", "summary": "auto"}
    include = ["reasoning.encrypted_content"]
    plain = create(client, reasoning=asked, include=include, store=False)
    item, message = plain.output
    assert (item.type, message.type) == ("reasoning", "message")
    assert item.summary[0].text
    assert item.encrypted_content
    assert plain.usage.output_tokens_details.reasoning_tokens > 0
    found = list(create(client, reasoning=asked, stream=True))
    kinds = [event.type for event in found]
    for kind in ("part.added", "text.delta", "text.done", "part.done"):
        assert f"response.reasoning_summary_{kind}" in kinds
    assert found[-1].response.output[0].summary == item.summary
    unasked = create(client, reasoning={"effort": "low"}).output[0]
    assert (unasked.summary, unasked.encrypted_content) == ([], None)


def test_a_limit_makes_the_response_incomplete(client):
    answer = create(client, max_output_tokens=16, simulate={"answer_tokens": 40})
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage.output_tokens == 16
    script = {"answer_tokens": 40}
    found = list(create(client, max_output_tokens=16, stream=True, simulate=script))
    assert found[-1].type == "response.incomplete"
    assert found[-1].response.usage.output_tokens == 16
    starved = create(client, max_output_tokens=16, reasoning={"effort": "high"})
    assert [item.type for item in starved.output] == ["reasoning"]


def test_tools_are_called_in_parallel_and_stream_in_fragments(client):
    text = "Call get_weather for Oslo, then read_clock"
    tools = [WEATHER, {"type": "web_search"}, CLOCK]
    whole = create(client, text, tools=tools)
    calls = [item for item in whole.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "read_clock"]
    assert json.loads(calls[0].arguments) == {"city": "Oslo"}
    found = list(create(client, text, tools=tools, stream=True))
    arguments = {}
    for event in found:
        if event.type == "response.function_call_arguments.delta":
            arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
    done = [e for e in found if e.type == "response.function_call_arguments.done"]
    assert [arguments[event.output_index] for event in done] == [event.arguments for event in done]
    assert [event.arguments for event in done] == [call.arguments for call in calls]
    items = [event.item for event in found if event.type == "response.output_item.done"]
    assert found[-1].response.output == items
    assert found[-1].response.usage == whole.usage
    alone = create(client, text, tools=tools, parallel_tool_calls=False)
    assert len(alone.output) == 1


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "read_clock"}, ["read_clock"]),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "read_clock"}],
            },
            ["read_clock"],
        ),
    ],
)
def test_tool_choice_is_obeyed(client, choice, names):
    answer = create(client, "Good morning", tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [item.name for item in answer.output if item.type == "function_call"] == names


def test_results_of_tools_are_quoted_with_the_history_sent_or_remembered(client):
    called = create(client, "get_weather in Oslo", tools=[WEATHER])
    call = called.output[0]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "-3 C"}
    history = [{"role": "user", "content": "get_weather in Oslo"}, call.to_dict(), result]
    sent = create(client, history, tools=[WEATHER])
    remembered = create(client, [result], tools=[WEATHER], previous_response_id=called.id)
    assert "get_weather returned: -3 C" in sent.output_text
    assert remembered.output_text == sent.output_text
    assert remembered.usage.input_tokens == sent.usage.input_tokens
    assert remembered.previous_response_id == called.id


def test_a_remembered_conversation_costs_input_but_its_instructions_do_not(client):
    first = create(client, "My name is Alice.", instructions="word " * 500)
    second = create(client, "Who am I?", previous_response_id=first.id)
    alone = create(client, "Who am I?")
    added = second.usage.input_tokens - alone.usage.input_tokens
    assert first.usage.output_tokens < added < 500
    with create(client, "Again?", previous_response_id=second.id, stream=True) as stream:
        last = next(event.response for event in stream if event.type == "response.completed")
    assert last.usage.input_tokens > second.usage.input_tokens


@pytest.mark.parametrize("stored", [True, False])
def test_only_stored_responses_can_be_gone_on_with(client, stored):
    first = create(client, store=stored)
    if stored:
        assert create(client, previous_response_id=first.id).status == "completed"
        return
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"


class Recipe(BaseModel):
    name: str
    vegan: bool


def test_structured_output_parses_into_the_model(client):
    answer = client.responses.parse(
        model="gpt-5.5", input="A recipe for Borscht", text_format=Recipe
    )
    assert answer.output_parsed.name == "Borscht"
    loose = create(client, "Give json", text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(loose.output_text), dict)


def test_an_error_status_raises_the_clients_own_error(client):
    with pytest.raises(openai.RateLimitError) as refused:
        create(client, simulate={"status": 429, "retry_after": 3})
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.response.headers["retry-after"] == "3"


def test_an_error_event_ends_the_stream(http, named_events, last_ended):
    script = {"error_event_after_chunks": 2, "error": {"message": "Out of luck.", "code": "luck"}}
    body = {"model": "gpt-5.5", "input": "Hi", "stream": True, "simulate": script}
    found = named_events(http.post("/responses", json=body).text)
    name, data = found[-1]
    assert name == "error"
    assert data == {
        "type": "error",
        "sequence_number": len(found) - 1,
        "code": "luck",
        "message": "Out of luck.",
        "param": None,
    }
    assert last_ended()["outcome"] == "error"
    assert last_ended()["totals"]["output"] == 2


def test_a_failed_response_can_be_had_plain_and_streamed(client, last_ended):
    script = {"response_failed": True, "body_error_200": True, "error": {"message": "Broke."}}
    plain = create(client, simulate=script)
    assert (plain.status, plain.error.message, plain.usage) == ("failed", "Broke.", None)
    assert last_ended()["outcome"] == "error"
    script = {"response_failed": True, "error_event_after_chunks": 1}
    last = list(create(client, stream=True, simulate=script))[-1]
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert last.response.error.code == "server_error"


def test_usage_can_be_anything_or_missing(http):
    for stream in (False, True):
        for script, wanted in (({"usage": "many"}, '"usage":"many"'), ({"no_usage": True}, None)):
            body = {"model": "gpt-5.5", "input": "Hi", "stream": stream, "simulate": script}
            text = http.post("/responses", json=body).text
            assert (wanted in text) if wanted else ('"usage"' not in text)


@pytest.mark.parametrize("name", ["gpt-5.5-pro", "openai/gpt-5.3-codex", "gpt-9-codex-mini"])
def test_some_models_are_served_here_and_not_by_chat(client, name):
    assert create(client, model=name).status == "completed"
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hi"}])
    assert (refused.value.param, refused.value.type, refused.value.code) == (
        "model",
        "invalid_request_error",
        None,
    )


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, None),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "nonsense"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, "input"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"max_output_tokens": 128_001}, "max_output_tokens"),
        ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
        ({"reasoning": 1}, "reasoning"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [CLOCK], "tool_choice": "maybe"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"previous_response_id": "resp_unknown"}, "previous_response_id"),
        ({"simulate": {"nonsense": 1}}, "simulate"),
    ],
)
def test_a_wrong_field_is_named_in_the_error(http, changes, param):
    answer = http.post("/responses", json={"model": "gpt-5.5", "input": "Hi", **changes})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
