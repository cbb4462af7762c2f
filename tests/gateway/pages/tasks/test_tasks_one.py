"""The page of one task, cancelling, and tasks among the calls."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.ids import uuid7
from accounts.key_services import issue_key
from accounts.models import APIKey
from billing.models import Account, Price
from gateway.models import CallRecord, Task
from tests.gateway.task_rows import (
    FOX,
    HOSTILE,
    HTMX,
    add_picture,
    add_task,
    gallery_url,
    task_url,
    text_of,
)
from tests.people import People, fund

# One task


def test_the_page_of_a_task_has_the_whole_story(
    client: Client, price_book: None, people: People, key: APIKey
) -> None:
    now = timezone.now()
    price = Price.objects.filter(model="openai/gpt-image-2").latest("effective_from")
    story = [("created", 0, ""), ("started", 2, ""), ("trial failed", 4, "key sk-1 has no quota"),
             ("started", 9, ""), ("completed", 20.25, "")]  # fmt: skip
    task = add_task(
        key, price_id=price.pk, price_key="2k", count=2, hold_nanos=200_000_000, amount_nanos=100_000_000,
        request={"action": "edit_image", "prompt": FOX, "output_resolution": "2k", "background": "transparent",
                 "sources": ["https://pictures.example/a.png", "file_" + "ab" * 16], "output_count": 2},
        action="edit_image", endpoint="edit_image",
        events=[{"at": now.timestamp() + at, "what": what, "detail": detail} for what, at, detail in story],
    )  # fmt: skip
    add_picture(task)
    CallRecord.objects.create(
        id=task.pk, organization_id=task.organization_id, group_id=task.group_id, api_key=key, source="task",
        status="completed", created_at=now, list_nanos=200_000_000, amount_nanos=100_000_000,
    )  # fmt: skip
    client.force_login(people.bob)
    html = client.get(task_url(task)).content.decode()
    text = text_of(html)
    for words in (
        FOX, "Image edit", "2k", "transparent", "https://pictures.example/a.png", "file_abab", "1024 × 768",
        "List price $0.40 Price $0.20 Reserved $0.20 Released again $0.10 Charged $0.10",
        "An attempt failed", "Started again", "11.25 s later", "Link ends", f"call_{task.pk.hex}",
    ):  # fmt: skip
        assert words in text, words
    assert reverse("call", args=[people.group.pk, f"call_{task.pk.hex}"]) in html
    assert 'src="https://pictures' not in html
    assert 'href="https://pictures' not in html
    assert "sk-1" not in html, "what a provider told us is for operators"
    client.force_login(people.olga)
    assert "key sk-1 has no quota" in client.get(task_url(task)).content.decode()


def test_attempts_are_for_operators(client: Client, people: People, key: APIKey) -> None:
    trial = {
        "id": "t",
        "channel": "openai: secret-channel",
        "at": 1.0,
        "status": 500,
        "error": "x",
        "ms": 12,
    }
    task = add_task(key, trials=[trial])
    for user, shown in ((people.bob, False), (people.alice, False), (people.olga, True)):
        client.force_login(user)
        assert ("secret-channel" in client.get(task_url(task)).content.decode()) is shown


def test_a_failed_task_says_why_and_that_it_was_free(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(
        key, status="failed", error_code="source_unreachable", error_message="https://a.example answered 404."
    )  # fmt: skip
    client.force_login(people.bob)
    text = text_of(client.get(task_url(task)).content.decode())
    for words in (
        "could not be fetched",
        "source_unreachable",
        "a.example answered 404",
        "Not charged",
    ):
        assert words in text


def test_hostile_words_are_text(client: Client, people: People) -> None:
    key = issue_key(people.group, people.alice, HOSTILE)[0]
    task = add_task(
        key, status="failed", error_code="x", error_message=HOSTILE, model=HOSTILE, requested_model=HOSTILE,
        request={"action": "edit_image", "prompt": HOSTILE, "sources": [HOSTILE], "output_resolution": HOSTILE},
        idempotency_key=HOSTILE, events=[{"at": 1.0, "what": HOSTILE, "detail": HOSTILE}],
    )  # fmt: skip
    people.group.name = HOSTILE
    people.group.save()
    client.force_login(people.bob)
    for url in (gallery_url(people), task_url(task)):
        html = client.get(url).content.decode()
        assert HOSTILE not in html
        assert "&lt;script&gt;" in html


# Cancelling


@pytest.fixture
def pending(people: People, key: APIKey) -> Task:
    """A task of Alice's key that waits, with its hold."""
    fund(people, wallet_nanos=1_000_000_000)
    wallet = Account.objects.wallet_of(people.group)
    row = {
        "id": str(uuid7()), "organization_id": str(people.organization.pk), "group_id": str(people.group.pk),
        "api_key_id": str(key.pk), "account_id": wallet.pk, "action": "text_to_image", "endpoint": "text_to_image",
        "requested_model": "gpt-image-2", "model": "openai/gpt-image-2", "count": 1, "price_id": 1, "price_key": "1k",
        "request": {"action": "text_to_image", "prompt": FOX}, "hold_nanos": 60_000_000, "base_url": "http://x",
        "callback_url": "", "idempotency_key": "", "request_digest": "d", "timeout_s": 900,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT outcome FROM gateway_create_task(%s, NULL, NULL)", [json.dumps(row)])
        assert cursor.fetchone() == ("created",)
    return Task.objects.get()


def held_nanos(people: People) -> int:
    return Account.objects.wallet_of(people.group).held_nanos


def test_who_may_cancel_and_what_it_does(client: Client, people: People, pending: Task) -> None:
    url = reverse("cancel_task", args=[people.group.pk, pending.public_id])
    assert client.get(url).status_code == 405
    assert client.post(url)["Location"].startswith("/accounts/login/")
    for user in (people.charlie, people.bob):
        client.force_login(user)
        assert client.post(url).status_code == 404, "neither an outsider nor a colleague"
    assert "cancel-task" not in client.get(task_url(pending)).content.decode()
    assert held_nanos(people) == 60_000_000
    client.force_login(people.alice)
    page = client.get(task_url(pending)).content.decode()
    assert "cancel-task" in page
    assert "The $0.06 that is reserved goes back" in page
    done = text_of(client.post(url, follow=True).content.decode())
    assert "The task is cancelled: nothing is charged." in done
    assert "Cancelled" in done
    assert held_nanos(people) == 0
    pending.refresh_from_db()
    assert (pending.status, pending.error_code, pending.amount_nanos) == ("failed", "cancelled", 0)
    assert "cancel-task" not in client.get(task_url(pending)).content.decode()


def test_a_member_cancels_tasks_of_keys_of_his_own(
    client: Client, people: People, pending: Task
) -> None:
    APIKey.objects.filter(pk=pending.api_key_id).update(created_by=people.bob)
    client.force_login(people.bob)
    url = reverse("cancel_task", args=[people.group.pk, pending.public_id])
    answer = client.post(url, headers=HTMX)
    assert task_url(pending) in answer["HX-Location"]
    pending.refresh_from_db()
    assert pending.error_code == "cancelled"


def test_a_task_that_has_begun_is_not_cancelled(
    client: Client, people: People, pending: Task
) -> None:
    Task.objects.filter(pk=pending.pk).update(status="processing", attempts=1)
    client.force_login(people.alice)
    page = client.get(task_url(pending)).content.decode()
    assert "cancel-task" not in page
    url = reverse("cancel_task", args=[people.group.pk, pending.public_id])
    assert "had already begun" in client.post(url, follow=True).content.decode()
    assert held_nanos(people) == 60_000_000


def test_a_task_that_has_ended_is_not_cancelled_again(
    client: Client, people: People, pending: Task
) -> None:
    client.force_login(people.alice)
    url = reverse("cancel_task", args=[people.group.pk, pending.public_id])
    client.post(url)
    assert "had already ended" in client.post(url, follow=True).content.decode()
    assert held_nanos(people) == 0


# Tasks among the calls


def add_call(task: Task, **fields: Any) -> CallRecord:
    """The record of the task."""
    return CallRecord.objects.create(
        **{
            "id": task.pk, "organization_id": task.organization_id, "group_id": task.group_id,
            "api_key_id": task.api_key_id, "source": "task", "endpoint": "text_to_image", "model": task.model,
            "status": "completed", "created_at": timezone.now(), "duration_ms": 14_200, "hold_nanos": 400_000_000,
            "basis": "reported",
        }
        | fields
    )  # fmt: skip


def row_of(html: str, call: CallRecord) -> str:
    return html.partition(f'<tr id="{call.public_id}"')[2].partition("</tr>")[0]


def test_the_call_history_shows_pictures_instead_of_tokens(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(key)
    call = add_call(task, images=4, price_key="2k")
    refused = add_call(add_task(key), status="refused", hold_nanos=0, basis="", error_code="x")
    cancelled = add_call(add_task(key), status="client_gone", basis="", error_code="cancelled")
    client.force_login(people.bob)
    url = reverse("group_calls", args=[people.group.pk])
    html = client.get(url, {"source": "task"}).content.decode()
    row = row_of(html, call)
    assert "4 images" in row
    assert row.count("a task has no tokens") == 4, "twice, for eyes and for ears"
    assert "14.20 s" in row
    assert f'href="{task_url(task)}"' in row
    assert "/tasks/" not in row_of(html, refused), "it was refused before it was a task"
    assert "Cancelled" in row_of(html, cancelled)
    assert "Client left" not in row_of(html, cancelled)


def test_the_page_of_a_call_leads_to_its_task(
    client: Client, price_book: None, people: People, key: APIKey
) -> None:
    price = Price.objects.filter(model="openai/gpt-image-2").latest("effective_from")
    task = add_task(key)
    call = add_call(
        task, images=4, price_key="2k", price_id=price.pk, list_nanos=800_000_000, amount_nanos=400_000_000
    )  # fmt: skip
    client.force_login(people.bob)
    html = client.get(reverse("call", args=[people.group.pk, call.public_id])).content.decode()
    text = text_of(html)
    assert f'href="{task_url(task)}"' in html
    assert "$0.20 / image" in text
    assert "Images 4 Charged at the rate for “2k”." in text
    assert "Service tier" not in text
    plain = add_call(
        add_task(key), source="api", model="openai/gpt-5.5", endpoint="chat/completions"
    )
    other = client.get(reverse("call", args=[people.group.pk, plain.public_id])).content.decode()
    assert "/tasks/tsk_" not in other
    assert "Service tier" in other


def test_a_month_with_pictures_counts_them(client: Client, people: People, key: APIKey) -> None:
    add_call(add_task(key), images=4, amount_nanos=400_000_000, list_nanos=800_000_000)
    add_call(add_task(key), images=1, amount_nanos=60_000_000, list_nanos=120_000_000)
    client.force_login(people.bob)
    text = text_of(client.get(reverse("group_usage", args=[people.group.pk])).content.decode())
    assert "5 images made" in text
    assert "$0.46" in text
    assert text.count(" 5 images ") == 3, "of the month, of the model, of the key"
