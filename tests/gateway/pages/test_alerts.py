"""The page of low-balance alerts, and the messages to its webhook, over real sockets."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from standardwebhooks import Webhook

from accounts.models import Change, GroupMembership
from billing.alerts import check_balances, read_plan
from billing.models import Account
from billing.notice_models import AlertSettings, Notice
from gateway.alert_deliveries import send_alerts
from tests.billing.past import USD, capture
from tests.gateway.far_end import whole
from tests.gateway.receivers import Receiver
from tests.people import People, fund

SECRET = re.compile(r'id="alert-secret">(whsec_[^<]+)<')


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    """Receivers of these tests are on this machine."""
    settings.ALLOW_LOOPBACK_URLS = True


@pytest.fixture
def funded(people: People) -> People:
    fund(people, pool_nanos=USD, wallet_nanos=100 * USD)
    return people


def url_of(people: People, name: str = "group_alerts") -> str:
    return reverse(name, args=[people.group.pk])


def save(client: Client, people: People, **fields: object) -> Any:
    values = {"threshold_0": "50", "recipients": [people.alice.pk]} | fields
    return client.post(url_of(people), values)


def ring(people: People) -> None:
    capture(Account.objects.wallet_of(people.group), 60 * USD, timezone.now())
    assert check_balances() == 1


def test_only_managers_see_and_set_alerts(client: Client, funded: People) -> None:
    names = ("group_alerts", "rotate_alert_secret", "test_alerts", "stop_alert_mail")
    for user, status in ((funded.alice, 200), (funded.bob, 404), (funded.charlie, 404)):
        client.force_login(user)
        assert client.get(url_of(funded)).status_code == status
        if status == 404:
            for name in names:
                assert client.post(url_of(funded, name)).status_code == 404, name


def test_what_was_saved_stands_in_the_form_again(client: Client, funded: People) -> None:
    client.force_login(funded.alice)
    assert save(client, funded, threshold_3="7.50").status_code == 302
    plan = read_plan(funded.group)
    assert (plan.thresholds, plan.recipients) == ((50 * USD, 7_500_000_000), (funded.alice,))
    html = client.get(url_of(funded)).content.decode()
    assert 'value="50.00"' in html
    assert 'value="7.50"' in html
    assert re.search(rf'value="{funded.alice.pk}" checked', html)
    save(client, funded, threshold_0="", recipients=[])
    assert read_plan(funded.group).thresholds == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"threshold_0": "-5"},
        {"threshold_0": "much"},
        {"threshold_4": "0"},
        {"recipients": ["999999"]},
        {"recipients": "bob"},
        {"webhook_url": "http://example.com/hook"},
        {"webhook_url": "https://169.254.169.254/latest"},
        {"webhook_url": "ftp://example.com"},
    ],
)
def test_what_makes_no_sense_is_refused(
    client: Client, funded: People, settings: Any, fields: dict[str, object]
) -> None:
    settings.ALLOW_LOOPBACK_URLS = False
    client.force_login(funded.alice)
    if fields.get("recipients") == "bob":
        fields = {"recipients": [funded.bob.pk]}  # a member manages nothing
    assert save(client, funded, **fields).status_code == 422
    assert read_plan(funded.group).thresholds == ()


def test_the_secret_is_shown_once_and_verifies_what_arrives(
    client: Client, funded: People, receiver: Receiver
) -> None:
    client.force_login(funded.alice)
    shown = SECRET.search(save(client, funded, webhook_url=receiver.url).content.decode())
    assert shown is not None
    assert "whsec_" not in client.get(url_of(funded)).content.decode()
    assert save(client, funded, webhook_url=receiver.url).status_code == 302, "not shown again"
    ring(funded)
    assert send_alerts() == 1
    (seen,) = receiver.received
    body = Webhook(shown[1]).verify(seen.body, dict(seen.headers))
    assert (body["type"], body["data"]["balance"]) == ("balance.low", "40.00")
    assert seen.headers["webhook-id"] == str(Notice.objects.get(user=None))
    assert Notice.objects.get(user=None).state == "delivered"
    assert send_alerts() == 0
    html = client.get(url_of(funded)).content.decode()
    assert "Delivered" in html
    assert "token=abc" not in html.split("Messages")[1], "what stands behind ? may be a secret"


def test_after_a_rotation_both_secrets_sign_for_a_day(
    client: Client, funded: People, receiver: Receiver
) -> None:
    client.force_login(funded.alice)
    old = SECRET.search(save(client, funded, webhook_url=receiver.url).content.decode())
    new = SECRET.search(client.post(url_of(funded, "rotate_alert_secret")).content.decode())
    assert old is not None
    assert new is not None
    assert old[1] != new[1]
    client.post(url_of(funded, "test_alerts"))
    send_alerts()
    for secret in (old[1], new[1]):
        Webhook(secret).verify(receiver.received[0].body, dict(receiver.received[0].headers))
    AlertSettings.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    client.post(url_of(funded, "test_alerts"))
    send_alerts()
    assert len(receiver.received[1].headers["webhook-signature"].split()) == 1
    verbs = set(Change.objects.values_list("verb", flat=True))
    assert {"alerts.changed", "alerts.secret_rotated"} <= verbs
    assert "whsec" not in json.dumps(list(Change.objects.values("before", "after")))


def test_a_receiver_that_fails_is_tried_again_with_the_same_bytes(
    client: Client, funded: People, receiver: Receiver
) -> None:
    receiver.answers = [whole(b"busy", status="503 Busy"), whole(b"", status="204 No Content")]
    client.force_login(funded.alice)
    save(client, funded, webhook_url=receiver.url)
    ring(funded)
    send_alerts()
    notice = Notice.objects.get(user=None)
    assert (notice.state, notice.log[0]["status"], notice.log[0]["error"]) == (
        "waiting",
        503,
        "busy",
    )
    assert send_alerts() == 0
    Notice.objects.update(next_at=timezone.now())
    send_alerts()
    assert Notice.objects.get(user=None).state == "delivered"
    first, second = receiver.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


@pytest.mark.parametrize("end", ["gone", "address changed", "address removed"])
def test_what_nobody_wants_any_more_is_not_sent(
    client: Client, funded: People, receiver: Receiver, end: str
) -> None:
    client.force_login(funded.alice)
    save(client, funded, webhook_url=receiver.url)
    ring(funded)
    if end == "gone":
        receiver.answers = [whole(b"", status="410 Gone")]
    else:
        other = "https://example.com/hook" if end == "address changed" else ""
        save(client, funded, webhook_url=other)
    send_alerts()
    assert Notice.objects.get(user=None).state == "failed"
    assert len(receiver.received) == (1 if end == "gone" else 0)


def test_an_address_inside_is_not_called(
    client: Client, funded: People, receiver: Receiver, settings: Any
) -> None:
    client.force_login(funded.alice)
    save(client, funded, webhook_url=receiver.url)
    settings.ALLOW_LOOPBACK_URLS = False
    ring(funded)
    send_alerts()
    assert receiver.received == []
    assert Notice.objects.get(user=None).state == "failed"


def test_a_test_says_so_and_too_many_are_refused(
    client: Client, funded: People, receiver: Receiver
) -> None:
    client.force_login(funded.alice)
    page = client.post(url_of(funded, "test_alerts"), follow=True).content.decode()
    assert "Nobody would get a message" in page
    save(client, funded, webhook_url=receiver.url)
    for _ in range(5):
        page = client.post(url_of(funded, "test_alerts"), follow=True).content.decode()
        assert "A test is on its way" in page
    page = client.post(url_of(funded, "test_alerts"), follow=True).content.decode()
    assert "many tests" in page
    send_alerts()
    assert json.loads(receiver.received[0].body)["data"]["test"] is True


def test_a_manager_can_stop_his_own_mail(client: Client, funded: People) -> None:
    GroupMembership.objects.filter(user=funded.bob).update(role="manager")
    client.force_login(funded.alice)
    save(client, funded, recipients=[funded.alice.pk, funded.bob.pk])
    client.force_login(funded.bob)
    assert "Stop mail to me" in client.get(url_of(funded)).content.decode()
    client.post(url_of(funded, "stop_alert_mail"))
    assert read_plan(funded.group).recipients == (funded.alice,)
    assert "Stop mail to me" not in client.get(url_of(funded)).content.decode()
