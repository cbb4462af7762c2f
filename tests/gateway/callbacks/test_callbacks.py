"""Callbacks: what is sent, its secrets, and how often it is tried."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway import deliveries
from gateway.callback_secrets import callback_secret, rotate_secret, signing_secrets
from gateway.deliveries import send_next_delivery
from gateway.models import CallbackSecret, Delivery, Task
from tests.gateway.callback_rows import HOUR_S, deliver_to, make_due, wait_s
from tests.gateway.far_end import head, whole
from tests.gateway.receivers import OK, Receiver, receiver, verify
from tests.gateway.task_pictures import encode_picture, make_task, store_picture
from tests.people import People

# What is sent.


def test_a_message_is_the_polled_object_and_signed_as_the_standard_says(
    key: APIKey, hook: Receiver
) -> None:
    delivery = deliver_to(hook.url, key)
    assert send_next_delivery()
    (seen,) = hook.received
    message = verify(callback_secret(key), seen)
    assert delivery.task is not None
    assert message["task_id"] == message["id"] == delivery.task.public_id
    assert (message["object"], message["status"]) == ("task", "completed")
    assert message["billing"] == {
        "reserved": "0.000000001", "charged": "0.00", "refunded": "0.000000001", "currency": "USD",
    }  # fmt: skip
    assert seen.lines[0] == "POST /hook?token=abc HTTP/1.1"
    assert seen.headers["webhook-id"] == f"msg_{delivery.pk.hex}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("tollgate")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("delivered", 1)
    assert delivery.ended_at is not None
    assert delivery.lease_until is None
    (tried,) = delivery.log
    assert (tried["status"], tried["error"]) == (200, "")
    assert abs(tried["at"] - time.time()) < 5
    assert not send_next_delivery()


def test_pictures_come_with_links_that_open(
    key: APIKey, hook: Receiver, client: Any, settings: Any
) -> None:
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    delivery = deliver_to(hook.url, key)
    assert delivery.task is not None
    store_picture(delivery.task, encode_picture())
    send_next_delivery()
    (image,) = json.loads(hook.received[0].body)["images"]
    assert (image["width"], image["content_type"]) == (64, "image/png")
    assert image["url"].startswith("http://localhost/pictures/")
    answer = client.get(image["url"].removeprefix("http://localhost"))
    assert (answer.status_code, answer["content-type"]) == (200, "image/png")
    answer.close()


def test_a_failed_task_says_why(key: APIKey, hook: Receiver) -> None:
    delivery = deliver_to(hook.url, key)
    other = make_task(key)
    Task.objects.filter(pk=other.pk).delete()
    other.status, other.error_code, other.error_message = "failed", "content_refused", "No."
    other.save(force_insert=True)
    Delivery.objects.filter(pk=delivery.pk).update(task=other)
    send_next_delivery()
    message = json.loads(hook.received[0].body)
    assert message["error"] == {"code": "content_refused", "message": "No."}
    assert "images" not in message


def test_a_message_that_was_changed_on_its_way_does_not_verify(key: APIKey, hook: Receiver) -> None:
    deliver_to(hook.url, key)
    send_next_delivery()
    (seen,) = hook.received
    with pytest.raises(WebhookVerificationError):
        verify(callback_secret(key), seen._replace(body=seen.body.replace(b"completed", b"failed")))
    other = {**seen.headers, "webhook-id": "msg_other"}
    with pytest.raises(WebhookVerificationError):
        verify(callback_secret(key), seen._replace(headers=other))


def test_a_message_is_signed_by_the_secret_of_its_own_key(
    people: People, key: APIKey, hook: Receiver
) -> None:
    others = issue_key(people.foreign_group, people.charlie, "theirs")[0]
    deliver_to(hook.url, key)
    send_next_delivery()
    with pytest.raises(WebhookVerificationError):
        verify(callback_secret(others), hook.received[0])


# Secrets.


def test_a_secret_is_made_once_and_stands_nowhere_in_the_clear(key: APIKey) -> None:
    secret = callback_secret(key)
    assert secret.startswith("whsec_")
    assert len(secret) == len("whsec_") + 44
    assert callback_secret(key) == secret
    row = CallbackSecret.objects.get()
    assert secret.encode() not in bytes(row.sealed)


def test_a_sealed_secret_does_not_open_for_another_key(people: People, key: APIKey) -> None:
    callback_secret(key)
    other = issue_key(people.group, people.bob, "other")[0]
    sealed = CallbackSecret.objects.get().sealed
    CallbackSecret.objects.create(api_key=other, sealed=sealed)
    with pytest.raises(Exception, match="callback:"):
        callback_secret(other)


def test_old_and_new_secret_both_verify_for_a_day_after_a_rotation(
    key: APIKey, hook: Receiver
) -> None:
    old = callback_secret(key)
    new = rotate_secret(key)
    assert callback_secret(key) == new != old
    deliver_to(hook.url, key)
    send_next_delivery()
    assert len(hook.received[0].headers["webhook-signature"].split(" ")) == 2
    assert verify(old, hook.received[0]) == verify(new, hook.received[0])
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1)):
        assert signing_secrets(key) == [new]


def test_the_secret_before_the_last_stops_with_the_next_rotation(key: APIKey) -> None:
    oldest = callback_secret(key)
    old, new = rotate_secret(key), rotate_secret(key)
    assert signing_secrets(key) == [new, old]
    assert oldest not in signing_secrets(key)


def test_a_secret_that_opens_under_no_key_is_replaced_by_rotating_it(
    key: APIKey, hook: Receiver
) -> None:
    callback_secret(key)
    CallbackSecret.objects.update(sealed=b"\x01" + bytes(60))
    delivery = deliver_to(hook.url, key)
    assert send_next_delivery()
    delivery.refresh_from_db()
    assert (delivery.state, hook.received) == ("waiting", [])
    assert "rotate" in delivery.log[0]["error"]
    new = rotate_secret(key)
    make_due(delivery)
    send_next_delivery()
    assert verify(new, hook.received[0])


def test_first_uses_at_once_agree_on_one_secret(shared: APIKey) -> None:
    start = threading.Barrier(6)

    def ask(_number: int) -> str:
        try:
            start.wait(5)
            return callback_secret(shared)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1


# Tries.


def test_a_failed_try_is_made_again_with_the_same_id_and_bytes_and_its_own_time(
    key: APIKey, hook: Receiver
) -> None:
    hook.answers = [whole(b'{"oops": "\x00\x1b[31mred"}', status="500 Oops"), OK]
    delivery = deliver_to(hook.url, key)
    send_next_delivery()
    assert 3.5 < wait_s(delivery) <= 5
    assert delivery.state == "waiting"
    assert not send_next_delivery()
    make_due(delivery)
    Task.objects.update(requested_model="changed")
    with time_machine.travel(timezone.now() + timedelta(minutes=10)):
        send_next_delivery()
        verify(callback_secret(key), hook.received[1])
    first, second = hook.received
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    later = int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"])
    assert 595 < later < 605
    delivery.refresh_from_db()
    assert delivery.state == "delivered"
    assert [one["status"] for one in delivery.log] == [500, 200]
    assert delivery.log[0]["error"] == '{"oops": "  [31mred"}'


def test_tries_go_on_for_a_day_and_no_longer(key: APIKey, hook: Receiver) -> None:
    hook.answers = [whole(b"", status="503 Busy")]
    delivery = deliver_to(hook.url, key)
    age_s, ages = 0.0, []
    while delivery.state == "waiting":
        make_due(delivery, created_at=timezone.now() - timedelta(seconds=age_s))
        assert send_next_delivery()
        ages.append(age_s)
        age_s += wait_s(delivery)
    assert 10 <= len(ages) <= 14
    assert 24 * HOUR_S - 2 < ages[-1] < 24 * HOUR_S + 2
    waits = [later - age for age, later in pairwise(ages)]
    assert waits[:9] == sorted(waits[:9])
    assert waits[0] <= 5
    assert max(waits) > 6 * HOUR_S
    assert (delivery.state, len(delivery.log)) == ("failed", len(ages))
    assert delivery.ended_at is not None
    assert not send_next_delivery()


def test_a_delivery_that_waited_for_senders_longer_than_a_day_is_tried_once(
    key: APIKey, hook: Receiver
) -> None:
    long_ago = timezone.now() - timedelta(days=3)
    deliver_to(hook.url, key, created_at=long_ago)
    send_next_delivery()
    assert Delivery.objects.get().state == "delivered"


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        (whole(b"", status="204 No Content"), "delivered", ""),
        (whole(b"", status="299 Odd"), "delivered", ""),
        (whole(b"gone", status="410 Gone"), "failed", "gone"),
        (whole(b"no", status="404 Not Found"), "waiting", "no"),
        (whole(b"slow down", status="429 Too Many"), "waiting", "slow down"),
        (b"nonsense\r\n\r\n", "waiting", "the connection broke"),
        (b"", "waiting", "the connection broke"),
        (whole(b"x" * 5_000_000, status="500 Oops"), "waiting", "x" * 200),
        (whole(b"y" * 5_000_000), "delivered", ""),
    ],
)
def test_what_an_answer_means(
    key: APIKey, hook: Receiver, answer: bytes, state: str, error: str
) -> None:
    hook.answers = [answer]
    delivery = deliver_to(hook.url, key)
    send_next_delivery()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.log[0]["error"]) == (state, error)
    assert (delivery.ended_at is None) is (state == "waiting")


@pytest.mark.parametrize(
    ("header", "least_s", "most_s"),
    [
        ("90", 88, 90),
        ("0", 3, 5),
        ("-5", 3, 5),
        ("soon", 3, 5),
        ("9999999999999", 8 * HOUR_S - 5, 8 * HOUR_S),
        ("Wed, 01 Jan 2200 00:00:00 GMT", 8 * HOUR_S - 5, 8 * HOUR_S),
    ],
)
def test_a_receiver_may_ask_for_a_longer_wait_within_bounds(
    key: APIKey, hook: Receiver, header: str, least_s: float, most_s: float
) -> None:
    hook.answers = [head("429 Slow down", f"retry-after: {header}", "content-length: 0")]
    delivery = deliver_to(hook.url, key)
    send_next_delivery()
    assert least_s < wait_s(delivery) <= most_s


def test_a_redirect_is_not_followed(key: APIKey, hook: Receiver) -> None:
    with receiver() as elsewhere:
        hook.answers = [head("307 Moved", f"location: {elsewhere.url}", "content-length: 0")]
        delivery = deliver_to(hook.url, key)
        send_next_delivery()
        assert elsewhere.received == []
    delivery.refresh_from_db()
    assert (delivery.state, delivery.log[0]["status"]) == ("waiting", 307)
    assert delivery.log[0]["error"] == "redirects are not followed"


def test_a_receiver_that_hangs_is_left_in_time_and_tried_again(
    key: APIKey, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "POST_TIMEOUT_S", 0.4)
    hook.answers = [None]
    delivery = deliver_to(hook.url, key)
    begun = time.monotonic()
    send_next_delivery()
    assert 0.3 < time.monotonic() - begun < 2
    delivery.refresh_from_db()
    assert (delivery.state, delivery.log[0]["status"]) == ("waiting", 0)
    assert "in time" in delivery.log[0]["error"]


def test_nobody_listening_is_tried_again(key: APIKey) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        delivery = deliver_to(f"http://127.0.0.1:{taken.getsockname()[1]}/", key)
        send_next_delivery()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.log[0]["error"]) == ("waiting", "no connection")


def test_a_name_that_is_not_found_is_tried_again(key: APIKey) -> None:
    delivery = deliver_to("https://nobody-has-this-name.example.com.invalid/", key)
    send_next_delivery()
    delivery.refresh_from_db()
    assert delivery.state == "waiting"
    assert "not resolved" in delivery.log[0]["error"]


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/", "https://10.0.0.1/", "ftp://example.com/"]
)
def test_an_unsafe_address_is_never_called_and_never_tried_again(key: APIKey, url: str) -> None:
    delivery = deliver_to(url, key)
    send_next_delivery()
    delivery.refresh_from_db()
    assert (delivery.state, len(delivery.log)) == ("failed", 1)


def test_loopback_is_unsafe_where_it_is_not_allowed(
    key: APIKey, hook: Receiver, settings: Any
) -> None:
    settings.ALLOW_LOOPBACK_URLS = False
    deliver_to(hook.url, key)
    send_next_delivery()
    assert (Delivery.objects.get().state, hook.received) == ("failed", [])


def test_the_log_is_bounded(key: APIKey, hook: Receiver) -> None:
    hook.answers = [whole(b"", status="500 Oops")]
    delivery = deliver_to(hook.url, key, log=[{"at": 1, "status": 1, "ms": 1, "error": ""}] * 20)
    send_next_delivery()
    delivery.refresh_from_db()
    assert len(delivery.log) == 20
    assert delivery.log[-1]["status"] == 500


def test_an_error_of_ours_is_a_failed_try_and_not_the_end(
    key: APIKey, hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = deliver_to(hook.url, key)
    Task.objects.all().delete()
    orphan = Delivery.objects.create(group=key.group, api_key=key, url=hook.url, task=None)
    Delivery.objects.filter(pk=orphan.pk).update(task_id=delivery.task_id)
    assert send_next_delivery()
    orphan.refresh_from_db()
    assert (orphan.state, orphan.log[0]["error"]) == ("waiting", "an error on our side")
    assert "was not sent" in caplog.text


def test_a_delivery_that_ends_its_senders_is_given_up(key: APIKey, hook: Receiver) -> None:
    deliver_to(hook.url, key, attempts=deliveries.CLAIMS_MAX)
    send_next_delivery()
    assert (Delivery.objects.get().state, hook.received) == ("failed", [])
