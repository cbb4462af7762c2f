"""POST /mcp as it goes over the wire: who may, what is refused and in which words, and what is left behind."""

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from billing.money import parse_usd
from tests.flows.mcp_clients import call_message, fail_tool, post, read_error, use_tool, with_agent
from tests.world import GatewayProcess, Tenant, World

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PICTURE = {"action": "text_to_image", "model": "gpt-image-2", "prompt": "A heron"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def result_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["result"]
    return result


@pytest.mark.parametrize("key", [None, "x", "nonsense", "tollgate-v1-aaaaaaaaaaaa-" + "b" * 40])
def test_without_a_good_key_nothing_is_answered(gateway: GatewayProcess, key: str | None) -> None:
    for message in (INITIALIZE, LIST, call_message("list_models", {}), b"not even JSON"):
        answer = post(gateway, key, message)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="tollgate"'
        assert answer.json()["error"]["code"] == "invalid_api_key"


def test_the_other_headers_of_a_key_are_good_too(gateway: GatewayProcess, alice: Tenant) -> None:
    for header in ("x-api-key", "x-goog-api-key"):
        message = call_message("get_balance", {})
        result = result_of(post(gateway, None, message, **{header: alice.key}))
        assert result["structuredContent"]["currency"] == "USD"


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_every_version_with_a_handshake_is_agreed_to(
    gateway: GatewayProcess, alice: Tenant, version: str
) -> None:
    message = {**INITIALIZE, "params": {**INITIALIZE["params"], "protocolVersion": version}}
    answer = post(gateway, alice.key, message)
    assert result_of(answer)["protocolVersion"] == version
    assert "mcp-session-id" not in answer.headers
    assert answer.headers["x-request-id"].startswith("call_")
    tools = post(gateway, alice.key, LIST, **{"mcp-protocol-version": version})
    assert len(result_of(tools)["tools"]) == 10


def test_an_unknown_version_is_told_which_there_are(gateway: GatewayProcess, alice: Tenant) -> None:
    answer = post(gateway, alice.key, LIST, **{"mcp-protocol-version": "2031-01-01"})
    assert answer.status_code == 400
    assert "error" in answer.json()
    message = {**INITIALIZE, "params": {**INITIALIZE["params"], "protocolVersion": "2031-01-01"}}
    assert result_of(post(gateway, alice.key, message))["protocolVersion"] == "2025-11-25"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_streams_and_sessions_are_not_offered(
    gateway: GatewayProcess, alice: Tenant, method: str
) -> None:
    headers = {"authorization": f"Bearer {alice.key}", "accept": "text/event-stream"}
    answer = httpx.request(method, f"{gateway.root}/mcp", headers=headers, trust_env=False)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_notifications_are_taken_without_an_answer(gateway: GatewayProcess, alice: Tenant) -> None:
    for name in ("initialized", "cancelled"):
        message = {"jsonrpc": "2.0", "method": f"notifications/{name}", "params": {"requestId": 1}}
        answer = post(gateway, alice.key, message)
        assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b"7", "object"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', "Batches"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","id":2}', "id"),
        (b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', "JSON"),
        (b"[" * 100_000, "Batches"),
        (b'{"a":' * 100_000, "deeply"),
        (b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}', ""),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', ""),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', "'id'"),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', ""),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}x', "JSON"),
    ],
)
def test_what_is_no_message_is_refused_in_words(
    gateway: GatewayProcess, alice: Tenant, body: bytes, words: str
) -> None:
    answer = post(gateway, alice.key, body)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"name": 7},
        {"name": "no_such_tool"},
        {"name": "get_balance", "arguments": []},
        {"name": "get_balance", "arguments": "x"},
        [1],
    ],
)
def test_a_call_of_no_tool_is_an_error_of_the_protocol(
    gateway: GatewayProcess, alice: Tenant, params: Any
) -> None:
    message = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params}
    answer = post(gateway, alice.key, message)
    assert answer.status_code in (200, 400)
    assert answer.json()["error"]["code"] in (-32602, -32600)
    assert "Traceback" not in answer.text
    if isinstance(params, dict) and params.get("name") == "no_such_tool":
        assert "get_balance" in answer.json()["error"]["message"]


def test_an_unknown_method_is_said_to_be_unknown(gateway: GatewayProcess, alice: Tenant) -> None:
    for method in ("resources/list", "sampling/createMessage", "nonsense"):
        message = {"jsonrpc": "2.0", "id": 3, "method": method, "params": {}}
        assert post(gateway, alice.key, message).json()["error"]["code"] == -32601


def test_a_body_that_is_too_large_is_not_read(gateway: GatewayProcess, alice: Tenant) -> None:
    arguments = {**PICTURE, "prompt": "x" * (4 * 1024 * 1024)}
    answer = post(gateway, alice.key, call_message("create_image_task", arguments))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("tool", "arguments", "param", "words"),
    [
        ("get_balance", {"of": "Bob"}, None, "unknown field `of`"),
        ("get_task", {}, None, "task_id"),
        ("get_task", {"task_id": 7}, "task_id", "`str`"),
        ("get_task", {"task_id": ""}, "task_id", "length"),
        ("get_prices", {"models": []}, "models", "length"),
        ("get_prices", {"models": [7]}, "models[0]", "`str`"),
        ("list_models", {"kind": "sound"}, "kind", "sound"),
        ("list_models", {"limit": 0}, "limit", ">= 1"),
        ("list_tasks", {"limit": 1000}, "limit", "<= 100"),
        ("list_tasks", {"after": "call_1"}, "after", "id of a task"),
        ("list_calls", {"since": "yesterday"}, "since", "time"),
        ("list_calls", {"model": "a\x00b"}, "model", ""),
        ("quote_price", {"endpoint": "/v1/me", "body": {}}, "endpoint", "one of"),
        ("quote_price", {"endpoint": "/v1/messages", "body": []}, "body", "`object`"),
        ("create_image_task", {**PICTURE, "prompt": ""}, "prompt", ""),
        ("create_image_task", {**PICTURE, "aspect_ratio": "7:8"}, "aspect_ratio", ""),
        ("create_image_task", {**PICTURE, "output_count": 99}, "output_count", ""),
        ("create_image_task", {**PICTURE, "upscale_factor": 2}, "upscale_factor", ""),
        ("create_image_task", {**PICTURE, "callback_url": "http://x"}, "callback_url", ""),
        ("create_image_task", {**PICTURE, "idempotency_key": "zwölf"}, "Idempotency-Key", ""),
        ("create_image_task", {**PICTURE, "idempotency_key": "a\r\nb: c"}, "Idempotency-Key", ""),
        ("create_image_task", {"action": "draw", "model": "x"}, "action", "draw"),
    ],
)
def test_bad_arguments_are_errors_that_name_the_field(
    gateway: GatewayProcess,
    alice: Tenant,
    tool: str,
    arguments: dict[str, Any],
    param: str | None,
    words: str,
) -> None:
    error = fail_tool(gateway, alice.key, tool, arguments)
    assert (error.status, error.param) == (400, param)
    assert error.code in ("invalid_request_error", "unsupported_parameter")
    assert words in error.message


@pytest.mark.parametrize(
    ("tool", "arguments", "status", "code"),
    [
        ("get_prices", {"models": ["gpt-5.5", "no/such"]}, 404, "model_not_found"),
        ("get_task", {"task_id": "tsk_1/../../me"}, 404, "task_not_found"),
        ("get_task", {"task_id": "%2e%2e/me?a=b#c"}, 404, "task_not_found"),
        ("cancel_task", {"task_id": "/"}, 404, "task_not_found"),
        ("get_call", {"call_id": "../me"}, 404, "call_not_found"),
        ("create_image_task", {**PICTURE, "model": "no/such"}, 404, "model_not_found"),
        ("create_image_task", {**PICTURE, "model": "gpt-5.5"}, 400, "model_endpoint_mismatch"),
    ],
)
def test_the_apis_own_errors_come_through(
    gateway: GatewayProcess,
    alice: Tenant,
    tool: str,
    arguments: dict[str, Any],
    status: int,
    code: str,
) -> None:
    error = fail_tool(gateway, alice.key, tool, arguments)
    assert (error.status, error.code) == (status, code)


def test_what_is_left_out_may_be_null(gateway: GatewayProcess, alice: Tenant) -> None:
    found = use_tool(gateway, alice.key, "list_models", search=None, provider="openai", kind=None)
    assert {model["provider"] for model in found["models"]} == {"openai"}


def test_the_same_order_with_another_input_is_a_conflict(
    gateway: GatewayProcess, world: World
) -> None:
    dora = world.add_tenant("Dora", balance="1")
    order = {**PICTURE, "idempotency_key": "once"}
    made = use_tool(gateway, dora.key, "create_image_task", **order)
    assert use_tool(gateway, dora.key, "create_image_task", **order)["task_id"] == made["task_id"]
    error = fail_tool(gateway, dora.key, "create_image_task", {**order, "prompt": "Another"})
    assert (error.status, error.code) == (409, "idempotency_conflict")
    assert world.wallet(dora)["held_nanos"] == parse_usd("0.06")


def test_a_pending_task_is_cancelled_and_its_hold_released(
    gateway: GatewayProcess, world: World
) -> None:
    """No worker runs here, so it stays pending."""
    fay = world.add_tenant("Fay", balance="1")
    made = use_tool(gateway, fay.key, "create_image_task", **PICTURE)
    assert world.wallet(fay)["held_nanos"] == parse_usd("0.06")
    pending = use_tool(gateway, fay.key, "list_tasks", status="pending")["data"]
    assert [task["task_id"] for task in pending] == [made["task_id"]]
    for _ in range(2):
        task = use_tool(gateway, fay.key, "cancel_task", task_id=made["task_id"])
        assert task["error"]["code"] == "cancelled"
        assert task["billing"]["refunded"] == "0.06"
    assert world.wallet(fay)["held_nanos"] == 0
    assert use_tool(gateway, fay.key, "list_tasks", status="pending")["data"] == []


def test_a_key_of_the_management_api_is_refused(gateway: GatewayProcess, world: World) -> None:
    ida = world.add_tenant("Ida", balance="1")
    world.database.query("UPDATE accounts_apikey SET purpose = 'manage' WHERE id = %s", ida.key_id)
    for message in (INITIALIZE, LIST, call_message("get_balance", {})):
        answer = post(gateway, ida.key, message)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_scope")


def test_prices_are_those_of_the_keys_own_group(
    gateway: GatewayProcess, world: World, charlie: Tenant
) -> None:
    hal = world.add_tenant("Hal", balance="1")
    with psycopg.connect(world.database.url) as connection:
        price = connection.execute(
            "INSERT INTO billing_price (model, group_id, effective_from, sell_bps, list_is_estimated, source)"
            " VALUES ('openai/gpt-5.5', %s, now() - interval '1 hour', 1000, false, '') RETURNING id",
            (hal.group_id,),
        ).fetchone()
        connection.execute(
            "INSERT INTO billing_pricerate (price_id, tier, above_input_tokens, bucket, list_nanos, per)"
            " VALUES (%s, 'standard', 0, 'input', 7000000000, 1000000)",
            price,
        )
    time.sleep(1.5)
    asked = {"models": ["gpt-5.5"]}
    own, others = (
        use_tool(gateway, tenant.key, "get_prices", **asked)["models"][0]["prices"]
        for tenant in (hal, charlie)
    )
    (prompt,) = own
    assert (prompt["list_price"], prompt["your_price"]) == ("0.000007", "0.0000007")
    assert others != own


def test_limits_of_the_key_hold_here_too(gateway: GatewayProcess, world: World) -> None:
    gus = world.add_tenant("Gus", balance="1")
    world.database.query(
        "UPDATE accounts_apikey SET allowed_models = %s WHERE id = %s",
        json.dumps(["openai/gpt-5.5"]),
        gus.key_id,
    )
    error = fail_tool(gateway, gus.key, "create_image_task", PICTURE)
    assert (error.status, error.code) == (403, "model_not_allowed")
    world.database.query(
        "UPDATE accounts_apikey SET allowed_networks = %s WHERE id = %s",
        json.dumps(["203.0.113.0/24"]),
        gus.key_id,
    )
    time.sleep(1.5)
    answer = post(gateway, gus.key, LIST)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ip_not_allowed")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"host": "evil.example"}, 403, "host_not_allowed"),
        ({"host": "localhost.evil.example:80"}, 403, "host_not_allowed"),
        ({"host": ""}, 403, "host_not_allowed"),
        ({"origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ({"origin": "null"}, 403, "origin_not_allowed"),
        ({"origin": "http://[evil"}, 403, "origin_not_allowed"),
        ({"origin": "http://localhost:1"}, 403, "origin_not_allowed"),
        ({"host": "localhost:80", "origin": "http://LOCALHOST:80"}, 200, None),
        ({"host": "localhost"}, 200, None),
    ],
)
def test_a_page_elsewhere_cannot_use_it(
    gateway: GatewayProcess, alice: Tenant, headers: dict[str, str], status: int, code: str | None
) -> None:
    answer = post(gateway, alice.key, LIST, **headers)
    assert answer.status_code == status, answer.text
    if code is not None:
        assert answer.json()["error"]["code"] == code


def test_origins_that_the_operator_trusts_may(world: World, alice: Tenant) -> None:
    own = world.start_gateway(
        TOLLGATE_ALLOWED_HOSTS="gate.example", TOLLGATE_TRUSTED_ORIGINS="https://app.example"
    )
    headers = {"host": "gate.example", "origin": "https://app.example"}
    assert post(own, alice.key, LIST, **headers).status_code == 200
    assert post(own, alice.key, LIST).status_code == 403


def test_what_is_not_accepted_is_said(gateway: GatewayProcess, alice: Tenant) -> None:
    assert post(gateway, alice.key, LIST, accept="text/html").status_code == 406
    body = json.dumps(LIST).encode()
    answer = post(gateway, alice.key, body, **{"content-type": "text/plain"})
    assert answer.status_code == 400
    assert post(gateway, alice.key, LIST, accept="application/json").status_code == 200


def test_requests_that_are_given_up_leave_nothing_behind(world: World, alice: Tenant) -> None:
    own = world.start_gateway()
    body = json.dumps(call_message("list_models", {"limit": 200})).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {alice.key}\r\n"
        f"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()

    def give_up(length: int) -> None:
        with socket.create_connection(("127.0.0.1", own.port)) as connection:
            connection.sendall((head + body)[:length])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(give_up, [len(head) + 5, len(head) + len(body)] * 100))
    # It stops at once, as only one does in which no request runs.
    began = time.monotonic()
    own.stop()
    assert time.monotonic() - began < 8
    assert "Traceback" not in own.log


def test_a_process_without_a_database_says_so(world: World, alice: Tenant) -> None:
    own = world.start_gateway(TOLLGATE_MONEY_TIMEOUT_S="1")
    assert post(own, alice.key, LIST).status_code == 200
    database = world.database
    database.query("ALTER TABLE gateway_task RENAME TO gateway_task_away")
    try:
        result = result_of(post(own, alice.key, call_message("list_tasks", {})))
    finally:
        database.query("ALTER TABLE gateway_task_away RENAME TO gateway_task")
    assert result["isError"]
    assert "structuredContent" not in result
    error = json.loads(result["content"][0]["text"])["error"]
    assert error["code"] == "internal_error"
    assert "gateway_task" not in json.dumps(result)


def test_parallel_calls_of_one_agent_are_all_answered(
    gateway: GatewayProcess, alice: Tenant
) -> None:
    async def many(agent: Any) -> list[Any]:
        return await asyncio.gather(
            *(agent.call_tool("get_task", {"task_id": f"tsk_{n:032x}"}) for n in range(50))
        )

    for number, result in enumerate(with_agent(gateway, alice.key, many)):
        assert f"tsk_{number:032x}" in read_error(result).message
