"""Bad input over a real socket: a 4xx in OpenAI's envelope that names the field, nothing charged, nothing held, and the
provider not called."""

import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.world import GatewayProcess, Tenant, World, client

LIMIT = 1_000_000
PATH = "/v1/chat/completions"
MODEL = "gpt-5.4-nano"
USER = [{"role": "user", "content": "Say hello."}]
VALID = {"model": MODEL, "messages": USER, "max_tokens": 20}


@pytest.fixture(scope="module")
def gateway(world: World) -> GatewayProcess:
    return world.start_gateway(TOLLGATE_BODY_BYTES_MAX=str(LIMIT))


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


class Traces(NamedTuple):
    """What a call leaves behind."""

    balance_nanos: int
    held_nanos: int
    open_holds: int
    provider_calls: int


@pytest.fixture
def untouched(world: World, alice: Tenant) -> Iterator[None]:
    """Nothing was charged, no hold stayed open, and the provider was not called during the test."""
    before = traces(world, alice)
    yield
    assert traces(world, alice) == before
    assert before.open_holds == 0


@pytest.fixture(autouse=True)
def calm(gateway: GatewayProcess) -> Iterator[None]:
    """Bad input is ordinary: the process wrote no traceback during the test."""
    before = len(gateway.log)
    yield
    assert "Traceback" not in gateway.log[before:]


def traces(world: World, tenant: Tenant) -> Traces:
    wallet = world.wallet(tenant)
    return Traces(
        wallet["balance_nanos"],
        wallet["held_nanos"],
        world.database.one("SELECT count(*) FROM billing_hold WHERE state = 'open'"),
        world.simulator.state()["received"],
    )


def refusal(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The error of an answer that has this status and OpenAI's envelope."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("call_")
    body = answer.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    assert body["error"]["message"]
    assert len(answer.content) < 2000
    error: dict[str, Any] = body["error"]
    return error


def raw_body(**fields: str) -> bytes:
    """A valid body with these fields as raw JSON texts."""
    texts = {name: json.dumps(value) for name, value in VALID.items()} | fields
    return ("{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}").encode()


# JSON.

BROKEN = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "cut": b'{"model":"gpt-5.4-nano","messages":[{"role"',
    "comma": b'{"model":"gpt-5.4-nano",}',
    "single quotes": b"{'model':'gpt-5.4-nano'}",
    "trailing": json.dumps(VALID).encode() + b" x",
    "two objects": json.dumps(VALID).encode() * 2,
    "array": json.dumps([VALID]).encode(),
    "text": b'"gpt-5.4-nano"',
    "number": b"5",
    "null": b"null",
    "true": b"true",
    "form": b"model=gpt-5.4-nano&messages=x",
    "xml": b"<model>gpt-5.4-nano</model>",
    "invalid utf-8": raw_body(user='"\u00ff"').replace("\u00ff".encode(), b"\xff"),
    "overlong utf-8": raw_body(user='"_"').replace(b"_", b"\xc0\xaf"),
    "surrogate in utf-8": raw_body(user='"_"').replace(b"_", b"\xed\xa0\xbd"),
    "half a surrogate pair": raw_body(user='"\\ud83d"'),
    "utf-16": json.dumps(VALID).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(VALID).encode(),
    "NUL": raw_body(user='"_"').replace(b"_", b"\x00"),
    "control character": raw_body(user='"_"').replace(b"_", b"\x01"),
    "deep list": raw_body(user="[" * 100_000 + "]" * 100_000),
    "deep list without an end": raw_body(user="[" * 400_000),
    "deep object": raw_body(user='{"a":' * 100_000 + "1" + "}" * 100_000),
    "deep messages": raw_body(messages="[" * 50_000 + "]" * 50_000),
    "5,000 digits": raw_body(max_tokens="9" * 5000),
    "minus 5,000 digits": raw_body(seed="-" + "9" * 5000),
    "900,000 digits": raw_body(seed="9" * 900_000),
    "leading zero": raw_body(max_tokens="020"),
    "plus": raw_body(max_tokens="+20"),
    "hexadecimal": raw_body(max_tokens="0x20"),
}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", list(BROKEN))
def test_a_body_that_is_no_json_object_is_refused(http: httpx.Client, name: str) -> None:
    answer = http.post(PATH, content=BROKEN[name], headers={"content-type": "application/json"})
    assert refusal(answer)["code"] == "invalid_json"
    assert answer.elapsed.total_seconds() < 1


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (raw_body(temperature="NaN"), "temperature"),
        (raw_body(temperature="Infinity"), "temperature"),
        (raw_body(temperature="-Infinity"), "temperature"),
        (raw_body(max_tokens="1e400"), "max_tokens"),
        (raw_body(n="-1e400"), "n"),
        (raw_body(metadata='{"a":[1,NaN]}'), "metadata.a.1"),
        (raw_body() [:-1] + b',"max_tokens":100000}', "max_tokens"),
        (raw_body() [:-1] + b',"max_tok\\u0065ns":100000}', "max_tokens"),
        (raw_body() [:-1] + b',"model":"gpt-5.5"}', "model"),
        (raw_body() [:-1] + b',"messages":[]}', "messages"),
        (raw_body(stream_options='{"include_usage":true,"include_usage":false}'), "include_usage"),
        (raw_body(messages='[{"role":"user","content":"a","content":"b"}]'), "content"),
        (raw_body(tools='[{"function":{"parameters":{"type":1,"type":1}}}]'), "type"),
    ],
)  # fmt: skip
def test_a_number_that_is_none_and_a_name_given_twice_are_refused_by_name(
    http: httpx.Client, raw: bytes, param: str
) -> None:
    error = refusal(http.post(PATH, content=raw))
    assert (error["code"], error["param"]) == ("invalid_json", param)


@pytest.mark.usefixtures("untouched")
def test_a_repeated_name_among_many_does_not_hold_up_everybody(http: httpx.Client) -> None:
    many = b",".join(b'"k%d":0' % number for number in range(20_000))
    answer = http.post(PATH, content=raw_body()[:-1] + b"," + many + b',"z":1,"z":1}')
    assert refusal(answer)["param"] == "z"
    assert answer.elapsed.total_seconds() < 1


# Size.


class RawSocket:
    """A connection on which a test writes what it likes."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=5)

    def __enter__(self) -> "RawSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> httpx.Response:
        """One answer of a known length."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = httpx.Headers(
            [(name, value) for name, _, value in (line.partition(": ") for line in lines[1:])]
        )
        size = int(headers["content-length"])
        while len(body) < size:
            body += self._more()
        return httpx.Response(int(lines[0].split()[1]), headers=headers, content=body)

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        assert data, "closed before the answer was whole"
        return data


def request_head(key: str, *lines: str) -> bytes:
    head = [
        f"POST {PATH} HTTP/1.1",
        "host: gateway",
        f"authorization: Bearer {key}",
        *lines,
        "",
        "",
    ]
    return "\r\n".join(head).encode()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("declared", [LIMIT + 1, 10**12, 2**63 - 1])
def test_a_body_declared_over_the_limit_is_refused_before_it_is_sent(
    gateway: GatewayProcess, alice: Tenant, declared: int
) -> None:
    with RawSocket(gateway) as raw:
        raw.send(request_head(alice.key, f"content-length: {declared}"))
        error = refusal(raw.answer(), 413)
    assert error["code"] == "request_too_large"
    assert str(LIMIT) in error["message"]


@pytest.mark.usefixtures("untouched")
def test_a_chunked_body_is_refused_as_soon_as_it_passes_the_limit(
    gateway: GatewayProcess, alice: Tenant
) -> None:
    with RawSocket(gateway) as raw:
        raw.send(request_head(alice.key, "transfer-encoding: chunked"))
        for _ in range(LIMIT // 50_000 + 1):
            raw.send(b"c350\r\n" + b"x" * 50_000 + b"\r\n")
        # The body has no end yet: the answer must not wait for one.
        assert refusal(raw.answer(), 413)["code"] == "request_too_large"


@pytest.mark.usefixtures("untouched")
def test_a_body_over_the_limit_sent_by_an_ordinary_client_is_refused(http: httpx.Client) -> None:
    padded = json.dumps({**VALID, "user": "x" * LIMIT}).encode()
    assert refusal(http.post(PATH, content=padded), 413)["code"] == "request_too_large"
    pieces = (padded[at : at + 65_536] for at in range(0, len(padded), 65_536))
    assert refusal(http.post(PATH, content=pieces), 413)["code"] == "request_too_large"


def test_a_body_of_exactly_the_limit_is_served(http: httpx.Client) -> None:
    room = LIMIT - len(json.dumps({**VALID, "user": ""}))
    exact = json.dumps({**VALID, "user": "x" * room}).encode()
    assert len(exact) == LIMIT
    assert http.post(PATH, content=exact).status_code == 200
    pieces = (exact[at : at + 65_536] for at in range(0, len(exact), 65_536))
    assert http.post(PATH, content=pieces).status_code == 200
    refusal(http.post(PATH, content=exact + b" "), 413)


# Fields.


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "name", ["no-such-model", "openai/no-such-model", "GPT-5.4-NANO", "gpt-5.4-nano ", "openai/"]
)
def test_an_unknown_model_is_not_found(http: httpx.Client, name: str) -> None:
    error = refusal(http.post(PATH, json={**VALID, "model": name}), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert name in error["message"]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "name", ["gpt\x00", "\x00", "x" * 100_000, "a\nb\r\nc", "'; DROP TABLE", "😀", "../../etc"]
)
def test_a_hostile_name_of_a_model_is_recorded_without_harm(
    world: World, http: httpx.Client, alice: Tenant, name: str
) -> None:
    answer = http.post(PATH, json={**VALID, "model": name})
    refusal(answer, 404)
    [record] = [
        one
        for one in world.records(alice)
        if f"call_{one['id'].hex}" == answer.headers["x-request-id"]
    ]
    assert (record["status"], record["error_code"]) == ("refused", "model_not_found")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "name", ["text-embedding-3-small", "openai/text-embedding-3-large", "gpt-image-2", "whisper-1"]
)
def test_a_model_of_another_endpoint_is_refused_as_such(http: httpx.Client, name: str) -> None:
    error = refusal(http.post(PATH, json={**VALID, "model": name}))
    assert (error["code"], error["param"]) == ("model_endpoint_mismatch", "model")


NOT_COUNTS = ["0", "-1", "1000000000", "9223372036854775808", "1" + "0" * 40, "1.5", "1.0", "1e3", '"10"', '""', "true",
              "false", "[]", "[1]", "{}", '{"a":1}']  # fmt: skip
FIELD_CASES = [
    *(("n", text) for text in NOT_COUNTS),
    ("n", "129"),
    *(("max_tokens", text) for text in NOT_COUNTS if text != "1000000000"),
    ("max_tokens", "9223372036854775807"),
    *(("max_completion_tokens", text) for text in NOT_COUNTS if text != "1000000000"),
    *(("model", text) for text in ("null", '""', "5", "true", "[]", '["gpt-5.4-nano"]', '{"id":"gpt-5.4-nano"}')),
    *(("messages", text) for text in ("null", "[]", "{}", '{"0":1}', '""', '"hi"', "5", "true")),
    *(("stream", text) for text in ('"true"', '""', "1", "0", "[]", "{}", "1.0")),
    *(("service_tier", text) for text in ('"gold"', '""', '"FLEX"', '"scale"', '"priority"', "5", "true", "[]", "{}")),
    *(("stream_options", text) for text in ('"include_usage"', '""', "5", "true", "[]", '["include_usage"]')),
    *(("modalities", text) for text in ("5", "true", "1.5", '"audio"', '{"audio":1}')),
    ("web_search_options", "{}"),
    ("web_search_options", "true"),
]  # fmt: skip


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("field", "text"), FIELD_CASES, ids=lambda value: str(value)[:24])
def test_a_field_that_cannot_be_understood_is_refused_by_name(
    http: httpx.Client, field: str, text: str, stream: bool
) -> None:
    flags = {"stream": "true"} if stream and field != "stream" else {}
    answer = http.post(PATH, content=raw_body(**{**flags, field: text}))
    error = refusal(answer)
    assert error["param"] == field
    assert field in error["message"] or field in ("service_tier", "web_search_options")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("value", ['"true"', "1", "[]", "{}", '""'])
def test_an_option_of_the_stream_is_named_with_its_path(http: httpx.Client, value: str) -> None:
    raw = raw_body(stream="true", stream_options='{"include_usage":' + value + "}")
    assert refusal(http.post(PATH, content=raw))["param"] == "stream_options.include_usage"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_required_field_that_is_missing_is_named(http: httpx.Client, field: str) -> None:
    body = {name: value for name, value in VALID.items() if name != field}
    assert refusal(http.post(PATH, json=body))["param"] == field
    assert refusal(http.post(PATH, json={}))["param"] == "model"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("value", ["http://127.0.0.1:1/v1", None, {}, [], 0, {"prompt_tokens": 0}])
@pytest.mark.parametrize(
    "field",
    [
        "base_url",
        "api_base",
        "api_key",
        "api_version",
        "custom_llm_provider",
        "extra_headers",
        "usage",
        "cost",
    ],
)
def test_nobody_chooses_his_own_provider_credential_or_bill(
    http: httpx.Client, field: str, value: Any
) -> None:
    error = refusal(http.post(PATH, json={**VALID, field: value}))
    assert (error["code"], error["param"]) == ("unsupported_parameter", field)


# What is the provider's to judge: it may be asked, and its refusal comes back as such.

ODD_PARTS: list[Any] = [
    5, None, True, "x", [], {}, {"type": "image_url"}, {"type": "image_url", "image_url": 5},
    {"type": "image_url", "image_url": []}, {"type": "image_url", "image_url": {"url": 5}},
    {"type": "image_url", "image_url": {"url": None}}, {"type": "image_url", "image_url": "data:"},
    {"type": "image_url", "image_url": {"url": {"url": "data:"}}}, {"type": "input_audio", "input_audio": 5},
    {"type": "input_audio", "input_audio": {"data": 5}}, {"type": "input_audio", "input_audio": {"data": None}},
    {"type": ["x"], "text": {"a": 1}},
]  # fmt: skip


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


ODD_VALUES: dict[str, list[Any]] = {
    "messages": [
        [1], [None], [True], ["hi"], [[]], [{}], [[[]]], [{"role": 5}], [{"content": 5}],
        user(5), user({}), user(None), user(True), user(1.5),
        *(user([part]) for part in ODD_PARTS),
    ],
    "prediction": [5, "x", [], {}, True, {"type": "content", "content": 5}],
    "tools": [5, "x", {}, [1], [{}], [[]], True],
    "modalities": [[], [5], [["audio"]], [{"audio": 1}], [None]],
    "stream_options": [{}, {"include_usage": None}, {"other": [1]}],
    "stop": [5, [5], {}, True],
    "audio": [5, {}, []],
    "max_tokens": [2**31 - 1],
    "simulate": [{"no such": "script"}],
}  # fmt: skip
ODD_FIELDS: list[dict[str, Any]] = [
    *({name: value} for name, values in ODD_VALUES.items() for value in values),
    dict.fromkeys(["max_tokens", "n", "stream", "service_tier", "modalities", "prediction"]),
    {"max_tokens": 5, "max_completion_tokens": 6},
]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fields", ODD_FIELDS, ids=lambda fields: json.dumps(fields)[:60])
def test_an_odd_field_is_served_or_refused_and_never_breaks_anything(
    world: World, http: httpx.Client, alice: Tenant, fields: dict[str, Any], stream: bool
) -> None:
    before = traces(world, alice)
    answer = http.post(PATH, json={**VALID, "stream": stream, **fields})
    after = traces(world, alice)
    assert (after.held_nanos, after.open_holds) == (0, 0)
    if answer.status_code == 200:
        assert after.balance_nanos < before.balance_nanos
    else:
        refusal(answer, 400)
        assert after.balance_nanos == before.balance_nanos


@pytest.mark.parametrize(
    "message", [1, None, "hi", [], {"role": "nobody", "content": "x"}, {"role": "user"}]
)
def test_messages_that_the_provider_refuses_come_back_with_its_words(
    http: httpx.Client, message: Any
) -> None:
    error = refusal(http.post(PATH, json={**VALID, "messages": [message]}))
    assert error["param"].startswith("messages[0]")


# Without a key.

UNAUTHENTICATED = [
    b"",
    BROKEN["cut"],
    BROKEN["deep list"],
    json.dumps(VALID).encode(),
    json.dumps({**VALID, "model": "no-such-model"}).encode(),
    json.dumps({**VALID, "n": 0}).encode(),
    json.dumps({**VALID, "user": "x" * LIMIT}).encode(),
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("raw", UNAUTHENTICATED, ids=lambda raw: str(raw[:40]))
def test_without_a_good_key_every_body_is_refused_in_the_same_words(
    gateway: GatewayProcess, alice: Tenant, raw: bytes
) -> None:
    headers: list[dict[str, str]] = [
        {},
        {"authorization": f"Bearer {alice.key}x"},
        {"authorization": f"Basic {alice.key}"},
        {"x-api-key": "nonsense"},
    ]
    with client(gateway) as http:
        answers = [http.post(PATH, content=raw, headers=one) for one in headers]
    assert {refusal(answer, 401)["code"] for answer in answers} == {"invalid_api_key"}
    assert len({answer.content for answer in answers}) == 1
    assert b"Invalid API key" in answers[0].content


def test_after_all_of_it_the_ledger_is_sound(world: World, http: httpx.Client) -> None:
    assert http.post(PATH, json=VALID).status_code == 200
    world.audit()
