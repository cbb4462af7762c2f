"""A group's pages, and the pictures of its tasks."""

from django.urls import path, re_path

from gateway import callback_views, picture_views, task_views, views

urlpatterns = [
    path("groups/<uuid:group_id>/", views.group, name="group"),
    path("groups/<uuid:group_id>/keys/", views.keys, name="group_keys"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/rename/", views.rename_key, name="rename_key"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/revoke/", views.revoke_key, name="revoke_key"),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/",
        callback_views.callbacks_page,
        name="callbacks",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/secret/",
        callback_views.show_secret,
        name="show_callback_secret",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/rotate/",
        callback_views.rotate_callback_secret,
        name="rotate_callback_secret",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/test/",
        callback_views.send_test_callback,
        name="test_callback",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/<uuid:delivery_id>/redeliver/",
        callback_views.redeliver,
        name="redeliver",
    ),
    path("groups/<uuid:group_id>/usage/", views.usage, name="group_usage"),
    path("groups/<uuid:group_id>/calls/", views.calls, name="group_calls"),
    path("groups/<uuid:group_id>/calls/<str:call_id>/", views.call, name="call"),
    path("groups/<uuid:group_id>/tasks/", task_views.tasks, name="group_tasks"),
    path("groups/<uuid:group_id>/tasks/<str:task_id>/", task_views.task, name="task"),
    path(
        "groups/<uuid:group_id>/tasks/<str:task_id>/cancel/",
        task_views.cancel_task,
        name="cancel_task",
    ),
    re_path(
        r"^pictures/(?P<task>[0-9a-f]{32})/(?P<position>0|[1-9][0-9]?)\.(?P<extension>[a-z]{3,4})$",
        picture_views.picture,
        name="picture",
    ),
]
