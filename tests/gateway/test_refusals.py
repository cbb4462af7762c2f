"""Providers' refusals in our words: what a caller is told, and what speaks of our own account."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, UpstreamFailed, UpstreamRefused
from gateway.refusals import error_fields, may_try_elsewhere, refusal_error
from tests.gateway.surfaces.streaming import JSON

OPENAI = {
    "error": {
        "message": "Unsupported value: 'temperature' does not support 2.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "unsupported_value",
    }
}
ANTHROPIC = {
    "type": "error",
    "error": {"type": "invalid_request_error", "message": "messages: at least one is required"},
    "request_id": "req_011",
}
GOOGLE = {
    "error": {
        "code": 400,
        "message": "Invalid value at 'contents'.",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest"}],
    }
}
MISTRAL = {
    "object": "error",
    "message": "Invalid model: x",
    "type": "invalid_model",
    "param": None,
    "code": "1500",
}
XAI = {"code": "Client specified an invalid argument", "error": "Model not found: x"}

# By vendor, a key in full or as the vendor masks it.
SECRETS = [
    "sk-proj-Ab12_cd-EF",
    "sk-abcdefghijklmnop",
    "sk-ant-api03-Ab12-cd_EF",
    "sk-abc***************xyz",
    "sk_live_abc",
    "xai-AbCd1234efgh",
    "gsk_AbCd1234",
    "AIzaSyA1b2-C3d4_E5",
    "AQ.Ab8RN6Ixxxxxxx-yyyy",
    "org-AbC123dEf",
    "proj_AbC123dEf",
    "user-AbC123dEf",
    "acct_1AbC123",
    "projects/123456789012",
]


def refuse(status: int, body: Any, retry_after_s: int | None = None) -> GatewayError:
    return refusal_error(status, msgspec.json.encode(body), retry_after_s)


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 429])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            OPENAI,
            (
                "Unsupported value: 'temperature' does not support 2.",
                "unsupported_value",
                "invalid_request_error",
                "temperature",
            ),
        ),
        (
            ANTHROPIC,
            ("messages: at least one is required", None, "invalid_request_error", None),
        ),
        (GOOGLE, ("Invalid value at 'contents'.", "400", "invalid_request_error", None)),
        ([GOOGLE], ("Invalid value at 'contents'.", "400", "invalid_request_error", None)),
        (MISTRAL, ("Invalid model: x", "1500", "invalid_model", None)),
        (XAI, ("Model not found: x", None, "invalid_request_error", None)),
    ],
)
def test_a_refusal_of_the_callers_request_keeps_its_status_and_words(
    status: int, body: Any, told: tuple[str | None, ...]
) -> None:
    error = refuse(status, body)
    assert isinstance(error, UpstreamRefused)
    assert (error.message, error.code, error.type, error.param) == told
    assert error.status == status


def test_how_long_to_wait_is_passed_on() -> None:
    assert (b"retry-after", b"7") in refuse(429, OPENAI, 7).headers()
    assert (b"retry-after", b"7") in refuse(503, OPENAI, 7).headers()


@pytest.mark.parametrize("status", [401, 402, 403, 407, 500, 502, 503, 529, 301, 204])
@pytest.mark.parametrize("body", [OPENAI, ANTHROPIC, GOOGLE])
def test_what_speaks_of_our_account_or_failed_says_nothing_of_its_reason(
    status: int, body: Any
) -> None:
    error = refuse(status, body)
    assert isinstance(error, UpstreamFailed)
    assert (error.status, error.code, error.param) == (502, "upstream_error", None)
    assert error.message == "The provider failed to answer."


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                }
            },
        ),
        (400, [{"error": {"message": "API key expired. Please renew the API key."}}]),
        (400, {"code": "x", "error": "Incorrect API key provided: xa***yz."}),
        (
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "Your credit balance is too low to access the Anthropic API.",
                },
            },
        ),
        (
            429,
            {
                "error": {
                    "message": "You exceeded your current quota, please check your plan and billing.",
                    "type": "insufficient_quota",
                    "code": "insufficient_quota",
                }
            },
        ),
    ],
)
def test_our_key_and_our_purse_are_masked_under_a_status_of_the_callers_too(
    status: int, body: Any
) -> None:
    error = refuse(status, body, 7)
    assert isinstance(error, UpstreamFailed)
    assert error.message == "The provider failed to answer."
    assert error.retry_after_s == 7


@pytest.mark.parametrize("secret", SECRETS)
def test_a_key_or_an_id_of_ours_is_cut_out_of_every_text(secret: str) -> None:
    texts = dict.fromkeys(("message", "code", "type", "param"), f"Not for '{secret}'.")
    assert error_fields({"error": texts}) == dict.fromkeys(texts, "Not for '…'.")


@pytest.mark.parametrize(
    "text",
    [
        "metadata.user_id: String should have at most 256 characters.",
        "Unknown parameter: 'prompt_cache_key'.",
        "'user_location' and 'key_name' and 'org_id' are unknown.",
        "The task-based model asks for project access; projects are many.",
        "max_tokens: 9000 > 8192 for claude-3-5-haiku-20241022.",
    ],
)
def test_names_of_fields_and_models_are_left_in(text: str) -> None:
    assert error_fields({"error": {"message": text}}) == {"message": text}


def test_a_text_without_end_is_cut() -> None:
    assert len(error_fields({"error": {"message": "x" * 9000}})["message"]) == 2000


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Request</html>", b'{"err', b"\xff", b"7", b"[]", b"[" * 100_000]
)
def test_a_refusal_without_words_names_its_status(body: bytes) -> None:
    error = refusal_error(422, body, None)
    assert (error.status, error.code) == (422, None)
    assert error.message == "The provider refused the request with status 422."


@given(JSON | st.dictionaries(st.sampled_from(["error", "message", "code", "type"]), JSON))
def test_no_refusal_whatever_its_shape_breaks_the_reader(body: Any) -> None:
    error = refuse(400, body)
    assert error.message
    for value in (*error_fields(body).values(), error.message):
        assert isinstance(value, str)


@pytest.mark.parametrize("message", [None, 7, True, "", ["No."], {"text": "No."}])
def test_a_message_that_is_no_text_is_none(message: Any) -> None:
    error = refuse(400, {"error": {"message": message, "code": "x"}})
    assert error.message == "The provider refused the request with status 400."
    assert error.code == "x"


@pytest.mark.parametrize("status", [401, 402, 403, 407, 429, 500, 502, 503, 504, 529])
def test_what_served_nothing_may_be_tried_elsewhere(status: int) -> None:
    assert may_try_elsewhere(status)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 408, 409, 413, 422, 501, 520])
def test_what_may_have_served_or_is_the_callers_fault_is_not_tried_elsewhere(status: int) -> None:
    assert not may_try_elsewhere(status)


def test_a_long_message_is_cut_before_it_is_searched() -> None:
    # Searched as a whole, 60 kB of this keep the process busy for seconds.
    began = time.thread_time()
    fields = error_fields({"error": {"message": "org-" * 15_000}})
    assert len(fields["message"]) <= 2000
    assert time.thread_time() - began < 1.0
