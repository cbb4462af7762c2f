"""Query strings of lists and figures, read as strictly as bodies are."""

from collections.abc import Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from accounts.api.errors import Problem
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView

Row = TypeVar("Row", bound=Model)
ONCE = "This may be given once."


def names_of(query: type[StrictSerializer]) -> frozenset[str]:
    """The parameters that the serializer reads: a view's `query_names`."""
    return frozenset(query().fields)


def read_query(request: Request, query: type[StrictSerializer]) -> dict[str, Any]:
    """The values of the parameters that are given. Raises ValidationError that names the parameter, also for one that
    is given twice and is no list."""
    given: dict[str, Any] = {}
    for name, field in query().fields.items():
        values = request.query_params.getlist(name)
        if isinstance(field, (serializers.ListField, serializers.MultipleChoiceField)):
            given |= {name: values} if values else {}
        elif len(values) > 1:
            raise serializers.ValidationError({name: [ONCE]})
        elif values:
            given[name] = values[0]
    read = query(data=given)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def read_body(request: Request, body: type[StrictSerializer], **options: Any) -> dict[str, Any]:
    """The values of the body. Raises ValidationError."""
    read = body(data=request.data, **options)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def refuse(param: str, message: str) -> Problem:
    """400 for one parameter or field."""
    return Problem(400, "invalid_request_error", message, param)


def page_of(view: ManagementView, rows: QuerySet[Row]) -> Sequence[Row]:
    """The page that a list's request asks for."""
    return view.paginate_queryset(rows) or []
