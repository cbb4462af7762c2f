"""/api/v1/groups/{id}/calls: the history of a group's calls, one of them, and all of them as a file."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fields import MomentField
from accounts.api.paging import CursorPages, list_object, read_limit
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView
from accounts.models import APIKey, Group
from billing.api.fields import UsdField
from gateway.api.queries import names_of, read_query, refuse
from gateway.api.schemas import CallSerializer, ExplainedCallSerializer
from gateway.call import parse_call_id, public_call_id
from gateway.call_objects import call_object, explained_call_object
from gateway.models import CallRecord
from gateway.pages import charges, exports, walks
from gateway.pages.forms import ENDPOINTS, NAME_CHARS_MAX
from gateway.pages.history import CallFilter

TAGS = ["Calls"]
INT_MAX = 2**31 - 1


class CallQuery(StrictSerializer):
    """Which calls. `status` may be given several times; `since` is inclusive, `until` is not."""

    source = serializers.ChoiceField(choices=CallRecord.Source.values, required=False)  # type: ignore[assignment]
    model = serializers.CharField(max_length=NAME_CHARS_MAX, required=False)
    status = serializers.ListField(
        child=serializers.ChoiceField(choices=CallRecord.Status.values), required=False
    )
    key = serializers.UUIDField(required=False, help_text="A key of the group.")
    member = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, required=False, help_text="Who made the key."
    )
    endpoint = serializers.ChoiceField(choices=ENDPOINTS, required=False)
    stream = serializers.ChoiceField(choices=["true", "false"], required=False)
    error_code = serializers.CharField(max_length=64, required=False)
    charge_min = UsdField(required=False, help_text="USD.")
    duration_min_ms = serializers.IntegerField(min_value=0, max_value=INT_MAX, required=False)
    since = MomentField(required=False)
    until = MomentField(required=False)


class ExportQuery(CallQuery):
    """The same, and the kind of file."""

    format = serializers.ChoiceField(choices=list(exports.FORMATS), required=False)


class TakeAnything(BaseContentNegotiation):
    """What `Accept` says does not matter where a parameter names the kind of file. A refusal is JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


def read_filter(values: dict[str, Any], group: Group) -> CallFilter:
    """The filter of the history's page that the parameters mean. A key that the group has not lets nothing through."""
    return CallFilter(
        source=values.get("source", ""),
        key_ids=_key_ids(values, group),
        model=values.get("model", ""),
        statuses=tuple(values.get("status", ())),
        endpoint=values.get("endpoint", ""),
        stream={"true": True, "false": False}.get(values.get("stream", "")),
        error_code=values.get("error_code", ""),
        charge_min_nanos=values.get("charge_min"),
        duration_min_ms=values.get("duration_min_ms"),
        since=values.get("since"),
        until=values.get("until"),
    )


def _key_ids(values: dict[str, Any], group: Group) -> tuple[UUID, ...] | None:
    if "key" not in values and "member" not in values:
        return None
    keys = APIKey.objects.filter(group=group)
    if "key" in values:
        keys = keys.filter(pk=values["key"])
    if "member" in values:
        keys = keys.filter(created_by=values["member"])
    return tuple(keys.values_list("pk", flat=True))


def describe_calls(rows: list[CallRecord]) -> list[dict[str, Any]]:
    """The calls as lists have them, with the names of their keys."""
    ids = {row.api_key_id for row in rows}
    names = dict(APIKey.objects.filter(pk__in=ids).values_list("pk", "name"))
    return [
        call_object(vars(row), str(row.api_key_id), names.get(row.api_key_id, "")) for row in rows
    ]


@extend_schema_view(
    get=extend_schema(
        operation_id="list_calls",
        tags=TAGS,
        parameters=[CallQuery],
        responses={200: CallSerializer(many=True)},
    )
)
class Calls(ManagementView):
    """Lists the calls of a group."""

    pagination_class = CursorPages
    query_names = names_of(CallQuery)

    def get(self, request: Request, group_id: UUID) -> Response:
        """Calls of the group, newest first, by any of its keys.

        Each answer takes a bounded time: where calls that fit are rare, a page may be short, or empty, and still have a
        `next`, from which the search goes on.
        """
        group = self.find_group(group_id)
        wanted = read_filter(read_query(request, CallQuery), group)
        limit = read_limit(request)
        cut = walks.Cut(limit + 1, before=self._after(request), time_s=walks.FURTHER_S)
        found = walks.walk(group, wanted, cut)
        rows = walks.read_calls(found.ids[:limit])
        last = found.ids[limit - 1] if len(found.ids) > limit else found.reached
        return Response(list_object(describe_calls(rows), public_call_id(last) if last else None))

    def _after(self, request: Request) -> UUID | None:
        text = request.query_params.get("after")
        if text is None:
            return None
        parsed = parse_call_id(text)
        if parsed is None:
            raise refuse("after", "'after' must be the 'next' of a page before.")
        return parsed


@extend_schema_view(
    get=extend_schema(operation_id="get_call", tags=TAGS, responses=ExplainedCallSerializer)
)
class CallDetail(ManagementView):
    """One call."""

    def get(self, request: Request, group_id: UUID, call_id: str) -> Response:
        """One call with its charge worked out again, line by line; operators see the attempts too."""
        group = self.find_group(group_id)
        parsed = parse_call_id(call_id)
        if parsed is None:
            raise Http404
        record = get_object_or_404(CallRecord.objects.of_group(group), pk=parsed)
        name = APIKey.objects.filter(pk=record.api_key_id).values_list("name", flat=True).first()
        explanation = charges.explain_charge(record)
        lines = explanation.charge_lines if explanation else ()
        answer = explained_call_object(vars(record), str(record.api_key_id), name or "", lines)
        if self.user.is_staff:
            answer["attempts"] = [
                {name: attempt.get(name) for name in ("channel", "status", "error")}
                | {"ms": attempt.get("ms") or 0, "channel": attempt.get("channel") or ""}
                for attempt in record.attempts
            ]
        return Response(answer)


@extend_schema_view(
    get=extend_schema(
        operation_id="export_calls",
        tags=TAGS,
        parameters=[ExportQuery],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            (200, "application/json"): {"type": "array", "items": {"type": "object"}},
        },
    )
)
class CallExport(ManagementView):
    """All calls that the filters let through, as a file."""

    query_names = names_of(ExportQuery)
    content_negotiation_class = TakeAnything

    def get(self, request: Request, group_id: UUID) -> StreamingHttpResponse:
        """A file of the calls, newest first, streamed: `format` is csv (the default), ndjson or json."""
        group = self.find_group(group_id)
        values = read_query(request, ExportQuery)
        now = timezone.now()
        wanted = read_filter(values, group)
        # What is not yet there when the file begins is not in it.
        wanted = replace(wanted, until=min(wanted.until or now, now))
        return exports.download_calls(group, wanted, values.get("format", "csv"), now)
