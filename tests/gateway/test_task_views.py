"""A group's image tasks: for each page a stranger, an outsider, a member, an admin and the operator."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import APIKey
from accounts.services import issue_key
from billing.models import Account, Price
from gateway.models import CallRecord, Delivery, Picture, Task
from tests.gateway.task_pictures import encode_picture, make_task, store_picture
from tests.people import People, fund, make_people

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
FOX = "A red fox asleep in the snow"


@pytest.fixture(autouse=True)
def _static_files(settings: Any) -> None:
    """The folder that collectstatic fills; WhiteNoise warns where it is missing."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def people(db: None) -> People:
    return make_people()


@pytest.fixture
def key(people: People) -> APIKey:
    return issue_key(people.group, people.alice, "ci")[0]


def add_task(key: APIKey, **fields: Any) -> Task:
    """A completed task of just now, `fields` being otherwise."""
    task = make_task(key)
    Task.objects.filter(pk=task.pk).delete()
    now = timezone.now()
    values = {
        "created_at": now - timedelta(seconds=20),
        "started_at": now - timedelta(seconds=18),
        "request": {"action": "text_to_image", "prompt": FOX, "output_resolution": "1k"},
        "events": [{"at": now.timestamp() - 20, "what": "created", "detail": ""}],
    }
    for name, value in (values | fields).items():
        setattr(task, name, value)
    if task.status in ("pending", "processing"):
        task.ended_at = None
    task.save(force_insert=True)
    return task


def add_picture(task: Task, position: int = 0, **fields: Any) -> Picture:
    """A picture without a file."""
    return Picture.objects.create(
        **{
            "task": task, "position": position, "name": f"{task.pk}/{position}", "thumbnail": "t", "extension": "png",
            "content_type": "image/png", "width": 1024, "height": 768, "size_bytes": 123_456,
            "expires_at": timezone.now() + timedelta(days=7),
        }
        | fields
    )  # fmt: skip


def gallery_url(people: People) -> str:
    return reverse("group_tasks", args=[people.group.pk])


def task_url(task: Task) -> str:
    return reverse("task", args=[task.group_id, task.public_id])


def cards_of(html: str) -> list[str]:
    return re.findall(r'<li class="task-card[^"]*" id="(tsk_[0-9a-f]{32})"', html)


def poll_url(html: str) -> str:
    [address] = re.findall(r'id="live" hidden hx-get="([^"]+)"', html)
    return str(address).replace("&amp;", "&")


def text_of(html: str) -> str:
    """What a reader sees of it, roughly."""
    body = html.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


# Who may


def test_who_may_open_the_gallery_and_a_task(client: Client, people: People, key: APIKey) -> None:
    for url in (gallery_url(people), task_url(add_task(key))):
        client.logout()
        assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
        for user, status in (
            (people.charlie, 404),
            (people.bob, 200),
            (people.alice, 200),
            (people.olga, 200),
        ):
            client.force_login(user)
            assert client.get(url).status_code == status, user
            assert client.head(url).status_code == status, user


def test_a_task_is_not_found_through_another_group(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(key)
    client.force_login(people.charlie)
    for name in ("task", "cancel_task"):
        url = reverse(name, args=[people.foreign_group.pk, task.public_id])
        answer = client.post(url) if name == "cancel_task" else client.get(url)
        assert answer.status_code == 404


@pytest.mark.parametrize("name", ["tsk_x", "tsk_" + "0" * 32, "0" * 32, "tsk_" + "G" * 32])
def test_what_is_no_task_is_not_found(client: Client, people: People, name: str) -> None:
    client.force_login(people.alice)
    assert client.get(reverse("task", args=[people.group.pk, name])).status_code == 404


# The gallery


def test_a_card_says_what_was_asked_what_it_costs_and_how_it_stands(
    client: Client, people: People, key: APIKey
) -> None:
    request = {
        "action": "text_to_image",
        "prompt": FOX,
        "output_resolution": "2k",
        "aspect_ratio": "3:4",
    }
    task = add_task(key, hold_nanos=400_000_000, amount_nanos=400_000_000, request=request, count=4)
    for position in range(4):
        add_picture(task, position)
    client.force_login(people.bob)
    html = client.get(gallery_url(people)).content.decode()
    assert cards_of(html) == [task.public_id]
    text = text_of(html)
    for words in ("Completed", FOX, "gpt-image-2", "2k · 3:4 · 4 images", "$0.40", "just now"):
        assert words in text
    assert 'width="1024" height="768"' in html, "the browser knows the shape before it loads"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"status": "pending", "hold_nanos": 60_000_000}, ["Pending", "reserved $0.06"]),
        ({"status": "processing", "progress": 62, "hold_nanos": 60_000_000}, ["Processing", "62% done", "$0.06"]),
        ({"status": "processing"}, ["Processing", "Under way"]),
        ({"status": "failed", "error_code": "content_refused", "error_message": "Violence."},
         ["Failed", "The provider refused the content", "Violence.", "not charged"]),
        ({"status": "failed", "error_code": "cancelled", "error_message": "gone"},
         ["Cancelled", "Cancelled before it began", "not charged"]),
        ({"status": "failed", "error_code": "brand_new_code"}, ["Failed", "brand_new_code"]),
    ],
)  # fmt: skip
def test_a_card_tells_the_state_in_words(
    client: Client, people: People, key: APIKey, fields: dict[str, Any], words: list[str]
) -> None:
    add_task(key, **fields)
    client.force_login(people.bob)
    html = client.get(gallery_url(people)).content.decode()
    for each in words:
        assert each in text_of(html)
    assert ('<progress class="bar" max="100" value="62"' in html) is ("progress" in fields)


def test_pictures_come_by_signed_links_of_this_site_until_they_expire(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(key, base_url="https://tollgate.example", amount_nanos=1)
    picture = store_picture(task, encode_picture())
    client.force_login(people.bob)
    for url in (gallery_url(people), task_url(task)):
        links = re.findall(r'<img src="([^"]+)"', client.get(url).content.decode())
        [link] = [link.replace("&amp;", "&") for link in links]
        assert link.startswith(f"/pictures/{task.pk.hex}/0.png?")
        assert "variant=thumbnail" in link
        client.logout()
        assert client.head(link)["Content-Type"] == "image/webp"
        client.force_login(people.bob)
    html = client.get(task_url(task)).content.decode()
    [whole] = re.findall(r'href="(/pictures[^"]+)" download', html)
    assert client.head(whole.replace("&amp;", "&"))["Content-Type"] == "image/png"
    for gone in (
        {"expires_at": timezone.now() - timedelta(hours=1)},
        {"deleted_at": timezone.now()},
    ):
        Picture.objects.filter(pk=picture.pk).update(**gone)
        for url in (gallery_url(people), task_url(task)):
            html = client.get(url).content.decode()
            assert "/pictures/" not in html
            assert "expired" in html or "was kept until" in html


@pytest.mark.parametrize(
    ("size", "small"), [((4096, 2048), 512), ((2048, 4096), 256), ((300, 200), 300), ((1, 4000), 1)]
)
def test_a_browser_may_choose_between_the_thumbnail_and_the_whole(
    client: Client, people: People, key: APIKey, size: tuple[int, int], small: int
) -> None:
    task = add_task(key)
    add_picture(task, width=size[0], height=size[1])
    client.force_login(people.bob)
    [offered] = re.findall(r'srcset="([^"]+)"', client.get(task_url(task)).content.decode())
    assert re.findall(r" (\d+)w", offered) == [str(small), str(size[0])]


def test_the_pictures_of_a_task_that_ended_partly_are_counted(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(key)
    add_picture(task)
    client.force_login(people.bob)
    assert "task-count" not in client.get(gallery_url(people)).content.decode()
    add_picture(task, 1)
    html = client.get(gallery_url(people)).content.decode()
    assert re.findall(r'task-count">.*?(\d images)<', html, re.S) == ["2 images"]


def test_an_upscale_has_a_title_though_it_has_no_prompt(
    client: Client, people: People, key: APIKey
) -> None:
    add_task(key, action="upscale_image", request={"action": "upscale_image", "upscale_factor": 4})
    client.force_login(people.bob)
    assert "Upscale, 4×" in text_of(client.get(gallery_url(people)).content.decode())


def test_the_gallery_costs_the_same_queries_however_full_it_is(
    client: Client, people: People, key: APIKey
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(gallery_url(people))
        return len(queries)

    client.force_login(people.bob)
    add_picture(add_task(key))
    alone = count()
    for _ in range(9):
        task = add_task(issue_key(people.group, people.bob, "another")[0])
        add_picture(task)
        add_picture(task, 1)
    assert count() == alone <= 14


def test_filters_stay_in_the_links_of_the_pager(
    client: Client, people: People, key: APIKey
) -> None:
    for _ in range(30):
        add_task(key, model="a/b")
    add_task(key)
    client.force_login(people.bob)
    html = client.get(gallery_url(people), {"model": "a/b", "key": str(key.pk)}).content.decode()
    assert len(cards_of(html)) == 24
    [older] = re.findall(r'id="pager-older" rel="next" href="\?([^"]+)"', html)
    assert "model=a%2Fb" in older
    rest = client.get(f"{gallery_url(people)}?{older}".replace("&amp;", "&")).content.decode()
    assert len(cards_of(rest)) == 6
    assert not set(cards_of(rest)) & set(cards_of(html))
    assert 'id="live"' not in rest, "only the first page is live"
    [newer] = re.findall(r'id="pager-newer" rel="prev" href="\?([^"]+)"', rest)
    again = client.get(f"{gallery_url(people)}?{newer}".replace("&amp;", "&")).content.decode()
    assert cards_of(again) == cards_of(html)


def test_a_filter_change_leaves_a_clean_address(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.bob)
    query = {"key": "", "model": "", "status": "cancelled", "action": ""}
    answer = client.get(gallery_url(people), query, headers={**HTMX, "HX-Target": "tasks"})
    assert answer["HX-Push-Url"] == f"{gallery_url(people)}?status=cancelled"


def test_nonsense_in_the_address_says_so(client: Client, people: People, key: APIKey) -> None:
    add_task(key)
    client.force_login(people.bob)
    html = client.get(gallery_url(people), {"status": "nonsense"}).content.decode()
    assert "Select a valid choice" in html
    assert cards_of(html) == []
    assert 'id="live"' not in html


def test_the_two_kinds_of_empty(
    client: Client, price_book: None, people: People, key: APIKey
) -> None:
    client.force_login(people.bob)
    fresh = client.get(gallery_url(people)).content.decode()
    assert "No image tasks yet" in fresh
    assert "curl http://testserver/v1/text_to_image" in fresh
    assert '{"model": "gpt-image-2", "prompt":' in fresh
    add_task(key)
    filtered = client.get(gallery_url(people), {"status": "failed"}).content.decode()
    assert "No task matches" in filtered
    assert "curl" not in filtered


# Live


def test_polling_is_silent_until_something_changes(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(key, status="processing")
    client.force_login(people.bob)
    headers = {**HTMX, "HX-Target": "gallery"}
    html = client.get(gallery_url(people), {"action": "text_to_image"}).content.decode()
    assert 'hx-trigger="every 2s' in html
    poll = poll_url(html)
    assert "action=text_to_image" in poll
    assert client.get(poll, headers=headers).status_code == 204
    add_task(key, action="edit_image")
    assert client.get(poll, headers=headers).status_code == 204, "it does not match the filter"
    Task.objects.filter(pk=task.pk).update(progress=40)
    answer = client.get(poll, headers=headers)
    fragment = answer.content.decode()
    assert "40% done" in fragment
    assert "<html" not in fragment
    assert "HX-Push-Url" not in answer
    assert fragment.count('hx-swap-oob="true"') == 3, "poller, pager, credit"
    assert client.get(poll_url(fragment), headers=headers).status_code == 204
    Task.objects.filter(pk=task.pk).update(
        status="completed", ended_at=timezone.now(), progress=100
    )
    done = client.get(poll_url(fragment), headers=headers).content.decode()
    assert 'hx-trigger="every 5s' in done, "nothing is under way any more"


def test_a_picture_that_expires_is_news(client: Client, people: People, key: APIKey) -> None:
    picture = add_picture(add_task(key))
    client.force_login(people.bob)
    poll = poll_url(client.get(gallery_url(people)).content.decode())
    Picture.objects.filter(pk=picture.pk).update(expires_at=timezone.now())
    answer = client.get(poll, headers={**HTMX, "HX-Target": "gallery"})
    assert "Picture expired" in answer.content.decode()


def test_polling_an_empty_gallery_brings_the_first_card(
    client: Client, people: People, key: APIKey
) -> None:
    client.force_login(people.bob)
    poll = poll_url(client.get(gallery_url(people)).content.decode())
    task = add_task(key, status="pending")
    answer = client.get(poll, headers={**HTMX, "HX-Target": "gallery"}).content.decode()
    assert cards_of(answer) == [task.public_id]


def test_a_task_is_live_until_it_and_its_callback_are_done(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(key, callback_url="https://hooks.example/x?token=s3cret")
    client.force_login(people.bob)
    page = client.get(task_url(task)).content.decode()
    assert "hx-trigger" not in page.partition('id="live"')[2].partition(">")[0]
    assert "s3cret" not in page
    sent = Delivery.objects.create(group=key.group, api_key=key, task=task, url=task.callback_url)
    poll = poll_url(client.get(task_url(task)).content.decode())
    headers = {**HTMX, "HX-Target": "task"}
    assert client.get(poll, headers=headers).status_code == 204
    Delivery.objects.filter(pk=sent.pk).update(
        state="delivered",
        ended_at=timezone.now(),
        log=[{"at": 1.5, "status": 200, "ms": 31, "error": ""}],
    )
    fragment = client.get(poll, headers=headers).content.decode()
    assert 'id="task"' in fragment
    assert "Delivered" in text_of(f"<main>{fragment}</main>")
    assert "hx-trigger" not in fragment.partition('id="live"')[2].partition(">")[0]


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


@pytest.fixture(scope="session")
def price_book(django_db_setup: None, django_db_blocker: Any) -> None:
    """The real price book, once for the run: rates can only be written in the transaction of their price."""
    with django_db_blocker.unblock():
        call_command("load_price_book", verbosity=0)


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
