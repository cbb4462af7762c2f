"""The vendors' error envelopes and the words OpenAI uses for common refusals."""

import msgspec

INVALID_REQUEST = "invalid_request_error"

# status -> (type, code, message), used when a script asks for a status without saying what it is.
_DEFAULTS: dict[int, tuple[str, str | None, str]] = {
    400: (INVALID_REQUEST, None, "The request was refused."),
    401: (INVALID_REQUEST, "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_quota", "The account has no credit left."),
    403: (
        INVALID_REQUEST,
        "unsupported_country_region_territory",
        "Country, region, or territory not supported.",
    ),
    404: (INVALID_REQUEST, "model_not_found", "The model does not exist."),
    408: ("timeout", None, "The request timed out."),
    409: (INVALID_REQUEST, "conflict", "Another request changed the same resource."),
    413: (INVALID_REQUEST, "request_too_large", "The request is too large."),
    422: (INVALID_REQUEST, "unprocessable_entity", "The request could not be processed."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    503: ("server_error", "overloaded", "The engine is currently overloaded."),
    529: ("server_error", "overloaded", "The engine is currently overloaded."),
}
_SERVER_ERROR = ("server_error", None, "The server had an error while processing your request.")

# Anthropic's API reference, "Errors"; google.rpc.Code as the Gemini API maps it to HTTP.
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class ErrorBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a script may say about an error; what is left out follows from the status."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | msgspec.UnsetType | None = msgspec.UNSET


class ApiError(Exception):
    """A refusal with its HTTP status and the four fields of the envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = INVALID_REQUEST,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code

    def named(self) -> str:
        """The words with the parameter, for envelopes that have no field for it."""
        words = str(self)
        return words if self.param is None or self.param in words else f"{self.param}: {words}"

    def body(self) -> bytes:
        """OpenAI's envelope as JSON."""
        return envelope(str(self), self.kind, self.param, self.code)


def envelope(message: str, kind: str, param: str | None, code: str | int | None) -> bytes:
    """`{"error": {message, type, param, code}}` as JSON."""
    return msgspec.json.encode(
        {"error": {"message": message, "type": kind, "param": param, "code": code}}
    )


def anthropic_envelope(
    status: int, message: str, request_id: str | None, kind: str | None = None
) -> bytes:
    """`{"type": "error", "error": {type, message}, "request_id"}` as JSON."""
    usual = "invalid_request_error" if status < 500 else "api_error"
    chosen = kind or _ANTHROPIC_TYPES.get(status, usual)
    return msgspec.json.encode(
        {
            "type": "error",
            "error": {"type": chosen, "message": message},
            "request_id": request_id,
        }
    )


def google_envelope(status: int, message: str, kind: str | None = None) -> bytes:
    """`{"error": {code, message, status}}` as JSON."""
    usual = "INVALID_ARGUMENT" if status < 500 else "INTERNAL"
    chosen = kind or _GOOGLE_STATUSES.get(status, usual)
    return msgspec.json.encode({"error": {"code": status, "message": message, "status": chosen}})


def scripted_fields(status: int, given: ErrorBody | None) -> dict[str, str | int | None]:
    """The fields of a scripted failure: the script's words, else the status's usual ones."""
    kind, code, message = _DEFAULTS.get(status, _SERVER_ERROR)
    if given is None:
        return {"message": message, "type": kind, "param": None, "code": code}
    return {
        "message": given.message or message,
        "type": given.type or kind,
        "param": given.param,
        "code": code if isinstance(given.code, msgspec.UnsetType) else given.code,
    }


def scripted_envelope(status: int, given: ErrorBody | None) -> bytes:
    """OpenAI's envelope of a scripted failure."""
    return msgspec.json.encode({"error": scripted_fields(status, given)})
