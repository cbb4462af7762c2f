"""Lists of the management API: pages by cursor, in the form of the data plane's lists."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.errors import Problem

LIMIT_DEFAULT = 20
LIMIT_MAX = 100


class CursorPages(BasePagination):
    """`limit` rows, newest first, below the row that `after` names: `{"object": "list", "data", "has_more", "next"}`.

    Rows are ordered by primary key, which rises with time. A view whose public ids are not the primary keys has
    `cursor_of(row) -> str` and `parse_cursor(text) -> key`, which raises ValueError.
    """

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any]:
        limit = read_limit(request)
        rows = queryset.order_by("-pk")
        after = request.query_params.get("after")
        if after is not None:
            rows = rows.filter(pk__lt=self._key_of(after, queryset, view))
        found = list(rows[: limit + 1])
        self.has_more = len(found) > limit
        self.rows = found[:limit]
        cursor_of = getattr(view, "cursor_of", lambda row: str(row.pk))
        self.next = cursor_of(self.rows[-1]) if self.has_more else None
        return self.rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(list_object(data, self.next))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["object", "data", "has_more", "next"],
            "properties": {
                "object": {"type": "string", "enum": ["list"]},
                "data": schema,
                "has_more": {"type": "boolean"},
                "next": {
                    "type": "string",
                    "nullable": True,
                    "description": "The `after` of the next page, null on the last one.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": "Rows of a page.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LIMIT_MAX,
                    "default": LIMIT_DEFAULT,
                },
            },
            {
                "name": "after",
                "in": "query",
                "required": False,
                "description": "`next` of the page before.",
                "schema": {"type": "string"},
            },
        ]

    def _key_of(self, text: str, queryset: QuerySet[Any], view: APIView | None) -> Any:
        field = queryset.model._meta.pk
        parse = getattr(view, "parse_cursor", field.to_python)
        try:
            key = parse(text)
            field.run_validators(key)
        except (ValueError, OverflowError, ValidationError):
            message = "'after' must be the 'next' of a page before."
            raise Problem(400, "invalid_request_error", message, "after") from None
        return key


def read_limit(request: Request) -> int:
    """The length of a page. Raises Problem 400."""
    text = request.query_params.get("limit", str(LIMIT_DEFAULT))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= LIMIT_MAX):
        message = f"'limit' must be between 1 and {LIMIT_MAX}."
        raise Problem(400, "invalid_request_error", message, "limit")
    return int(text)


def list_object(data: Sequence[Any], next_: str | None) -> dict[str, Any]:
    """The form of every list; `next` None for the last page."""
    return {"object": "list", "data": list(data), "has_more": next_ is not None, "next": next_}
