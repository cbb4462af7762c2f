"""A group's pages, and the pictures of its tasks."""

from django.urls import path, re_path

from gateway.pages import callbacks, calls, keys, pictures, tasks, usage

urlpatterns = [
    path("groups/<uuid:group_id>/", keys.group, name="group"),
    path("groups/<uuid:group_id>/keys/", keys.keys, name="group_keys"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/rename/", keys.rename_key, name="rename_key"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/revoke/", keys.revoke_key, name="revoke_key"),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/",
        callbacks.callbacks_page,
        name="callbacks",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/secret/",
        callbacks.show_secret,
        name="show_callback_secret",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/rotate/",
        callbacks.rotate_callback_secret,
        name="rotate_callback_secret",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/test/",
        callbacks.send_test_callback,
        name="test_callback",
    ),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/callbacks/<uuid:delivery_id>/redeliver/",
        callbacks.redeliver,
        name="redeliver",
    ),
    path("groups/<uuid:group_id>/usage/", usage.usage, name="group_usage"),
    path("groups/<uuid:group_id>/calls/", calls.calls, name="group_calls"),
    path("groups/<uuid:group_id>/calls/<str:call_id>/", calls.call, name="call"),
    path("groups/<uuid:group_id>/tasks/", tasks.tasks, name="group_tasks"),
    path("groups/<uuid:group_id>/tasks/<str:task_id>/", tasks.task, name="task"),
    path(
        "groups/<uuid:group_id>/tasks/<str:task_id>/cancel/",
        tasks.cancel_task,
        name="cancel_task",
    ),
    re_path(
        r"^pictures/(?P<task>[0-9a-f]{32})/(?P<position>0|[1-9][0-9]?)\.(?P<extension>[a-z]{3,4})$",
        pictures.picture,
        name="picture",
    ),
]
