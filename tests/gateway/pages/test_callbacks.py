"""The pages about callbacks: for each, a stranger, an outsider, a member, a manager and the operator."""

import html as html_module
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.callback_secrets import callback_secret, rotate_secret, signing_secrets
from gateway.deliveries import TESTS_MAX, send_next_delivery
from gateway.models import CallbackSecret, Delivery
from tests.gateway.far_end import whole
from tests.gateway.receivers import Receiver, receiver, verify
from tests.gateway.task_pictures import make_task
from tests.people import People

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
POSTS = ["show_callback_secret", "rotate_callback_secret", "test_callback"]


@pytest.fixture(autouse=True)
def _settings(settings: Any) -> None:
    """The folder that collectstatic fills (WhiteNoise warns where it is missing), and receivers on this machine."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    settings.ALLOW_LOOPBACK_URLS = True


@pytest.fixture
def own(people: People) -> APIKey:
    return issue_key(people.group, people.bob, "laptop")[0]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def url_of(name: str, key: APIKey, *more: Any) -> str:
    return reverse(name, args=[key.group_id, key.pk, *more])


def page(client: Client, key: APIKey, query: str = "", **headers: str) -> str:
    answer = client.get(url_of("callbacks", key) + query, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def ended(key: APIKey, **fields: Any) -> Delivery:
    values = {"state": "delivered", "ended_at": timezone.now(), "url": "https://example.com/hook"}
    return Delivery.objects.create(
        **values | {"group": key.group, "api_key": key, "task": make_task(key)} | fields
    )


# Who may.


def test_who_may_open_the_page(client: Client, people: People, key: APIKey, own: APIKey) -> None:
    url = url_of("callbacks", key)
    assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
    for user, status, on_bobs in (
        (people.charlie, 404, 404),
        (people.bob, 404, 200),
        (people.alice, 200, 200),
        (people.olga, 200, 200),
    ):
        client.force_login(user)
        assert client.get(url).status_code == status, user
        assert client.head(url).status_code == status, user
        assert client.get(url_of("callbacks", own)).status_code == on_bobs, user


@pytest.mark.parametrize("name", POSTS)
def test_who_may_act(client: Client, people: People, key: APIKey, own: APIKey, name: str) -> None:
    data = {"url": "https://example.com/"}
    assert client.post(url_of(name, key), data)["Location"].startswith("/accounts/login/")
    for user in (people.charlie, people.bob):
        client.force_login(user)
        assert client.post(url_of(name, key), data).status_code == 404
    assert not Delivery.objects.exists()
    assert not CallbackSecret.objects.exists()
    assert client.post(url_of(name, own), data).status_code in (200, 302)
    client.force_login(people.alice)
    assert client.post(url_of(name, key), data).status_code in (200, 302)


@pytest.mark.parametrize("name", POSTS)
def test_what_changes_something_is_not_done_by_a_link(
    client: Client, people: People, key: APIKey, name: str
) -> None:
    client.force_login(people.alice)
    assert client.get(url_of(name, key)).status_code == 405


def test_who_may_send_again(client: Client, people: People, key: APIKey, own: APIKey) -> None:
    for user, their_key, status in (
        (people.charlie, key, 404),
        (people.bob, key, 404),
        (people.bob, own, 302),
        (people.alice, own, 302),
    ):
        client.force_login(user)
        before = ended(their_key)
        count = Delivery.objects.count()
        answer = client.post(url_of("redeliver", their_key, before.pk))
        assert (answer.status_code, Delivery.objects.count() - count) == (status, status == 302)


def test_who_left_the_group_does_not_see_the_key_that_he_made(
    client: Client, people: People, own: APIKey
) -> None:
    people.group.memberships.filter(user=people.bob).delete()
    client.force_login(people.bob)
    assert client.get(url_of("callbacks", own)).status_code == 404
    assert client.post(url_of("show_callback_secret", own)).status_code == 404


def test_a_key_is_not_reached_through_another_group(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.charlie)
    for name in ("callbacks", *POSTS):
        url = reverse(name, args=[people.foreign_group.pk, key.pk])
        answer = client.get(url) if name == "callbacks" else client.post(url)
        assert answer.status_code == 404


def test_a_delivery_is_not_reached_through_another_key(
    client: Client, people: People, key: APIKey, own: APIKey
) -> None:
    client.force_login(people.bob)
    theirs = ended(key)
    for delivery_id in (theirs.pk, uuid4()):
        assert client.post(url_of("redeliver", own, delivery_id)).status_code == 404
    assert Delivery.objects.count() == 1


def test_the_page_of_a_key_leads_there_for_who_may(
    client: Client, people: People, key: APIKey, own: APIKey
) -> None:
    client.force_login(people.bob)
    for one, leads in ((own, True), (key, False)):
        shown = client.get(reverse("key", args=[people.group.pk, one.pk])).content.decode()
        assert (url_of("callbacks", one) in shown) is leads


# The secret.


def test_the_secret_is_shown_to_a_post_alone(client: Client, people: People, key: APIKey) -> None:
    secret = callback_secret(key)
    client.force_login(people.alice)
    assert secret not in html_module.unescape(page(client, key))
    shown = client.post(url_of("show_callback_secret", key), headers=HTMX)
    text = html_module.unescape(shown.content.decode())
    assert f'<code id="callback-secret" tabindex="-1" data-focus>{secret}</code>' in text
    assert text.lstrip().startswith('<div id="secret"')
    assert "no-store" in shown["Cache-Control"]
    whole_page = client.post(url_of("show_callback_secret", key)).content.decode()
    assert "</html>" in whole_page
    assert secret in html_module.unescape(whole_page)


def test_looking_at_the_page_makes_no_secret(client: Client, people: People, key: APIKey) -> None:
    client.force_login(people.alice)
    assert "first shown" in page(client, key)
    assert not CallbackSecret.objects.exists()


def test_a_secret_is_rotated_and_the_page_says_how_long_the_old_one_signs(
    client: Client, people: People, key: APIKey
) -> None:
    old = callback_secret(key)
    client.force_login(people.alice)
    assert "signs too until" not in page(client, key)
    answer = client.post(url_of("rotate_callback_secret", key))
    assert answer["Location"] == url_of("callbacks", key)
    assert signing_secrets(key) == [callback_secret(key), old]
    assert callback_secret(key) != old
    assert "signs too until" in page(client, key)
    CallbackSecret.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    assert "signs too until" not in page(client, key)


def test_a_secret_that_cannot_be_read_is_said_to_be_so(
    client: Client, people: People, key: APIKey
) -> None:
    callback_secret(key)
    CallbackSecret.objects.update(sealed=b"\x01" + bytes(60))
    client.force_login(people.alice)
    shown = client.post(url_of("show_callback_secret", key), headers=HTMX).content.decode()
    assert "cannot be read" in shown
    rotate_secret(key)
    shown = client.post(url_of("show_callback_secret", key), headers=HTMX).content.decode()
    assert "cannot be read" not in shown


# Tests.


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://169.254.169.254/latest/", "Only https addresses are accepted."),
        ("https://169.254.169.254/", "not a public IP address"),
        ("https://10.0.0.1/", "not a public IP address"),
        ("https://example.com:8443/", "Only port 443 is accepted."),
        ("https://user:pass@example.com/", "user name or password"),
        ("nonsense", "must begin with https://"),
        ("https://example.com/" + "x" * 2048, "at most 2048 characters"),
        ("", "required"),
    ],
)
def test_a_test_to_such_an_address_is_refused_at_the_form(
    client: Client, people: People, key: APIKey, url: str, error: str
) -> None:
    client.force_login(people.alice)
    for headers in ({}, HTMX):
        answer = client.post(url_of("test_callback", key), {"url": url}, headers=headers)
        assert answer.status_code == 422
        shown = answer.content.decode()
        assert error in re.findall(r'<div class="field-error".*?</div>', shown, re.DOTALL)[0]
        assert 'aria-invalid="true"' in shown
    assert not Delivery.objects.exists()


def test_a_test_s_result_comes_by_itself(
    client: Client, people: People, key: APIKey, hook: Receiver
) -> None:
    hook.answers = [whole(HOSTILE.encode(), status="500 Oops")]
    client.force_login(people.alice)
    answer = client.post(url_of("test_callback", key), {"url": hook.url}, headers=HTMX)
    assert answer.status_code == 200
    (poll,) = re.findall(r'id="live" hidden hx-get="([^"]+)"', answer.content.decode())
    poll = html_module.unescape(poll)
    asking = {**HTMX, "HX-Target": "callback-news"}
    assert client.get(poll, headers=asking).status_code == 204
    send_next_delivery()
    assert verify(callback_secret(key), hook.received[0])["id"] == "tsk_" + "0" * 32
    news = client.get(poll, headers=asking).content.decode()
    (result,) = re.findall(r'<div id="test-result".*?</div>', news, re.DOTALL)
    assert "Status 500" in result
    assert "Failed" in result
    assert html_module.escape(HOSTILE) in result
    assert HOSTILE not in news
    assert "</html>" not in news
    assert "hx-get" not in re.findall(r'<div id="live".*?</div>', news)[0]  # nothing more to come


def test_without_scripts_a_test_leads_back_to_its_result(
    client: Client, people: People, key: APIKey, hook: Receiver
) -> None:
    client.force_login(people.alice)
    answer = client.post(url_of("test_callback", key), {"url": hook.url})
    send_next_delivery()
    shown = client.get(answer["Location"]).content.decode()
    assert "Status 200" in shown
    assert f"msg_{Delivery.objects.get().pk.hex}" in shown


def test_the_result_of_another_key_s_test_is_not_shown(
    client: Client, people: People, key: APIKey, own: APIKey
) -> None:
    theirs = ended(key, task=None, log=[{"at": 1, "status": 418, "ms": 1, "error": "teapot"}])
    client.force_login(people.bob)
    shown = page(client, own, f"?tested={theirs.pk}")
    assert "teapot" not in shown
    assert "?tested=" not in page(client, own, "?tested=nonsense")


def test_too_many_tests_are_refused_at_the_form(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.alice)
    post = [
        client.post(url_of("test_callback", key), {"url": "https://example.com/"}).status_code
        for _ in range(TESTS_MAX + 1)
    ]
    assert post == [302] * TESTS_MAX + [422]


# Deliveries.


def test_deliveries_are_shown_with_their_tries_and_without_queries_of_addresses(
    client: Client, people: People, key: APIKey
) -> None:
    log = [
        {"at": 1_790_000_000.5, "status": 503, "ms": 240, "error": HOSTILE},
        {"at": 1_790_000_010.5, "status": 0, "ms": 10_000, "error": "no whole answer in time"},
    ]
    delivery = ended(key, state="failed", url="https://example.com/hook?token=hidden", log=log)
    client.force_login(people.alice)
    shown = page(client, key)
    assert "https://example.com/hook?…" in shown
    assert "hidden</code>" not in shown
    assert "token=" not in shown
    for text in ("503", "240 ms", "10.00 s", "no whole answer in time", f"msg_{delivery.pk.hex}"):
        assert text in shown
    assert shown.index("no whole answer in time") < shown.index("503")  # the latest first
    assert HOSTILE not in shown
    assert delivery.task is not None
    assert reverse("task", args=[people.group.pk, delivery.task.public_id]) in shown


def test_only_the_key_s_latest_twenty_are_shown(
    client: Client, people: People, key: APIKey, own: APIKey
) -> None:
    others = ended(own)
    made = [ended(key) for _ in range(22)]
    client.force_login(people.alice)
    shown = re.findall(r'id="msg_([0-9a-f]{32})"', page(client, key))
    assert shown == sorted((one.pk.hex for one in made), reverse=True)[:20]
    assert others.pk.hex not in shown


def test_the_page_asks_for_news_only_while_something_waits(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.alice)
    ended(key)
    assert 'hidden hx-get="' not in page(client, key)
    ended(key, state="waiting", ended_at=None)
    assert 'hidden hx-get="' in page(client, key)


def test_sending_again_leads_back_to_where_it_was_asked_for(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.alice)
    delivery = ended(key)
    url = url_of("redeliver", key, delivery.pk)
    assert client.post(url)["Location"] == url_of("callbacks", key)
    here = f"http://testserver/groups/{people.group.pk}/tasks/"
    answer = client.post(url, headers={**HTMX, "HX-Current-URL": here})
    assert f'"path": "/groups/{people.group.pk}/tasks/"' in answer["HX-Location"]
    elsewhere = {**HTMX, "HX-Current-URL": "https://evil.example/x"}
    assert url_of("callbacks", key) in client.post(url, headers=elsewhere)["HX-Location"]


@pytest.mark.parametrize(
    ("fields", "offer"),
    [
        ({"state": "failed"}, "Send again"),
        ({"state": "waiting", "ended_at": None}, "Try now"),
        ({"state": "waiting", "ended_at": None, "lease_until": timedelta(seconds=20)}, ""),
    ],
)
def test_what_a_member_is_offered_is_for_his_own_keys(
    people: People, key: APIKey, own: APIKey, fields: dict[str, Any], offer: str
) -> None:
    if "lease_until" in fields:
        fields = fields | {"lease_until": timezone.now() + fields["lease_until"]}

    def offers(their_key: APIKey, *, manages: bool) -> list[str]:
        delivery = ended(their_key, **fields)
        context = {
            "deliveries": [Delivery.objects.get(pk=delivery.pk)],
            "group": people.group,
            "user": people.bob,
            "manages": manages,
            "task": delivery.task,
        }
        shown = render_to_string("gateway/deliveries.html", context)
        return re.findall(r'<button class="button small">([^<]+)</button>', shown)

    expected = [offer] if offer else []
    assert offers(own, manages=False) == expected
    assert offers(key, manages=True) == expected
    assert offers(key, manages=False) == []
