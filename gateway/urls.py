"""A group's pages."""

from django.urls import path

from gateway import views

urlpatterns = [
    path("groups/<uuid:group_id>/", views.group, name="group"),
    path("groups/<uuid:group_id>/keys/", views.keys, name="group_keys"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/rename/", views.rename_key, name="rename_key"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/revoke/", views.revoke_key, name="revoke_key"),
    path("groups/<uuid:group_id>/usage/", views.usage, name="group_usage"),
    path("groups/<uuid:group_id>/calls/", views.calls, name="group_calls"),
    path("groups/<uuid:group_id>/calls/<str:call_id>/", views.call, name="call"),
]
