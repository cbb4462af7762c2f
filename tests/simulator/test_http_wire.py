"""simulator.connection: requests however they are cut, and connections kept or closed as asked."""

import json
import time

import pytest

from simulator.connection import Connection

MODELS = b"GET /v1/models/gpt-5.5 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n%b\r\n"


def models(raw, extra=b""):
    return MODELS % (raw.api_key.encode(), extra)


def test_a_connection_serves_request_after_request(raw, body):
    for _ in range(3):
        raw.chat(body())
        status, fields, content = raw.read_response()
        assert status == 200
        assert fields[b"content-type"] == b"application/json"
        assert fields[b"date"].endswith(b" GMT")
        assert json.loads(content)["object"] == "chat.completion"


def test_a_request_may_come_byte_by_byte(raw, body):
    data = raw.request(body())
    for start in range(0, len(data), 7):
        raw.socket.sendall(data[start : start + 7])
        if start % 70 == 0:
            time.sleep(0.001)
    assert raw.read_response()[0] == 200


def test_pipelined_requests_are_answered_in_order(raw, body):
    slow = raw.request(body(simulate={"content": "first", "total_delay_s": 0.1}))
    quick = raw.request(body(simulate={"content": "second"}))
    raw.socket.sendall(slow + quick + models(raw, b"connection: close\r\n"))
    received = raw.read_to_end()
    assert received.count(b"HTTP/1.1 200 OK") == 3
    first, second, third = (
        received.index(text) for text in (b'"first"', b'"second"', b'"object":"model"')
    )
    assert first < second < third


@pytest.mark.parametrize("cut", [1, 5, 10_000])
def test_a_chunked_request_body_is_joined(raw, body, cut):
    payload = json.dumps(body("A long question. " * 20)).encode()
    pieces = [payload[start : start + 100] for start in range(0, len(payload), 100)]
    chunks = b"".join(b"%x;note=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n"
        b"authorization: Bearer %b\r\n\r\n" % raw.api_key.encode()
    )
    data = head + chunks + b"0\r\nx-trailer: 1\r\n\r\n" + models(raw)
    for start in range(0, len(data), cut):
        raw.socket.sendall(data[start : start + cut])
    status, _, content = raw.read_response()
    assert status == 200
    assert "A long question" in json.loads(content)["choices"][0]["message"]["content"]
    raw.read_until(b'"object":"model"')


class Recorder:
    """A transport that keeps what is written."""

    def __init__(self):
        self.written = b""

    def get_extra_info(self, _):
        return None

    def write(self, data):
        self.written += data

    def close(self):
        pass


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_in_very_many_parts_is_no_larger_for_it(chunked):
    bodies = []

    def serve(connection, request):
        bodies.append(request.body)
        connection.finish()

    connection = Connection(serve, lambda _: None)
    transport = Recorder()
    connection.connection_made(transport)
    payload = b"x" * 1_000_000
    data = b"POST / HTTP/1.1\r\ncontent-length: 1000000\r\n\r\n" + payload
    if chunked:
        data = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nF4240\r\n" + payload
        data += b"\r\n0\r\n\r\n"
    for start in range(0, len(data), 5_000):
        connection.data_received(data[start : start + 5_000])
    assert bodies == [payload]
    assert transport.written == b""


def test_a_large_body_is_read_whole(raw, body):
    raw.chat(body("word " * 400_000, simulate={"input_tokens": 5}))
    assert raw.read_response()[0] == 200


def test_expect_continue_is_answered(raw, body):
    data = raw.request(body(), extra="expect: 100-continue\r\n")
    head, _, payload = data.partition(b"\r\n\r\n")
    raw.socket.sendall(head + b"\r\n\r\n")
    assert raw.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    raw.socket.sendall(payload)
    assert raw.read_response()[0] == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("version", "extra"), [("1.0", ""), ("1.1", "connection: close\r\n")])
def test_a_connection_is_closed_if_the_caller_wants_it(raw, body, stream, version, extra):
    raw.chat(body(stream=stream), version=version, extra=extra)
    received = raw.read_to_end()
    assert b"connection: close\r\n" in received
    assert (b"transfer-encoding" in received) == (stream and version == "1.1")
    if stream:
        ending = b"data: [DONE]\n\n" + (b"\r\n0\r\n\r\n" if version == "1.1" else b"")
        assert received.endswith(ending)


def test_a_stream_keeps_its_connection(raw, body):
    for script in ({}, {"simulate": {"output_tokens": 3}}):
        raw.chat(body(stream=True, **script))
        raw.read_until(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    raw.chat(body())
    assert raw.read_response()[0] == 200


def test_head_has_no_body(raw):
    raw.socket.sendall(b"HEAD /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n")
    received = raw.read_to_end()
    assert received.startswith(b"HTTP/1.1 404")
    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n", 413),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(raw, data, status):
    raw.socket.sendall(data)
    received = raw.read_to_end()
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1") == 1
