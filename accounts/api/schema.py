"""The OpenAPI document of the management API: who asks, what every answer has in common, and what stands in it."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from accounts.api.idempotency import HEADER, LENGTH_MAX
from accounts.api.routes import PREFIX

DESCRIPTION = """Everything that the dashboard does, for programs.

Send a key whose scope is `manage` as `Authorization: Bearer <key>` or as `x-api-key`; it acts for whoever made it, in
the organization of its group. In a browser that is signed in, its session works too; what changes something needs the
CSRF token then, and a recent sign-in.

Money is a text in US dollars with up to nine decimals; times are ISO 8601 in UTC. Lists are pages: go on with `after`,
which is `next` of the page before. Fields and query parameters that are not known are refused. What belongs to another
tenant is not found. Moves of credits need an `Idempotency-Key`: the same request again moves nothing and answers what
was moved; another request with the same key is a conflict.
"""
TAGS = [
    {"name": "Organizations", "description": "Tenants, their members and invitations."},
    {"name": "Groups", "description": "Teams: each has members, keys and a wallet."},
    {"name": "Keys", "description": "What programs call models with, and manage with."},
    {"name": "Credits", "description": "Balances, moves, promotions, alerts, statements."},
    {"name": "Calls", "description": "The history of calls, each with its charge explained."},
    {"name": "Tasks", "description": "Pictures that are made in the background."},
    {"name": "Usage", "description": "Sums by day, model, key, member and source."},
    {"name": "Webhooks", "description": "What a group is told of, and where."},
    {"name": "Prices", "description": "What models cost."},
    {"name": "Operators", "description": "For those who run this installation."},
]
BEARER, HEADER_KEY, SESSION = "bearer", "x-api-key", "session"
MEDIA = "application/json"
IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": LENGTH_MAX},
    OpenApiParameter.HEADER,
    required=True,
    description="One value for one move, however often it is sent: printable ASCII characters.",
)
OPTIONAL_IDEMPOTENCY_KEY = OpenApiParameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": LENGTH_MAX},
    OpenApiParameter.HEADER,
    description="One value for one request, however often it is sent: printable ASCII characters.",
)
REPLAYED = OpenApiParameter(
    "Idempotency-Replayed",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    enum=["true"],
    response=[201],
    description="Present where the request was carried out before, and nothing was done now.",
)
IDEMPOTENT = [IDEMPOTENCY_KEY, REPLAYED]

# By status: the name of the component, what it says, and an example's code.
REFUSALS = {
    "400": ("Invalid", "A field, a parameter or the body is wrong: `param` names the first.", "invalid_request_error"),
    "401": ("NoKey", "No key, or one that does not work.", "invalid_api_key"),
    "402": ("NoCredit", "There are not so many credits.", "insufficient_credits"),
    "403": ("Forbidden", "You may see this, but not do it; or the key is of another scope.", "forbidden"),
    "404": ("NotFound", "There is no such thing, or you may not see it.", "not_found"),
    "409": ("Conflict", "The Idempotency-Key or the thing itself is not as you took it to be.", "idempotency_conflict"),
    "default": ("Refusal", "Any other refusal.", "temporarily_unavailable"),
}  # fmt: skip
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {
                    "type": "string",
                    "nullable": True,
                    "description": "The field, parameter or header that is wrong.",
                },
                "code": {"type": "string", "nullable": True},
                "errors": {
                    "type": "array",
                    "description": "Every field that is wrong.",
                    "items": {
                        "type": "object",
                        "required": ["param", "message", "code"],
                        "properties": {
                            "param": {"type": "string", "nullable": True},
                            "message": {"type": "string"},
                            "code": {"type": "string", "nullable": True},
                        },
                    },
                },
            },
        }
    },
}
Endpoint = tuple[str, str, str, Callable[..., Any]]


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A management key, in either of the two headers."""

    target_class = "accounts.api.authentication.ManagementKeyAuthentication"
    name = [BEARER, HEADER_KEY]

    def get_security_definition(self, auto_schema: Any) -> Any:
        return [
            {"type": "http", "scheme": "bearer", "description": "A key with scope `manage`."},
            {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key."},
        ]

    def get_security_requirement(self, auto_schema: Any) -> Any:
        """Either of them, not both."""
        return [{BEARER: []}, {HEADER_KEY: []}]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A browser that is signed in."""

    target_class = "accounts.api.authentication.BrowserAuthentication"
    name = SESSION

    def get_security_definition(self, auto_schema: Any) -> Any:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The session of a browser that is signed in.",
        }


class ObjectScheme(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """`object` is always the same text."""

    target_class = "accounts.api.fields.ObjectField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": [self.target.kind]}


def keep_api(endpoints: list[Endpoint]) -> list[Endpoint]:
    """The addresses of the API as they are written: without the twins that end in a slash."""
    inside = f"/{PREFIX}"
    return [one for one in endpoints if one[0].startswith(inside) and not one[0].endswith("/")]


def complete(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Every operation has a summary, and says what it may refuse, in the envelope of all errors."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = ERROR_SCHEMA
    components["responses"] = {
        name: _refusal(description, code) for name, description, code in REFUSALS.values()
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            _split_description(operation)
            for status in _statuses_of(operation):
                reference = {"$ref": f"#/components/responses/{REFUSALS[status][0]}"}
                operation["responses"].setdefault(status, reference)
    return result


def _split_description(operation: dict[str, Any]) -> None:
    """The first sentence is the summary."""
    text = " ".join(operation.get("description", "").split())
    summary, _, rest = text.partition(". ")
    operation["summary"] = summary.removesuffix(".")
    operation["description"] = rest
    if not rest:
        del operation["description"]


def _refusal(description: str, code: str) -> dict[str, Any]:
    example = {"error": {"message": description, "type": code, "param": None, "code": code}}
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        "description": description,
        "content": {MEDIA: {"schema": schema, "example": example}},
    }


def _statuses_of(operation: dict[str, Any]) -> list[str]:
    """What the operation may refuse: moves of credits more than others."""
    moves = any(
        one["name"] == HEADER and one.get("required") for one in operation.get("parameters", [])
    )
    return [status for status in REFUSALS if moves or status not in ("402", "409")]
