"""The operator's pages."""

from django.urls import path

from gateway.operator import changes, channels, failures, overview, people, price_uploads, prices

urlpatterns = [
    path("", overview.overview, name="operator"),
    path("channels/", channels.channels, name="operator_channels"),
    path("channels/new/", channels.new_channel, name="operator_channel_new"),
    path("providers/new/", channels.new_provider, name="operator_provider_new"),
    path("channels/<int:channel_id>/", channels.channel, name="operator_channel"),
    path(
        "channels/<int:channel_id>/credential/",
        channels.rotate_credential,
        name="operator_channel_credential",
    ),
    path(
        "channels/<int:channel_id>/switch/", channels.switch_channel, name="operator_channel_switch"
    ),
    path("channels/<int:channel_id>/models/", channels.map_models, name="operator_channel_map"),
    path("channels/<int:channel_id>/cost/", channels.set_cost, name="operator_channel_cost"),
    path("channels/<int:channel_id>/test/", channels.test_channel, name="operator_channel_test"),
    path(
        "channels/<int:channel_id>/delete/", channels.delete_channel, name="operator_channel_delete"
    ),
    path("prices/", prices.prices, name="operator_prices"),
    path("prices/import/", price_uploads.import_book, name="operator_price_import"),
    path("models/<slug:provider>/<str:name>/", prices.model, name="operator_model"),
    path("models/<slug:provider>/<str:name>/price/", prices.new_price, name="operator_price_new"),
    path("failures/", failures.failures, name="operator_failures"),
    path("audit/", changes.changes, name="operator_changes"),
    path("people/", people.people, name="operator_people"),
    path("people/<int:user_id>/", people.person, name="operator_person"),
    path("people/<int:user_id>/deactivate/", people.deactivate, name="operator_person_deactivate"),
    path("people/<int:user_id>/reactivate/", people.reactivate, name="operator_person_reactivate"),
    path(
        "people/<int:user_id>/second-factor/",
        people.remove_second_factor,
        name="operator_person_second_factor",
    ),
    path("people/<int:user_id>/reset/", people.send_reset, name="operator_person_reset"),
]
