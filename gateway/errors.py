"""What the data plane answers when it refuses or fails (envelopes.py words it). Pure.

GatewayError
├── BadRequest           400  the caller's input, named in `param`
├── Unauthorized         401  one answer for every reason
├── PaymentRequired      402
├── Forbidden            403  the key is good, but not for this
├── NotFound             404
├── MethodNotAllowed     405
├── Conflict             409
├── TooLarge             413
├── RateLimited          429  with `retry-after` and what is left of the limits
├── UpstreamRefused      4xx  the provider's own refusal, passed on without its account data
├── UpstreamFailed       502  not charged
├── UpstreamTimedOut     504  not charged
└── Unavailable          503  with `retry-after`
"""


class GatewayError(Exception):
    """An answer with an error. `message` is for people, `code` for programs, `param` names a field of the body."""

    status = 500
    type = "api_error"
    code: str | None = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that belong to the error."""
        if self.retry_after_s is None:
            return []
        return [(b"retry-after", str(self.retry_after_s).encode())]


class BadRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request_error"


class Unauthorized(GatewayError):
    """Missing, malformed, unknown, revoked or expired: the caller is not told which."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__("Invalid API key. Pass a valid key as 'Authorization: Bearer <key>'.")

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"www-authenticate", b'Bearer realm="tollgate"')]


class PaymentRequired(GatewayError):
    status = 402
    type = "insufficient_quota"
    code = "insufficient_credits"


class Forbidden(GatewayError):
    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(f"This path takes {', '.join(allowed)}.")
        self.allowed = allowed

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"allow", ", ".join(self.allowed).encode())]


class Conflict(GatewayError):
    status = 409
    type = "invalid_request_error"
    code = "conflict"


class TooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class RateLimited(GatewayError):
    """A limit of the key or its group. `headers` say what is left of the limits per minute."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: int,
        code: str | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
        self._headers = headers or []

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), *self._headers]


class UpstreamRefused(GatewayError):
    """A provider's 4xx about the caller's own request keeps its status, code and message."""

    type = "invalid_request_error"

    def __init__(
        self, status: int, message: str, *, code: str | None, type_: str | None, param: str | None
    ) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.code = code
        if type_:
            self.type = type_


class UpstreamFailed(GatewayError):
    status = 502
    type = "upstream_error"
    code = "upstream_error"


class UpstreamTimedOut(GatewayError):
    status = 504
    type = "upstream_error"
    code = "upstream_timeout"


class Unavailable(GatewayError):
    status = 503
    type = "service_unavailable"
    code = "temporarily_unavailable"

    def __init__(self, message: str, *, code: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
