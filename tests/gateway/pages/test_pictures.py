"""Links to pictures: what they serve, and to nobody else."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest
import time_machine
from django.core.signals import request_finished
from django.db import close_old_connections
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.key_services import issue_key
from accounts.models import APIKey
from config.pictures import pictures_storage
from gateway.models import Picture
from gateway.pages import pictures
from gateway.picture_store import delete_files, delete_overdue, open_file, read_file
from tests.gateway.task_pictures import encode_picture, link_to, make_task, store_picture
from tests.people import People

RED, BLUE = encode_picture("red"), encode_picture("blue")
NOISE = encode_picture(edge=1024, noise=90)


@pytest.fixture(autouse=True)
def _folders(settings: Any, tmp_path: Path) -> None:
    entry = pictures_storage("", tmp_path / "pictures")
    settings.STORAGES = settings.STORAGES | {"pictures": entry}
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def picture(key: APIKey) -> Picture:
    return store_picture(make_task(key), RED)


@pytest.fixture
def foreign_picture(people: People) -> Picture:
    key = issue_key(people.foreign_group, people.charlie, "his")[0]
    return store_picture(make_task(key), BLUE)


def fetch(client: Client, link: str, **headers: str) -> Any:
    """The answer with its `body`, taken as the server takes it: piece by piece, in its event loop."""
    response: Any = client.get(link, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response.pieces = asyncio.run(collect(response)) if response.streaming else [response.content]
    response.body = b"".join(response.pieces)
    return response


async def collect(response: StreamingHttpResponse) -> list[bytes]:
    return [piece async for piece in response]


def changed(link: str, path: str = "", **query: str) -> str:
    """The link with another path, or with other parameters; an empty one is left out."""
    parts = urlsplit(link)
    present = {name: values[0] for name, values in parse_qs(parts.query).items()}
    wanted = {name: value for name, value in (present | query).items() if value}
    return urlunsplit(parts._replace(path=path or parts.path, query=urlencode(wanted)))


def test_whoever_holds_the_link_sees_the_picture(client: Client, picture: Picture) -> None:
    response = fetch(client, link_to(picture))
    assert response.status_code == 200
    assert response.body == RED
    assert response["Content-Type"] == "image/png"
    assert int(response["Content-Length"]) == len(RED)
    filename = f"{picture.task_id.hex}-0.png"
    assert response["Content-Disposition"] == f'inline; filename="{filename}"'


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")],
)
def test_a_picture_is_served_as_what_it_is(
    client: Client, key: APIKey, kind: str, content_type: str
) -> None:
    data = encode_picture("green", kind=kind)
    response = fetch(client, link_to(store_picture(make_task(key), data)))
    assert response["Content-Type"] == content_type
    assert response.body == data


def test_the_thumbnail_has_a_link_of_its_own(client: Client, picture: Picture) -> None:
    response = fetch(client, link_to(picture, "thumbnail"))
    assert response["Content-Type"] == "image/webp"
    assert response.body == read_file(picture.thumbnail)
    small, large = link_to(picture, "thumbnail"), link_to(picture)
    assert fetch(client, changed(small, variant="")).status_code == 404
    assert fetch(client, changed(large, variant="thumbnail")).status_code == 404


def test_each_picture_of_a_task_has_its_own_link(client: Client, key: APIKey) -> None:
    task = make_task(key)
    pictures = [store_picture(task, data, n) for n, data in enumerate((RED, BLUE))]
    assert [fetch(client, link_to(each)).body for each in pictures] == [RED, BLUE]


def test_a_large_picture_is_sent_in_pieces(client: Client, key: APIKey) -> None:
    response: Any = fetch(client, link_to(store_picture(make_task(key), NOISE)))

    assert response.body == NOISE
    assert max(map(len, response.pieces)) == pictures.PIECE_BYTES < len(NOISE) / 3


@pytest.mark.django_db
def test_the_file_is_closed_also_where_the_client_has_left(
    rf: RequestFactory, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def watch(name: str) -> Any:
        opened.append(open_file(name))
        return opened[-1]

    monkeypatch.setattr(pictures, "open_file", watch)
    picture = store_picture(make_task(key), NOISE)
    request = rf.get(link_to(picture))
    response: Any = pictures.picture(request, picture.task_id.hex, "0", "png")

    async def take_one() -> bytes:
        return bytes(await anext(aiter(response)))

    assert NOISE.startswith(asyncio.run(take_one()))
    assert not opened[0].closed
    request_finished.disconnect(close_old_connections)  # as Django's client does
    response.close()
    request_finished.connect(close_old_connections)
    assert opened[0].closed


def test_a_page_that_embeds_the_picture_may_and_the_picture_itself_may_nothing(
    client: Client, picture: Picture
) -> None:
    response = fetch(client, link_to(picture))
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_nobody_is_recognised(client: Client, people: People, picture: Picture) -> None:
    client.force_login(people.charlie)
    for link in (
        link_to(picture),
        link_to(picture, expires_in_s=-5),
        "/pictures/" + "0" * 32 + "/0.png",
    ):
        response = fetch(client, link)
        assert response.cookies == {}
        assert "cookie" not in response.get("Vary", "").lower(), link


def test_a_browser_keeps_it_until_the_link_expires(client: Client, picture: Picture) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        answers = [fetch(client, link_to(picture, expires_in_s=s)) for s in (1, 60, 7 * 86400)]
    assert [answer["Cache-Control"] for answer in answers] == [
        f"private, max-age={s}, immutable" for s in (1, 60, 604800)
    ]


def test_what_the_browser_has_is_not_sent_again(client: Client, picture: Picture) -> None:
    first = fetch(client, link_to(picture))
    etag = first["ETag"]
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = fetch(client, link_to(picture), if_none_match=named)
        assert (again.status_code, again.content) == (304, b"")
        for header in ("ETag", "Content-Security-Policy"):
            assert again[header] == first[header]
        assert again["Cache-Control"].startswith("private, max-age=")
    other = fetch(client, link_to(picture), if_none_match='"other"')
    assert other.body == RED
    assert fetch(client, link_to(picture, "thumbnail"))["ETag"] != etag


def test_head_tells_the_same_and_sends_nothing(client: Client, picture: Picture) -> None:
    got, asked = fetch(client, link_to(picture)), client.head(link_to(picture))
    assert asked.status_code == 200
    assert asked.content == b""
    assert {**asked.headers} == {**got.headers}


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_a_link_can_only_be_read(client: Client, picture: Picture, method: str) -> None:
    assert getattr(client, method)(link_to(picture)).status_code == 405
    assert read_file(picture.name) == RED


def forgeries(link: str, foreign: str) -> Iterator[str]:
    """Links that somebody who holds `link`, and `foreign` to a picture of another tenant, could try."""
    own, theirs = urlsplit(link), urlsplit(foreign)
    query, stranger = parse_qs(own.query), parse_qs(theirs.query)
    yield changed(link, path=theirs.path)
    yield changed(link, signature=stranger["signature"][0])
    yield changed(link, path=own.path.replace("/0.png", "/1.png"))
    yield changed(link, path=own.path.replace(".png", ".jpg"))
    yield changed(link, path=own.path[:-10] + "0" + own.path[-9:])
    yield changed(link, expires=str(int(query["expires"][0]) + 1))
    yield changed(link, expires="99999999999")
    yield changed(link, expires=f"{query['expires'][0]} ")
    yield changed(link, expires="")
    yield changed(link, expires="never")
    yield changed(link, signature="")
    yield changed(link, signature=query["signature"][0][:-1])
    yield changed(link, signature=query["signature"][0] + "=")
    yield changed(link, signature="é" * 43)
    yield changed(link, variant="thumbnail")
    yield changed(link, variant="original")
    yield changed(link) + "&expires=99999999999"
    yield own.path


def test_forged_links_are_refused_and_all_answers_are_the_same(
    client: Client, picture: Picture, foreign_picture: Picture
) -> None:
    store_picture(picture.task, BLUE, 1)
    link, foreign = link_to(picture), link_to(foreign_picture)
    answers = {
        forged: fetch(client, forged) for forged in {*forgeries(link, foreign)} - {link, foreign}
    }
    assert len(answers) >= 17
    assert {forged: a.status_code for forged, a in answers.items() if a.status_code != 404} == {}
    assert {a.content for a in answers.values()} == {b"Not found.\n"}
    assert len({tuple(sorted(a.headers.items())) for a in answers.values()}) == 1


def test_whether_a_picture_exists_is_told_to_nobody_without_a_link(
    client: Client, picture: Picture
) -> None:
    there = f"/pictures/{picture.task_id.hex}/0.png?expires=99999999999&signature=x"
    nowhere = f"/pictures/{'0' * 32}/0.png?expires=99999999999&signature=x"
    expired = f"/pictures/{picture.task_id.hex}/0.png?expires=1&signature=x"
    found = [fetch(client, url) for url in (there, nowhere, expired)]
    assert [(a.status_code, a.content) for a in found] == [(404, b"Not found.\n")] * 3


def test_another_secret_signs_no_links(client: Client, picture: Picture, settings: Any) -> None:
    link = link_to(picture)
    settings.SECRET_KEY = "another-" + "0" * 40
    assert fetch(client, link).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/{}/00.png",
        "/pictures/{}/0.png%0A",
        "/pictures/{}/0.png/",
        "/pictures/{}/-1.png",
        "/pictures/{}/100.png",
        "/pictures/{}/0.html5",
        "/pictures/{}/٠.png",
        "/pictures/../{}/0.png",
    ],
)
def test_a_picture_has_one_address(client: Client, picture: Picture, path: str) -> None:
    link = changed(link_to(picture), path=path.format(picture.task_id.hex))
    assert fetch(client, link).status_code == 404


def test_a_link_holds_for_seven_days_and_then_the_picture_is_gone(
    client: Client, picture: Picture
) -> None:
    link, start = link_to(picture), timezone.now()
    with time_machine.travel(start + timedelta(days=7, seconds=-2), tick=False):
        assert delete_overdue(10) == 0
        assert fetch(client, link).body == RED
    with time_machine.travel(start + timedelta(days=7, seconds=2), tick=False):
        assert fetch(client, link).status_code == 410
        assert delete_overdue(10) == 1
        response = fetch(client, link)
        assert response.status_code == 410
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Cache-Control"] == "no-store"
    assert response.content == b"This picture is gone: pictures are kept for 7 days.\n"


def test_a_picture_that_was_deleted_early_is_gone(client: Client, picture: Picture) -> None:
    Picture.objects.update(deleted_at=timezone.now())
    assert fetch(client, link_to(picture)).status_code == 410
    assert client.head(link_to(picture)).status_code == 410
    picture.delete()
    assert fetch(client, link_to(picture)).status_code == 410


def test_a_picture_whose_file_is_missing_is_gone_and_the_log_tells(
    client: Client, picture: Picture, caplog: pytest.LogCaptureFixture
) -> None:
    delete_files([picture.name])
    response = fetch(client, link_to(picture))
    assert response.status_code == 410
    assert response["Cache-Control"] == "no-store"
    assert "is not in the storage" in caplog.text
    assert fetch(client, link_to(picture, "thumbnail")).body


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "image/gif", ""])
def test_nothing_but_the_three_kinds_of_pictures_is_ever_sent(
    client: Client, picture: Picture, content_type: str
) -> None:
    Picture.objects.update(content_type=content_type)
    response = fetch(client, link_to(picture))
    assert (response.status_code, response["Content-Type"]) == (404, "text/plain; charset=utf-8")


def test_an_upload_is_never_served(client: Client, picture: Picture) -> None:
    for path in ("uploads/2026-01-01/a.png", picture.name, f"media/{picture.name}"):
        response: HttpResponse = fetch(client, f"/{path}")
        assert response.status_code == 404
