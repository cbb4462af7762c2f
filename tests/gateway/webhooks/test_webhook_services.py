"""Webhooks as people set them: addresses, events, secrets, tests, and sending again."""

import json
import os
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command

from accounts.models import Change
from gateway.credentials import BadCredential
from gateway.deliveries import TESTS_MAX, TooManyTests, send_next_delivery
from gateway.models import Delivery, WebhookEndpoint, WebhookEvent
from gateway.signing import signing_secrets
from gateway.webhooks import services
from gateway.webhooks.services import (
    ENDPOINTS_MAX,
    EndpointPlan,
    change_endpoint,
    create_endpoint,
    plan_of,
    redeliver,
    remove_endpoint,
    rotate_secret,
    send_test,
)
from tests.billing.bank import in_parallel
from tests.gateway.far_end import whole
from tests.gateway.receivers import OK, verify
from tests.gateway.webhook_rows import make_all_due, open_deliveries, subscribe, tell_low_balance
from tests.gateway.webhooks.conftest import Hooked
from tests.people import People

HOOK = "https://hooks.example/tollgate?token=abc"


def verbs() -> list[str]:
    return list(
        Change.objects.filter(verb__startswith="webhook")
        .order_by("id")
        .values_list("verb", flat=True)
    )


def test_what_is_set_stands_there_and_in_the_trail(people: People) -> None:
    endpoint, secret = create_endpoint(
        people.group,
        people.alice,
        EndpointPlan(HOOK, ("key.revoked", "task.ended"), " Slack "),
        base_url="https://gate.example",
    )
    assert plan_of(endpoint) == EndpointPlan(HOOK, ("task.ended", "key.revoked"), "Slack", True)
    assert secret.startswith("whsec_")
    change_endpoint(endpoint, people.bob, plan_of(endpoint)._replace(events=("balance.low",)))
    change_endpoint(endpoint, people.bob, plan_of(WebhookEndpoint.objects.get()))  # nothing new
    rotate_secret(endpoint, people.alice)
    remove_endpoint(endpoint, people.alice)
    remove_endpoint(endpoint, people.alice)
    assert verbs() == [
        f"webhook.{one}" for one in ("created", "changed", "secret_rotated", "removed")
    ]
    changed = Change.objects.get(verb="webhook.changed")
    assert (changed.before, changed.after) == (
        {"events": ["task.ended", "key.revoked"]}, {"events": ["balance.low"]},
    )  # fmt: skip
    assert changed.group_id == people.group.pk
    said = json.dumps(list(Change.objects.values("before", "after")))
    assert "whsec" not in said
    assert "token=abc" not in said
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (EndpointPlan("http://example.com/", ("task.ended",)), "url"),
        (EndpointPlan("https://10.0.0.1/", ("task.ended",)), "url"),
        (EndpointPlan("https://169.254.169.254/latest", ("task.ended",)), "url"),
        (EndpointPlan("https://localhost/", ("task.ended",)), "url"),
        (EndpointPlan("https://user:pass@example.com/", ("task.ended",)), "url"),
        (EndpointPlan("", ("task.ended",)), "url"),
        (EndpointPlan(HOOK, ()), "events"),
        (EndpointPlan(HOOK, ("test",)), "events"),
        (EndpointPlan(HOOK, ("task.ended", "everything")), "events"),
        (EndpointPlan(HOOK, ("task.ended",), "x" * 121), "description"),
    ],
)
def test_what_cannot_be_is_refused_by_field(
    people: People, settings: Any, plan: EndpointPlan, field: str
) -> None:
    settings.ALLOW_LOOPBACK_URLS = False
    with pytest.raises(ValidationError) as refused:
        create_endpoint(people.group, people.alice, plan)
    assert list(refused.value.message_dict) == [field]
    endpoint, _ = subscribe(people.group, people.alice, "https://fine.example/")
    with pytest.raises(ValidationError):
        change_endpoint(endpoint, people.alice, plan)
    assert WebhookEndpoint.objects.get().url == "https://fine.example/"


def test_one_address_has_one_webhook_in_a_group(people: People) -> None:
    subscribe(people.group, people.alice, HOOK)
    with pytest.raises(ValidationError, match="already"):
        subscribe(people.group, people.alice, HOOK)
    subscribe(people.foreign_group, people.charlie, HOOK)
    other, _ = subscribe(people.group, people.alice, "https://other.example/")
    with pytest.raises(ValidationError, match="already"):
        change_endpoint(other, people.alice, plan_of(other)._replace(url=HOOK))


def test_a_group_has_a_few_webhooks_however_many_are_made_at_once(shared: People) -> None:
    def make(number: int) -> Any:
        return lambda: subscribe(shared.group, shared.alice, f"https://hook{number}.example/")

    made = in_parallel(*[make(number) for number in range(ENDPOINTS_MAX + 3)])
    assert sum(isinstance(one, ValidationError) for one in made) == 3, made
    assert WebhookEndpoint.objects.of_group(shared.group).count() == ENDPOINTS_MAX


def test_only_who_manages_the_group_reads_its_webhooks(people: People) -> None:
    subscribe(people.group, people.alice, HOOK)
    theirs = {
        user.name: WebhookEndpoint.objects.manageable_by(user, people.group).count()
        for user in (people.alice, people.bob, people.charlie, people.olga)
    }
    assert theirs == {"Alice Arden": 1, "Bob Brook": 0, "Charlie Crane": 0, "Olga Orlov": 1}
    assert not WebhookEndpoint.objects.of_group(people.foreign_group).exists()


# Secrets.


def test_after_a_rotation_both_secrets_sign_and_after_another_only_the_last_two(
    people: People, hooked: Hooked
) -> None:
    second = rotate_secret(hooked.endpoint, people.alice)
    send_test(hooked.endpoint, people.alice)
    send_next_delivery()
    for secret in (hooked.secret, second):
        verify(secret, hooked.receiver.received[0])
    third = rotate_secret(hooked.endpoint, people.alice)
    assert signing_secrets(WebhookEndpoint.objects.get()) == [third, second]
    WebhookEndpoint.objects.update(previous_until="2020-01-01T00:00Z")
    assert signing_secrets(WebhookEndpoint.objects.get()) == [third]


def test_a_secret_lies_encrypted_and_opens_for_its_webhook_only(people: People) -> None:
    endpoint, secret = subscribe(people.group, people.alice, HOOK)
    other, _ = subscribe(people.foreign_group, people.charlie, HOOK)
    assert secret.encode() not in bytes(endpoint.sealed)
    assert signing_secrets(WebhookEndpoint.objects.get(pk=endpoint.pk)) == [secret]
    other.sealed = endpoint.sealed
    with pytest.raises(BadCredential):
        signing_secrets(other)


def test_secrets_move_to_a_new_key_and_one_that_opens_under_none_is_named(
    people: People, settings: Any
) -> None:
    endpoint, first = subscribe(people.group, people.alice, HOOK)
    second = rotate_secret(endpoint, people.alice)
    old, new = settings.CREDENTIAL_KEY, os.urandom(32)
    settings.CREDENTIAL_KEY, settings.CREDENTIAL_KEYS = new, (new, old)
    out = StringIO()
    call_command("reseal_credentials", stdout=out)
    assert "2 resealed" in out.getvalue()
    settings.CREDENTIAL_KEYS = (new,)
    assert signing_secrets(WebhookEndpoint.objects.get()) == [second, first]
    settings.CREDENTIAL_KEY = os.urandom(32)
    settings.CREDENTIAL_KEYS = (settings.CREDENTIAL_KEY,)
    errors = StringIO()
    with pytest.raises(SystemExit):
        call_command("reseal_credentials", stdout=StringIO(), stderr=errors)
    assert f"webhook:{endpoint.pk}: " in errors.getvalue()
    assert "page of the webhook" in errors.getvalue()


# By hand.


def test_a_test_goes_to_one_webhook_even_if_it_is_off_and_is_tried_once(
    people: People, hooked: Hooked
) -> None:
    subscribe(people.group, people.alice, "https://other.example/")
    off = plan_of(hooked.endpoint)._replace(is_enabled=False)
    change_endpoint(hooked.endpoint, people.alice, off)
    hooked.receiver.answers = [whole(b"broken", status="500 Oops")]
    sent = send_test(hooked.endpoint, people.bob)
    assert send_next_delivery()
    assert not send_next_delivery()
    message = verify(hooked.secret, hooked.receiver.received[0])
    assert (message["type"], message["data"]) == (
        "test",
        {
            "group_id": str(people.group.pk),
            "group": "Research",
            "organization_id": str(people.organization.pk),
            "message": "This is a test. Nothing has happened.",
        },
    )
    sent.refresh_from_db()
    assert (sent.state, sent.log[0]["status"], sent.log[0]["response"]) == ("failed", 500, "broken")
    assert WebhookEndpoint.objects.get(pk=hooked.endpoint.pk).failing_since is None
    assert Change.objects.get(verb="webhook.tested").actor == people.bob


def test_tests_are_rationed_each_webhook_by_itself(people: People, hooked: Hooked) -> None:
    for _ in range(TESTS_MAX):
        last = send_test(hooked.endpoint, people.alice)
    with pytest.raises(TooManyTests):
        send_test(hooked.endpoint, people.alice)
    with pytest.raises(TooManyTests):
        redeliver(last, people.alice)
    other, _ = subscribe(people.group, people.alice, "https://other.example/")
    send_test(other, people.alice)


def test_what_is_sent_again_has_the_same_id_and_bytes(people: People, hooked: Hooked) -> None:
    event = tell_low_balance(people.group)
    assert send_next_delivery()
    first = Delivery.objects.get()
    again = redeliver(first, people.alice)
    assert again.pk != first.pk
    assert send_next_delivery()
    one, two = hooked.receiver.received
    assert one.body == two.body
    assert one.headers["webhook-id"] == two.headers["webhook-id"] == event.public_id
    line = Change.objects.get(verb="webhook.redelivered")
    assert line.after == {"type": "balance.low", "message": event.public_id}


def test_what_waits_is_tried_now_and_not_twice(people: People, hooked: Hooked) -> None:
    hooked.receiver.answers = [whole(b"", status="503 Busy"), OK]
    tell_low_balance(people.group)
    send_next_delivery()
    waiting = Delivery.objects.get()
    assert not send_next_delivery()
    assert redeliver(waiting, people.alice).pk == waiting.pk
    assert send_next_delivery()
    assert Delivery.objects.get().state == "delivered"


def test_clicks_at_once_send_once_more(shared: People) -> None:
    endpoint, _ = subscribe(shared.group, shared.alice, HOOK)
    tell_low_balance(shared.group)
    first = Delivery.objects.get()
    for _ in range(8):
        Delivery.objects.update(state="delivered", ended_at="2026-01-01T00:00Z")
        made = in_parallel(*[lambda: redeliver(first, shared.alice).pk] * 8)
        assert len(set(made)) == 1, made
        assert open_deliveries(endpoint) == 1


def test_nothing_is_sent_again_to_a_webhook_that_is_off(people: People, hooked: Hooked) -> None:
    tell_low_balance(people.group)
    delivery = Delivery.objects.get()
    off = plan_of(hooked.endpoint)._replace(is_enabled=False)
    change_endpoint(hooked.endpoint, people.alice, off)
    make_all_due()
    send_next_delivery()
    with pytest.raises(ValidationError, match="switched off"):
        redeliver(delivery, people.alice)
    assert hooked.receiver.received == []
    assert Delivery.objects.get().log[0]["error"] == "the webhook is switched off"


def test_switching_on_again_forgets_why_it_was_stopped(people: People, hooked: Hooked) -> None:
    WebhookEndpoint.objects.update(
        is_enabled=False, stopped_why="failing", mail_due=True, failing_since="2026-01-01T00:00Z"
    )
    endpoint = WebhookEndpoint.objects.get()
    change_endpoint(endpoint, people.alice, plan_of(endpoint)._replace(is_enabled=True))
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.stopped_why, endpoint.mail_due, endpoint.failing_since) == (
        True, "", False, None,
    )  # fmt: skip


def test_a_webhook_goes_with_its_log_and_the_events_stay(people: People, hooked: Hooked) -> None:
    tell_low_balance(people.group)
    services.remove_endpoint(hooked.endpoint, people.alice)
    assert not Delivery.objects.exists()
    assert WebhookEvent.objects.count() == 1
