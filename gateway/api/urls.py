"""Calls, usage, tasks, prices and providers in the management API."""

from accounts.api.routes import route
from gateway.api import (
    callbacks,
    calls,
    catalog,
    changes,
    channels,
    figures,
    people,
    price_book,
    price_imports,
    prices,
    tasks,
    usage,
    webhooks,
)

ORGANIZATION = "organizations/<uuid:organization_id>"
GROUP = "groups/<uuid:group_id>"
CALLBACKS = f"{GROUP}/keys/<uuid:key_id>/callbacks"
WEBHOOK = f"{GROUP}/webhooks/<uuid:webhook_id>"
WEBHOOK_DELIVERY = f"{WEBHOOK}/deliveries/<uuid:delivery_id>"
CHANNEL = "channels/<int:channel_id>"
PERSON = "people/<int:user_id>"

urlpatterns = [
    *route(f"{GROUP}/calls", calls.Calls.as_view(), "api_calls"),
    *route(f"{GROUP}/calls/export", calls.CallExport.as_view(), "api_calls_export"),
    *route(f"{GROUP}/calls/<str:call_id>", calls.CallDetail.as_view(), "api_call"),
    *route(f"{GROUP}/usage", usage.GroupUsage.as_view(), "api_group_usage"),
    *route(f"{ORGANIZATION}/usage", usage.OrganizationUsage.as_view(), "api_organization_usage"),
    *route(f"{GROUP}/tasks", tasks.Tasks.as_view(), "api_tasks"),
    *route(f"{GROUP}/tasks/<str:task_id>", tasks.TaskDetail.as_view(), "api_task"),
    *route(f"{GROUP}/tasks/<str:task_id>/cancel", tasks.TaskCancel.as_view(), "api_task_cancel"),
    *route(CALLBACKS, callbacks.Callbacks.as_view(), "api_callbacks"),
    *route(f"{CALLBACKS}/test", callbacks.CallbackTest.as_view(), "api_callback_test"),
    *route(f"{CALLBACKS}/secret", callbacks.CallbackSecretView.as_view(), "api_callback_secret"),
    *route(
        f"{CALLBACKS}/secret/rotate",
        callbacks.CallbackSecretRotation.as_view(),
        "api_callback_secret_rotate",
    ),
    *route(f"{CALLBACKS}/<uuid:delivery_id>", callbacks.CallbackDetail.as_view(), "api_callback"),
    *route(
        f"{CALLBACKS}/<uuid:delivery_id>/redeliver",
        callbacks.CallbackRedelivery.as_view(),
        "api_callback_redeliver",
    ),
    *route(f"{GROUP}/webhooks", webhooks.Webhooks.as_view(), "api_webhooks"),
    *route(WEBHOOK, webhooks.WebhookDetail.as_view(), "api_webhook"),
    *route(f"{WEBHOOK}/test", webhooks.WebhookTest.as_view(), "api_webhook_test"),
    *route(
        f"{WEBHOOK}/secret/rotate",
        webhooks.WebhookSecretRotation.as_view(),
        "api_webhook_secret_rotate",
    ),
    *route(f"{WEBHOOK}/deliveries", webhooks.WebhookDeliveries.as_view(), "api_webhook_deliveries"),
    *route(WEBHOOK_DELIVERY, webhooks.WebhookDelivery.as_view(), "api_webhook_delivery"),
    *route(
        f"{WEBHOOK_DELIVERY}/redeliver",
        webhooks.WebhookRedelivery.as_view(),
        "api_webhook_redeliver",
    ),
    *route("prices", prices.Prices.as_view(), "api_prices"),
    *route(
        f"{ORGANIZATION}/changes",
        changes.OrganizationChanges.as_view(),
        "api_organization_changes",
    ),
    *route("changes", changes.Changes.as_view(), "api_changes"),
    *route("providers", channels.Providers.as_view(), "api_providers"),
    *route("channels", channels.Channels.as_view(), "api_channels"),
    *route(CHANNEL, channels.ChannelDetail.as_view(), "api_channel"),
    *route(f"{CHANNEL}/enable", channels.ChannelEnabling.as_view(), "api_channel_enable"),
    *route(f"{CHANNEL}/disable", channels.ChannelDisabling.as_view(), "api_channel_disable"),
    *route(f"{CHANNEL}/test", channels.ChannelTesting.as_view(), "api_channel_test"),
    *route(f"{CHANNEL}/costs", channels.ChannelCosts.as_view(), "api_channel_costs"),
    *route("catalog", catalog.Catalog.as_view(), "api_catalog"),
    *route(
        "catalog/<slug:provider>/<str:name>", catalog.CatalogModel.as_view(), "api_catalog_model"
    ),
    *route("price-book", price_book.PriceBook.as_view(), "api_price_book"),
    *route("price-book/preview", price_book.PricePreview.as_view(), "api_price_preview"),
    *route("price-book/import", price_imports.BookImport.as_view(), "api_price_import"),
    *route(
        "price-book/import/preview",
        price_imports.BookPreview.as_view(),
        "api_price_import_preview",
    ),
    *route("overview", figures.Overview.as_view(), "api_overview"),
    *route("failures", figures.Failures.as_view(), "api_failures"),
    *route("people", people.People.as_view(), "api_people"),
    *route(PERSON, people.PersonDetail.as_view(), "api_person"),
    *route(f"{PERSON}/deactivate", people.PersonDeactivation.as_view(), "api_person_deactivate"),
    *route(f"{PERSON}/reactivate", people.PersonReactivation.as_view(), "api_person_reactivate"),
    *route(f"{PERSON}/reset", people.PersonReset.as_view(), "api_person_reset"),
]
