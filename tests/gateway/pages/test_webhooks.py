"""The pages of webhooks: who sees them, what forms do, and that a secret is shown once."""

import re
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Change, GroupMembership
from accounts.reauthentication import SIGNED_IN_AT
from gateway.deliveries import TESTS_MAX, send_next_delivery
from gateway.models import Delivery, WebhookEndpoint
from gateway.signing import signing_secrets
from tests.gateway.far_end import whole
from tests.gateway.receivers import receiver, verify
from tests.gateway.webhook_rows import subscribe, tell_low_balance
from tests.people import People

HOOK = "https://hooks.example/tollgate?token=abc"
SECRET = re.compile(r'id="issued-secret">(whsec_[^<]+)<')
POSTS = ("edit", "switch", "remove", "rotate", "test")


@pytest.fixture
def endpoint(people: People, settings: Any) -> WebhookEndpoint:
    settings.ALLOW_LOOPBACK_URLS = True
    return subscribe(people.group, people.alice, HOOK)[0]


def list_url(people: People) -> str:
    return reverse("group_webhooks", args=[people.group.pk])


def url_of(endpoint: WebhookEndpoint, rest: str = "") -> str:
    return reverse("webhook", args=[endpoint.group_id, endpoint.pk]) + rest


def message_url(delivery: Delivery, rest: str = "") -> str:
    assert delivery.endpoint is not None
    return url_of(delivery.endpoint, f"deliveries/{delivery.pk}/{rest}")


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer.content.decode()


def add(client: Client, people: People, **fields: object) -> Any:
    values = {"url": HOOK, "events": ["task.ended", "key.revoked"], "is_enabled": "on"} | fields
    return client.post(list_url(people) + "new/", values)


def test_managers_see_webhooks_and_nobody_else_does(
    client: Client, people: People, endpoint: WebhookEndpoint
) -> None:
    event = tell_low_balance(people.group)
    delivery = event.deliveries.get()
    gets = [
        list_url(people),
        list_url(people) + "new/",
        url_of(endpoint),
        url_of(endpoint, "edit/"),
    ]
    gets.append(message_url(delivery))
    posts = [url_of(endpoint, f"{one}/") for one in POSTS] + [message_url(delivery, "redeliver/")]
    for user in (people.bob, people.charlie):
        client.force_login(user)
        assert {client.get(url).status_code for url in gets} == {404}, user
        assert {client.post(url).status_code for url in [*posts, gets[1]]} == {404}, user
    assert WebhookEndpoint.objects.get(pk=endpoint.pk).is_enabled
    GroupMembership.objects.filter(user=people.bob).update(role="manager")
    for user in (people.alice, people.bob, people.olga):
        client.force_login(user)
        assert {client.get(url).status_code for url in gets} == {200}, user


def test_a_webhook_or_message_of_another_place_is_not_found(
    client: Client, people: People, endpoint: WebhookEndpoint
) -> None:
    tell_low_balance(people.group)
    delivery = Delivery.objects.get()
    second, _ = subscribe(people.group, people.alice, "https://second.example/")
    client.force_login(people.alice)
    assert client.get(url_of(second, f"deliveries/{delivery.pk}/")).status_code == 404
    assert client.post(url_of(second, f"deliveries/{delivery.pk}/redeliver/")).status_code == 404
    assert client.get(url_of(endpoint, f"deliveries/{uuid4()}/")).status_code == 404
    client.force_login(people.charlie)
    for name in ("webhook", "edit_webhook"):
        found = reverse(name, args=[people.foreign_group.pk, endpoint.pk])
        assert client.get(found).status_code == 404
    moved = reverse("remove_webhook", args=[people.foreign_group.pk, endpoint.pk])
    assert client.post(moved).status_code == 404
    assert WebhookEndpoint.objects.count() == 2


def test_a_webhook_is_added_and_its_secret_shown_once(client: Client, people: People) -> None:
    client.force_login(people.alice)
    assert "No webhooks yet" in page(client, list_url(people))
    answer = add(client, people, description="Deploy <b>bot</b>")
    assert answer.status_code == 200
    shown = SECRET.search(answer.content.decode())
    assert shown is not None
    made = WebhookEndpoint.objects.get()
    assert signing_secrets(made) == [shown[1]]
    assert (made.events, made.base_url) == (["task.ended", "key.revoked"], "http://testserver")
    for url in (list_url(people), url_of(made), url_of(made, "edit/")):
        html = page(client, url)
        assert shown[1] not in html
        assert "Deploy <b>" not in html
    assert "token=abc" not in page(client, url_of(made))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "http://example.com/"}, "Only https addresses are accepted."),
        ({"url": "https://10.1.2.3/"}, "The host is not a public IP address."),
        ({"url": "https://169.254.169.254/"}, "The host is not a public IP address."),
        ({"url": ""}, "This field is required."),
        ({"events": []}, "Choose at least one event."),
        ({"events": ["everything"]}, "Select a valid choice."),
        ({"description": "x" * 121}, "at most 120 characters"),
    ],
)
def test_what_makes_no_sense_is_said_at_its_field(
    client: Client, people: People, fields: dict[str, object], said: str
) -> None:
    client.force_login(people.alice)
    answer = add(client, people, **fields)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_the_sixth_is_refused(client: Client, people: People) -> None:
    client.force_login(people.alice)
    for number in range(5):
        assert add(client, people, url=f"https://h{number}.example/").status_code == 200
    answer = add(client, people)
    assert answer.status_code == 422
    assert "at most 5 webhooks" in answer.content.decode()
    html = page(client, list_url(people))
    assert "at most 5 webhooks" in html
    assert "new/" not in html.split('id="webhooks"')[1]


def test_settings_are_changed(client: Client, people: People, endpoint: WebhookEndpoint) -> None:
    client.force_login(people.alice)
    values = {"url": "https://new.example/", "events": ["balance.low"], "is_enabled": "on"}
    answer = client.post(url_of(endpoint, "edit/"), values)
    assert answer["Location"] == url_of(endpoint)
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.events) == ("https://new.example/", ["balance.low"])
    for on in ("0", "1"):
        client.post(url_of(endpoint, "switch/"), {"on": on})
        endpoint.refresh_from_db()
        assert endpoint.is_enabled is (on == "1")
    client.post(url_of(endpoint, "remove/"))
    assert not WebhookEndpoint.objects.exists()
    assert Change.objects.filter(verb="webhook.changed").count() == 3


def test_a_rotation_shows_the_new_secret_once(
    client: Client, people: People, endpoint: WebhookEndpoint
) -> None:
    client.force_login(people.alice)
    shown = SECRET.search(client.post(url_of(endpoint, "rotate/")).content.decode())
    assert shown is not None
    assert signing_secrets(WebhookEndpoint.objects.get())[0] == shown[1]
    html = page(client, url_of(endpoint))
    assert shown[1] not in html
    assert "The secret before it signs too until" in html


def test_secrets_and_settings_ask_for_a_recent_proof(
    client: Client, people: People, endpoint: WebhookEndpoint
) -> None:
    client.force_login(people.alice)
    session = client.session
    session[SIGNED_IN_AT] = time.time() - 86_400
    session["account_authentication_methods"] = []
    session.save()
    before = bytes(WebhookEndpoint.objects.get().sealed)
    for url in (
        url_of(endpoint, "rotate/"),
        url_of(endpoint, "remove/"),
        list_url(people) + "new/",
    ):
        answer = client.post(url, {"url": "https://x.example/", "events": ["task.ended"]})
        assert answer.status_code == 302
        assert "reauthenticate" in answer["Location"]
    (same,) = WebhookEndpoint.objects.all()
    assert bytes(same.sealed) == before


def test_a_test_is_sent_and_its_answer_is_read_on_the_page(
    client: Client, people: People, settings: Any
) -> None:
    settings.ALLOW_LOOPBACK_URLS = True
    with receiver() as hook:
        hook.answers = [whole(b"<script>alert(1)</script>", status="503 Busy")]
        client.force_login(people.alice)
        endpoint, secret = subscribe(people.group, people.alice, hook.url)
        assert client.post(url_of(endpoint, "test/"))["Location"] == url_of(endpoint)
        assert 'hx-trigger="every' in page(client, url_of(endpoint)), "it is looked at again"
        assert send_next_delivery()
        verify(secret, hook.received[0])
    assert 'hx-trigger="every' not in page(client, url_of(endpoint))
    html = page(client, message_url(Delivery.objects.get()))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert(1)" not in html
    assert "503" in html
    assert "This is a test. Nothing has happened." in html


def test_tests_are_rationed(client: Client, people: People, endpoint: WebhookEndpoint) -> None:
    client.force_login(people.alice)
    for _ in range(TESTS_MAX):
        client.post(url_of(endpoint, "test/"))
    answer = client.post(url_of(endpoint, "test/"), follow=True)
    assert "Too many tests just now" in answer.content.decode()


def test_the_log_is_filtered_and_paged(
    client: Client, people: People, endpoint: WebhookEndpoint
) -> None:
    for _ in range(30):
        tell_low_balance(people.group)
    ended = list(Delivery.objects.order_by("id")[:3])
    Delivery.objects.filter(pk__in=[one.pk for one in ended]).update(
        state="failed", ended_at=timezone.now()
    )
    client.force_login(people.alice)

    def rows(query: str) -> list[str]:
        return re.findall(r"deliveries/([0-9a-f-]{36})/\"", page(client, url_of(endpoint, query)))

    assert len(set(rows(""))) == 25
    assert set(rows("?state=failed")) == {str(one.pk) for one in ended}
    assert rows("?event=task.ended") == []
    assert "None of the messages is like that." in page(client, url_of(endpoint, "?event=test"))
    assert len(set(rows("?state=nonsense&event=nonsense"))) == 25
    older = re.search(r'rel="next" href="([^"]+)"', page(client, url_of(endpoint)))
    assert older is not None
    assert len(set(rows(older[1]))) == 5


def test_a_message_is_sent_again_by_its_button(
    client: Client, people: People, endpoint: WebhookEndpoint
) -> None:
    tell_low_balance(people.group)
    first = Delivery.objects.get()
    Delivery.objects.update(state="delivered", ended_at=timezone.now())
    client.force_login(people.alice)
    answer = client.post(message_url(first, "redeliver/"))
    second = Delivery.objects.exclude(pk=first.pk).get()
    assert answer["Location"] == message_url(second)
    assert message_url(second) in page(client, message_url(first))
    client.post(url_of(endpoint, "switch/"), {"on": "0"})
    refused = client.post(message_url(first, "redeliver/"), follow=True).content.decode()
    assert "The webhook is switched off. Switch it on first." in refused


def test_one_that_tollgate_switched_off_says_why(
    client: Client, people: People, endpoint: WebhookEndpoint
) -> None:
    long_ago = timezone.now() - timedelta(days=4)
    WebhookEndpoint.objects.update(is_enabled=False, stopped_why="failing", failing_since=long_ago)
    client.force_login(people.alice)
    assert "Switched off by Tollgate" in page(client, list_url(people))
    assert "No message has arrived there for days" in page(client, url_of(endpoint))
    client.post(url_of(endpoint, "switch/"), {"on": "1"})
    assert "No message has arrived there for days" not in page(client, url_of(endpoint))
