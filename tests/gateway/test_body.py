"""Request bodies: parsed once, and each reason to refuse one named."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body import INT_MAX, VALUES_MAX, parse_object, take_count, take_flag, take_text
from gateway.errors import BadRequest

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def parsed_or_refused(raw: bytes) -> None:
    """Any other exception is a failure of the test."""
    with contextlib.suppress(BadRequest):
        assert isinstance(parse_object(raw), dict)


def refused(raw: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse_object(raw)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
    return caught.value


@given(st.dictionaries(TEXT, VALUE, max_size=5), st.booleans(), st.sampled_from([None, 2]))
def test_an_object_is_read_however_it_is_written(
    body: dict[str, Any], escaped: bool, indent: int | None
) -> None:
    raw = json.dumps(body, ensure_ascii=escaped, indent=indent).encode()
    assert parse_object(raw) == body


@pytest.mark.parametrize("raw", [b"", b" ", b"\r\n\t "])
def test_an_empty_body_is_called_empty(raw: bytes) -> None:
    assert "empty" in refused(raw).message


@pytest.mark.parametrize("raw", [b"[]", b'[{"model":"x"}]', b'"x"', b"1", b"null", b"true"])
def test_only_an_object_will_do(raw: bytes) -> None:
    assert "object" in refused(raw).message


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"a":1',
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":1} {"b":2}',
        b'{"a":01}',
        b'{"a":"\x01"}',
        b'{"a":"\x00"}',
        b'{"a":\\u0031}',
        b'{"a":undefined}',
        b'{"a":"\\ud83d"}',
        b'\xef\xbb\xbf{"a":1}',
        b"model=gpt-5.5",
        b"<xml/>",
    ],
)
def test_broken_json_is_refused_with_its_place(raw: bytes) -> None:
    assert "not valid JSON" in refused(raw).message


@pytest.mark.parametrize(
    "raw", [b'\xff{"a":1}', b'{"a":"\xff"}', b'{"\xc3":1}', b'{"a":"\xed\xa0\xbd"}']
)
def test_bytes_that_are_no_utf8_are_named(raw: bytes) -> None:
    assert "UTF-8" in refused(raw).message


def test_utf16_is_refused() -> None:
    refused('{"a":1}'.encode("utf-16"))
    refused('{"a":1}'.encode("utf-16-le"))


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'{"a":1, "b":2, "a":1}', "a"),
        (b'{"a":{"b":1,"b":1}}', "b"),
        (b'{"a":[{"c":1},{"b":1,"b":1}]}', "b"),
        (b'{"\\u0061":1,"a":2}', "a"),
        (b'{"max_tokens":1,"max_tokens":100000}', "max_tokens"),
        ('{"é":1,"\\u00e9":1}'.encode(), "é"),
        (b'{"":1,"":2}', ""),
    ],
)
def test_a_name_given_twice_is_refused_wherever_it_stands(raw: bytes, name: str) -> None:
    error = refused(raw)
    assert error.param == name
    assert "twice" in error.message


def test_a_name_may_come_again_in_another_object() -> None:
    assert parse_object(b'{"a":{"a":1},"b":[{"a":1},{"a":1}]}') == {
        "a": {"a": 1},
        "b": [{"a": 1}, {"a": 1}],
    }


def test_a_repeated_name_among_many_is_found_in_no_time() -> None:
    # While it looks, the whole process serves nobody: a body of 200 kB must not buy seconds of that.
    many = b",".join(b'"k%d":0' % number for number in range(20_000))
    began = time.thread_time()
    assert refused(b"{" + many + b',"z":1,"z":2}').param == "z"
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize(
    "number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e99999"]
)
def test_a_number_that_is_not_finite_is_named(number: bytes) -> None:
    assert refused(b'{"max_tokens":' + number + b"}").param == "max_tokens"
    assert refused(b'{"a":{"b":[1,' + number + b"]}}").param == "a.b.1"


def test_an_integer_of_five_thousand_digits_is_refused() -> None:
    began = time.thread_time()
    refused(b'{"max_tokens":' + b"9" * 5000 + b"}")
    refused(b'{"max_tokens":-' + b"9" * 5000 + b"}")
    refused(b'{"max_tokens":' + b"9" * 1_000_000 + b"}")
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_and_never_breaks(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    assert (
        "deeply" in refused(b'{"a":' + opening * 100_000 + b"1" + closing * 100_000 + b"}").message
    )
    refused(b'{"a":' + opening * 100_000)
    for depth in range(880, 1010):  # around the interpreter's own limit
        for leaf in (b"1", b"1e400", b'{"b":1,"b":2}', b'"\xff"'):
            parsed_or_refused(b'{"a":' + opening * depth + leaf + closing * depth + b"}")


@given(
    st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_an_object_or_a_bad_request(raw: bytes) -> None:
    parsed_or_refused(raw)


@pytest.mark.parametrize("value", [1, 2, 128])
def test_a_count_within_its_bounds_is_taken(value: int) -> None:
    assert take_count({"n": value}, "n", 1, 128) == value


def test_a_count_that_is_absent_or_null_is_none() -> None:
    assert take_count({}, "n", 1, 128) is None
    assert take_count({"n": None}, "n", 1, 128) is None


@pytest.mark.parametrize(
    "value",
    [0, -1, 129, 10**9, INT_MAX + 1, 2**63, 10**30, 1.0, 1.5, "10", "", True, False, [], [1], {}, {"a": 1}],
)  # fmt: skip
def test_a_count_that_is_none_names_its_field(value: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        take_count({"n": value}, "n", 1, 128)
    assert caught.value.param == "n"


def test_a_flag_is_true_or_false_and_absent_is_false() -> None:
    assert take_flag({"stream": True}, "stream") is True
    assert take_flag({"stream": False}, "stream") is False
    assert take_flag({"stream": None}, "stream") is False
    assert take_flag({}, "stream") is False


@pytest.mark.parametrize("value", ["true", "", 0, 1, [], {}, 1.0])
def test_a_flag_of_another_type_names_its_field(value: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        take_flag({"stream": value}, "stream")
    assert caught.value.param == "stream"
    with pytest.raises(BadRequest) as caught:
        take_flag({"include_usage": value}, "include_usage", "stream_options.include_usage")
    assert caught.value.param == "stream_options.include_usage"


def test_a_text_is_required() -> None:
    assert take_text({"model": "gpt-5.5"}, "model") == "gpt-5.5"
    for body in ({}, {"model": None}):
        with pytest.raises(BadRequest, match="required") as caught:
            take_text(body, "model")
        assert caught.value.param == "model"


@pytest.mark.parametrize("value", ["", 5, True, ["gpt-5.5"], {"id": "gpt-5.5"}, 1.5])
def test_a_text_of_another_type_names_its_field(value: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        take_text({"model": value}, "model")
    assert caught.value.param == "model"


def test_a_body_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_object(b'{"messages":[' + b"{}," * VALUES_MAX + b"{}]}")
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("text", [b"[{,", b'\\"[{,', b'\\\\\\",[', "가[".encode()])
def test_marks_inside_of_texts_are_no_values(text: bytes) -> None:
    body = b'{"a":"' + text * VALUES_MAX + b'"}'
    assert list(parse_object(body)) == ["a"]
