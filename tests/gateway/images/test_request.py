"""Bodies of the image endpoints: what is read of them, and what each refusal says."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body import parse_object
from gateway.errors import BadRequest
from gateway.images.offers import OFFERS, Offer
from gateway.images.request import (
    FIELDS,
    PROMPT_CHARS_MAX,
    SOURCE_CHARS_MAX,
    ImageRequest,
    parse_image_request,
)

GPT_IMAGE = OFFERS["openai/gpt-image-2"]
GPT_4O = OFFERS["openai/gpt-4o-image"]
FLUX = OFFERS["black-forest-labs/flux-kontext-pro"]
TOPAZ = OFFERS["topaz/topaz-upscale-image"]
FILE = f"file_{'0123456789abcdef' * 2}"
URL = "https://pictures.example/cat.png"


def draw(offer: Offer = GPT_IMAGE, **fields: Any) -> ImageRequest:
    return parse_image_request("text_to_image", {"prompt": "a cat", **fields}, offer)


def edit(offer: Offer = GPT_IMAGE, **fields: Any) -> ImageRequest:
    body = {"prompt": "a hat", "source_image_urls": [URL], **fields}
    return parse_image_request("edit_image", body, offer)


def upscale(**fields: Any) -> ImageRequest:
    return parse_image_request("upscale_image", {"source_image_urls": [URL], **fields}, TOPAZ)


def refusal(parse: Any, *args: Any, **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(*args, **fields)
    return caught.value


def test_the_example_of_the_guide_is_read() -> None:
    body = {
        "model": "gpt-image-2-text-to-image",
        "prompt": "A poster",
        "output_resolution": "2k",
        "aspect_ratio": "3:4",
    }
    assert parse_image_request("text_to_image", body, GPT_IMAGE) == ImageRequest(
        action="text_to_image",
        prompt="A poster",
        output_resolution="2k",
        aspect_ratio="3:4",
        background="auto",
    )


@pytest.mark.parametrize(
    ("offer", "resolved"),
    [
        (GPT_IMAGE, {"output_resolution": "1k", "aspect_ratio": "auto", "background": "auto"}),
        (GPT_4O, {"output_resolution": "1k", "aspect_ratio": "1:1", "background": "auto"}),
        (FLUX, {"output_resolution": "1k", "aspect_ratio": "auto"}),
    ],
)
def test_what_is_absent_or_null_is_the_models_default(
    offer: Offer, resolved: dict[str, str]
) -> None:
    wanted = ImageRequest(action="text_to_image", prompt="a cat", **resolved)  # type: ignore[arg-type]
    nothing = dict.fromkeys(FIELDS - {"prompt"})
    assert draw(offer) == draw(offer, **nothing) == wanted


def test_auto_is_square_where_the_model_says_so() -> None:
    assert draw(GPT_4O, aspect_ratio="auto").aspect_ratio == "1:1"


def test_an_upscale_is_twofold_by_default() -> None:
    assert upscale() == ImageRequest(action="upscale_image", upscale_factor=2, sources=(URL,))
    assert upscale(upscale_factor=8, prompt=None).upscale_factor == 8


def test_sources_are_urls_and_file_ids_in_the_order_given() -> None:
    sources = [URL, FILE, URL, "HTTPS://pictures.example/b?c=d#e"]
    assert edit(source_image_urls=sources).sources == tuple(sources)


def test_a_request_is_stored_without_what_is_empty_and_read_back() -> None:
    request = edit(source_image_urls=[FILE], output_count=3)
    stored = msgspec.json.encode(request)
    assert b"mask" not in stored
    assert msgspec.json.decode(stored, type=ImageRequest) == request


@pytest.mark.parametrize(
    ("offer", "field", "value"),
    [
        (offer, field, value)
        for offer in (GPT_IMAGE, GPT_4O, FLUX)
        for field, values in (
            ("output_resolution", offer.resolutions),
            ("aspect_ratio", offer.ratios),
            ("output_count", offer.counts),
            ("background", offer.backgrounds),
        )
        for value in values
    ],
)
def test_everything_on_offer_is_taken(offer: Offer, field: str, value: object) -> None:
    request = edit(offer, **{field: value})
    resolved = offer.auto_ratio if (field, value) == ("aspect_ratio", "auto") else value
    assert getattr(request, field) == resolved


@pytest.mark.parametrize(
    ("offer", "field", "value", "offered"),
    [
        (GPT_IMAGE, "output_resolution", "8k", "1k, 2k and 4k"),
        (GPT_IMAGE, "output_resolution", "1K", "1k, 2k and 4k"),
        (GPT_IMAGE, "aspect_ratio", "7:3", "21:9 and 9:21"),
        (GPT_IMAGE, "output_count", 11, "9 and 10"),
        (GPT_IMAGE, "background", "blurred", "auto, transparent and opaque"),
        (GPT_4O, "output_resolution", "2k", "1k alone"),
        (GPT_4O, "aspect_ratio", "16:9", "auto, 1:1, 3:2 and 2:3"),
        (GPT_4O, "output_count", 3, "1, 2 and 4"),
        (FLUX, "output_resolution", "4k", "1k alone"),
        (FLUX, "aspect_ratio", "3:1", "21:9 and 9:21"),
        (FLUX, "output_count", 2, "1 alone"),
        (FLUX, "background", "auto", "no such parameter"),
        (GPT_IMAGE, "upscale_factor", 2, "no such parameter"),
    ],
)
def test_what_the_model_does_not_offer_is_refused_with_what_it_does(
    offer: Offer, field: str, value: object, offered: str
) -> None:
    error = refusal(draw, offer, **{field: value})
    assert (error.status, error.code, error.param) == (400, "unsupported_parameter", field)
    for word in (f"'{field}'", str(value), offer.model, offered):
        assert word in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", "a cat"),
        ("prompt", ""),
        ("output_resolution", "1k"),
        ("aspect_ratio", "auto"),
        ("output_count", 1),
        ("background", "auto"),
        ("upscale_factor", 3),
        ("upscale_factor", 16),
    ],
)
def test_an_upscaler_takes_a_picture_and_a_factor_alone(field: str, value: object) -> None:
    error = refusal(upscale, **{field: value})
    assert (error.code, error.param) == ("unsupported_parameter", field)
    assert TOPAZ.model in error.message


@pytest.mark.parametrize("value", [0, -1, -(2**62)])
@pytest.mark.parametrize(("parse", "field"), [(draw, "output_count"), (upscale, "upscale_factor")])
def test_a_number_below_one_is_malformed(parse: Any, field: str, value: int) -> None:
    error = refusal(parse, **{field: value})
    assert (error.code, error.param) == ("invalid_request_error", field)
    assert str(value) in error.message


TEXTS = ("prompt", "output_resolution", "aspect_ratio", "background")
NUMBERS = ("output_count",)
no_text = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
)  # fmt: skip
no_integer = st.one_of(
    st.booleans(), st.floats(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers())
)  # fmt: skip


@given(field=st.sampled_from(TEXTS), value=no_text)
def test_a_text_that_is_none_is_malformed(field: str, value: object) -> None:
    error = refusal(draw, **{field: value})
    assert (error.code, error.param) == ("invalid_request_error", field)


@given(value=no_integer)
def test_an_integer_that_is_none_is_malformed(value: object) -> None:
    for parse, field in ((draw, "output_count"), (upscale, "upscale_factor")):
        error = refusal(parse, **{field: value})
        assert (error.code, error.param) == ("invalid_request_error", field)


@given(value=st.one_of(no_text, st.text()).filter(lambda value: not isinstance(value, list)))
def test_sources_that_are_no_list_are_malformed(value: object) -> None:
    error = refusal(edit, source_image_urls=value)
    assert (error.code, error.param) == ("invalid_request_error", "source_image_urls")


@given(value=st.one_of(st.none(), no_text))
def test_a_source_that_is_no_text_is_malformed(value: object) -> None:
    error = refusal(edit, source_image_urls=[URL, value])
    assert (error.code, error.param) == ("invalid_request_error", "source_image_urls")
    assert "source_image_urls[1]" in error.message


@given(name=st.text().filter(lambda name: name not in FIELDS))
def test_an_unknown_field_is_named(name: str) -> None:
    error = refusal(draw, **{name: None})
    assert (error.code, error.status) == ("unsupported_parameter", 400)
    error.message.encode()
    assert error.param is not None
    if name.isprintable() and len(name) <= 80:
        assert error.param == name
        assert f"'{name}'" in error.message


@pytest.mark.parametrize("odd", ["half \ud800", "two\nlines", "nul \x00", "x" * 1000])
def test_a_refusal_quotes_in_one_short_line_that_can_be_written(odd: str) -> None:
    for error in (refusal(draw, **{odd: 1}), refusal(draw, background=odd)):
        message = error.message
        assert message.encode().decode() == message
        assert message.isprintable()
        assert len(message) < 400
        assert (error.param or "").isprintable()


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        (None, "required"),
        ("", "empty"),
        (" \n\t", "empty"),
        ("a" * (PROMPT_CHARS_MAX + 1), "32,000"),
        ("a\x00cat", "NUL"),
        ("a \ud83d cat", "surrogate"),
    ],
)
def test_a_prompt_that_cannot_be_sent_is_refused(prompt: str | None, word: str) -> None:
    for parse in (draw, edit):
        error = refusal(parse, prompt=prompt)
        assert (error.code, error.param) == ("invalid_request_error", "prompt")
        assert word in error.message


def test_the_longest_prompt_and_any_writing_pass() -> None:
    for prompt in ("a" * PROMPT_CHARS_MAX, "고양이 🐈\r\n\t\x01", "‮cat"):
        assert draw(prompt=prompt).prompt == prompt


@pytest.mark.parametrize("sources", [[URL], [], FILE])
def test_text_to_image_takes_no_pictures_and_says_who_does(sources: object) -> None:
    error = refusal(draw, source_image_urls=sources)
    assert (error.code, error.param) == ("unsupported_parameter", "source_image_urls")
    assert "/v1/edit_image" in error.message


@pytest.mark.parametrize("parse", [edit, upscale])
@pytest.mark.parametrize("sources", [None, []])
def test_an_edit_and_an_upscale_need_a_picture(parse: Any, sources: object) -> None:
    error = refusal(parse, source_image_urls=sources)
    assert (error.code, error.param) == ("invalid_request_error", "source_image_urls")


@pytest.mark.parametrize(("offer", "most"), [(GPT_IMAGE, 16), (GPT_4O, 5), (FLUX, 1)])
def test_a_model_takes_so_many_sources_and_not_one_more(offer: Offer, most: int) -> None:
    assert len(edit(offer, source_image_urls=[URL] * most).sources) == most
    error = refusal(edit, offer, source_image_urls=[URL] * (most + 1))
    assert (error.code, error.param) == ("unsupported_parameter", "source_image_urls")
    assert str(most + 1) in error.message


def test_an_upscale_takes_one_picture() -> None:
    assert refusal(upscale, source_image_urls=[URL, URL]).code == "unsupported_parameter"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "  ",
        "cat.png",
        "//pictures.example/cat.png",
        "file:///etc/passwd",
        "ftp://pictures.example/cat.png",
        "javascript:alert(1)",
        f" {URL}",
        FILE.upper(),
        FILE + "0",
        FILE[:-1],
        FILE + "\n",
        f"file-{FILE[5:]}",
        "https://pictures.example/\x00",
        "https://pictures.example/\ud800",
        "https://pictures.example/" + "a" * SOURCE_CHARS_MAX,
    ],
)
def test_a_source_is_a_web_address_or_a_file_id(source: str) -> None:
    error = refusal(edit, source_image_urls=[URL, source])
    assert (error.code, error.param) == ("invalid_request_error", "source_image_urls")
    assert "source_image_urls[1]" in error.message
    error.message.encode()
    assert len(error.message) < 300


@pytest.mark.parametrize("source", ["data:image/png;base64,iVBORw0KGgo=", "DATA:,x"])
def test_a_data_url_is_sent_to_the_files(source: str) -> None:
    error = refusal(edit, source_image_urls=[source])
    assert error.param == "source_image_urls"
    assert "/v1/files" in error.message


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 12),
        st.text(max_size=5),
        st.sampled_from([URL, "1k", "auto", "1:1"]),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
NAMES = st.one_of(st.sampled_from(sorted(FIELDS)), st.text(max_size=5))


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(sorted(OFFERS)))
def test_any_body_becomes_a_request_or_a_refusal_that_can_be_written(
    body: dict[str, Any], model: str
) -> None:
    offer = OFFERS[model]
    for action in offer.actions:
        refused: BadRequest | None = None
        try:
            request = parse_image_request(action, body, offer)
        except BadRequest as error:
            refused = error
        if refused is None:
            parse_object(msgspec.json.encode(request))
            assert "\x00" not in request.prompt
        else:
            assert refused.param is not None
            (refused.message + refused.param).encode()
