"""OpenAI's error envelope and the words it uses for common refusals."""

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
}
_SERVER_ERROR = ("server_error", None, "The server had an error while processing your request.")


class ErrorBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a script may say about an error; what is left out follows from the status."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | msgspec.UnsetType | None = msgspec.UNSET


class ApiError(Exception):
    """A refusal with its HTTP status and the four fields of the envelope."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code

    def body(self) -> bytes:
        """The envelope as JSON."""
        return envelope(str(self), INVALID_REQUEST, self.param, self.code)


def envelope(message: str, kind: str, param: str | None, code: str | int | None) -> bytes:
    """`{"error": {message, type, param, code}}` as JSON."""
    return msgspec.json.encode(
        {"error": {"message": message, "type": kind, "param": param, "code": code}}
    )


def scripted_envelope(status: int, given: ErrorBody | None) -> bytes:
    """The envelope of a scripted failure: the script's words, else the status's usual ones."""
    kind, code, message = _DEFAULTS.get(status, _SERVER_ERROR)
    if given is None:
        return envelope(message, kind, None, code)
    chosen = code if given.code is msgspec.UNSET else given.code
    return envelope(given.message or message, given.type or kind, given.param, chosen)
