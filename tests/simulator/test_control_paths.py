"""simulator.control: gates, state, log, default script, recent requests."""

import hashlib
import threading
import time

import httpx
import pytest

from simulator.connection import Connection
from simulator.control import is_loopback
from simulator.log import CallLog
from simulator.process import SimulatorError
from simulator.server import Vendor


def root(vendor):
    return vendor.base_url.removesuffix("/v1") + "/__simulator"


def wait_for(condition, timeout_s=2.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_gate_holds_calls_until_it_is_opened(vendor, http, body):
    codes = []

    def call():
        answer = http.post("/chat/completions", json=body(simulate={"gate": "dam"}))
        codes.append(answer.status_code)

    before = vendor.state()
    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: vendor.state()["waiting"] == {"dam": 3})
    state = vendor.state()
    assert state["in_flight"] == before["in_flight"] + 3
    assert state["received"] == before["received"] + 3
    assert state["served"] == before["served"]
    assert codes == []
    vendor.open_gate("dam")
    for thread in threads:
        thread.join()
    assert codes == [200] * 3
    assert vendor.state()["waiting"] == {}
    assert http.post("/chat/completions", json=body(simulate={"gate": "dam"})).status_code == 200
    vendor.close_gate("dam")
    thread = threading.Thread(target=call)
    thread.start()
    wait_for(lambda: vendor.state()["waiting"] == {"dam": 1})
    vendor.open_gate("dam")
    thread.join()


def test_a_gate_stands_before_every_kind_of_answer(vendor, connect, body):
    raw = connect()
    raw.chat(body(simulate={"gate": "door", "reset_before_headers": True}))
    wait_for(lambda: vendor.state()["waiting"] == {"door": 1})
    vendor.open_gate("door")
    assert raw.read_to_reset() == b""


def test_a_caller_who_leaves_a_gate_no_longer_waits(vendor, connect, body, call_id, ended):
    raw = connect()
    raw.chat(body(simulate={"gate": "lonely"}), call_id=call_id)
    wait_for(lambda: vendor.state()["waiting"] == {"lonely": 1})
    raw.socket.close()
    assert ended(call_id, 0.5)["outcome"] == "client_gone"
    assert vendor.state()["waiting"] == {}


def test_default_scripts_apply_to_calls_without_their_own(vendor, http, body):
    vendor.set_defaults(status=503)
    try:
        assert http.post("/chat/completions", json=body()).status_code == 503
        own = http.post("/chat/completions", json=body(simulate={}))
        assert own.status_code == 200
    finally:
        vendor.set_defaults()
    assert http.post("/chat/completions", json=body()).status_code == 200


def test_a_wrong_default_script_is_refused_and_changes_nothing(vendor, http, body):
    with pytest.raises(SimulatorError, match="400"):
        vendor.set_defaults(sttus=503)
    assert http.post("/chat/completions", json=body()).status_code == 200


def test_the_log_can_be_read_by_call(vendor, http, body, call_id):
    http.post("/chat/completions", json=body(), headers={"x-client-request-id": call_id})
    found = httpx.get(f"{root(vendor)}/log", params={"call_id": call_id}).json()["entries"]
    assert [entry["event"] for entry in found] == ["received", "ended"]
    latest = httpx.get(f"{root(vendor)}/log", params={"limit": 1}).json()["entries"]
    assert latest == found[-1:]


@pytest.mark.parametrize("limit", ["0", "-1", "many", "10001"])
def test_a_wrong_limit_is_a_400(vendor, limit):
    assert httpx.get(f"{root(vendor)}/log", params={"limit": limit}).status_code == 400


def test_recent_requests_show_what_was_forwarded_without_the_key(vendor, http, body, call_id):
    sent = body(metadata={"kept": "yes"})
    http.post(
        "/chat/completions", json=sent, headers={"x-client-request-id": call_id, "x-own": "1"}
    )
    (seen,) = vendor.requests(call_id)
    assert seen["body"] == sent
    assert seen["path"] == "/v1/chat/completions"
    assert seen["headers"]["x-own"] == "1"
    digest = hashlib.sha256(vendor.api_key.encode()).hexdigest()[:8]
    assert seen["headers"]["authorization"] == f"sha256:{digest}"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "nothing"), ("POST", "state"), ("GET", "gates/x"), ("POST", "gates/a%20b/open")],
)
def test_unknown_controls_are_404(vendor, method, path):
    assert httpx.request(method, f"{root(vendor)}/{path}").status_code == 404


@pytest.mark.parametrize(
    ("peer", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("2001:db8::1", False),
        ("", False),
    ],
)
def test_only_this_machine_counts_as_loopback(peer, own):
    assert is_loopback(peer) is own


class FarTransport:
    """A transport whose peer is on another machine; keeps what is written."""

    def __init__(self):
        self.written = b""

    def get_extra_info(self, name):
        return ("192.0.2.1", 40000) if name == "peername" else None

    def write(self, data):
        self.written += data


def test_control_is_refused_to_other_machines_but_the_api_is_not(tmp_path):
    log = CallLog(tmp_path / "log")
    vendor = Vendor(log, None)
    connection = vendor.make_connection()
    assert isinstance(connection, Connection)
    far = FarTransport()
    connection.connection_made(far)
    connection.data_received(b"GET /__simulator/state HTTP/1.1\r\n\r\n")
    assert far.written.startswith(b"HTTP/1.1 403 ")
    far.written = b""
    connection.data_received(b"GET /v1/models HTTP/1.1\r\n\r\n")
    assert far.written.startswith(b"HTTP/1.1 200 ")
    log.close()
