"""simulator.log: what is written, when, and that a kill loses nothing that was finished."""

import hashlib
import json
import threading
import time

import pytest

from simulator.log import CallLog, Ended, Received, read_entries
from simulator.process import SimulatorProcess

FIELDS = {"event", "id", "call_id", "model", "stream", "at", "key_fingerprint", "dialect"}
END_FIELDS = FIELDS | {
    "outcome",
    "status",
    "usage",
    "generated_tokens",
    "input_tokens",
    "sent_bytes",
    "totals",
}


def lines_of(vendor, call_id):
    return [entry for entry in vendor.entries(None) if entry["call_id"] == call_id]


def test_a_plain_call_leaves_two_matching_lines(http, body, vendor, call_id):
    began = time.time()
    answer = http.post("/chat/completions", json=body(), headers={"x-client-request-id": call_id})
    received, ended = lines_of(vendor, call_id)
    assert set(received) == FIELDS
    assert set(ended) == END_FIELDS
    assert (received["event"], ended["event"]) == ("received", "ended")
    assert received["id"] == ended["id"] == answer.json()["id"]
    assert (ended["model"], ended["stream"]) == ("gpt-5.5", False)
    assert ended["usage"] == answer.json()["usage"]
    assert ended["generated_tokens"] == answer.json()["usage"]["completion_tokens"]
    assert ended["input_tokens"] == answer.json()["usage"]["prompt_tokens"]
    assert (ended["outcome"], ended["status"]) == ("completed", 200)
    assert began <= received["at"] <= ended["at"] <= time.time()
    assert ended["key_fingerprint"] == hashlib.sha256(vendor.api_key.encode()).hexdigest()[:8]
    assert vendor.api_key not in vendor.log_path.read_text()


@pytest.mark.parametrize("asked", [False, True])
def test_a_streamed_call_logs_the_usage_only_if_it_was_reported(
    raw, body, events, call_id, ended, asked
):
    options = {"stream_options": {"include_usage": True}} if asked else {}
    raw.chat(body(stream=True, **options), call_id=call_id)
    received = raw.read_until(b"\r\n0\r\n\r\n")
    entry = ended(call_id)
    assert entry["sent_bytes"] == len(received)
    assert entry["generated_tokens"] > 10
    if asked:
        assert entry["usage"]["completion_tokens"] == entry["generated_tokens"]
    else:
        assert entry["usage"] is None


def test_the_end_is_logged_before_the_caller_has_the_answer(http, body, vendor, call_id):
    for number in range(30):
        name = f"{call_id}-{number}"
        script = {} if number % 2 else {"simulate": {"output_tokens": 3}}
        http.post(
            "/chat/completions",
            json=body(stream=number % 3 == 0, **script),
            headers={"x-client-request-id": name},
        )
        assert [entry["event"] for entry in lines_of(vendor, name)] == ["received", "ended"]


def test_refused_calls_are_logged_too(http, vendor, body, call_id, ended):
    http.post(
        "/chat/completions",
        json=body(),
        headers={"x-client-request-id": call_id, "authorization": "Bearer other"},
    )
    entry = ended(call_id)
    assert (entry["outcome"], entry["status"], entry["model"]) == ("error", 401, None)
    assert entry["key_fingerprint"] == hashlib.sha256(b"other").hexdigest()[:8]


def test_a_kill_loses_no_finished_call_and_leaves_the_others_as_received(body, connect):
    with SimulatorProcess() as own:
        finished = []
        waiting = connect(own)
        waiting.chat(body(simulate={"gate": "never"}), call_id="waiting")
        streaming = connect(own)
        streaming.chat(
            body(stream=True, simulate={"chunk_delay_s": 0.01, "output_tokens": 9_999}),
            call_id="streaming",
        )
        streaming.read_until(b'"delta":{"content":')

        def work(worker):
            client = connect(own)
            try:
                for number in range(10_000):
                    name = f"{worker}-{number}"
                    client.chat(body(), call_id=name)
                    client.read_response()
                    finished.append(name)
            except (EOFError, OSError):
                return

        threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
        for thread in threads:
            thread.start()
        while len(finished) < 300:
            time.sleep(0.005)
        own.kill()
        for thread in threads:
            thread.join()
        done = {entry["call_id"] for entry in own.entries()}
        seen = {entry["call_id"] for entry in own.entries("received")}
        assert set(finished) <= done <= seen
        assert len(own.entries()) == len(done)
        assert {"waiting", "streaming"} <= seen - done
        text = own.log_path.read_bytes()
        assert text.endswith(b"\n")
        for line in text.splitlines():
            json.loads(line)


def test_a_log_goes_on_where_it_ended(tmp_path, body, connect):
    path = tmp_path / "calls.jsonl"
    for _ in range(2):
        with SimulatorProcess(log_path=path) as own:
            client = connect(own)
            client.chat(body())
            client.read_response()
    assert len(read_entries(path, "ended")) == 2


def make_line(number, call_id, kind="received"):
    common = (f"id{number}", call_id, "m", False, float(number), None, "chat")
    if kind == "received":
        return Received(*common)
    return Ended(*common, "completed", 200, json_null(), 1, 1, 1, None)


def json_null():
    import msgspec

    return msgspec.Raw(b"null")


def test_reading_gives_the_latest_entries_oldest_first(tmp_path):
    log = CallLog(tmp_path / "log")
    assert log.read(None, 5) == []
    for number in range(20):
        log.write(make_line(number, f"c{number % 4}"))
    assert [entry["id"] for entry in log.read(None, 3)] == ["id17", "id18", "id19"]
    assert [entry["id"] for entry in log.read("c1", 2)] == ["id13", "id17"]
    assert [entry["id"] for entry in log.read("c1", 100)] == ["id1", "id5", "id9", "id13", "id17"]
    assert log.read("c", 9) == []
    log.write(make_line(99, 'tricky",\n'))
    assert [entry["id"] for entry in log.read('tricky",\n', 9)] == ["id99"]
    log.close()


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "log"
    log = CallLog(path)
    log.write(make_line(1, "a"))
    log.write(make_line(2, "b", "ended"))
    log.close()
    with path.open("ab") as file:
        file.write(b'{"event":"ended","id":"to')
    assert [entry["id"] for entry in read_entries(path)] == ["id1", "id2"]
    reopened = CallLog(path)
    assert [entry["id"] for entry in reopened.read(None, 9)] == ["id1", "id2"]
    reopened.close()
