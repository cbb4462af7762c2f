"""The gallery of a group's tasks: who may see it, what it shows, and how it follows them."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.models import Delivery, Picture, Task
from tests.gateway.task_pictures import encode_picture, store_picture
from tests.gateway.task_rows import (
    FOX,
    HTMX,
    add_picture,
    add_task,
    cards_of,
    gallery_url,
    poll_url,
    task_url,
    text_of,
)
from tests.people import People

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
    count()  # the first visit also notes that Bob and his session were seen
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
    assert '{"model": "gpt-image-2", "prompt":' in unescape(fresh)
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
