"""What is the same in every dialect: scripts, faults, gates, the log, the keys."""

import json
import threading
import time

import httpx
import pytest

from simulator.process import SimulatorProcess

GEMINI = "/v1beta/models/gemini-2.5-pro"
USER = {"role": "user"}


def chat(text, stream):
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    messages = [{**USER, "content": text}]
    return "/v1/chat/completions", {"model": "gpt-5.5", "messages": messages, **options}


def compatible(text, stream):
    return "/v1beta/openai/chat/completions", chat(text, stream)[1]


def responses(text, stream):
    return "/v1/responses", {"model": "gpt-5.5", "input": text, "stream": stream}


def messages(text, stream):
    body = {"model": "claude-sonnet-4-6", "max_tokens": 999, "stream": stream}
    return "/v1/messages", {**body, "messages": [{**USER, "content": text}]}


def generate(text, stream):
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"{GEMINI}:{method}", {"contents": [{**USER, "parts": [{"text": text}]}]}


def generate_array(text, stream):
    method = "streamGenerateContent" if stream else "generateContent"
    return f"{GEMINI}:{method}", generate(text, stream)[1]


DIALECTS = [chat, compatible, responses, messages, generate, generate_array]
NAMES = {
    chat: "chat",
    compatible: "chat",
    responses: "responses",
    messages: "messages",
    generate: "generate",
    generate_array: "generate",
}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
plain_and_streamed = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
def call(post, call_id):
    """One call of a dialect; headers are as `post` sends them."""

    def send(dialect, stream, text="Say hello to the team.", **script):
        path, body = dialect(text, stream)
        if script:
            body["simulate"] = script
        return post(path, body, **{"x-client-request-id": call_id})

    return send


@every_dialect
@plain_and_streamed
def test_the_totals_are_true_whatever_is_reported(call, dialect, stream, ended, call_id):
    script = {"input_tokens": 90, "cached_tokens": 40, "output_tokens": 12, "reasoning_tokens": 5}
    assert call(dialect, stream, usage={"lie": 1}, **script).status_code == 200
    entry = ended(call_id)
    assert (entry["dialect"], entry["stream"], entry["outcome"]) == (
        NAMES[dialect],
        stream,
        "completed",
    )
    assert entry["usage"] == {"lie": 1}
    assert entry["totals"] == {
        "input": 90,
        "cached": 40,
        "cache_write": 0,
        "cache_write_1h": 0,
        "output": 12,
        "reasoning": 5,
    }
    assert (entry["generated_tokens"], entry["input_tokens"]) == (12, 90)


@every_dialect
@plain_and_streamed
def test_a_script_in_the_text_is_read_and_cut_out(call, dialect, stream, ended, call_id, vendor):
    plain = call(dialect, stream, "Hello there").text
    marked = call(dialect, stream, 'Hello [[simulate {"chunk_tokens": 1}]] there').text
    first, second = [e for e in vendor.entries() if e["call_id"] == call_id]
    assert first["totals"] == second["totals"]
    assert len(plain) == len(marked)
    scripted = 'Hello [[simulate {"output_tokens": 3, "usage": {"a": [[1]]}}]]'
    assert "simulate" not in call(dialect, stream, scripted).text
    entry = [e for e in vendor.entries() if e["call_id"] == call_id][-1]
    assert (entry["usage"], entry["totals"]["output"]) == ({"a": [[1]]}, 3)


@every_dialect
@pytest.mark.parametrize(
    "text",
    [
        "[[simulate]]",
        "[[simulate {]]",
        '[[simulate {"output_tokens": 3}',
        '[[simulate {"output_tokens": 3} more]]',
        '[[simulate {"outptu_tokens": 3}]]',
        "[[simulate {}]] [[simulate {}]]",
    ],
)
def test_a_wrong_script_in_the_text_is_a_400(call, dialect, text):
    answer = call(dialect, False, text)
    assert answer.status_code == 400
    assert "simulate" in answer.text


@every_dialect
def test_a_script_cannot_stand_in_both_places(call, dialect):
    answer = call(dialect, False, "Hi [[simulate {}]]", output_tokens=3)
    assert answer.status_code == 400
    assert "in the body and in the text" in answer.text


@every_dialect
@plain_and_streamed
def test_default_scripts_apply_to_every_dialect(call, dialect, stream, vendor):
    vendor.set_defaults(status=503, cache_write_1h_tokens=1)
    try:
        assert call(dialect, stream).status_code == 503
    finally:
        vendor.set_defaults()
    assert call(dialect, stream).status_code == 200


@every_dialect
@plain_and_streamed
def test_failures_before_the_answer_come_in_the_dialects_words(
    call, dialect, stream, ended, call_id
):
    said = {"message": "Not today."}
    answer = call(dialect, stream, status=529, retry_after=2, error=said)
    assert (answer.status_code, answer.headers["retry-after"]) == (529, "2")
    found = answer.json()
    error = found[0]["error"] if isinstance(found, list) else found["error"]
    assert error["message"] == "Not today."
    entry = ended(call_id)
    assert (entry["status"], entry["outcome"], entry["totals"]) == (529, "error", None)
    broken = call(dialect, stream, body_error_200=True, error=said)
    assert broken.status_code == 200
    assert "Not today." in broken.text
    assert call(dialect, stream, html=True).headers["content-type"].startswith("text/html")
    with pytest.raises(httpx.TransportError):
        call(dialect, stream, reset_before_headers=True)
    with pytest.raises(httpx.RemoteProtocolError):
        call(dialect, stream, close_before_headers=True)


@every_dialect
def test_a_reset_stream_is_billed_for_what_was_sent(call, dialect, ended, call_id):
    with pytest.raises(httpx.TransportError):
        call(dialect, True, reset_after_chunks=3, output_tokens=50, reasoning_tokens=4)
    entry = ended(call_id)
    assert (entry["outcome"], entry["usage"]) == ("reset", None)
    assert (entry["totals"]["output"], entry["totals"]["reasoning"]) == (7, 4)


@every_dialect
def test_a_truncated_stream_ends_without_its_last_events(call, dialect, ended, call_id):
    whole = call(dialect, True).text
    cut = call(dialect, True, truncate_after_chunks=2).text
    assert len(cut) < len(whole)
    for end in ('"finish_reason":"', "response.completed", "message_stop", "finishReason"):
        assert end not in cut


@every_dialect
def test_a_hanging_stream_lasts_until_the_caller_leaves(dialect, vendor, root_url, ended, call_id):
    path, body = dialect("Hi", True)
    body["simulate"] = {"hang_after_chunks": 1}
    headers = {"x-client-request-id": call_id, "anthropic-version": "1"}
    headers |= {"authorization": f"Bearer {vendor.api_key}", "x-goog-api-key": vendor.api_key}
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.stream("POST", root_url + path, json=body, headers=headers, timeout=0.2) as answer,
    ):
        answer.read()
    assert ended(call_id)["outcome"] == "hung"


@every_dialect
def test_a_gate_holds_every_dialect(call, dialect, vendor):
    codes = []
    gate = f"door-{dialect.__name__}"
    thread = threading.Thread(
        target=lambda: codes.append(call(dialect, False, gate=gate).status_code)
    )
    thread.start()
    while gate not in vendor.state()["waiting"]:
        time.sleep(0.005)
    assert codes == []
    vendor.open_gate(gate)
    thread.join()
    assert codes == [200]


@pytest.mark.parametrize("dialect", [chat, responses, messages, generate])
def test_events_can_be_framed_with_crlf_and_comments(call, dialect):
    text = call(dialect, True, crlf=True, comments=True, output_tokens=2).text
    assert ": keep-alive\r\n\r\n" in text
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize("dialect", [responses, messages, generate])
def test_text_can_be_cut_into_lines_chunks_and_half_characters(call, dialect):
    assert "a" * 3_000 not in call(dialect, True, line_bytes=3_000).text
    assert " token" * 500 in call(dialect, True, line_bytes=3_000).text
    assert "\\ud83d" in call(dialect, True, split_surrogates=True).text
    many = call(dialect, True, output_tokens=40).text.count("data: ")
    assert many - call(dialect, True, output_tokens=40, chunk_tokens=10).text.count("data: ") == 36


@every_dialect
def test_a_wrong_key_is_refused_and_logged_by_its_fingerprint(dialect, post, ended, call_id):
    path, body = dialect("Hi", False)
    wrong = {"authorization": "Bearer sk-no", "x-api-key": "sk-no", "x-goog-api-key": "sk-no"}
    answer = post(path, body, **wrong, **{"x-client-request-id": call_id})
    assert answer.status_code == 401
    entry = ended(call_id)
    assert entry["key_fingerprint"] == "b3b4f57d"
    assert (entry["dialect"], entry["totals"]) == (NAMES[dialect], None)


def test_no_vendors_key_is_shown_among_the_recent_requests(call, vendor, call_id):
    for dialect in DIALECTS:
        call(dialect, False)
    shown = vendor.requests(call_id)
    assert len(shown) == len(DIALECTS)
    assert vendor.api_key not in json.dumps(shown)
    assert {one["headers"]["x-goog-api-key"] for one in shown} == {
        one["headers"]["authorization"] for one in shown
    }


@pytest.mark.parametrize(
    ("path", "header", "key"),
    [
        ("/v1/models", "authorization", "Bearer {}"),
        ("/v1/models", "x-api-key", "{}"),
        ("/v1beta/openai/models", "authorization", "Bearer {}"),
        ("/v1beta/models", "x-goog-api-key", "{}"),
    ],
)
def test_every_list_of_models_needs_its_vendors_key(vendor, root_url, path, header, key):
    good = httpx.get(root_url + path, headers={header: key.format(vendor.api_key)})
    assert good.status_code == 200
    bad = httpx.get(root_url + path, headers={header: key.format("sk-wrong")})
    assert bad.status_code == 401
    assert httpx.get(root_url + path).status_code == 401


def test_a_finished_call_of_every_dialect_outlives_a_kill(root_url):
    with SimulatorProcess() as own:
        root = own.base_url.removesuffix("/v1")
        headers = {"x-api-key": own.api_key, "x-goog-api-key": own.api_key}
        headers |= {"authorization": f"Bearer {own.api_key}", "anthropic-version": "1"}
        for dialect in DIALECTS:
            path, body = dialect("Hi", True)
            assert httpx.post(root + path, json=body, headers=headers).status_code == 200
        own.kill()
        assert [entry["dialect"] for entry in own.entries()] == [NAMES[one] for one in DIALECTS]
