"""Pages about money."""

from django.urls import path

from billing import views

urlpatterns = [
    path("groups/<uuid:group_id>/credits/", views.credits, name="group_credits"),
    path("organization/", views.organizations, name="organizations"),
    path("organization/<uuid:organization_id>/", views.organization, name="organization"),
    path("organization/<uuid:organization_id>/deposit/", views.deposit, name="deposit"),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/grant/",
        views.grant,
        name="grant",
    ),
    path(
        "organization/<uuid:organization_id>/groups/<uuid:group_id>/reclaim/",
        views.reclaim,
        name="reclaim",
    ),
]
