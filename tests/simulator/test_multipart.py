"""simulator.multipart: forms as clients send them, and what is refused."""

import contextlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ApiError
from simulator.multipart import parse_form

KIND = b"multipart/form-data; boundary=xyz"


def field(name, text, more=b""):
    return (
        b'--xyz\r\nContent-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n"
    ) + text


def form(*parts, end=b"--xyz--\r\n"):
    return b"".join(part + b"\r\n" for part in parts) + end


def test_a_form_of_httpx_is_read_with_its_files_in_order():
    first, second = b"\x89PNG\r\n--\r\n\r\nxyz", b""
    request = httpx.Request(
        "POST",
        "http://x",
        data={"prompt": "Größe\r\n--x", "n": "2"},
        files=[("image[]", ("a.png", first, "image/png")), ("image[]", ("b.png", second))],
    )
    found = parse_form(request.headers["content-type"].encode(), request.read())
    assert found.texts == {"prompt": "Größe\r\n--x", "n": "2"}
    assert found.take_files("image", "image[]") == [("a.png", first), ("b.png", second)]
    assert found.take_files("mask") == []


def test_a_boundary_counts_only_alone_on_its_line():
    text = b"--xyz\r\n--xyzz\r\n --xyz"
    assert parse_form(KIND, form(field(b"a", b"1\r\n--xyzw" + text[5:]))).texts == {
        "a": "1\r\n--xyzw\r\n--xyzz\r\n --xyz"
    }


def test_a_quoted_boundary_and_an_unquoted_name_are_read():
    body = b"--a b\r\ncontent-disposition: form-data; name=n\r\n\r\n5\r\n--a b--"
    assert parse_form(b'Multipart/Form-Data; boundary="a b"', body).texts == {"n": "5"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"", form(field(b"a", b"1"))),
        (b"application/json", b"{}"),
        (b"multipart/form-data", form(field(b"a", b"1"))),
        (b"multipart/form-data; boundary=" + b"x" * 71, b""),
        (KIND, b""),
        (KIND, b"preamble\r\n" + form(field(b"a", b"1"))),
        (KIND, form(field(b"a", b"1"), end=b"")),
        (KIND, field(b"a", b"1") + b"--xyz--"),
        (KIND, form(b"--xyz\r\n\r\nno headers")),
        (KIND, form(b"--xyz\r\nContent-Type: text/plain\r\n\r\nno name")),
        (KIND, form(b"--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\n1")),
        (KIND, form(field(b"", b"1"))),
        (KIND, form(field(b"a", b"1"), field(b"a", b"2"))),
        (KIND, form(field(b"a", b"\xff"))),
        (KIND, form(field(b"a", b"1" * 1_048_577))),
        (KIND, form(b"--xyz\r\nX: " + b"y" * 5_000 + b"\r\n\r\n1")),
        (KIND, form(*(field(b"a%d" % number, b"1") for number in range(65)))),
    ],
)
def test_a_broken_form_and_one_over_the_limits_are_refused(kind, body):
    with pytest.raises(ApiError) as refused:
        parse_form(kind, body)
    assert refused.value.status == 400


def test_a_file_may_be_larger_than_a_text_but_not_than_50_mib():
    size = 50 * 1024 * 1024
    more = b'; filename="a"'
    assert len(parse_form(KIND, form(field(b"a", bytes(size), more))).files[0][1].data) == size
    with pytest.raises(ApiError):
        parse_form(KIND, form(field(b"a", bytes(size + 1), more)))


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_whatever_bytes_a_file_has_they_arrive(head, data):
    if b"\r\n--xyz" in data:
        return
    more = b'; filename="a"'
    assert parse_form(KIND, form(field(b"f", data, more))).files == [("f", ("a", data))]
    with contextlib.suppress(ApiError):
        parse_form(KIND, b"--xyz\r\n" + head + b"\r\n\r\n" + data + b"\r\n--xyz--")
