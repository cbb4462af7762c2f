"""Redeem codes: batches that operators make, and what groups redeem."""

from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.errors import Problem
from accounts.api.fields import MomentField, NamedSerializer, ObjectField
from accounts.api.idempotency import operation_id_of
from accounts.api.paging import CursorPages
from accounts.api.schema import IDEMPOTENT
from accounts.api.serializers import StrictSerializer
from accounts.api.views import ManagementView, OperatorView
from billing import codes
from billing.api.fields import CountField, UsdField
from billing.api.moves import REPLAYED
from billing.api.refusals import refusals_of_ledger
from billing.api.timed_pages import TimedPages
from billing.api.transfers import TAGS, MakerSerializer
from billing.code_forms import USES_MAX
from billing.errors import OperationConflict
from billing.move_forms import DAYS_MAX
from billing.promotion_models import Code, CodeBatch, Redemption

BATCH_TAGS = ["Operators"]
NOTE_LENGTH_MAX = CodeBatch._meta.get_field("note").max_length


class RedemptionInput(StrictSerializer):
    """A code, in any case, with or without dashes."""

    code = serializers.CharField(max_length=codes.TYPED_MAX)


class RedemptionSerializer(serializers.Serializer[Any]):
    """One use of a code. `kind`: where the credits went, and whether they are promotional."""

    id = serializers.UUIDField()
    object = ObjectField("redemption")
    code = serializers.CharField(source="code.last_four", help_text="Its last four characters.")
    kind = serializers.ChoiceField(source="code.batch.kind", choices=CodeBatch.Kind.values)
    amount = UsdField(source="code.batch.amount_nanos")
    group = NamedSerializer()
    redeemed_by = MakerSerializer()
    redeemed_at = MomentField()


class CodeSerializer(serializers.Serializer[Any]):
    """A code of a batch: the code itself is kept nowhere."""

    id = serializers.IntegerField()
    object = ObjectField("code")
    last_four = serializers.CharField()
    uses = serializers.IntegerField()
    uses_max = serializers.IntegerField()
    disabled_at = MomentField(allow_null=True)


class BatchSerializer(serializers.Serializer[Any]):
    """Codes that were made together. `count` of them, of which `disabled`; `uses` of all together."""

    id = serializers.UUIDField()
    object = ObjectField("code_batch")
    note = serializers.CharField()
    kind = serializers.ChoiceField(choices=CodeBatch.Kind.values)
    amount = UsdField(source="amount_nanos")
    days = serializers.IntegerField(allow_null=True)
    uses_max = serializers.IntegerField()
    valid_until = MomentField()
    created_by = MakerSerializer()
    created_at = MomentField()
    count = serializers.IntegerField()
    uses = serializers.IntegerField()
    disabled = serializers.IntegerField()


class MadeBatchSerializer(BatchSerializer):
    """A batch with its codes, which are shown in this answer alone."""

    codes = serializers.ListField(child=serializers.CharField())


class BatchInput(StrictSerializer):
    """Codes to be made. `days`: how long promotional credits live once a code is redeemed; for these alone."""

    note = serializers.CharField(max_length=NOTE_LENGTH_MAX)
    kind = serializers.ChoiceField(choices=CodeBatch.Kind.values)
    amount = UsdField()
    days = CountField(min_value=1, max_value=DAYS_MAX, required=False, allow_null=True)
    count = CountField(min_value=1, max_value=codes.CODES_MAX, default=1)
    uses_max = CountField(min_value=1, max_value=USES_MAX, default=1)
    valid_until = MomentField(in_future=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        is_promotional = attrs["kind"] == CodeBatch.Kind.PROMOTION
        if is_promotional and attrs.get("days") is None:
            raise serializers.ValidationError({"days": "Say after how many days they expire."})
        if not is_promotional and attrs.get("days") is not None:
            raise serializers.ValidationError({"days": "Only promotional credits expire."})
        return attrs

    def offer(self) -> codes.Offer:
        """What each code of the valid batch gives."""
        values = self.validated_data
        return codes.Offer(
            kind=values["kind"],
            amount_nanos=values["amount"],
            days=values.get("days"),
            uses_max=values["uses_max"],
            valid_until=values["valid_until"],
            note=values["note"],
        )


class DisabledSerializer(serializers.Serializer[Any]):
    """How many codes were disabled by the request."""

    object = ObjectField("code_disabling")
    disabled = serializers.IntegerField()


class Redemptions(ManagementView):
    """Codes that a group redeemed."""

    pagination_class = TimedPages
    time_field = "redeemed_at"
    serializer_class = RedemptionSerializer
    queryset = Redemption.objects.none()

    @extend_schema(
        operation_id="list_redemptions", tags=TAGS, responses=RedemptionSerializer(many=True)
    )
    def get(self, request: Request, group_id: UUID) -> Response:
        """Codes that were redeemed for the group. For its managers."""
        rows = Redemption.objects.filter(group=self.managed_group(group_id))
        page = self.paginate_queryset(rows.select_related("code__batch", "group", "redeemed_by"))
        return self.get_paginated_response(RedemptionSerializer(page, many=True).data)

    @extend_schema(
        operation_id="redeem_code",
        tags=TAGS,
        parameters=IDEMPOTENT,
        request=RedemptionInput,
        responses={201: RedemptionSerializer},
    )
    def post(self, request: Request, group_id: UUID) -> Response:
        """Redeem a code for the group. For its managers; whoever tries many wrong ones waits an hour."""
        found = self.managed_group(group_id)
        given = RedemptionInput(data=request.data)
        given.is_valid(raise_exception=True)
        text, operation_id = given.validated_data["code"], operation_id_of(request)
        replayed = Redemption.objects.filter(pk=operation_id).exists()
        with refusals_of_ledger():
            made = codes.redeem(text, found, operation_id=operation_id, actor=self.user)
            symbols = codes.normalize(text)
            if symbols is None or bytes(made.code.digest) != codes.digest(symbols):
                raise OperationConflict(operation_id)
        headers = {REPLAYED: "true"} if replayed else {}
        return Response(RedemptionSerializer(made).data, status=201, headers=headers)


def read_batches() -> QuerySet[CodeBatch]:
    """The batches with figures of their codes."""
    return CodeBatch.objects.select_related("created_by").annotate(
        count=Count("codes"),
        uses=Sum("codes__uses"),
        disabled=Count("codes", filter=Q(codes__disabled_at__isnull=False)),
    )


class CodeBatches(OperatorView):
    """Batches of codes."""

    pagination_class = TimedPages
    time_field = "created_at"
    serializer_class = BatchSerializer
    queryset = CodeBatch.objects.none()

    @extend_schema(
        operation_id="list_code_batches", tags=BATCH_TAGS, responses=BatchSerializer(many=True)
    )
    def get(self, request: Request) -> Response:
        """Batches of redeem codes. For operators."""
        page = self.paginate_queryset(read_batches())
        return self.get_paginated_response(BatchSerializer(page, many=True).data)

    @extend_schema(
        operation_id="make_code_batch",
        tags=BATCH_TAGS,
        parameters=IDEMPOTENT,
        request=BatchInput,
        responses={201: MadeBatchSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make redeem codes. They stand in this answer alone: asking again with its Idempotency-Key is refused (409).
        For operators."""
        given = BatchInput(data=request.data)
        given.is_valid(raise_exception=True)
        operation_id = operation_id_of(request)
        count = given.validated_data["count"]
        try:
            texts = codes.make_codes(
                given.offer(), count, operation_id=operation_id, actor=self.user
            )
        except OperationConflict:
            message = "This Idempotency-Key has made codes before, which were shown then. Nothing was made now."
            raise Problem(409, "idempotency_conflict", message, "Idempotency-Key") from None
        body = BatchSerializer(read_batches().get(pk=operation_id)).data
        headers = {
            "Location": reverse("api_code_batch", args=[operation_id]),
            "Cache-Control": "no-store",
        }
        return Response({**body, "codes": texts}, status=201, headers=headers)


class CodeBatchDetail(OperatorView):
    """One batch."""

    serializer_class = BatchSerializer

    @extend_schema(operation_id="get_code_batch", tags=BATCH_TAGS)
    def get(self, request: Request, batch_id: UUID) -> Response:
        """One batch of redeem codes. For operators."""
        return Response(BatchSerializer(get_object_or_404(read_batches(), pk=batch_id)).data)


class BatchCodes(OperatorView):
    """The codes of a batch."""

    pagination_class = CursorPages
    serializer_class = CodeSerializer
    queryset = Code.objects.none()

    @extend_schema(operation_id="list_codes", tags=BATCH_TAGS, responses=CodeSerializer(many=True))
    def get(self, request: Request, batch_id: UUID) -> Response:
        """The codes of a batch, by their last four characters. For operators."""
        batch = get_object_or_404(CodeBatch, pk=batch_id)
        page = self.paginate_queryset(batch.codes.all())
        return self.get_paginated_response(CodeSerializer(page, many=True).data)


class BatchRedemptions(OperatorView):
    """Who redeemed codes of a batch."""

    pagination_class = TimedPages
    time_field = "redeemed_at"
    serializer_class = RedemptionSerializer
    queryset = Redemption.objects.none()

    @extend_schema(
        operation_id="list_batch_redemptions",
        tags=BATCH_TAGS,
        responses=RedemptionSerializer(many=True),
    )
    def get(self, request: Request, batch_id: UUID) -> Response:
        """What was redeemed of a batch, and by whom. For operators."""
        batch = get_object_or_404(CodeBatch, pk=batch_id)
        rows = Redemption.objects.filter(code__batch=batch)
        page = self.paginate_queryset(rows.select_related("code__batch", "group", "redeemed_by"))
        return self.get_paginated_response(RedemptionSerializer(page, many=True).data)


class BatchDisabling(OperatorView):
    """The end of a batch, or of one of its codes."""

    serializer_class = DisabledSerializer

    @extend_schema(operation_id="disable_code_batch", tags=BATCH_TAGS, request=None)
    def post(self, request: Request, batch_id: UUID) -> Response:
        """Disable every code of a batch. What was redeemed stays. For operators."""
        batch = get_object_or_404(CodeBatch, pk=batch_id)
        disabled = codes.disable_codes(batch, self.user)
        return Response(DisabledSerializer({"disabled": disabled}).data)


class CodeDisabling(OperatorView):
    """The end of one code."""

    serializer_class = DisabledSerializer

    @extend_schema(operation_id="disable_code", tags=BATCH_TAGS, request=None)
    def post(self, request: Request, batch_id: UUID, code_id: int) -> Response:
        """Disable one code of a batch. What was redeemed stays. For operators."""
        batch = get_object_or_404(CodeBatch, pk=batch_id)
        code = get_object_or_404(Code, pk=code_id, batch=batch)
        disabled = codes.disable_codes(batch, self.user, code)
        return Response(DisabledSerializer({"disabled": disabled}).data)
