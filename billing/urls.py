"""Pages about money."""

from django.urls import path

from billing.pages import credits, moves, organizations

urlpatterns = [
    path("groups/<uuid:group_id>/credits/", credits.credits, name="group_credits"),
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
]
