"""Errors in the words of each client dialect: the body of an answer, and the last event of a stream. Pure.

OpenAI and Anthropic: their API references, "Errors"; Google: google.rpc.Status as its Gemini API sends it.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.errors import GatewayError

Envelope = Callable[[GatewayError, str], bytes]
"""(error, request id) -> JSON."""

ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def openai_envelope(error: GatewayError, request_id: str) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return msgspec.json.encode({"error": _openai_fields(error)})


def anthropic_envelope(error: GatewayError, request_id: str) -> bytes:
    """`{"type": "error", "error": {"type", "message", "code", "param"}, "request_id"}`."""
    fields: dict[str, Any] = {
        "type": _anthropic_type(error),
        "message": error.message,
        "code": error.code,
        "param": error.param,
    }
    if error.param == "thread":
        # Told so, Anthropic's clients go on with the whole conversation (its SDKs, `tool_runner`).
        fields["details"] = {"error_code": "thread_unsupported_request"}
    return msgspec.json.encode({"type": "error", "error": fields, "request_id": request_id})


def google_envelope(error: GatewayError, request_id: str) -> bytes:
    """`{"error": {"code", "message", "status", "details"}}`; our code is the reason of the one detail."""
    metadata = {"request_id": request_id}
    if error.param:
        metadata["param"] = error.param
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.code or error.type,
        "domain": "tollgate",
        "metadata": metadata,
    }
    status = GOOGLE_STATUSES.get(error.status) or (
        "INVALID_ARGUMENT" if error.status < 500 else "INTERNAL"
    )
    fields = {
        "code": error.status,
        "message": error.message,
        "status": status,
        "details": [detail],
    }
    return msgspec.json.encode({"error": fields})


def data_event(envelope: bytes) -> bytes:
    """The envelope as an event without a name: the end of a Chat Completions or Gemini stream."""
    return b"data: " + envelope + b"\n\n"


def anthropic_event(error: GatewayError, request_id: str) -> bytes:
    """The `error` event of a Messages stream."""
    return b"event: error\ndata: " + anthropic_envelope(error, request_id) + b"\n\n"


def responses_event(error: GatewayError, sequence_number: int) -> bytes:
    """The `error` event of a Responses stream.

    OpenAI's own SDKs raise for an event whose data has `error`; clients that follow the reference read the fields
    beside it.
    """
    fields: dict[str, Any] = {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "sequence_number": sequence_number,
        "error": _openai_fields(error),
    }
    return b"event: error\ndata: " + msgspec.json.encode(fields) + b"\n\n"


def _openai_fields(error: GatewayError) -> dict[str, Any]:
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }


def _anthropic_type(error: GatewayError) -> str:
    known = ANTHROPIC_TYPES.get(error.status)
    if known is not None:
        return known
    return "invalid_request_error" if error.status < 500 else "api_error"
