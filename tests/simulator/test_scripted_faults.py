"""How scripted failures look to callers: to a raw socket, to httpx and to the OpenAI client."""

import contextlib
import socket
import threading
import time

import httpx
import openai
import pytest


def test_a_status_comes_in_the_error_envelope(http, body, call_id, ended):
    answer = http.post(
        "/chat/completions",
        json=body(simulate={"status": 429, "retry_after": 2}),
        headers={"x-client-request-id": call_id},
    )
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    entry = ended(call_id)
    assert (entry["outcome"], entry["status"], entry["generated_tokens"]) == ("error", 429, 0)
    assert entry["usage"] is None


def test_the_words_of_an_error_can_be_chosen(client, body):
    error = {"message": "Broke.", "type": "insufficient_quota", "code": None, "param": "x"}
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(
            **body(), extra_body={"simulate": {"status": 429, "error": error}}
        )
    assert refused.value.body == error


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 500, 502, 503, 504, 599])
def test_every_error_status_can_be_had(http, body, status):
    for stream in (False, True):
        answer = http.post(
            "/chat/completions", json=body(stream=stream, simulate={"status": status})
        )
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


def test_a_200_can_hold_an_error(http, body):
    answer = http.post("/chat/completions", json=body(simulate={"body_error_200": True}))
    assert answer.status_code == 200
    assert answer.json()["error"]["type"] == "server_error"


def test_a_200_can_be_a_web_page(http, body):
    for stream in (False, True):
        answer = http.post("/chat/completions", json=body(stream=stream, simulate={"html": True}))
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert "<html" in answer.text


def test_a_connection_can_be_reset_before_the_headers(raw, body, call_id, ended):
    raw.chat(body(simulate={"reset_before_headers": True}), call_id=call_id)
    assert raw.read_to_reset() == b""
    entry = ended(call_id)
    assert (entry["outcome"], entry["status"], entry["sent_bytes"]) == ("reset", None, 0)


def test_a_connection_can_be_closed_before_the_headers(raw, body, call_id, ended):
    raw.chat(body(simulate={"close_before_headers": True}), call_id=call_id)
    assert raw.read_to_end() == b""
    assert ended(call_id)["outcome"] == "reset"


def test_a_reset_in_mid_stream_is_a_tcp_reset_after_the_chunks(raw, body, call_id, ended):
    raw.chat(body(stream=True, simulate={"reset_after_chunks": 3}), call_id=call_id)
    received = raw.read_to_reset()
    assert received.count(b'"delta":{"content":') == 3
    assert not received.endswith(b"0\r\n\r\n")
    entry = ended(call_id)
    assert (entry["outcome"], entry["generated_tokens"]) == ("reset", 3)
    assert entry["sent_bytes"] == len(received)


def test_the_sdk_sees_a_reset_stream_as_a_broken_connection(client, body):
    stream = client.chat.completions.create(
        **body(stream=True), extra_body={"simulate": {"reset_after_chunks": 3}}
    )
    seen = []
    with pytest.raises((openai.APIConnectionError, httpx.TransportError)):
        seen.extend(stream)
    assert len(seen) == 4


def test_a_fault_beyond_the_last_chunk_strikes_before_the_finish(http, body, events):
    script = {"truncate_after_chunks": 99, "output_tokens": 3}
    found, done = events(
        http.post("/chat/completions", json=body(stream=True, simulate=script)).text
    )
    assert not done
    assert len(found) == 4
    assert all(event["choices"][0]["finish_reason"] is None for event in found)


def test_a_truncated_stream_ends_cleanly_without_finish_or_done(raw, body, call_id, ended, events):
    script = {"truncate_after_chunks": 2}
    raw.chat(body(stream=True, simulate=script), call_id=call_id)
    received = raw.read_until(b"\r\n0\r\n\r\n")
    assert b'finish_reason":null' in received
    assert b"[DONE]" not in received
    assert b'"finish_reason":"' not in received
    entry = ended(call_id)
    assert (entry["outcome"], entry["generated_tokens"]) == ("truncated", 2)
    raw.chat(body())
    assert raw.read_response()[0] == 200


def test_an_error_event_ends_the_stream(client, body, call_id, ended):
    seen = []
    script = {"error_event_after_chunks": 2, "error": {"message": "Out of luck.", "code": "luck"}}
    stream = client.chat.completions.create(
        **body(stream=True),
        extra_body={"simulate": script},
        extra_headers={"x-client-request-id": call_id},
    )
    with pytest.raises(openai.APIError, match="Out of luck") as failed:
        seen.extend(stream)
    assert failed.value.code == "luck"
    assert len(seen) == 3
    assert ended(call_id)["outcome"] == "error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_hanging_call_lasts_until_the_caller_leaves(
    connect, body, call_id, ended, vendor, stream
):
    raw = connect()
    raw.chat(body(stream=stream, simulate={"hang_before_headers": True}), call_id=call_id)
    assert raw.read_to_silence(0.15) == b""
    assert not [entry for entry in vendor.entries() if entry["call_id"] == call_id]
    raw.socket.close()
    entry = ended(call_id, 0.5)
    assert (entry["outcome"], entry["generated_tokens"]) == ("hung", 0)


def test_a_stream_can_hang_in_the_middle(connect, body, call_id, ended):
    raw = connect()
    raw.chat(body(stream=True, simulate={"hang_after_chunks": 2}), call_id=call_id)
    assert raw.read_to_silence().count(b'"delta":{"content":') == 2
    raw.socket.close()
    entry = ended(call_id, 0.5)
    assert (entry["outcome"], entry["generated_tokens"]) == ("hung", 2)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ({"reset_after_chunks": 1}, "reset"),
        ({"truncate_after_chunks": 1}, "truncated"),
        ({"hang_after_chunks": 1}, "hung"),
    ],
)
def test_a_plain_answer_breaks_off_half_way(http, body, call_id, ended, script, outcome):
    with pytest.raises(httpx.TransportError):
        http.post(
            "/chat/completions",
            json=body(simulate=script),
            headers={"x-client-request-id": call_id},
            timeout=0.3,
        )
    entry = ended(call_id)
    assert (entry["outcome"], entry["usage"]) == (outcome, None)
    assert entry["generated_tokens"] > 0


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_a_caller_who_leaves_in_mid_stream_stops_the_generation_at_once(
    connect, body, call_id, ended, vendor, how
):
    raw = connect()
    script = {"chunk_delay_s": 0.02, "output_tokens": 500, "reasoning_tokens": 40}
    raw.chat(body(stream=True, simulate=script), call_id=call_id)
    raw.read_until(b'"delta":{"content":', 5)
    if how == "reset":
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    left = time.time()
    if how == "half_close":
        raw.socket.shutdown(socket.SHUT_WR)
    else:
        raw.socket.close()
    entry = ended(call_id, 0.5)
    assert entry["outcome"] == "client_gone"
    assert entry["at"] - left < 0.2
    assert 45 <= entry["generated_tokens"] <= 40 + 5 + 3
    assert entry["usage"] is None


def test_a_caller_who_leaves_a_plain_call_is_noticed_before_its_answer(
    connect, body, call_id, ended
):
    raw = connect()
    raw.chat(body(simulate={"total_delay_s": 5}), call_id=call_id)
    time.sleep(0.1)
    left = time.time()
    raw.socket.close()
    entry = ended(call_id, 0.5)
    assert entry["at"] - left < 0.2
    assert (entry["outcome"], entry["generated_tokens"], entry["status"]) == (
        "client_gone",
        0,
        None,
    )


def test_generation_waits_for_a_caller_who_does_not_read(connect, body, call_id, ended, vendor):
    raw = connect()
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.chat(body(stream=True, simulate={"output_tokens": 400_000}), call_id=call_id)
    raw.read_until(b'"delta":{"content":')
    time.sleep(0.3)
    assert vendor.state()["in_flight"] == 1
    raw.socket.close()
    entry = ended(call_id, 1.0)
    assert entry["outcome"] == "client_gone"
    assert 0 < entry["generated_tokens"] < 200_000


def test_other_calls_are_served_while_long_streams_are_read_eagerly(connect, http, body):
    raw = connect()
    raw.chat(body(stream=True, simulate={"output_tokens": 300_000}))

    def swallow():
        tail = b""
        while b"[DONE]" not in tail:
            tail = tail[-10:] + raw.socket.recv(1 << 20)

    reader = threading.Thread(target=swallow)
    reader.start()
    waits, started = [], time.monotonic()
    while reader.is_alive():
        began = time.monotonic()
        assert http.post("/chat/completions", json=body()).status_code == 200
        waits.append(time.monotonic() - began)
    reader.join()
    assert len(waits) > 5
    assert max(waits) < (time.monotonic() - started) / 2


def test_what_was_written_before_a_reset_is_not_dropped(raw, body):
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    raw.chat(body(stream=True, simulate={"line_bytes": 20_000_000, "reset_after_chunks": 1}))
    time.sleep(0.1)  # until the kernel takes no more
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while True:
            received += len(raw.socket.recv(1 << 20))
    # The kernel's own send buffer may be lost, ours may not.
    assert received > 15_000_000
