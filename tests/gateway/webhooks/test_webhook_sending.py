"""Messages of webhooks on their way: the bytes, the tries, and what a receiver's silence leads to."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from accounts import membership_services
from accounts.key_services import issue_key, revoke_key
from accounts.models import Change, GroupMembership
from gateway.deliveries import send_next_delivery, sweep_deliveries
from gateway.models import Delivery, WebhookEndpoint, WebhookEvent
from gateway.webhooks import health, services
from gateway.webhooks.health import FAILING_MAX, send_mail
from gateway.webhooks.services import change_endpoint, plan_of, remove_endpoint
from tests.billing.bank import in_parallel
from tests.gateway.callback_rows import HOUR_S, make_due, wait_s
from tests.gateway.far_end import head, whole
from tests.gateway.receivers import OK, Receiver, receiver, verify
from tests.gateway.webhook_rows import make_all_due, subscribe, tell, tell_low_balance
from tests.gateway.webhooks.conftest import Hooked
from tests.people import People
from tests.world import ROOT, World


def test_a_message_is_signed_as_the_standard_says_and_logged(
    people: People, hooked: Hooked
) -> None:
    hooked.receiver.answers = [whole(b"thank you", status="201 Created")]
    event = tell_low_balance(people.group)
    assert sweep_deliveries() == 1, "the next sweep wakes a sender"
    assert send_next_delivery()
    (seen,) = hooked.receiver.received
    message = verify(hooked.secret, seen)
    assert list(message) == ["type", "timestamp", "version", "data"]
    assert (message["type"], message["timestamp"]) == ("balance.low", event.created_at.isoformat())
    assert seen.headers["webhook-id"] == f"msg_{event.pk.hex}"
    assert seen.lines[0] == "POST /hook?token=abc HTTP/1.1"
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    (tried,) = delivery.log
    assert (tried["status"], tried["error"], tried["response"]) == (201, "", "thank you")
    with pytest.raises(WebhookVerificationError):
        verify(hooked.secret, seen._replace(body=seen.body + b" "))


def test_each_webhook_has_its_own_secret_and_the_same_message(
    people: People, hooked: Hooked
) -> None:
    with receiver() as second:
        _, secret = subscribe(people.group, people.alice, second.url)
        tell_low_balance(people.group)
        send_next_delivery()
        send_next_delivery()
        (one,), (two,) = hooked.receiver.received, second.received
    assert one.body == two.body
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    verify(secret, two)
    with pytest.raises(WebhookVerificationError):
        verify(secret, one)


def test_a_failed_try_is_made_again_with_the_same_id_and_bytes(
    people: People, hooked: Hooked
) -> None:
    hooked.receiver.answers = [whole(b"oops", status="500 Oops"), OK]
    tell_low_balance(people.group)
    send_next_delivery()
    delivery = Delivery.objects.get()
    assert 3.5 < wait_s(delivery) <= 5
    people.group.name = "Renamed"
    people.group.save()
    make_due(delivery)
    send_next_delivery()
    one, two = hooked.receiver.received
    assert one.body == two.body
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    delivery.refresh_from_db()
    assert [entry["status"] for entry in delivery.log] == [500, 200]
    assert WebhookEndpoint.objects.get().failing_since is None, "it has arrived"


def test_tries_go_on_for_a_day_and_no_longer(people: People, hooked: Hooked) -> None:
    hooked.receiver.answers = [whole(b"", status="503 Busy")]
    tell_low_balance(people.group)
    delivery, age_s, tries = Delivery.objects.get(), 0.0, 0
    while delivery.state == "waiting":
        make_due(delivery, created_at=timezone.now() - timedelta(seconds=age_s))
        assert send_next_delivery()
        age_s, tries = age_s + wait_s(delivery), tries + 1
    assert 10 <= tries <= 14
    assert age_s > 24 * HOUR_S - 2
    assert delivery.state == "failed"


def test_a_redirect_is_not_followed(people: People, hooked: Hooked) -> None:
    with receiver() as elsewhere:
        moved = head("307 Moved", f"location: {elsewhere.url}", "content-length: 0")
        hooked.receiver.answers = [moved]
        tell_low_balance(people.group)
        send_next_delivery()
        assert elsewhere.received == []
    assert Delivery.objects.get().log[0]["error"] == "redirects are not followed"


def test_an_address_inside_is_not_called_whatever_was_saved(
    people: People, hooked: Hooked, settings: Any
) -> None:
    settings.ALLOW_LOOPBACK_URLS = False
    tell_low_balance(people.group)
    send_next_delivery()
    assert hooked.receiver.received == []
    assert Delivery.objects.get().state == "failed"


def test_what_waits_goes_to_the_address_that_the_webhook_has_now(
    people: People, hooked: Hooked
) -> None:
    hooked.receiver.answers = [whole(b"", status="503 Busy")]
    tell_low_balance(people.group)
    send_next_delivery()
    with receiver() as new:
        change_endpoint(
            hooked.endpoint, people.alice, plan_of(hooked.endpoint)._replace(url=new.url)
        )
        make_all_due()
        send_next_delivery()
        assert len(new.received) == 1
    assert Delivery.objects.get().url == new.url


def test_what_waits_for_a_webhook_that_is_off_or_gone_is_not_sent(
    people: People, hooked: Hooked
) -> None:
    tell_low_balance(people.group)
    waiting = Delivery.objects.get()
    off = plan_of(hooked.endpoint)._replace(is_enabled=False)
    change_endpoint(hooked.endpoint, people.alice, off)
    assert send_next_delivery()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.log[0]["error"]) == ("failed", "the webhook is switched off")
    # One that was told while somebody removed the webhook.
    event = WebhookEvent.objects.get()
    remove_endpoint(hooked.endpoint, people.alice)
    waiting.state, waiting.ended_at, waiting.event = "waiting", None, event
    Delivery.objects.bulk_create([waiting])
    make_all_due()
    assert send_next_delivery()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.log[-1]["error"]) == ("failed", "the webhook was removed")
    assert hooked.receiver.received == []


# What a receiver's silence leads to.


def fail_for(hooked: Hooked, people: People, days: float) -> WebhookEndpoint:
    """A message has just been given up, at a webhook at which nothing arrived for so long."""
    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=days))
    hooked.receiver.answers = [whole(b"", status="500 Oops")]
    tell_low_balance(people.group)
    long_ago = timezone.now() - timedelta(days=2)
    Delivery.objects.filter(state="waiting").update(created_at=long_ago)
    assert send_next_delivery()
    return WebhookEndpoint.objects.get()


def test_a_webhook_that_fails_for_days_is_switched_off_and_its_managers_told(
    people: People, hooked: Hooked, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://gate.example"
    GroupMembership.objects.filter(user=people.bob).update(role="manager")
    people.bob.language = "ko"
    people.bob.save()
    endpoint = fail_for(hooked, people, FAILING_MAX.days + 0.1)
    assert (endpoint.is_enabled, endpoint.stopped_why) == (False, "failing")
    line = Change.objects.get(verb="webhook.stopped")
    assert (line.actor, line.group_id) == (None, people.group.pk)
    assert [send_mail(), send_mail()] == [1, 0]
    assert {sent.to[0] for sent in mail.outbox} == {"alice@example.com", "bob@example.com"}
    mine = next(sent for sent in mail.outbox if sent.to == ["alice@example.com"])
    assert mine.subject == "A webhook of “Research” was switched off"
    assert f"https://gate.example/groups/{people.group.pk}/webhooks/{endpoint.pk}/" in mine.body
    assert "token=abc" not in mine.body
    assert tell(people.group) is None


def test_one_that_failed_for_less_stays_on(people: People, hooked: Hooked) -> None:
    endpoint = fail_for(hooked, people, FAILING_MAX.days - 0.1)
    assert endpoint.is_enabled
    assert send_mail() == 0


def test_one_try_that_fails_after_a_long_silence_is_no_end(people: People, hooked: Hooked) -> None:
    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=30))
    hooked.receiver.answers = [whole(b"", status="500 Oops"), OK]
    tell_low_balance(people.group)
    send_next_delivery()
    assert WebhookEndpoint.objects.get().is_enabled
    make_all_due()
    send_next_delivery()
    assert WebhookEndpoint.objects.get().failing_since is None


def test_410_switches_the_webhook_off_at_once_with_what_waits(
    people: People, hooked: Hooked
) -> None:
    hooked.receiver.answers = [whole(b"bye", status="410 Gone")]
    tell_low_balance(people.group)
    tell_low_balance(people.group)
    assert send_next_delivery()
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.is_enabled, endpoint.stopped_why, endpoint.mail_due) == (False, "gone", True)
    assert send_next_delivery()
    assert len(hooked.receiver.received) == 1
    assert set(Delivery.objects.values_list("state", flat=True)) == {"failed"}
    send_mail()
    assert "410 Gone" in mail.outbox[0].body


def test_mail_that_does_not_go_out_is_sent_later(
    people: People, hooked: Hooked, settings: Any
) -> None:
    WebhookEndpoint.objects.update(is_enabled=False, stopped_why="gone", mail_due=True)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens there
    assert send_mail() == 0
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert send_mail() == 1
    assert len(mail.outbox) == 1


# Several senders.


def test_many_senders_send_one_message_once(shared: People, hook: Receiver) -> None:
    subscribe(shared.group, shared.alice, hook.url)
    tell_low_balance(shared.group)
    sent = in_parallel(*[send_next_delivery] * 6)
    assert sorted(map(bool, sent)) == [False] * 5 + [True]
    assert len(hook.received) == 1


@pytest.mark.parametrize("between", ["post and answer", "answer and mark"])
def test_what_a_killed_sender_may_have_sent_is_sent_again_with_the_same_id(
    shared: People, hook: Receiver, fresh_world: World, between: str
) -> None:
    hook.answers = [None, OK] if between == "post and answer" else [OK]
    _, secret = subscribe(shared.group, shared.alice, hook.url)
    key = issue_key(shared.group, shared.alice, "ci")[0]
    revoke_key(key, shared.alice)
    program = (
        "import django, os; django.setup(); from gateway import deliveries;"
        "deliveries._conclude = lambda *_: os.kill(os.getpid(), 9); deliveries.send_next_delivery()"
    )
    sender = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": fresh_world.database.url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "TOLLGATE_ALLOW_LOOPBACK_URLS": "1",
        },
    )
    try:
        assert hook.arrived.acquire(timeout=20)
        if between == "answer and mark":
            assert sender.wait(10) == -signal.SIGKILL
    finally:
        sender.kill()
        sender.wait(10)
    assert Delivery.objects.get().state == "waiting"
    assert not send_next_delivery(), "its lease still runs"
    make_all_due()
    assert send_next_delivery()
    one, two = hook.received
    assert verify(secret, one) == verify(secret, two)
    assert one.headers["webhook-id"] == two.headers["webhook-id"]
    assert Delivery.objects.get().state == "delivered"


def test_an_address_that_is_refused_keeps_mail_from_nobody_else(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = services.EndpointPlan("https://example.com/a", ("task.ended",))
    for group, user in (
        (people.group, people.alice),
        (people.foreign_group, people.charlie),
    ):
        endpoint, _ = services.create_endpoint(group, user, plan)
        health.note_failure(endpoint.pk, is_over=True, is_gone=True)
    membership_services.change_group_role(people.group, people.bob, "manager", actor=people.alice)
    sent = []

    def send(self: EmailMultiAlternatives) -> int:
        if self.to == ["bob@example.com"]:
            raise SMTPRecipientsRefused({self.to[0]: (550, b"no such user")})
        sent.extend(self.to)
        return 1

    monkeypatch.setattr(EmailMultiAlternatives, "send", send)
    for _ in range(3):
        health.send_mail()
    assert sorted(sent) == ["alice@example.com", "charlie@example.com"]
    assert not WebhookEndpoint.objects.filter(mail_due=True).exists()
