"""Signed links: what is signed is what is served, until it expires."""

from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest

from gateway.images.links import (
    BadLink,
    PicturePath,
    check_link,
    derive_link_key,
    read_link,
    sign_link,
)

KEY = derive_link_key("the secret of this installation")
TASK = UUID("01930000000070008000000000000001")
PICTURE = PicturePath(TASK, 0, "png")
EXPIRES = 1_800_000_000


def parts_of(link: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link).query, strict_parsing=True))


def refusal(key: bytes, path: PicturePath, expires: str, signature: str, now: float) -> BadLink:
    with pytest.raises(BadLink) as caught:
        check_link(key, path, expires, signature, now)
    return caught.value


def test_a_link_names_its_picture_and_when_it_ends() -> None:
    link = urlsplit(sign_link(KEY, "https://images.example/", PICTURE, EXPIRES))
    assert (link.scheme, link.netloc) == ("https", "images.example")
    assert link.path == f"/pictures/{TASK.hex}/0.png"
    assert list(parts_of(link.geturl())) == ["expires", "signature"]
    assert parts_of(link.geturl())["expires"] == str(EXPIRES)


@pytest.mark.parametrize("variant", ["", "thumbnail"])
def test_a_link_that_was_signed_here_is_good_until_it_expires(variant: str) -> None:
    path = PICTURE._replace(variant=variant)
    parts = parts_of(sign_link(KEY, "http://localhost:8000", path, EXPIRES))
    assert parts.get("variant", "") == variant
    check_link(KEY, path, parts["expires"], parts["signature"], EXPIRES)
    assert refusal(KEY, path, parts["expires"], parts["signature"], EXPIRES + 1).is_expired


@pytest.mark.parametrize(
    "other",
    [
        PICTURE._replace(task_id=UUID(int=TASK.int + 1)),
        PICTURE._replace(position=1),
        PICTURE._replace(extension="jpg"),
        PICTURE._replace(variant="thumbnail"),
    ],
)
def test_a_link_opens_no_other_file(other: PicturePath) -> None:
    parts = parts_of(sign_link(KEY, "http://localhost:8000", PICTURE, EXPIRES))
    assert not refusal(KEY, other, parts["expires"], parts["signature"], 0).is_expired


@pytest.mark.parametrize(
    "expires",
    [
        str(EXPIRES + 1),
        f"0{EXPIRES}",
        f"{EXPIRES} ",
        f"+{EXPIRES}",
        "",
        "never",
        "١٨٠٠",
        "\ud800",
        "\x00",
    ],
)
def test_a_link_cannot_be_made_to_last_longer(expires: str) -> None:
    signature = parts_of(sign_link(KEY, "", PICTURE, EXPIRES))["signature"]
    assert not refusal(KEY, PICTURE, expires, signature, 0).is_expired


@pytest.mark.parametrize("signature", ["", "A" * 43, "é", "\ud800", "\x00", "A" * 100_000])
def test_a_made_up_signature_is_refused(signature: str) -> None:
    assert not refusal(KEY, PICTURE, str(EXPIRES), signature, 0).is_expired


def test_every_character_of_a_signature_counts() -> None:
    signature = parts_of(sign_link(KEY, "", PICTURE, EXPIRES))["signature"]
    assert len(signature) == 43
    for at, char in enumerate(signature):
        forged = signature[:at] + ("A" if char != "A" else "B") + signature[at + 1 :]
        refusal(KEY, PICTURE, str(EXPIRES), forged, 0)
    refusal(KEY, PICTURE, str(EXPIRES), signature + "=", 0)


def test_parts_cannot_be_moved_into_their_neighbours() -> None:
    link = sign_link(KEY, "", PicturePath(TASK, 1, "png", "a"), EXPIRES)
    signature = parts_of(link)["signature"]
    refusal(KEY, PicturePath(TASK, 1, "pnga", ""), str(EXPIRES), signature, 0)
    refusal(KEY, PicturePath(TASK, 1, 'png","a', ""), str(EXPIRES), signature, 0)


def test_another_installation_signs_otherwise() -> None:
    parts = parts_of(sign_link(derive_link_key("another secret"), "", PICTURE, EXPIRES))
    assert not refusal(KEY, PICTURE, parts["expires"], parts["signature"], 0).is_expired


def test_the_key_is_not_the_secret() -> None:
    assert len(KEY) == 32
    assert derive_link_key("a") != derive_link_key("b")
    assert derive_link_key("a") == derive_link_key("a")


def test_a_link_of_ours_is_known_under_any_host() -> None:
    path = PicturePath(TASK, 2, "png")
    link = sign_link(KEY, "https://gate.example", path, 1_000)
    assert read_link(KEY, link, 999.0) == path
    assert read_link(KEY, link.replace("https://gate.example", "http://10.0.0.1:8000"), 1.0) == path
    thumbnail = path._replace(variant="thumbnail")
    assert read_link(KEY, sign_link(KEY, "http://x", thumbnail, 1_000), 1.0) == thumbnail


def test_an_expired_link_of_ours_is_known_and_refused() -> None:
    link = sign_link(KEY, "https://gate.example", PicturePath(TASK, 0, "png"), 1_000)
    with pytest.raises(BadLink):
        read_link(KEY, link, 1_001.0)


@pytest.mark.parametrize(
    "change",
    [
        ("/0.png", "/1.png"),
        ("expires=1000", "expires=9000"),
        ("signature=", "signature=A"),
        ("signature=", "signature="),
        ("/pictures/", "/picture/"),
        ("?", "?more=1&"),
        ("?", "?variant=thumbnail&"),
        ("?", "?expires=1000&"),
        ("https://gate.example", "https://[::1"),
    ],
)
def test_any_other_url_is_not_ours(change: tuple[str, str]) -> None:
    link = sign_link(KEY, "https://gate.example", PicturePath(TASK, 0, "png"), 1_000)
    key = b"another key" if change == ("signature=", "signature=") else KEY
    assert read_link(key, link.replace(*change), 1.0) is None
