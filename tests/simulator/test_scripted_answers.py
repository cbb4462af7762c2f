"""What a script makes a call report and say, seen from the caller's side."""

import itertools
import json
import time

import pytest

from simulator.tokens import split_tokens


def post(http, body, **script):
    return http.post("/chat/completions", json=body(simulate=script))


def stream(http, body, events, *, usage=True, text="Say hello to the team.", **script):
    options = {"stream_options": {"include_usage": True}} if usage else {}
    answer = http.post(
        "/chat/completions", json=body(text, stream=True, simulate=script, **options)
    )
    assert answer.status_code == 200
    return events(answer.text)


def contents(found):
    return [event["choices"][0]["delta"].get("content") for event in found if event["choices"]]


def test_exact_figures_are_reported_and_generated(http, body, events):
    script = {
        "input_tokens": 1000,
        "cached_tokens": 600,
        "cache_write_tokens": 50,
        "reasoning_tokens": 30,
        "output_tokens": 200,
    }
    wanted = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {
            "cached_tokens": 600,
            "audio_tokens": 0,
            "cache_write_tokens": 50,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 30,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    plain = post(http, body, **script).json()
    assert plain["usage"] == wanted
    assert len(split_tokens(plain["choices"][0]["message"]["content"])) == 170
    found, done = stream(http, body, events, **script)
    assert done
    assert found[-1]["usage"] == wanted
    assert len(contents(found)) == 170 + 2


def test_output_tokens_are_exact_even_beyond_the_limit_asked_for(http, body):
    answer = http.post(
        "/chat/completions", json=body(max_tokens=5, simulate={"output_tokens": 40})
    ).json()
    assert answer["usage"]["completion_tokens"] == 40
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_answer_tokens_are_a_length_that_the_limit_still_cuts(http, body):
    whole = post(http, body, answer_tokens=5000).json()
    assert whole["usage"]["completion_tokens"] == 5000
    cut = http.post(
        "/chat/completions", json=body(max_tokens=256, simulate={"answer_tokens": 5000})
    ).json()
    assert cut["usage"]["completion_tokens"] == 256
    assert cut["choices"][0]["finish_reason"] == "length"


def test_output_tokens_are_shared_out_among_choices(http, body):
    answer = http.post(
        "/chat/completions", json=body(n=3, simulate={"output_tokens": 10, "reasoning_tokens": 4})
    ).json()
    assert answer["usage"]["completion_tokens"] == 10
    assert len(answer["choices"]) == 3


def test_zero_output_is_an_empty_answer(http, body):
    answer = post(http, body, output_tokens=0).json()
    assert answer["choices"][0]["message"]["content"] == ""
    assert answer["usage"]["completion_tokens"] == 0


def test_content_is_said_word_for_word_in_as_many_tokens_as_told(http, body, events):
    text = "Naïve “quotes”, \\ud83d in text, tabs\t and 😀."
    assert post(http, body, content=text).json()["choices"][0]["message"]["content"] == text
    found, _ = stream(http, body, events, content=text, output_tokens=7)
    pieces = contents(found)[1:-1]
    assert len(pieces) == 7
    assert "".join(pieces) == text
    assert found[-1]["usage"]["completion_tokens"] == 7


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -1}, "many", [1, 2], {"a\n": "b\n"}, 0])
def test_a_literal_usage_is_sent_as_it_is(http, body, events, usage):
    plain = post(http, body, usage=usage).json()
    assert "usage" in plain
    assert plain["usage"] == usage
    found, done = stream(http, body, events, usage=True, **{"content": "hi"})
    assert found[-1]["usage"]["completion_tokens"] == 1
    answer = http.post(
        "/chat/completions",
        json=body(stream=True, stream_options={"include_usage": True}, simulate={"usage": usage}),
    )
    found, done = events(answer.text)
    assert done
    assert (found[-1]["choices"], found[-1]["usage"]) == ([], usage)


def test_a_pretty_printed_literal_usage_breaks_neither_the_event_nor_the_log(
    http, body, events, call_id, ended
):
    literal = json.dumps({"prompt_tokens": 3}, indent=2)
    content = json.dumps(body(stream=True, stream_options={"include_usage": True}))
    content = content[:-1] + f', "simulate": {{"usage": {literal}}}}}'
    answer = http.post(
        "/chat/completions", content=content, headers={"x-client-request-id": call_id}
    )
    found, _ = events(answer.text)
    assert found[-1]["usage"] == {"prompt_tokens": 3}
    assert ended(call_id)["usage"] == {"prompt_tokens": 3}


def test_usage_can_stay_unreported(http, body, events, call_id, ended):
    assert "usage" not in post(http, body, no_usage=True).json()
    answer = http.post(
        "/chat/completions",
        json=body(
            stream=True,
            stream_options={"include_usage": True},
            simulate={"no_usage": True, "output_tokens": 6},
        ),
        headers={"x-client-request-id": call_id},
    )
    found, done = events(answer.text)
    assert done
    assert all(event["usage"] is None for event in found)
    entry = ended(call_id)
    assert (entry["usage"], entry["generated_tokens"]) == (None, 6)


def test_usage_can_ride_on_the_finish_chunk(http, body, events):
    found, done = stream(http, body, events, usage_on_last_chunk=True, output_tokens=4)
    assert done
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"]["completion_tokens"] == 4
    assert [event["usage"] for event in found[:-1]] == [None] * 5


def test_done_can_be_left_out(http, body, events):
    found, done = stream(http, body, events, usage=False, no_done=True)
    assert not done
    assert found[-1]["choices"][0]["finish_reason"] == "stop"


def test_chunks_can_carry_several_tokens(http, body, events):
    found, _ = stream(http, body, events, usage=False, output_tokens=10, chunk_tokens=4)
    assert [len(split_tokens(text)) for text in contents(found)[1:-1]] == [4, 4, 2]


def test_lines_can_end_in_crlf(http, body):
    answer = http.post("/chat/completions", json=body(stream=True, simulate={"crlf": True}))
    assert answer.text.endswith("data: [DONE]\r\n\r\n")
    assert answer.text.count("\n") == answer.text.count("\r\n")


def test_comments_can_stand_between_events_and_the_sdk_skips_them(http, client, body):
    answer = http.post("/chat/completions", json=body(stream=True, simulate={"comments": True}))
    blocks = answer.text.rstrip("\n").split("\n\n")
    assert blocks[::2] == [": keep-alive"] * (len(blocks) // 2)
    assert all(block.startswith("data: ") for block in blocks[1::2])
    chunks = client.chat.completions.create(
        **body(stream=True), extra_body={"simulate": {"comments": True, "crlf": True}}
    )
    assert "hello" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_surrogate_pairs_can_be_cut_over_two_chunks(http, body, events):
    text = 'a 😀😀 literal \\ud83d\\ude00 "q"'
    answer = http.post(
        "/chat/completions",
        json=body(stream=True, simulate={"split_surrogates": True, "content": text}),
    )
    assert '"content":" \\ud83d"}' in answer.text
    assert '"content":"\\ude00"}' in answer.text
    found, _ = events(answer.text)
    joined = "".join(contents(found)[1:-1])
    assert joined.encode("utf-16", "surrogatepass").decode("utf-16") == text


def test_an_answer_without_such_characters_gets_one_to_cut(http, body):
    answer = http.post(
        "/chat/completions", json=body(stream=True, simulate={"split_surrogates": True})
    )
    assert '"\\ude00"' in answer.text


@pytest.mark.parametrize("size", [1, 65_537, 3_000_000])
def test_one_delta_can_be_huge(http, body, events, size):
    found, done = stream(http, body, events, usage=False, line_bytes=size)
    pieces = contents(found)[1:-1]
    assert done
    assert [len(piece) for piece in pieces] == [size]


def test_delays_are_kept(http, body, connect):
    began = time.monotonic()
    post(http, body, total_delay_s=0.15)
    assert 0.15 <= time.monotonic() - began < 1.5
    raw = connect()
    began = time.monotonic()
    raw.chat(
        body(
            stream=True,
            simulate={"first_byte_delay_s": 0.1, "chunk_delay_s": 0.05, "output_tokens": 4},
        )
    )
    raw.read_until(b"HTTP/1.1 200 OK")
    first = time.monotonic() - began
    raw.read_until(b"[DONE]")
    whole = time.monotonic() - began
    assert 0.1 <= first < whole - 0.1
    assert 0.25 <= whole < 1.5


def test_chunks_are_flushed_as_they_come(http, body):
    script = {"chunk_delay_s": 0.03, "output_tokens": 5}
    arrivals = []
    with http.stream(
        "POST", "/chat/completions", json=body(stream=True, simulate=script)
    ) as answer:
        for line in answer.iter_lines():
            if '"content":"' in line:
                arrivals.append(time.monotonic())
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals[1:])]
    assert len(gaps) == 4
    assert min(gaps) > 0.015


def test_scripted_figures_hold_for_tool_calls(http, body):
    tool = {"type": "function", "function": {"name": "look_up"}}
    answer = http.post(
        "/chat/completions",
        json=body("look_up", tools=[tool], simulate={"output_tokens": 20}),
    ).json()
    call = answer["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {}
    assert answer["usage"]["completion_tokens"] == 20
    starved = http.post(
        "/chat/completions", json=body("look_up", tools=[tool], simulate={"output_tokens": 0})
    )
    assert starved.status_code == 400


def test_scripted_content_is_said_instead_of_calling_tools(http, body):
    tool = {"type": "function", "function": {"name": "look_up"}}
    answer = http.post(
        "/chat/completions", json=body("look_up", tools=[tool], simulate={"content": "No."})
    ).json()
    assert answer["choices"][0]["message"]["content"] == "No."
