"""Bad input on every endpoint but Chat Completions, over a real socket: a 4xx in the caller's own envelope that names
the field, nothing charged, nothing held, and the provider not called."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from simulator.process import SimulatorProcess
from tests.flows.speaking import CHAT, CONTENTS, GEMINI, MESSAGE
from tests.world import GatewayProcess, Tenant, World, client

LIMIT = 200_000


class Refused(NamedTuple):
    """What an envelope says. `type` is the dialect's own word for the kind of error."""

    status: int
    type: str
    code: str
    param: str | None
    message: str


def read_openai(answer: httpx.Response) -> Refused:
    body = answer.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return Refused(
        answer.status_code, error["type"], error["code"], error["param"], error["message"]
    )


def read_anthropic(answer: httpx.Response) -> Refused:
    body = answer.json()
    assert list(body) == ["type", "error", "request_id"]
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["x-request-id"]
    error = body["error"]
    return Refused(
        answer.status_code, error["type"], error["code"], error["param"], error["message"]
    )


def read_google(answer: httpx.Response) -> Refused:
    body = answer.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert list(error) == ["code", "message", "status", "details"]
    assert error["code"] == answer.status_code
    [detail] = error["details"]
    assert detail["metadata"]["request_id"] == answer.headers["x-request-id"]
    param = detail["metadata"].get("param")
    return Refused(answer.status_code, error["status"], detail["reason"], param, error["message"])


class Target(NamedTuple):
    """An endpoint, a body that it takes, and its caller's habits. `key_header` is how the caller says its key;
    `names_model` False: the model is not in the body's own `model`."""

    path: str
    body: dict[str, Any]
    key_header: str
    read: Callable[[httpx.Response], Refused]
    names_model: bool = True


def gemini_path(version: str, method: str = "generateContent", model: str = GEMINI) -> str:
    return f"/{version}/models/{model}:{method}"


MESSAGES_BODY = {"model": "claude-haiku-4-5", "messages": MESSAGE, "max_tokens": 50}
GENERATE_BODY = {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 50}}
QUOTED = {"model": "gpt-5.4-nano", "messages": MESSAGE, "max_tokens": 50}
STREAM = gemini_path("v1beta", "streamGenerateContent") + "?alt=sse"
TARGETS = {
    "responses": Target("/v1/responses", {"model": "gpt-5.4-nano", "input": "Hi"}, "authorization", read_openai),
    "messages": Target("/v1/messages", MESSAGES_BODY, "x-api-key", read_anthropic),
    "count_tokens": Target("/v1/messages/count_tokens", MESSAGES_BODY, "x-api-key", read_anthropic),
    "embeddings": Target(
        "/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hi"}, "authorization", read_openai
    ),
    "quotes": Target("/v1/price_quotes", {"endpoint": CHAT.path, "body": QUOTED}, "authorization", read_openai, False),
    "generate": Target(gemini_path("v1beta"), GENERATE_BODY, "x-goog-api-key", read_google, False),
    "generate v1": Target(gemini_path("v1"), GENERATE_BODY, "x-goog-api-key", read_google, False),
    "generate stream": Target(STREAM, GENERATE_BODY, "x-goog-api-key", read_google, False),
    "countTokens": Target(
        gemini_path("v1beta", "countTokens"), {"contents": CONTENTS}, "x-goog-api-key", read_google, False
    ),
    "countTokens v1": Target(
        gemini_path("v1", "countTokens"), {"contents": CONTENTS}, "x-goog-api-key", read_google, False
    ),
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", list(TARGETS))
NAMING = pytest.mark.parametrize("name", [name for name, one in TARGETS.items() if one.names_model])
TYPES = {
    read_openai: {400: "invalid_request_error", 401: "authentication_error", 404: "invalid_request_error",
                  405: "invalid_request_error", 413: "invalid_request_error"},
    read_anthropic: {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
                     405: "invalid_request_error", 413: "request_too_large"},
    read_google: {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 405: "UNIMPLEMENTED",
                  413: "INVALID_ARGUMENT"},
}  # fmt: skip


@pytest.fixture(scope="module")
def world(server_url: str, template_database: str, simulator: SimulatorProcess) -> Iterator[World]:
    with World(server_url, template_database, simulator) as made:
        made.put_other_vendors()
        yield made


@pytest.fixture(scope="module")
def gateway(world: World) -> GatewayProcess:
    return world.start_gateway(TOLLGATE_BODY_BYTES_MAX=str(LIMIT))


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with client(gateway) as opened:
        yield opened


def traces(world: World, tenant: Tenant) -> tuple[Any, ...]:
    """What a call leaves behind, at the provider too, where counts are only remembered."""
    wallet = world.wallet(tenant)
    latest = world.simulator.requests(limit=1)
    return (
        wallet["balance_nanos"],
        wallet["held_nanos"],
        world.database.one("SELECT count(*) FROM billing_hold"),
        latest[0]["id"] if latest else None,
    )


@pytest.fixture(autouse=True)
def _untouched(world: World, gateway: GatewayProcess, alice: Tenant) -> Iterator[None]:
    before, logged = traces(world, alice), len(gateway.log)
    yield
    assert traces(world, alice) == before
    assert "Traceback" not in gateway.log[logged:]


class Caller:
    """Alice, speaking to one endpoint as its clients do."""

    def __init__(self, http: httpx.Client, target: Target, key: str | None) -> None:
        self._http, self._target = http, target
        self.headers = {}
        if key is not None:
            bearer = target.key_header == "authorization"
            self.headers[target.key_header] = f"Bearer {key}".strip() if bearer else key

    def send(
        self, content: bytes, status: int, *, path: str | None = None, method: str = "POST"
    ) -> Refused:
        """The refusal that the body is answered with."""
        path = path or self._target.path
        answer = self._http.request(method, path, content=content, headers=self.headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"].startswith("call_")
        assert len(answer.content) < 2000
        refused = self._target.read(answer)
        assert refused.type == TYPES[self._target.read][status]
        assert refused.message
        return refused

    def refuse(self, status: int = 400, *, path: str | None = None, **changes: Any) -> Refused:
        """The refusal of the target's own body with these changes."""
        body = {**self._target.body, **changes}
        return self.send(json.dumps(body).encode(), status, path=path)


Calling = Callable[[str], Caller]


@pytest.fixture
def calling(http: httpx.Client, alice: Tenant) -> Calling:
    return lambda name: Caller(http, TARGETS[name], alice.key)


@EVERY
def test_without_a_good_key_nothing_is_said_but_that(
    http: httpx.Client, alice: Tenant, name: str
) -> None:
    target = TARGETS[name]
    body = json.dumps(target.body).encode()
    wrong = [
        alice.key + "x",
        "nonsense",
        "",
        alice.key[:-1] + ("a" if alice.key[-1] != "a" else "b"),
    ]
    # Below /v1 only its header tells Google's client.
    keys = wrong if "v1" in name.split() else [None, *wrong]
    said = {
        Caller(http, target, key).send(content, 401) for key in keys for content in (body, b"{")
    }
    assert len(said) == 1
    assert said.pop().code == "invalid_api_key"
    mark = "&" if "?" in target.path else "?"
    in_url = Caller(http, target, "").send(body, 401, path=f"{target.path}{mark}key={alice.key}")
    assert in_url.code == "invalid_api_key"


NOT_OBJECTS = [
    b"",
    b" ",
    b"{",
    b'{"model"',
    b"[]",
    b'"x"',
    b"null",
    b"5",
    b"a=b",
    b"\xff",
    b"[" * 50_000,
]


@EVERY
def test_a_body_that_is_no_json_object_is_refused(calling: Calling, name: str) -> None:
    for content in NOT_OBJECTS:
        assert calling(name).send(content, 400).code == "invalid_json"
    whole = json.dumps(TARGETS[name].body).encode()
    for content in (
        whole + b"x",
        whole[:-1],
        whole[:-1] + b',"a":NaN}',
        whole[:-1] + b',"a":1e400}',
    ):
        assert calling(name).send(content, 400).code == "invalid_json"


@EVERY
def test_a_name_given_twice_is_refused_by_name(calling: Calling, name: str) -> None:
    whole = json.dumps(TARGETS[name].body).encode()
    first = next(iter(TARGETS[name].body))
    for content, param in (
        (whole[:-1] + b',"%b":1}' % first.encode(), first),
        (whole[:-1] + b',"metadata":{"a":1,"a":2}}', "a"),
    ):
        refused = calling(name).send(content, 400)
        assert (refused.code, refused.param) == ("invalid_json", param)


@EVERY
def test_a_body_over_the_limit_is_refused(calling: Calling, name: str) -> None:
    refused = calling(name).refuse(413, padding="x" * LIMIT)
    assert refused.code == "request_too_large"
    assert str(LIMIT) in refused.message


@EVERY
def test_another_method_is_refused(calling: Calling, name: str) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        refused = calling(name).send(b"", 405, method=method)
        assert refused.code == "method_not_allowed"
        assert "POST" in refused.message
    # Below models, a name with a colon is one that no model has.
    status = 404 if "/models/" in TARGETS[name].path else 405
    calling(name).send(b"", status, method="GET")


@NAMING
@pytest.mark.parametrize("value", [None, "", 5, True, [], {}, ["gpt-5.4-nano"]], ids=str)
def test_a_model_that_is_none_is_refused_by_name(calling: Calling, name: str, value: Any) -> None:
    refused = calling(name).refuse(model=value)
    assert (refused.code, refused.param) == ("invalid_request_error", "model")


UNKNOWN = ["no-such-model", "GPT-5.4-NANO", "openai/", "x" * 5000, "a\x00b", "gpt-5.4-nano "]


@NAMING
@pytest.mark.parametrize("value", UNKNOWN, ids=lambda value: value[:20])
def test_an_unknown_model_is_not_found(calling: Calling, name: str, value: str) -> None:
    refused = calling(name).refuse(404, model=value)
    assert (refused.code, refused.param) == ("model_not_found", "model")


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize(
    "method", ["generateContent", "streamGenerateContent?alt=sse", "countTokens"]
)
def test_an_unknown_model_in_the_path_is_not_found(
    calling: Calling, version: str, method: str
) -> None:
    for model in ("no-such-model", "models%2Fgemini", "a%00b", "gemini-2.5-flash%20", "x" * 3000):
        path = gemini_path(version, method, model)
        assert calling("generate").refuse(404, path=path).code == "model_not_found"


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize(
    "method",
    [
        "nothing",
        "",
        "generatecontent",
        "batchGenerateContent",
        "embedContent",
        "generateContent:countTokens%20",
    ],
)
def test_an_unknown_method_is_not_found(calling: Calling, version: str, method: str) -> None:
    refused = calling("generate").refuse(404, path=gemini_path(version, method))
    assert refused.code == "not_found"
    calling("generate").refuse(404, path=f"/{version}/models/{GEMINI}")


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize(
    "query", ["", "?alt=json", "?alt=", "?alt=SSE", "?alt=sse&alt=json", "?alt=sse&alt=sse"]
)
def test_a_stream_of_another_kind_is_refused(calling: Calling, version: str, query: str) -> None:
    path = gemini_path(version, "streamGenerateContent") + query
    assert calling("generate").refuse(path=path).param == "alt"


MISMATCHES = [
    ("responses", {"model": "text-embedding-3-small"}, None, ["/v1/embeddings"]),
    ("messages", {"model": "gpt-5.4-nano"}, None, ["/v1/chat/completions", "/v1/responses"]),
    ("messages", {"model": GEMINI}, None, ["/v1/chat/completions", "generateContent"]),
    ("count_tokens", {"model": "gpt-5.4-nano"}, None, ["/v1/chat/completions", "/v1/responses"]),
    ("embeddings", {"model": "gpt-5.4-nano"}, None, ["/v1/chat/completions", "/v1/responses"]),
    ("embeddings", {"model": "claude-haiku-4-5"}, None, ["/v1/chat/completions", "/v1/messages"]),
    ("generate", {}, gemini_path("v1beta", model="gpt-5.4-nano"), ["/v1/chat/completions", "/v1/responses"]),
    ("generate v1", {}, gemini_path("v1", model="claude-haiku-4-5"), ["/v1/chat/completions", "/v1/messages"]),
    ("countTokens", {}, gemini_path("v1beta", "countTokens", "gpt-5.4-nano"), ["/v1/chat/completions"]),
    ("quotes", {"body": {**QUOTED, "model": "text-embedding-3-small"}}, None, ["/v1/embeddings"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "path", "right"), MISMATCHES)
def test_a_model_of_another_endpoint_is_refused_with_the_right_paths(
    calling: Calling, name: str, changes: dict[str, Any], path: str | None, right: list[str]
) -> None:
    refused = calling(name).refuse(path=path, **changes)
    assert (refused.code, refused.param) == ("model_endpoint_mismatch", "model")
    hint = refused.message.partition("; use ")[2]
    assert all(known in hint for known in right), refused.message
    assert TARGETS[name].path not in hint


NO_COUNTS = [0, -1, 2**31, 1.5, "5", True, [], {}]
NO_FLAGS = ["true", 1, 0, [], {}]
WRONG_TYPES: list[tuple[str, str, list[Any]]] = [
    ("responses", "input", [None, "", [], {}, 5, True]),
    ("responses", "max_output_tokens", NO_COUNTS),
    ("responses", "stream", NO_FLAGS),
    ("responses", "background", NO_FLAGS),
    ("responses", "previous_response_id", [5, True, [], {}]),
    ("responses", "tools", [5, "x", {}, True]),
    ("responses", "service_tier", ["gold", "FLEX", 5, True, [], {}]),
    ("messages", "messages", [None, "", [], {}, 5, "hi", True]),
    ("messages", "max_tokens", [None, *NO_COUNTS]),
    ("messages", "stream", NO_FLAGS),
    ("messages", "tools", [5, "x", {}, True]),
    ("messages", "service_tier", ["gold", "priority", 5, True, [], {}]),
    ("embeddings", "input", [None, "", [], {}, 5, True]),
    ("embeddings", "stream", [True, 1, "x"]),
    ("quotes", "endpoint", [None, "", 5, [], {}, "/v1/embeddings/"]),
    ("quotes", "body", [None, "", 5, [], True]),
    *((name, "contents", [None, "", [], {}, 5, "hi", True]) for name in ("generate", "generate v1", "generate stream")),
    ("generate", "generationConfig", [5, "x", [], True]),
    ("generate", "tools", [5, "x", {}, True]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "values"), WRONG_TYPES)
def test_a_field_that_cannot_be_understood_is_refused_by_name(
    calling: Calling, name: str, field: str, values: list[Any]
) -> None:
    for value in values:
        refused = calling(name).refuse(**{field: value})
        assert refused.param == field, value
        without = {key: one for key, one in TARGETS[name].body.items() if key != field}
        if None in values:
            assert calling(name).send(json.dumps(without).encode(), 400).param == field


CONFIGS: list[tuple[str, Any]] = [
    *(("maxOutputTokens", value) for value in NO_COUNTS),
    *(("candidateCount", value) for value in (0, 9, -1, "1", 1.5, True)),
    *(("responseModalities", value) for value in (5, "TEXT", {})),
]


def test_an_option_of_generate_is_refused_by_name_in_either_spelling(calling: Calling) -> None:
    for field, value in CONFIGS:
        for name in ("generate", "generate v1", "generate stream"):
            assert calling(name).refuse(generationConfig={field: value}).param == field
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)
        only_snake = {"contents": CONTENTS, "generation_config": {snake: value}}
        assert calling("generate").send(json.dumps(only_snake).encode(), 400).param == field
    both = calling("generate").refuse(generation_config={"maxOutputTokens": 5})
    assert both.param == "generationConfig"


def text(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part]}]


TOOLS = "tools[0].type"
UNMETERED: list[tuple[str, dict[str, Any], str]] = [
    ("responses", {"background": True}, "background"),
    ("responses", {"conversation": "conv_1"}, "conversation"),
    ("responses", {"prompt": {"id": "pmpt_1"}}, "prompt"),
    *(
        ("responses", {"tools": [{"type": kind}]}, TOOLS)
        for kind in ("file_search", "code_interpreter", "image_generation", "mcp")
    ),
    ("responses", {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, TOOLS),
    ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ("responses", {"input": text({"type": "input_file", "file_id": "file-1"})}, "input.content.file_id"),
    ("messages", {"speed": "fast"}, "speed"),
    ("messages", {"inference_geo": "us"}, "inference_geo"),
    ("messages", {"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
    ("messages", {"fallbacks": ["claude-opus-5"]}, "fallbacks"),
    *(
        ("messages", {"tools": [{"type": kind, "name": "t"}]}, TOOLS)
        for kind in ("web_search_20250305", "code_execution_20250825", "web_fetch_20250910", "mcp_toolset")
    ),
    ("messages", {"messages": text({"type": "document", "source": {"type": "file", "file_id": "f"}})},
     "messages.content.source.file_id"),
    *(
        ("generate", {"tools": [{spelling: {}}]}, f"tools[0].{kind}")
        for kind, snake in (("googleSearch", "google_search"), ("urlContext", "url_context"),
                            ("codeExecution", "code_execution"), ("fileSearch", "file_search"),
                            ("googleMaps", "google_maps"))
        for spelling in (kind, snake)
    ),
    ("generate", {"cachedContent": "cachedContents/1"}, "cachedContent"),
    ("generate", {"cached_content": "cachedContents/1"}, "cachedContent"),
    ("generate", {"contents": [{"parts": [{"fileData": {"fileUri": "x"}}]}]}, "contents.parts.fileData"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "param"), UNMETERED, ids=str)
def test_what_cannot_be_metered_is_refused_by_its_field(
    calling: Calling, name: str, changes: dict[str, Any], param: str
) -> None:
    names = [name, "generate v1", "generate stream"] if name == "generate" else [name]
    for one in names:
        refused = calling(one).refuse(**changes)
        assert (refused.code, refused.param) == ("unsupported_parameter", param)


FOREIGN = [
    "base_url",
    "api_base",
    "api_key",
    "api_version",
    "custom_llm_provider",
    "extra_headers",
    "usage",
    "cost",
]


@EVERY
def test_nobody_chooses_his_own_provider_credential_or_bill(calling: Calling, name: str) -> None:
    for field in FOREIGN:
        for value in ("http://127.0.0.1:1/v1", None, {}):
            if name == "quotes":
                refused = calling(name).refuse(body={**QUOTED, field: value})
            else:
                refused = calling(name).refuse(**{field: value})
            assert (refused.code, refused.param) == ("unsupported_parameter", field)


def test_after_all_of_it_the_ledger_is_sound(world: World, alice: Tenant) -> None:
    assert {record["status"] for record in world.records(alice)} == {"refused"}
    world.audit()
