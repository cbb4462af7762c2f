"""Callbacks of keys and webhooks of groups by program."""

import pytest

from gateway.callback_secrets import callback_secret
from gateway.models import Delivery, WebhookEndpoint
from tests.gateway.api.conftest import Keys
from tests.gateway.callback_rows import deliver_to
from tests.management import ManagementClient
from tests.people import People

HOOK = "https://receiver.example/hook"


def test_a_test_is_sent_and_listed(people: People, keys: Keys, bob: ManagementClient) -> None:
    path = f"groups/{people.group.pk}/keys/{keys.bob.pk}/callbacks"
    older = deliver_to(HOOK, keys.bob)
    sent = bob.post(f"{path}/test", {"url": HOOK})
    assert (sent.status, sent.body["state"], sent.body["task_id"]) == (202, "waiting", None)
    assert bob.get(path).ids == [sent.body["id"], str(older.pk)]
    assert bob.get(f"{path}/{older.pk}").body["task_id"] == f"tsk_{older.task_id.hex}"
    assert bob.get(f"{path}?limit=1&after={sent.body['id']}").ids == [str(older.pk)]


@pytest.mark.parametrize(
    "url", ["http://receiver.example/", "https://10.0.0.1/", "x", "", 5, "\x00"]
)
def test_a_test_goes_to_public_addresses_alone(
    people: People, keys: Keys, bob: ManagementClient, url: object
) -> None:
    answer = bob.post(f"groups/{people.group.pk}/keys/{keys.bob.pk}/callbacks/test", {"url": url})
    assert (answer.status, answer.param) == (400, "url")
    assert not Delivery.objects.exists()


def test_too_many_tests_are_refused(people: People, keys: Keys, bob: ManagementClient) -> None:
    path = f"groups/{people.group.pk}/keys/{keys.bob.pk}/callbacks/test"
    statuses = [bob.post(path, {"url": HOOK}).status for _ in range(11)]
    assert statuses == [202] * 10 + [429]
    assert bob.post(path, {"url": HOOK}).headers["Retry-After"]


def test_a_message_is_sent_again(people: People, keys: Keys, bob: ManagementClient) -> None:
    done = deliver_to(HOOK, keys.bob)
    Delivery.objects.filter(pk=done.pk).update(state="delivered", ended_at=done.created_at)
    path = f"groups/{people.group.pk}/keys/{keys.bob.pk}/callbacks"
    again = bob.post(f"{path}/{done.pk}/redeliver")
    assert (again.status, again.body["task_id"]) == (202, f"tsk_{done.task_id.hex}")
    assert Delivery.objects.count() == 2


def test_the_secret_is_shown_and_changed(
    people: People,
    keys: Keys,
    bob: ManagementClient,
    alice: ManagementClient,
    charlie: ManagementClient,
) -> None:
    path = f"groups/{people.group.pk}/keys/{keys.bob.pk}/callbacks/secret"
    first = bob.post(path).body["secret"]
    assert first == callback_secret(keys.bob)
    changed = alice.post(f"{path}/rotate").body["secret"]
    assert changed == bob.post(path).body["secret"] != first
    assert charlie.post(path).status == 404
    foreign = f"groups/{people.group.pk}/keys/{keys.alice.pk}/callbacks/secret"
    assert bob.post(foreign).status == 404, "a colleague's key is no business of his"


def test_a_webhook_is_made_changed_and_removed(people: People, alice: ManagementClient) -> None:
    path = f"groups/{people.group.pk}/webhooks"
    made = alice.post(path, {"url": HOOK, "events": ["task.ended"], "description": "Ours"})
    assert made.status == 201
    secret = made.body.pop("secret")
    assert secret.startswith("whsec_")
    one = f"{path}/{made.body['id']}"
    assert alice.get(one).body == made.body
    assert secret not in str(alice.get(path).body)
    changed = alice.patch(one, {"events": ["balance.low", "key.revoked"]}).body
    assert set(changed["events"]) == {"balance.low", "key.revoked"}
    assert (changed["url"], changed["description"]) == (HOOK, "Ours")
    assert alice.post(f"{one}/secret/rotate").body["secret"] != secret
    assert alice.delete(one).status == 204
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"events": ["task.ended"]}, "url"),
        ({"url": "http://receiver.example", "events": ["task.ended"]}, "url"),
        ({"url": HOOK, "events": []}, "events"),
        ({"url": HOOK, "events": ["test"]}, "events.0"),
        ({"url": HOOK, "events": "task.ended"}, "events"),
        ({"url": HOOK, "events": ["task.ended"], "description": "x" * 200}, "description"),
        ({"url": HOOK, "events": ["task.ended"], "is_enabled": "yes"}, "is_enabled"),
        ({"url": HOOK, "events": ["task.ended"], "secret": "x"}, "secret"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_by_its_field(
    people: People, alice: ManagementClient, body: dict[str, object], param: str
) -> None:
    answer = alice.post(f"groups/{people.group.pk}/webhooks", body)
    assert (answer.status, answer.param) == (400, param)
    assert not WebhookEndpoint.objects.exists()


def test_messages_to_a_webhook_are_listed_and_sent_again(
    people: People, alice: ManagementClient, bob: ManagementClient, charlie: ManagementClient
) -> None:
    path = f"groups/{people.group.pk}/webhooks"
    one = f"{path}/{alice.post(path, {'url': HOOK, 'events': ['task.ended']}).body['id']}"
    sent = alice.post(f"{one}/test")
    assert (sent.status, sent.body["event"]) == (202, "test")
    assert alice.get(f"{one}/deliveries?state=waiting&event=test").ids == [sent.body["id"]]
    assert alice.get(f"{one}/deliveries?event=task.ended").ids == []
    assert alice.get(f"{one}/deliveries/{sent.body['id']}").body == sent.body
    assert alice.post(f"{one}/deliveries/{sent.body['id']}/redeliver").status == 202
    assert alice.get(f"{one}/deliveries?state=gone").param == "state"
    for client, status in ((bob, 403), (charlie, 404)):
        assert client.get(path).status == client.get(f"{one}/deliveries").status == status
