"""Forms with files, and what pretends to be one."""

import time

import pytest

from gateway.errors import BadRequest
from gateway.multipart import BOUNDARY_BYTES_MAX, FIELD_BYTES_MAX, PARTS_MAX, Form, parse_form

TYPE = b"multipart/form-data; boundary=xyz"
END = b"--xyz--\r\n"


def text(name: str, value: bytes) -> bytes:
    return b'--xyz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
        name.encode(),
        value,
    )


def file(name: str, data: bytes, filename: str = "a.png") -> bytes:
    return (
        b'--xyz\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n'
        b"Content-Type: image/png\r\n\r\n%b\r\n" % (name.encode(), filename.encode(), data)
    )


def parse(*parts: bytes, end: bytes = END) -> Form:
    return parse_form(TYPE, b"".join(parts) + end)


def test_texts_and_files_are_read_as_they_were_sent() -> None:
    picture = bytes(range(256)) * 9000  # beyond what the parser keeps in memory by itself
    form = parse(
        text("prompt", "漢字 and \r\n lines".encode()),
        file("image[]", picture, "bild ü.png"),
        file("image[]", b"\r\n--xy"),
        text("empty", b""),
    )
    assert form.texts == {"prompt": "漢字 and \r\n lines", "empty": ""}
    assert [one.field for one in form.files] == ["image[]", "image[]"]
    assert (form.files[0].filename, form.files[0].data) == ("bild ü.png", picture)
    assert form.files[1].data == b"\r\n--xy"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"application/json",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/mixed; boundary=xyz",
        b"multipart/form-data; boundary=" + b"x" * (BOUNDARY_BYTES_MAX + 1),
        b"\xff\xfe",
    ],
)
def test_another_type_of_body_is_refused(content_type: bytes | None) -> None:
    with pytest.raises(BadRequest):
        parse_form(content_type, text("a", b"b") + END)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nothing of a form",
        b"--xyz\r\n",
        text("a", b"b"),
        text("a", b"b")[:-20] + END,
        b"--xyz\r\nno header\r\n\r\nvalue\r\n" + END,
        b"--xyz\r\nContent-Disposition: form-data\r\n\r\nvalue\r\n" + END,
        text("a", b"\xff") + END,
        text("a", b"1") + text("a", b"2") + END,
        text("a", b"x" * (FIELD_BYTES_MAX + 1)) + END,
        b"".join(text(f"n{number}", b"") for number in range(PARTS_MAX + 1)) + END,
        b"".join(file("image", b"x") for _ in range(PARTS_MAX + 1)) + END,
        b"--xyz\r\n" + b"X: y\r\n" * 100 + b"\r\nvalue\r\n" + END,
    ],
)
def test_a_form_that_is_broken_or_beyond_bounds_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_form(TYPE, raw)


def test_the_field_that_is_given_twice_is_named() -> None:
    with pytest.raises(BadRequest) as refused:
        parse(text("model", b"one"), text("model", b"two"))
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    "filling", [b"-", b"\r", b"\n", b"\r\n--xy", b"--xyz", b"\r\n--xyz\r\n\r\n"]
)
def test_a_body_built_to_take_long_is_done_with_soon(filling: bytes) -> None:
    raw = b"--xyz\r\n" + filling * (8_000_000 // len(filling)) + END
    began = time.thread_time()
    with pytest.raises(BadRequest):
        parse_form(TYPE, raw)
    assert time.thread_time() - began < 5
