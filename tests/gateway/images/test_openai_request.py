"""OpenAI's Images bodies: what they mean here, and what is refused rather than left out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.images.offers import OFFERS, Offer
from gateway.images.openai_request import (
    EDIT_FIELDS,
    GENERATION_FIELDS,
    parse_edit,
    parse_generation,
    take_model,
    take_response_format,
)
from gateway.images.request import ImageRequest

GPT_IMAGE = OFFERS["openai/gpt-image-2"]
GPT_4O = OFFERS["openai/gpt-4o-image"]
FLUX = OFFERS["black-forest-labs/flux-kontext-max"]
FILE = f"file_{'0123456789abcdef' * 2}"
MASK = f"file_{'f' * 32}"


def generate(offer: Offer = GPT_IMAGE, **fields: Any) -> ImageRequest:
    return parse_generation({"model": offer.model, "prompt": "a cat", **fields}, offer)


def edit(
    offer: Offer = GPT_IMAGE, sources: tuple[str, ...] = (FILE,), mask: str = "", **fields: str
) -> ImageRequest:
    return parse_edit({"model": offer.model, "prompt": "a hat", **fields}, sources, mask, offer)


def refusal(parse: Any, *args: Any, **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(*args, **fields)
    return caught.value


def test_a_bare_generation_has_the_defaults() -> None:
    wanted = ImageRequest(
        action="text_to_image",
        prompt="a cat",
        output_resolution="1k",
        aspect_ratio="auto",
        background="auto",
    )
    nothing: dict[str, Any] = dict.fromkeys(GENERATION_FIELDS - {"model", "prompt"})
    assert generate() == generate(**nothing) == generate(size="auto", quality="auto") == wanted


def test_what_changes_nothing_is_passed_over() -> None:
    assert generate() == generate(
        user="u-1",
        moderation="auto",
        output_format="png",
        output_compression=100,
        partial_images=0,
        stream=False,
        response_format="url",
        quality="standard",
    )


def test_an_edit_has_its_files_and_its_form() -> None:
    request = edit(
        sources=(FILE, FILE),
        mask=MASK,
        n="2",
        size="1024x1536",
        background="transparent",
        quality="low",
        input_fidelity="low",
        stream="false",
        partial_images="0",
        output_compression="100",
    )
    assert request == ImageRequest(
        action="edit_image",
        prompt="a hat",
        output_resolution="1k",
        output_count=2,
        background="transparent",
        sources=(FILE, FILE),
        mask=MASK,
        size="1024x1536",
        quality="low",
    )


@pytest.mark.parametrize(
    ("size", "resolution"),
    [("1024x1024", "1k"), ("1536x1024", "1k"), ("2048x2048", "2k"), ("3840x2160", "4k")],
)
def test_a_named_size_is_kept_and_priced_by_its_area(size: str, resolution: str) -> None:
    request = generate(size=size)
    assert (request.size, request.output_resolution, request.aspect_ratio) == (size, resolution, "")


@pytest.mark.parametrize(
    ("offer", "size", "ratio"),
    [
        (GPT_4O, "auto", "1:1"),
        (GPT_4O, "1024x1024", "1:1"),
        (GPT_4O, "1536x1024", "3:2"),
        (GPT_4O, "1024x1536", "2:3"),
        (FLUX, "auto", "auto"),
        (FLUX, "1024x1024", "1:1"),
        (FLUX, "1536x1024", "3:2"),
        (FLUX, "1280x720", "16:9"),
        (FLUX, "1024x1008", "1:1"),
    ],
)
def test_other_models_make_a_size_by_its_ratio(offer: Offer, size: str, ratio: str) -> None:
    request = generate(offer, size=size)
    assert (request.aspect_ratio, request.output_resolution, request.size) == (ratio, "1k", "")


@pytest.mark.parametrize(
    ("offer", "size", "word"),
    [
        (GPT_IMAGE, "1000x1000", "multiples of 16"),
        (GPT_IMAGE, "256x256", "655,360"),
        (GPT_IMAGE, "4096x1024", "3840"),
        (GPT_4O, "2048x2048", "1536x1024"),
        (GPT_4O, "1024x1792", "1024x1536"),
        (FLUX, "2048x2048", "megapixel"),
        (FLUX, "512x512", "655,360"),
        (FLUX, "1744x608", "21:9"),
        (FLUX, "1392x752", "16:9"),
        (FLUX, "1056x1024", "1:1"),
    ],
)
def test_a_size_that_the_model_does_not_make_is_refused(offer: Offer, size: str, word: str) -> None:
    error = refusal(generate, offer, size=size)
    assert (error.code, error.param) == ("unsupported_parameter", "size")
    assert size in error.message
    assert word in error.message


@given(st.one_of(st.text(), st.integers(), st.lists(st.text()), st.booleans()))
def test_what_is_no_size_is_malformed(size: object) -> None:
    if size == "auto":
        return
    error = refusal(generate, size=size)
    assert error.param == "size"
    error.message.encode()


@pytest.mark.parametrize("offer", [GPT_IMAGE, GPT_4O, FLUX])
@pytest.mark.parametrize("quality", ["high", "hd"])
def test_a_dearer_quality_is_refused_with_the_reason(offer: Offer, quality: str) -> None:
    error = refusal(generate, offer, quality=quality)
    assert (error.code, error.param) == ("unsupported_parameter", "quality")
    assert "resolution" in error.message
    assert offer.quality in error.message


@pytest.mark.parametrize(
    ("offer", "quality"), [(GPT_IMAGE, "low"), (GPT_IMAGE, "medium"), (GPT_4O, "low")]
)
def test_a_quality_that_the_price_covers_is_sent(offer: Offer, quality: str) -> None:
    assert generate(offer, quality=quality).quality == quality


@pytest.mark.parametrize(
    ("offer", "quality"), [(GPT_4O, "medium"), (FLUX, "low"), (GPT_IMAGE, "best")]
)
def test_a_quality_that_the_model_does_not_have_is_refused(offer: Offer, quality: str) -> None:
    assert refusal(generate, offer, quality=quality).code == "unsupported_parameter"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("output_format", "jpeg"),
        ("output_format", "webp"),
        ("output_format", 1),
        ("output_compression", 50),
        ("output_compression", 0),
        ("moderation", "low"),
        ("style", "vivid"),
        ("style", "natural"),
        ("stream", True),
        ("partial_images", 2),
        ("background", "blurred"),
        ("n", 11),
    ],
)
def test_what_cannot_be_kept_is_refused(field: str, value: object) -> None:
    error = refusal(generate, **{field: value})
    assert (error.status, error.code, error.param) == (400, "unsupported_parameter", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_fidelity", "high"),
        ("stream", "true"),
        ("partial_images", "1"),
        ("output_compression", "99"),
        ("n", "11"),
        ("style", "vivid"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_a_form(field: str, value: str) -> None:
    error = refusal(edit, **{field: value})
    assert (error.code, error.param) == ("unsupported_parameter", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", "two"),
        ("n", "1.0"),
        ("n", "0"),
        ("n", "-1"),
        ("n", ""),
        ("n", "٢"),
        ("stream", "yes"),
        ("partial_images", "many"),
        ("output_compression", "1e2"),
        ("response_format", "base64"),
        ("size", "big"),
        ("prompt", " "),
    ],
)
def test_a_form_with_another_kind_of_value_is_malformed(field: str, value: str) -> None:
    error = refusal(edit, **{field: value})
    assert (error.code, error.param) == ("invalid_request_error", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", "2"),
        ("n", True),
        ("n", 1.0),
        ("prompt", ["a cat"]),
        ("stream", "true"),
        ("partial_images", "0"),
        ("output_compression", 101),
        ("response_format", 1),
        ("background", 1),
        ("quality", 1),
        ("user", 7),
    ],
)
def test_a_body_with_another_type_is_malformed(field: str, value: object) -> None:
    error = refusal(generate, **{field: value})
    assert (error.code, error.param) == ("invalid_request_error", field)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_counts_are_the_models_own(count: int) -> None:
    assert generate(GPT_4O, n=count).output_count == count
    assert edit(GPT_4O, n=str(count)).output_count == count


@pytest.mark.parametrize(("offer", "count"), [(GPT_4O, 3), (FLUX, 2)])
def test_a_count_that_the_model_does_not_make_is_refused(offer: Offer, count: int) -> None:
    error = refusal(generate, offer, n=count)
    assert (error.code, error.param) == ("unsupported_parameter", "n")


@pytest.mark.parametrize(
    "field", ["output_resolution", "aspect_ratio", "image", "seed", "input_fidelity"]
)
def test_a_field_that_generations_do_not_have_is_named(field: str) -> None:
    error = refusal(generate, **{field: "x"})
    assert (error.code, error.param) == ("unsupported_parameter", field)
    assert field in error.message


def test_an_edit_needs_a_picture_and_takes_no_more_than_the_model() -> None:
    error = refusal(edit, sources=())
    assert (error.code, error.param) == ("invalid_request_error", "image")
    assert len(edit(GPT_4O, sources=(FILE,) * 5).sources) == 5
    for offer, count in ((GPT_IMAGE, 17), (GPT_4O, 6), (FLUX, 2)):
        error = refusal(edit, offer, sources=(FILE,) * count)
        assert (error.code, error.param) == ("unsupported_parameter", "image")


def test_a_mask_is_for_models_that_know_it() -> None:
    assert edit(GPT_4O, mask=MASK).mask == MASK
    error = refusal(edit, FLUX, mask=MASK)
    assert (error.code, error.param) == ("unsupported_parameter", "mask")


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": ""}])
def test_without_a_model_the_image_models_are_named(body: dict[str, Any]) -> None:
    error = refusal(take_model, body)
    assert (error.code, error.param) == ("invalid_request_error", "model")
    assert "openai/gpt-image-2" in error.message
    assert "topaz" not in error.message


def test_a_model_is_a_text() -> None:
    assert take_model({"model": "gpt-image-2"}) == "gpt-image-2"
    assert refusal(take_model, {"model": 5}).param == "model"


def test_pictures_come_in_base64_unless_links_are_asked_for() -> None:
    assert take_response_format({}) == take_response_format({"response_format": None}) == "b64_json"
    assert take_response_format({"response_format": "url"}) == "url"


@given(
    st.dictionaries(
        st.sampled_from(sorted(EDIT_FIELDS)),
        st.sampled_from(["", "1", "4", "auto", "low", "png", "url", "true", "1024x1024", "100", "\x00", "\ud800"]),
    ),
    st.sampled_from([GPT_IMAGE, GPT_4O, FLUX]),
)  # fmt: skip
def test_any_form_becomes_a_request_or_a_refusal(fields: dict[str, str], offer: Offer) -> None:
    refused: BadRequest | None = None
    try:
        request = parse_edit(fields, (FILE,), "", offer)
    except BadRequest as error:
        refused = error
    if refused is None:
        assert request.output_count in offer.counts
        assert request.aspect_ratio in ("", *offer.ratios)
    else:
        assert refused.param in EDIT_FIELDS
        refused.message.encode()
