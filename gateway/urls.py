"""A group's pages, and the pictures of its tasks."""

from django.urls import include, path, re_path

from gateway.operator.changes import organization_changes
from gateway.pages import (
    alerts,
    callbacks,
    calls,
    group_limits,
    key,
    keys,
    pictures,
    statements,
    tasks,
    usage,
    webhook_deliveries,
    webhooks,
)
from gateway.playground import views as playground

urlpatterns = [
    path("operator/", include("gateway.operator.urls")),
    path(
        "organization/<uuid:organization_id>/audit/",
        organization_changes,
        name="organization_changes",
    ),
    path("playground/", playground.playground, name="playground"),
    path("playground/key/", playground.playground_key, name="playground_key"),
    path("playground/markdown/", playground.playground_markdown, name="playground_markdown"),
    path("groups/<uuid:group_id>/", keys.group, name="group"),
    path("groups/<uuid:group_id>/keys/", keys.keys, name="group_keys"),
    path("groups/<uuid:group_id>/limits/", group_limits.group_limits, name="group_limits"),
    path("groups/<uuid:group_id>/keys/new/", key.new_key, name="new_key"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/", key.key, name="key"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/edit/", key.edit_key, name="edit_key"),
    path("groups/<uuid:group_id>/keys/<uuid:key_id>/rotate/", key.rotate_key, name="rotate_key"),
    path(
        "groups/<uuid:group_id>/keys/<uuid:key_id>/rotate/end/",
        keys.end_rotation,
        name="end_rotation",
    ),
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
    path(
        "organization/<uuid:organization_id>/usage/",
        usage.organization_usage,
        name="organization_usage",
    ),
    path("groups/<uuid:group_id>/webhooks/", webhooks.webhooks, name="group_webhooks"),
    path("groups/<uuid:group_id>/webhooks/new/", webhooks.new_webhook, name="new_webhook"),
    path("groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/", webhooks.webhook, name="webhook"),
    path(
        "groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/edit/",
        webhooks.edit_webhook,
        name="edit_webhook",
    ),
    path(
        "groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/switch/",
        webhooks.switch_webhook,
        name="switch_webhook",
    ),
    path(
        "groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/remove/",
        webhooks.remove_webhook,
        name="remove_webhook",
    ),
    path(
        "groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/rotate/",
        webhooks.rotate_webhook_secret,
        name="rotate_webhook_secret",
    ),
    path(
        "groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/test/",
        webhooks.test_webhook,
        name="test_webhook",
    ),
    path(
        "groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/",
        webhook_deliveries.webhook_delivery,
        name="webhook_delivery",
    ),
    path(
        "groups/<uuid:group_id>/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/redeliver/",
        webhook_deliveries.redeliver_webhook,
        name="redeliver_webhook",
    ),
    path("groups/<uuid:group_id>/alerts/", alerts.group_alerts, name="group_alerts"),
    path("groups/<uuid:group_id>/alerts/test/", alerts.test_alerts, name="test_alerts"),
    path("groups/<uuid:group_id>/alerts/stop/", alerts.stop_alert_mail, name="stop_alert_mail"),
    path(
        "groups/<uuid:group_id>/statements/", statements.group_statements, name="group_statements"
    ),
    path(
        "groups/<uuid:group_id>/statements/<str:month>/",
        statements.group_statement,
        name="group_statement",
    ),
    path(
        "groups/<uuid:group_id>/statements/<str:month>/csv/",
        statements.group_statement_csv,
        name="group_statement_csv",
    ),
    path(
        "organization/<uuid:organization_id>/statements/",
        statements.organization_statements,
        name="organization_statements",
    ),
    path(
        "organization/<uuid:organization_id>/statements/<str:month>/",
        statements.organization_statement,
        name="organization_statement",
    ),
    path(
        "organization/<uuid:organization_id>/statements/<str:month>/csv/",
        statements.organization_statement_csv,
        name="organization_statement_csv",
    ),
    path("groups/<uuid:group_id>/calls/", calls.calls, name="group_calls"),
    path("groups/<uuid:group_id>/calls/export/", calls.export_calls, name="export_calls"),
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
