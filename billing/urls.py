"""Pages about money."""

from django.urls import path

from billing.pages import (
    codes,
    credits,
    group_members,
    group_settings,
    moves,
    new_group,
    organization_settings,
    organizations,
    payments,
    promotions,
    refunds,
    stopping,
)

urlpatterns = [
    path("groups/<uuid:group_id>/credits/", credits.credits, name="group_credits"),
    path("mail/stop/<str:token>/", stopping.stop_mail, name="stop_mail"),
    path("payments/stripe/webhook/", payments.stripe_webhook, name="stripe_webhook"),
    path(
        "organization/<uuid:organization_id>/payments/",
        payments.payments,
        name="organization_payments",
    ),
    path(
        "organization/<uuid:organization_id>/payments/<uuid:order_id>/",
        payments.payment,
        name="payment",
    ),
    path(
        "groups/<uuid:group_id>/credits/transfers.csv", credits.transfers_csv, name="transfers_csv"
    ),
    path("organization/<uuid:organization_id>/balance/", credits.pool_balance, name="pool_balance"),
    path("organization/", organizations.organizations, name="organizations"),
    path("organization/<uuid:organization_id>/", organizations.organization, name="organization"),
    path("organization/<uuid:organization_id>/deposit/", moves.deposit, name="deposit"),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/grant/",
        moves.grant,
        name="grant",
    ),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/reclaim/",
        moves.reclaim,
        name="reclaim",
    ),
    path("organization/<uuid:organization_id>/adjust/", moves.adjust, name="adjust"),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/adjust/",
        moves.adjust,
        name="adjust",
    ),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/promote/",
        promotions.promote,
        name="promote",
    ),
    path(
        "organization/<uuid:organization_id>/promotions/<uuid:promotion_id>/end/",
        promotions.end_promotion,
        name="end_promotion",
    ),
    path("operator/refunds/<uuid:call_id>/", refunds.refund, name="refund"),
    path("operator/codes/", codes.operator_codes, name="operator_codes"),
    path("operator/codes/<uuid:batch_id>/", codes.code_batch, name="code_batch"),
    path("operator/codes/<uuid:batch_id>/disable/", codes.disable_codes, name="disable_code_batch"),
    path(
        "operator/codes/<uuid:batch_id>/<int:code_id>/disable/",
        codes.disable_codes,
        name="disable_code",
    ),
    path("groups/<uuid:group_id>/credits/redeem/", codes.redeem, name="redeem"),
    path("groups/<uuid:group_id>/members/", group_members.group_members, name="group_members"),
    path(
        "groups/<uuid:group_id>/members/<int:user_id>/role/",
        group_members.change_group_role,
        name="change_group_role",
    ),
    path(
        "groups/<uuid:group_id>/members/<int:user_id>/remove/",
        group_members.remove_group_member,
        name="remove_group_member",
    ),
    path(
        "groups/<uuid:group_id>/invitations/<uuid:invitation_id>/resend/",
        group_members.resend_group_invitation,
        name="resend_group_invitation",
    ),
    path(
        "groups/<uuid:group_id>/invitations/<uuid:invitation_id>/withdraw/",
        group_members.withdraw_group_invitation,
        name="withdraw_group_invitation",
    ),
    path("groups/<uuid:group_id>/settings/", group_settings.group_settings, name="group_settings"),
    path(
        "groups/<uuid:group_id>/settings/delete/", group_settings.delete_group, name="delete_group"
    ),
    path(
        "organization/<uuid:organization_id>/settings/",
        organization_settings.organization_settings,
        name="organization_settings",
    ),
    path(
        "organization/<uuid:organization_id>/settings/delete/",
        organization_settings.delete_organization,
        name="delete_organization",
    ),
    path("organization/<uuid:organization_id>/groups/new/", new_group.group_new, name="group_new"),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/new/credits/",
        new_group.group_new_credits,
        name="group_new_credits",
    ),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/new/members/",
        new_group.group_new_members,
        name="group_new_members",
    ),
]
