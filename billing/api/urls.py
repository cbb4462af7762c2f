"""Credits and keys in the management API."""

from accounts.api.routes import route
from billing.api import (
    alerts,
    balances,
    codes,
    keys,
    limits,
    moves,
    payments,
    places,
    promotions,
    statements,
    transfers,
)

ORGANIZATION = "organizations/<uuid:organization_id>"
GROUP = "groups/<uuid:group_id>"
KEY = f"{GROUP}/keys/<uuid:key_id>"
BATCH = "code-batches/<uuid:batch_id>"

urlpatterns = [
    *route(ORGANIZATION, places.OrganizationDetail.as_view(), "api_organization"),
    *route(GROUP, places.GroupDetail.as_view(), "api_group"),
    *route(f"{ORGANIZATION}/deposits", moves.Deposits.as_view(), "api_deposits"),
    *route(
        f"{ORGANIZATION}/balance",
        balances.OrganizationBalance.as_view(),
        "api_organization_balance",
    ),
    *route(
        f"{ORGANIZATION}/transfers",
        transfers.OrganizationTransfers.as_view(),
        "api_organization_transfers",
    ),
    *route(
        f"{ORGANIZATION}/adjustments",
        moves.OrganizationAdjustments.as_view(),
        "api_organization_adjustments",
    ),
    *route(
        f"{ORGANIZATION}/statements",
        statements.OrganizationStatements.as_view(),
        "api_organization_statements",
    ),
    *route(
        f"{ORGANIZATION}/statements/<str:month>",
        statements.OrganizationStatement.as_view(),
        "api_organization_statement",
    ),
    *route(f"{ORGANIZATION}/payments", payments.Payments.as_view(), "api_payments"),
    *route(
        f"{ORGANIZATION}/payments/<uuid:order_id>", payments.PaymentDetail.as_view(), "api_payment"
    ),
    *route(f"{GROUP}/balance", balances.GroupBalance.as_view(), "api_group_balance"),
    *route(f"{GROUP}/grants", moves.Grants.as_view(), "api_grants"),
    *route(f"{GROUP}/reclaims", moves.Reclaims.as_view(), "api_reclaims"),
    *route(f"{GROUP}/transfers", transfers.GroupTransfers.as_view(), "api_group_transfers"),
    *route(f"{GROUP}/adjustments", moves.GroupAdjustments.as_view(), "api_group_adjustments"),
    *route(f"{GROUP}/promotions", promotions.Promotions.as_view(), "api_promotions"),
    *route(
        f"{GROUP}/promotions/<uuid:promotion_id>/end",
        promotions.PromotionEnd.as_view(),
        "api_promotion_end",
    ),
    *route(f"{GROUP}/redemptions", codes.Redemptions.as_view(), "api_redemptions"),
    *route(f"{GROUP}/alerts", alerts.GroupAlerts.as_view(), "api_alerts"),
    *route(f"{GROUP}/alerts/test", alerts.AlertTest.as_view(), "api_alert_test"),
    *route(f"{GROUP}/statements", statements.GroupStatements.as_view(), "api_group_statements"),
    *route(
        f"{GROUP}/statements/<str:month>",
        statements.GroupStatement.as_view(),
        "api_group_statement",
    ),
    *route(f"{GROUP}/limits", limits.GroupLimits.as_view(), "api_group_limits"),
    *route(f"{GROUP}/keys", keys.Keys.as_view(), "api_keys"),
    *route(KEY, keys.KeyDetail.as_view(), "api_key"),
    *route(f"{KEY}/limits", limits.KeyLimits.as_view(), "api_key_limits"),
    *route(f"{KEY}/revoke", keys.KeyRevocation.as_view(), "api_key_revoke"),
    *route(f"{KEY}/rotate", keys.KeyRotation.as_view(), "api_key_rotate"),
    *route(f"{KEY}/rotate/end", keys.KeyRotationEnd.as_view(), "api_key_rotate_end"),
    *route("calls/<str:call_id>/refunds", moves.Refunds.as_view(), "api_refunds"),
    *route("code-batches", codes.CodeBatches.as_view(), "api_code_batches"),
    *route(BATCH, codes.CodeBatchDetail.as_view(), "api_code_batch"),
    *route(f"{BATCH}/codes", codes.BatchCodes.as_view(), "api_codes"),
    *route(f"{BATCH}/redemptions", codes.BatchRedemptions.as_view(), "api_batch_redemptions"),
    *route(f"{BATCH}/disable", codes.BatchDisabling.as_view(), "api_code_batch_disable"),
    *route(
        f"{BATCH}/codes/<int:code_id>/disable", codes.CodeDisabling.as_view(), "api_code_disable"
    ),
]
