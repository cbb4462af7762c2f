"""/api/v1/price-book/import: a whole price book, what it would do, and bringing it in."""

import json
from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.serializers import StrictSerializer
from accounts.api.views import OperatorView
from billing.price_book import ModelEntry, PriceBookError
from gateway.api.fields import TextField
from gateway.api.prices import RateTableSerializer, describe_tables
from gateway.api.queries import read_body
from gateway.operator.price_uploads import UNFIT, Plan, Planned, parse_book, plan_book
from gateway.provisioning import load_price_book

TAGS = ["Operators"]


class BookInput(StrictSerializer):
    """A price book in the format of the one that ships with Tollgate."""

    book = serializers.DictField()


class BookImportInput(BookInput):
    """The same, with the `plan` that its preview answered: what is done is what was shown."""

    plan = TextField(max_length=64)


class PlannedPriceSerializer(serializers.Serializer[Any]):
    """A price that would be booked; `is_late` where it has begun already, which is refused."""

    effective_from = serializers.DateTimeField()
    sell_bps = serializers.IntegerField()
    is_late = serializers.BooleanField()
    tables = RateTableSerializer(many=True)


class PlannedModelSerializer(serializers.Serializer[Any]):
    """What the book would do to a model."""

    model = serializers.CharField()
    is_new = serializers.BooleanField()
    before = serializers.DictField()
    after = serializers.DictField()
    prices = PlannedPriceSerializer(many=True)


class BookPlanSerializer(serializers.Serializer[Any]):
    """What the book would do. `plan` is the name of exactly this."""

    object = serializers.CharField()
    plan = serializers.CharField()
    is_refused = serializers.BooleanField()
    unchanged = serializers.IntegerField()
    models = PlannedModelSerializer(many=True)


class BookImportSerializer(serializers.Serializer[Any]):
    """What came of it."""

    object = serializers.CharField()
    models = serializers.IntegerField()
    prices = serializers.IntegerField()


def read_entries(book: dict[str, Any]) -> Sequence[ModelEntry]:
    """The entries of the book. Raises ValidationError that says where it is wrong."""
    try:
        return parse_book(json.dumps(book))
    except (PriceBookError, UnicodeEncodeError) as error:
        raise serializers.ValidationError({"book": [str(error)[:500]]}) from None


def describe_plan(plan: Plan) -> dict[str, Any]:
    """As BookPlanSerializer says."""
    return {
        "object": "price_book_plan",
        "plan": plan.digest,
        "is_refused": plan.is_refused,
        "unchanged": plan.unchanged,
        "models": [_describe_planned(one) for one in plan.models],
    }


def _describe_planned(planned: Planned) -> dict[str, Any]:
    return {
        "model": planned.name,
        "is_new": planned.is_new,
        "before": planned.before,
        "after": planned.after,
        "prices": [
            {
                "effective_from": one.price.effective_from,
                "sell_bps": one.price.sell_bps,
                "is_late": one.is_late,
                "tables": describe_tables(one.price.tables),
            }
            for one in planned.prices
        ],
    }


@extend_schema_view(
    post=extend_schema(
        operation_id="preview_price_book_import",
        tags=TAGS,
        request=BookInput,
        responses={200: BookPlanSerializer},
    )
)
class BookPreview(OperatorView):
    """Shows what a price book would do."""

    def post(self, request: Request) -> Response:
        """Say what bringing in the book would do. Nothing is booked."""
        entries = read_entries(read_body(request, BookInput)["book"])
        return Response(describe_plan(plan_book(entries, timezone.now())))


@extend_schema_view(
    post=extend_schema(
        operation_id="import_price_book",
        tags=TAGS,
        request=BookImportInput,
        responses={200: BookImportSerializer},
    )
)
class BookImport(OperatorView):
    """Brings in a price book."""

    def post(self, request: Request) -> Response:
        """Bring in the book, if it would still do what its preview showed."""
        values = read_body(request, BookImportInput)
        entries = read_entries(values["book"])
        plan = plan_book(entries, timezone.now())
        if plan.is_refused:
            message = "A price of the book has begun already: prices begin in the future."
            raise Problem(400, "invalid_request_error", message, "book")
        if values["plan"] != plan.digest:
            message = "The book would do something else by now. Look at its preview again."
            raise Problem(409, "plan_changed", message, "plan")
        try:
            loaded = load_price_book(entries, self.user)
        except UNFIT:
            message = "The book has a value that cannot be kept: too long or too large."
            raise serializers.ValidationError({"book": [message]}) from None
        answer = {"object": "price_book_import"} | loaded._asdict()
        return Response(answer)
