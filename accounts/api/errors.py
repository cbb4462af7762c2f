"""Refusals of the management API: the data plane's envelope, with every field that is wrong named."""

import logging
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    MethodNotAllowed,
    NotAuthenticated,
    ParseError,
    Throttled,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.exceptions import PermissionDenied as NotPermitted
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error

logger = logging.getLogger(__name__)

TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "service_unavailable",
}
NOT_FOUND = "There is no such thing here, or you may not see it."
# What DRF and Django call an error that belongs to no field.
NO_FIELD = ("non_field_errors", "__all__")


class Problem(APIException):
    """A refusal with the status, `code` and `param` of its own."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message, code)
        self.status_code = status
        self.code = code
        self.message = message
        self.param = param


def answer_error(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's `EXCEPTION_HANDLER`. What nobody foresaw is logged and answered with 500, without a word about it."""
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.error("the database did not answer: %s", type(error).__name__)
        problem = Problem(503, "temporarily_unavailable", "The database cannot be reached.")
        return _respond(problem, {"retry-after": "1"})
    if isinstance(error, DjangoValidationError):
        error = ValidationError(as_serializer_error(error))
    if isinstance(error, ValidationError):
        return _answer_fields(error)
    problem_of = _problem_of(error)
    if problem_of is None:
        request = context["request"]
        logger.error("%s %s failed", request.method, request.path, exc_info=error)
        problem_of = Problem(500, "internal_error", "Tollgate failed. Nothing is known of why.")
    return _respond(problem_of, _headers(error))


def envelope(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    kind = TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _answer_fields(error: ValidationError) -> Response:
    """400 that names the first field in `param`, and all of them in `errors`."""
    faults = list(_faults(error.detail, ""))
    first = faults[0]
    message = f"{first['param']}: {first['message']}" if first["param"] else first["message"]
    body = envelope(400, "invalid_request_error", message, first["param"])
    body["error"]["errors"] = faults
    return Response(body, status=400)


def _faults(detail: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(detail, dict):
        for name, value in detail.items():
            inner = path if name in NO_FIELD else f"{path}.{name}" if path else str(name)
            yield from _faults(value, inner)
    elif isinstance(detail, list):
        for place, value in enumerate(detail):
            nested = isinstance(value, (dict, list))
            yield from _faults(value, f"{path}.{place}" if nested and path else path)
    else:
        fault = {"param": _sendable(path) or None, "message": _sendable(str(detail))}
        yield fault | {"code": getattr(detail, "code", None)}


def _sendable(text: str) -> str:
    """Without halves of surrogate pairs, which came in as JSON escapes and which no answer can hold."""
    return text.encode(errors="replace").decode()


def _problem_of(error: Exception) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, Http404):
        return Problem(404, "not_found", NOT_FOUND)
    if isinstance(error, (PermissionDenied, NotPermitted)):
        said = str(error.detail) if isinstance(error, NotPermitted) else str(error)
        return Problem(403, "forbidden", said or "You may not do this.")
    if isinstance(error, (NotAuthenticated, AuthenticationFailed)):
        return Problem(401, "invalid_api_key", str(error.detail))
    codes: dict[type[APIException], str] = {
        ParseError: "invalid_json",
        MethodNotAllowed: "method_not_allowed",
        UnsupportedMediaType: "unsupported_media_type",
        Throttled: "rate_limited",
    }
    if isinstance(error, APIException):
        code = codes.get(type(error), "invalid_request_error")
        return Problem(error.status_code, code, str(error.detail))
    return None


def _headers(error: Exception) -> dict[str, str]:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]
    if getattr(error, "wait", None) is not None:
        headers["Retry-After"] = str(max(1, int(error.wait) + 1))  # type: ignore[attr-defined]
    return headers


def _respond(problem: Problem, headers: dict[str, str]) -> Response:
    body = envelope(problem.status_code, problem.code, problem.message, problem.param)
    return Response(body, status=problem.status_code, headers=headers)
