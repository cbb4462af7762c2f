"""What a caller sees of a provider's failures: what concerns him, in OpenAI's envelope, and no charge. Of the
provider's credentials and accounts he sees nothing."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.flows.canned import (
    CANNED_CREDENTIAL,
    CANNED_MODEL,
    USAGE,
    ask,
    chat,
    chunk,
    completion,
    record_of,
)
from tests.gateway.far_end import ThreadedFarEnd, head, stream, threaded_far_end, whole
from tests.world import GatewayProcess, Tenant, World, client


@pytest.fixture(scope="module")
def canned(world: World) -> Iterator[ThreadedFarEnd]:
    """A provider that answers calls of CANNED_MODEL with the bytes it is given."""
    with threaded_far_end() as far:
        world.put_channel("deepseek", far.base_url, CANNED_CREDENTIAL, name="canned")
        yield far


@pytest.fixture(scope="module")
def gateway(world: World, canned: ThreadedFarEnd) -> GatewayProcess:
    return world.start_gateway()


@pytest.fixture(scope="module")
def seen() -> list[bytes]:
    """Everything that callers got, heads included."""
    return []


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant, seen: list[bytes]) -> Iterator[httpx.Client]:
    def remember(answer: httpx.Response) -> None:
        seen.append(repr(answer.headers.raw).encode() + answer.read())

    with client(gateway, alice) as opened:
        opened.event_hooks["response"].append(remember)
        yield opened


@pytest.fixture(scope="module")
def sdk(gateway: GatewayProcess, alice: Tenant) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.base_url, api_key=alice.key, max_retries=0) as made:
        yield made


@pytest.fixture(autouse=True)
def calm(gateway: GatewayProcess, world: World) -> Iterator[None]:
    """Failures of providers are ordinary: the process wrote no traceback during the test. Its channels are as good as
    new for the next one."""
    before = len(gateway.log)
    yield
    written = gateway.log[before:]
    assert "Traceback" not in written
    if "refuses our account" in written:
        world.renew_channels()


def failed(
    world: World, tenant: Tenant, answer: httpx.Response, status: str = "upstream_failed"
) -> dict[str, Any]:
    """The record of a failed call: nothing charged, nothing held."""
    record = record_of(world, tenant, answer)
    assert (record["status"], record["amount_nanos"], record["list_nanos"]) == (status, 0, 0)
    assert world.wallet(tenant)["held_nanos"] == 0
    return record


STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])


@STREAMED
@pytest.mark.parametrize("status", [400, 404, 405, 408, 409, 413, 415, 422, 429, 451])
def test_a_refusal_that_concerns_the_caller_keeps_its_status_and_words(
    world: World, http: httpx.Client, alice: Tenant, status: int, streamed: bool
) -> None:
    error = {
        "message": "Not like this.",
        "type": "some_type",
        "code": "some_code",
        "param": "messages[0]",
    }
    answer = chat(
        http, stream=streamed, simulate={"status": status, "error": error, "retry_after": 7}
    )
    assert answer.status_code == status
    assert answer.json() == {"error": error}
    assert answer.headers["retry-after"] == "7"
    assert failed(world, alice, answer)["error_code"] == "some_code"
    if status == 429:
        world.renew_channels()  # else the model rests for the seven seconds


@STREAMED
@pytest.mark.parametrize("status", [401, 402, 403, 407])
def test_a_refusal_that_concerns_our_own_account_is_a_502_without_its_words(
    world: World, http: httpx.Client, alice: Tenant, status: int, streamed: bool
) -> None:
    error = {"message": "Your account is out of credit.", "code": "billing_hard_limit_reached"}
    answer = chat(http, stream=streamed, simulate={"status": status, "error": error})
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_error"
    assert "credit" not in answer.text
    assert "billing" not in answer.text
    failed(world, alice, answer)


@STREAMED
@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 529, 599])
def test_a_failure_of_the_provider_is_a_502(
    world: World, http: httpx.Client, alice: Tenant, status: int, streamed: bool
) -> None:
    answer = chat(
        http, stream=streamed, simulate={"status": status, "error": {"message": "node-17 is down"}}
    )
    assert answer.status_code == 502
    assert answer.json()["error"]["type"] == "upstream_error"
    assert "node-17" not in answer.text
    failed(world, alice, answer)


ACCOUNT_DATA = [
    f"Bad key {CANNED_CREDENTIAL}.",
    "Rate limit reached in organization org-Ab12Cd34Ef56 on tokens per min.",
    "Project proj_Ab12Cd34Ef56 has no access.",
    "Wrong key sk-proj-Ab12Cd34Ef56Gh78.",
]


@pytest.mark.parametrize("message", ACCOUNT_DATA)
@pytest.mark.parametrize("where", ["refusal", "event"])
def test_the_words_of_a_refusal_are_passed_on_without_keys_and_account_data(
    canned: ThreadedFarEnd, gateway: GatewayProcess, alice: Tenant, message: str, where: str
) -> None:
    error = json.dumps({"error": {"message": message, "type": "requests", "code": "c"}}).encode()
    if where == "refusal":
        canned.answer_with(whole(error, status="429 Too Many Requests"))
    else:
        canned.answer_with(stream(chunk("Hi"), b"data: " + error + b"\n\n"))
    with client(gateway, alice) as http:
        answer = chat(http, CANNED_MODEL, stream=where == "event")
    secret = next(word for word in re.split(r"[ .]+", message) if "-" in word or "_" in word)
    assert secret not in answer.text
    assert message.split()[0] in answer.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"Too long."}', "Too long."),
        (b'{"error":{"message":"Too long."}}', "Too long."),
        (
            b'[{"error":{"message":"Too long.","code":400,"status":"INVALID_ARGUMENT"}}]',
            "Too long.",
        ),
        (b'{"error":{"message":5}}', "status 400"),
        (b'{"message":"Too long."}', "Too long."),
        (b'{"detail":"Too long."}', "status 400"),
        (b"<html>Bad Request</html>", "status 400"),
        (b"", "status 400"),
        (b'{"error":{"message":"\\ud83d"}}', "status 400"),
        (b'{"error":' + b"[" * 50_000, "status 400"),
    ],
)
def test_a_refusal_in_any_shape_is_put_into_the_envelope(
    canned: ThreadedFarEnd, http: httpx.Client, body: bytes, message: str
) -> None:
    canned.answer_with(whole(body, status="400 Bad Request"))
    answer = chat(http, CANNED_MODEL)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_number_as_a_code_is_kept(http: httpx.Client) -> None:
    answer = chat(http, simulate={"status": 422, "error": {"message": "No.", "code": 1301}})
    assert str(answer.json()["error"]["code"]) == "1301"


@STREAMED
@pytest.mark.parametrize("script", [{"html": True}, {"body_error_200": True}])
def test_a_200_that_is_no_answer_is_a_502(
    world: World, http: httpx.Client, alice: Tenant, script: dict[str, bool], streamed: bool
) -> None:
    answer = chat(http, stream=streamed, simulate=script)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_error"
    failed(world, alice, answer)


@STREAMED
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices":null}',
        b"OK",
        b'{"choices":[',
        b"\xff",
        completion()[:-1],
    ],
)
def test_a_200_with_a_body_that_is_no_completion_is_a_502(
    world: World,
    canned: ThreadedFarEnd,
    http: httpx.Client,
    alice: Tenant,
    body: bytes,
    streamed: bool,
) -> None:
    canned.answer_with(whole(body))
    answer = chat(http, CANNED_MODEL, stream=streamed)
    assert answer.status_code == 502
    failed(world, alice, answer)


@pytest.mark.parametrize(
    "status", ["204 No Content", "201 Created", "302 Found", "307 Temporary Redirect", "304 Same"]
)
def test_any_other_status_is_a_502(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant, status: str
) -> None:
    canned.answer_with(head(status, "location: http://127.0.0.1:1/", "content-length: 0"))
    answer = chat(http, CANNED_MODEL)
    assert answer.status_code == 502
    failed(world, alice, answer)


@pytest.mark.parametrize("sent_before", [0, 3])
def test_an_error_event_is_the_last_event_and_the_call_is_free(
    world: World, http: httpx.Client, alice: Tenant, sent_before: int
) -> None:
    error = {"message": "Overloaded.", "type": "server_error", "code": "overloaded"}
    script = {"error_event_after_chunks": sent_before, "error": error}
    answer = chat(http, stream=True, simulate=script)
    assert answer.status_code == 200
    events = answer.text.strip().split("\n\n")
    last = json.loads(events[-1].removeprefix("data: "))
    assert (last["error"]["message"], last["error"]["code"]) == ("Overloaded.", "overloaded")
    assert sum('"error"' in event for event in events) == 1
    assert len(events) == 1 + sent_before + 1
    assert "[DONE]" not in answer.text
    failed(world, alice, answer)


def test_an_error_event_before_anything_else_is_a_502(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant
) -> None:
    canned.answer_with(stream(b'data: {"error":{"message":"Overloaded."}}\n\n'))
    answer = chat(http, CANNED_MODEL, stream=True)
    assert (answer.status_code, answer.json()["error"]["message"]) == (502, "Overloaded.")
    failed(world, alice, answer)


@pytest.mark.parametrize(
    "script", [{"truncate_after_chunks": 4}, {"reset_after_chunks": 4}], ids=str
)
def test_a_stream_that_breaks_off_ends_in_an_error_event_and_is_free(
    world: World, http: httpx.Client, alice: Tenant, script: dict[str, int]
) -> None:
    answer = chat(http, stream=True, simulate={"output_tokens": 40, **script})
    assert answer.status_code == 200
    events = answer.text.strip().split("\n\n")
    assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "upstream_error"
    assert len(events) == 1 + 4 + 1
    record = failed(world, alice, answer)
    assert record["output_tokens"] == 4
    assert record["error_code"] == "upstream_error"


def test_a_stream_that_breaks_off_raises_in_the_official_client(sdk: openai.OpenAI) -> None:
    for script in (
        {"truncate_after_chunks": 2},
        {"reset_after_chunks": 2},
        {"error_event_after_chunks": 2},
    ):
        with pytest.raises(openai.APIError):
            list(ask(sdk, stream=True, extra_body={"simulate": {"output_tokens": 40, **script}}))


def test_a_stream_of_two_choices_that_breaks_off_after_the_first_is_free(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant
) -> None:
    second = chunk("b").replace(b'"index": 0', b'"index": 1')
    canned.answer_with(stream(chunk("a"), second, chunk(None, "stop"), second))
    answer = chat(http, CANNED_MODEL, stream=True, n=2)
    assert '"error"' in answer.text
    failed(world, alice, answer)


@pytest.mark.parametrize(
    "script", [{"truncate_after_chunks": 0}, {"reset_after_chunks": 0}], ids=str
)
def test_a_plain_answer_that_breaks_off_is_a_502_and_free(
    world: World, http: httpx.Client, alice: Tenant, script: dict[str, int]
) -> None:
    answer = chat(http, simulate=script)
    assert answer.status_code == 502
    failed(world, alice, answer)


def test_a_stream_without_done_after_its_finish_is_complete(
    world: World, http: httpx.Client, alice: Tenant
) -> None:
    answer = chat(http, stream=True, simulate={"no_done": True, "output_tokens": 5})
    assert "[DONE]" not in answer.text
    assert '"error"' not in answer.text
    record = record_of(world, alice, answer)
    assert (record["status"], record["output_tokens"], record["basis"]) == (
        "completed",
        5,
        "reported",
    )
    assert record["amount_nanos"] > 0


NO_REPORT: list[dict[str, Any]] = [
    {"no_usage": True},
    {"usage": None},
    {"usage": {"prompt_tokens": -5, "completion_tokens": -1}},
    {"usage": "12 tokens"},
    {"usage": []},
    {"usage": {}},
    {"usage": {"prompt_tokens": "5", "completion_tokens": 1}},
    {"usage": {"prompt_tokens": 1.5, "completion_tokens": 1}},
    {
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 9},
        }
    },
    {"usage": {"prompt_tokens": 10**15, "completion_tokens": 1}},
]


@STREAMED
@pytest.mark.parametrize("script", NO_REPORT, ids=json.dumps)
def test_without_a_report_that_can_be_true_the_charge_is_estimated_and_says_so(
    world: World, http: httpx.Client, alice: Tenant, script: dict[str, Any], streamed: bool
) -> None:
    answer = chat(http, stream=streamed, simulate={"answer_tokens": 40, **script})
    assert answer.status_code == 200
    record = record_of(world, alice, answer)
    assert (record["status"], record["basis"]) == ("completed", "estimated")
    assert 20 <= record["output_tokens"] <= 80
    assert 0 < record["amount_nanos"] <= record["hold_nanos"]
    with_basis = http.get(f"/v1/calls/{answer.headers['x-request-id']}").json()
    assert with_basis["usage"]["basis"] == "estimated"


@STREAMED
def test_a_report_of_zero_is_believed_and_free(
    world: World, http: httpx.Client, alice: Tenant, streamed: bool
) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    answer = chat(http, stream=streamed, simulate={"usage": usage})
    record = record_of(world, alice, answer)
    assert (record["status"], record["amount_nanos"], record["basis"]) == (
        "completed",
        0,
        "reported",
    )


@pytest.mark.parametrize(
    "odd", [5, True, "x", {"a": 1}, [5, None, {"function": 5}]], ids=json.dumps
)
def test_tool_calls_of_an_unknown_shape_pass_and_are_billed(
    world: World, canned: ThreadedFarEnd, http: httpx.Client, alice: Tenant, odd: Any
) -> None:
    choices = [{"message": {"content": "Hi", "tool_calls": odd}, "finish_reason": "stop"}]
    for usage in (USAGE, None):
        canned.answer_with(whole(completion(choices=choices, usage=usage)))
        answer = chat(http, CANNED_MODEL)
        assert answer.status_code == 200, answer.text
        assert record_of(world, alice, answer)["status"] == "completed"


# The provider's credential.


def test_a_credential_that_cannot_be_sent_is_written_nowhere(fresh_world: World) -> None:
    # Pasted with its line end, as happens: it is no header then, and the reason must not quote it.
    secret = "sk-pasted-77c1\n"
    fresh_world.put_channel("deepseek", "http://127.0.0.1:1/v1", secret, name="pasted")
    tenant = fresh_world.add_tenant("Alice", balance="1")
    gateway = fresh_world.start_gateway()
    with client(gateway, tenant) as http:
        answer = chat(http, CANNED_MODEL)
    assert answer.status_code == 502
    [record] = fresh_world.records(tenant)
    assert "sk-pasted" not in json.dumps(record["attempts"])
    assert "sk-pasted" not in answer.text + gateway.log


def test_the_providers_credentials_appear_in_no_answer_no_record_and_no_log(
    world: World, gateway: GatewayProcess, http: httpx.Client, alice: Tenant, seen: list[bytes]
) -> None:
    chat(http, simulate={"status": 401})
    records = repr(world.database.query("SELECT * FROM gateway_callrecord"))
    assert len(seen) > 100
    for credential in (world.simulator.api_key, CANNED_CREDENTIAL):
        assert not [answer for answer in seen if credential.encode() in answer]
        assert credential not in records
        assert credential not in gateway.log
    assert alice.key not in gateway.log


def test_after_all_of_it_the_ledger_is_sound(world: World, http: httpx.Client) -> None:
    assert chat(http).status_code == 200
    world.audit()
