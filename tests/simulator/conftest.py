"""A running simulator, clients for it, and a raw socket for what clients hide."""

import itertools
import json
import socket
import time

import anthropic
import httpx
import openai
import pytest
from google import genai

from simulator.process import SimulatorProcess

SEED = [
    {"role": "system", "content": "You are a concise coding assistant."},
    {
        "role": "user",
        "content": "Write a Python function that merges two sorted lists in O(n) time.",
    },
]


class RawClient:
    """Writes bytes to the vendor and reads what comes back, without an HTTP library between."""

    def __init__(self, vendor):
        host, port = vendor.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        self.api_key = vendor.api_key
        self.socket = socket.create_connection((host, int(port)), timeout=5)
        self._kept = b""

    def request(self, body, *, call_id="raw", version="1.1", extra=""):
        """The bytes of a chat call."""
        payload = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/{version}\r\nhost: x\r\n"
            f"authorization: Bearer {self.api_key}\r\nx-client-request-id: {call_id}\r\n"
            f"{extra}content-length: {len(payload)}\r\n\r\n"
        )
        return head.encode() + payload

    def chat(self, body, **options):
        self.socket.sendall(self.request(body, **options))

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(self._kept)
        self._kept += data

    def _take(self, size):
        taken, self._kept = self._kept[:size], self._kept[size:]
        return taken

    def read_until(self, marker, count=1):
        """Up to and including the marker's `count`th place. Raises EOFError if the peer closes."""
        while self._kept.count(marker) < count:
            self._more()
        end = 0
        for _ in range(count):
            end = self._kept.index(marker, end) + len(marker)
        return self._take(end)

    def read_to_end(self):
        """Everything until the peer closes; a reset raises ConnectionResetError."""
        try:
            while True:
                self._more()
        except EOFError:
            return self._take(len(self._kept))

    def read_to_reset(self):
        """Everything until the peer resets the connection, which it must."""
        try:
            while True:
                self._more()
        except ConnectionResetError:
            return self._take(len(self._kept))

    def read_to_silence(self, quiet_s=0.2):
        """Everything until nothing comes for a while; the peer must not close."""
        self.socket.settimeout(quiet_s)
        try:
            while True:
                self._more()
        except TimeoutError:
            return self._take(len(self._kept))

    def read_response(self):
        """One response with a content-length: status, head, body."""
        head = self.read_until(b"\r\n\r\n")[:-4]
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        size = int(fields[b"content-length"])
        while len(self._kept) < size:
            self._more()
        return int(head.split()[1]), fields, self._take(size)


@pytest.fixture(scope="session")
def vendor():
    with SimulatorProcess() as running:
        yield running
        assert running.state()["in_flight"] == 0
        running.stop()
        assert running.complaints() == ""


@pytest.fixture(scope="session")
def client(vendor):
    with openai.OpenAI(base_url=vendor.base_url, api_key=vendor.api_key, max_retries=0) as made:
        yield made


@pytest.fixture(scope="session")
def root_url(vendor):
    """Where the paths begin that do not stand under /v1."""
    return vendor.root_url


@pytest.fixture(scope="session")
def claude(vendor, root_url):
    with anthropic.Anthropic(base_url=root_url, api_key=vendor.api_key, max_retries=0) as made:
        yield made


@pytest.fixture(scope="session")
def gemini(vendor, root_url):
    made = genai.Client(api_key=vendor.api_key, http_options={"base_url": root_url})
    yield made
    made.close()


@pytest.fixture
def last_ended(vendor):
    """The `ended` line of the call that ended last."""
    return lambda: vendor.entries()[-1]


@pytest.fixture
def post(vendor, root_url):
    """A request of any dialect, with every vendor's key and version."""
    headers = {
        "authorization": f"Bearer {vendor.api_key}",
        "x-api-key": vendor.api_key,
        "x-goog-api-key": vendor.api_key,
        "anthropic-version": "2023-06-01",
    }

    def send(path, body, **changes):
        chosen = {**headers, **changes}
        return httpx.post(
            root_url + path, json=body, headers={k: v for k, v in chosen.items() if v}, timeout=5
        )

    return send


@pytest.fixture
def named_events():
    """Name and JSON of each event in a stream's text."""

    def parse(text):
        found = []
        for block in text.replace("\r\n", "\n").strip("\n").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((fields.get("event"), json.loads(fields["data"])))
        return found

    return parse


@pytest.fixture(scope="session")
def http(vendor):
    headers = {"authorization": f"Bearer {vendor.api_key}"}
    with httpx.Client(base_url=vendor.base_url, headers=headers, timeout=5) as made:
        yield made


@pytest.fixture
def connect(vendor):
    """Opens raw clients, for tests that need several or close one early."""
    made = []

    def open_one(to=vendor):
        made.append(RawClient(to))
        return made[-1]

    yield open_one
    for one in made:
        one.socket.close()


@pytest.fixture
def raw(connect):
    return connect()


_numbers = itertools.count()


@pytest.fixture
def call_id():
    return f"call_{next(_numbers)}_{time.monotonic_ns()}"


@pytest.fixture
def ended(vendor):
    """Waits for the `ended` line of a call."""

    def wait(call_id, timeout_s=3.0, of=vendor):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for entry in reversed(of.entries()):
                if entry["call_id"] == call_id:
                    return entry
            time.sleep(0.005)
        raise AssertionError(f"no `ended` line for {call_id}")

    return wait


@pytest.fixture
def seed_messages():
    return [dict(message) for message in SEED]


@pytest.fixture
def body():
    """A minimal chat body with changes."""

    def make(text="Say hello to the team.", **changes):
        messages = [{"role": "user", "content": text}]
        return {"model": "gpt-5.5", "messages": messages, **changes}

    return make


@pytest.fixture
def events():
    """The JSON of each event in a stream's text, and whether [DONE] closed it."""

    def parse(text):
        lines = [
            line[6:] for line in text.replace("\r\n", "\n").split("\n") if line[:6] == "data: "
        ]
        done = bool(lines) and lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines if line != "[DONE]"], done

    return parse
