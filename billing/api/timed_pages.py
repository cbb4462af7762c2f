"""Pages of rows whose ids do not rise with time: those that bear the id of the operation that made them."""

from typing import Any

from django.db.models import Q
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.errors import Problem
from accounts.api.paging import CursorPages, read_limit


class TimedPages(CursorPages):
    """Newest first by the view's `time_field`; a cursor is the id of the last row of a page."""

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any]:
        limit, name = read_limit(request), getattr(view, "time_field", "created_at")
        rows = queryset.order_by(f"-{name}", "-pk")
        after = request.query_params.get("after")
        if after is not None:
            last = queryset.filter(pk=self._key_of(after, queryset, None)).first()
            if last is None:
                message = "'after' must be the 'next' of a page before."
                raise Problem(400, "invalid_request_error", message, "after")
            moment = getattr(last, name)
            rows = rows.filter(
                Q(**{f"{name}__lt": moment}) | Q(**{name: moment, "pk__lt": last.pk})
            )
        found = list(rows[: limit + 1])
        self.rows = found[:limit]
        self.next = str(self.rows[-1].pk) if len(found) > limit else None
        return self.rows
