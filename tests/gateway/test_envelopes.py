"""Errors in the words of each dialect, as its own client library understands them."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

from gateway.envelopes import (
    GOOGLE_STATUSES,
    Envelope,
    anthropic_envelope,
    anthropic_event,
    data_event,
    google_envelope,
    openai_envelope,
    responses_event,
)
from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    MethodNotAllowed,
    NotFound,
    PaymentRequired,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimedOut,
)

BAD = BadRequest("'n' must be an integer.", param="n")
BUSY = Unavailable("Try again.", code="no_channel_available")
MESSAGES: Any = [{"role": "user", "content": "Hi"}]


def refused_by_upstream(status: int) -> UpstreamRefused:
    return UpstreamRefused(status, "No.", code="content_refused", type_=None, param=None)


ERRORS = [
    (BAD, "invalid_request_error", "INVALID_ARGUMENT"),
    (Unauthorized(), "authentication_error", "UNAUTHENTICATED"),
    (PaymentRequired("No."), "billing_error", "FAILED_PRECONDITION"),
    (Forbidden("No."), "permission_error", "PERMISSION_DENIED"),
    (NotFound("No."), "not_found_error", "NOT_FOUND"),
    (MethodNotAllowed(["GET"]), "invalid_request_error", "UNIMPLEMENTED"),
    (refused_by_upstream(409), "invalid_request_error", "ABORTED"),
    (TooLarge("No."), "request_too_large", "INVALID_ARGUMENT"),
    (refused_by_upstream(422), "invalid_request_error", "INVALID_ARGUMENT"),
    (refused_by_upstream(418), "invalid_request_error", "INVALID_ARGUMENT"),
    (RateLimited("No.", retry_after_s=1), "rate_limit_error", "RESOURCE_EXHAUSTED"),
    (GatewayError("No."), "api_error", "INTERNAL"),
    (UpstreamFailed("No."), "api_error", "UNAVAILABLE"),
    (BUSY, "overloaded_error", "UNAVAILABLE"),
    (UpstreamTimedOut("No."), "timeout_error", "DEADLINE_EXCEEDED"),
]


def answering(body: bytes, *, status: int = 200, stream: bool = False) -> httpx2.Client:
    """A client library's way to a server that answers with that body."""
    kind = "text/event-stream" if stream else "application/json"

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": kind}, content=body)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_client(body: bytes, **answer: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="tg", max_retries=0, http_client=answering(body, **answer))


def anthropic_client(body: bytes, **answer: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="tg", max_retries=0, http_client=answering(body, **answer))


def google_client(body: bytes, **answer: Any) -> genai.Client:
    options = google_types.HttpOptions(httpx_client=answering(body, **answer))
    return genai.Client(api_key="tg", http_options=options)


def test_openais_envelope_has_its_four_fields_and_no_more() -> None:
    assert json.loads(openai_envelope(BAD, "call_1")) == {
        "error": {
            "message": "'n' must be an integer.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request_error",
        }
    }
    assert json.loads(openai_envelope(BUSY, "call_1")) == {
        "error": {
            "message": "Try again.",
            "type": "service_unavailable",
            "param": None,
            "code": "no_channel_available",
        }
    }


def test_anthropics_envelope_names_its_own_type_and_keeps_our_code() -> None:
    assert json.loads(anthropic_envelope(BUSY, "call_1")) == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "Try again.",
            "code": "no_channel_available",
            "param": None,
        },
        "request_id": "call_1",
    }


def test_googles_envelope_gives_our_code_as_the_reason() -> None:
    assert json.loads(google_envelope(BAD, "call_1")) == {
        "error": {
            "code": 400,
            "message": "'n' must be an integer.",
            "status": "INVALID_ARGUMENT",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "invalid_request_error",
                    "domain": "tollgate",
                    "metadata": {"request_id": "call_1", "param": "n"},
                }
            ],
        }
    }


def test_googles_envelope_without_a_code_gives_the_type_and_no_empty_field() -> None:
    error = UpstreamRefused(418, "No.", code=None, type_="teapot", param=None)
    detail = json.loads(google_envelope(error, "call_1"))["error"]["details"][0]
    assert detail["reason"] == "teapot"
    assert detail["metadata"] == {"request_id": "call_1"}


@pytest.mark.parametrize(("error", "anthropic_type", "google_status"), ERRORS)
def test_every_status_has_a_word_in_every_dialect(
    error: GatewayError, anthropic_type: str, google_status: str
) -> None:
    said = json.loads(anthropic_envelope(error, "call_1"))["error"]
    assert (said["type"], said["message"]) == (anthropic_type, error.message)
    said = json.loads(google_envelope(error, "call_1"))["error"]
    assert (said["code"], said["status"]) == (error.status, google_status)


def test_every_status_of_ours_is_among_googles() -> None:
    kinds = GatewayError.__subclasses__()
    assert {kind.status for kind in kinds if kind is not UpstreamRefused} <= set(GOOGLE_STATUSES)


@pytest.mark.parametrize("envelope", [openai_envelope, anthropic_envelope, google_envelope])
def test_no_text_of_a_message_can_end_an_event_early(envelope: Envelope) -> None:
    error = UpstreamFailed('a\n\ndata: [DONE]\r\n\r\nb \u2028 ✓ "quoted"')
    body = envelope(error, "call_1")
    assert b"\n" not in body
    assert b"\r" not in body
    assert json.loads(body)["error"]["message"] == error.message


@pytest.mark.parametrize("end", [anthropic_event, responses_event])
def test_a_named_event_is_one_name_and_one_line_of_data(end: Callable[..., bytes]) -> None:
    event = end(UpstreamFailed("a\n\nb"), 3)
    name, data, rest = event.split(b"\n", 2)
    assert (name, data[:6], rest) == (b"event: error", b"data: ", b"\n")


def test_openais_library_raises_the_error_of_an_answer() -> None:
    client = openai_client(openai_envelope(PaymentRequired("Empty."), "call_1"), status=402)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.code) == (402, "insufficient_credits")
    assert "Empty." in caught.value.message


def test_openais_library_raises_the_error_of_a_chat_stream() -> None:
    client = openai_client(data_event(openai_envelope(BUSY, "call_1")), stream=True)
    stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert (caught.value.message, caught.value.code) == ("Try again.", "no_channel_available")


def test_openais_library_raises_the_error_of_a_responses_stream() -> None:
    client = openai_client(responses_event(BUSY, 3), stream=True)
    with pytest.raises(openai.APIError) as caught:
        list(client.responses.create(model="m", input="Hi", stream=True))
    assert (caught.value.message, caught.value.code) == ("Try again.", "no_channel_available")


def test_the_error_of_a_responses_stream_is_openais_event_too() -> None:
    data = json.loads(responses_event(BAD, 3).split(b"data: ")[1])
    event = openai.types.responses.ResponseErrorEvent.model_validate(data, strict=True)
    assert (event.type, event.sequence_number, event.param) == ("error", 3, "n")
    assert (event.message, event.code) == (BAD.message, BAD.code)


def test_anthropics_library_raises_the_error_of_an_answer() -> None:
    client = anthropic_client(anthropic_envelope(Unauthorized(), "call_1"), status=401)
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client.messages.create(model="m", max_tokens=9, messages=MESSAGES)
    assert caught.value.body["error"]["code"] == "invalid_api_key"  # type: ignore[index]


def test_anthropics_library_raises_the_error_of_a_stream() -> None:
    client = anthropic_client(anthropic_event(BUSY, "call_1"), stream=True)
    stream = client.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True)
    with pytest.raises(anthropic.APIStatusError) as caught:
        list(stream)
    assert caught.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]


def test_googles_library_raises_the_error_of_an_answer() -> None:
    client = google_client(google_envelope(PaymentRequired("Empty."), "call_1"), status=402)
    with pytest.raises(google_errors.ClientError) as caught:
        client.models.generate_content(model="m", contents="Hi")
    assert (caught.value.code, caught.value.status) == (402, "FAILED_PRECONDITION")
    assert caught.value.message == "Empty."


def test_googles_library_raises_the_error_of_a_stream() -> None:
    client = google_client(data_event(google_envelope(BUSY, "call_1")), stream=True)
    with pytest.raises(google_errors.APIError) as caught:
        list(client.models.generate_content_stream(model="m", contents="Hi"))
    assert (caught.value.code, caught.value.message) == (503, "Try again.")
