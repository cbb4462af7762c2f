"""Sizes against the checks of the vendor's stand-in, and against the constraints as they are written down."""

import pytest

from gateway.errors import BadRequest
from gateway.images.offers import OFFERS
from gateway.images.sizes import nearest_ratio, parse_size, pixel_size, ratio_error, tier_of
from simulator.errors import ApiError
from simulator.image_request import ImageBody, read_drawing

GPT_IMAGE = OFFERS["openai/gpt-image-2"]
RATIOS = [ratio for ratio in GPT_IMAGE.ratios if ratio != "auto"]
EACH = [(resolution, ratio) for resolution in GPT_IMAGE.resolutions for ratio in RATIOS]


def size_of(resolution: str, ratio: str) -> tuple[int, int]:
    size = pixel_size(resolution, ratio)
    assert size is not None
    return size


def vendor_takes(width: int, height: int) -> bool:
    try:
        read_drawing(ImageBody(model="gpt-image-2", prompt="a cat", size=f"{width}x{height}"))
    except ApiError:
        return False
    return True


@pytest.mark.parametrize(("resolution", "ratio"), EACH)
def test_the_vendor_takes_every_size(resolution: str, ratio: str) -> None:
    assert vendor_takes(*size_of(resolution, ratio))


@pytest.mark.parametrize(("resolution", "ratio"), EACH)
def test_every_size_has_the_very_ratio_that_was_asked_for(resolution: str, ratio: str) -> None:
    width, height = size_of(resolution, ratio)
    across, down = map(int, ratio.split(":"))
    assert width * down == height * across


@pytest.mark.parametrize(("resolution", "ratio"), EACH)
def test_every_size_is_priced_as_the_resolution_that_it_was_made_for(
    resolution: str, ratio: str
) -> None:
    assert tier_of(*size_of(resolution, ratio)) == resolution


@pytest.mark.parametrize(("resolution", "ratio"), EACH)
def test_no_other_size_of_the_ratio_comes_nearer_to_the_resolution(
    resolution: str, ratio: str
) -> None:
    aim = {"1k": 1024 * 1024, "2k": 2048 * 2048, "4k": 8_294_400}[resolution]
    across, down = map(int, ratio.split(":"))
    sizes = [
        (width, width * down // across)
        for width in range(16, 3841, 16)
        if width * down % (16 * across) == 0
    ]
    fitting = [size for size in sizes if vendor_takes(*size) and tier_of(*size) == resolution]
    width, height = size_of(resolution, ratio)
    if resolution == "1k" and ratio in ("3:2", "2:3"):
        assert {width, height} == {1536, 1024}  # the vendor's own standard
        return
    assert abs(width * height - aim) == min(abs(w * h - aim) for w, h in fitting)


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("1k", "1:1", (1024, 1024)),
        ("1k", "3:2", (1536, 1024)),
        ("1k", "2:3", (1024, 1536)),
        ("1k", "16:9", (1280, 720)),
        ("2k", "1:1", (2048, 2048)),
        ("2k", "3:4", (1728, 2304)),
        ("2k", "16:9", (2560, 1440)),
        ("4k", "1:1", (2880, 2880)),
        ("4k", "16:9", (3840, 2160)),
        ("4k", "1:3", (1280, 3840)),
        ("1k", "auto", None),
        ("2k", "auto", (2048, 2048)),
        ("4k", "auto", (2880, 2880)),
    ],
)
def test_sizes_are_those_that_people_know(
    resolution: str, ratio: str, size: tuple[int, int] | None
) -> None:
    assert pixel_size(resolution, ratio) == size


def test_the_sizes_of_gpt_4o_image_are_its_three() -> None:
    sizes = {pixel_size("1k", r) for r in OFFERS["openai/gpt-4o-image"].ratios if r != "auto"}
    assert sizes == {(1024, 1024), (1536, 1024), (1024, 1536)}


@pytest.mark.parametrize(("resolution", "ratio"), [("8k", "1:1"), ("1k", "0:1"), ("2k", "wide")])
def test_what_is_no_resolution_or_ratio_has_no_size(resolution: str, ratio: str) -> None:
    with pytest.raises(ValueError, match="no r"):
        pixel_size(resolution, ratio)


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ((1000, 1000), "1:1"),
        ((4000, 3000), "4:3"),
        ((3000, 4000), "3:4"),
        ((1920, 1080), "16:9"),
        ((1080, 2400), "9:21"),
        ((1, 10_000), "1:3"),
        ((10_000, 1), "3:1"),
    ],
)
def test_the_nearest_ratio_is_that_of_the_picture(size: tuple[int, int], ratio: str) -> None:
    assert nearest_ratio(*size, GPT_IMAGE.ratios) == ratio


def test_how_far_a_ratio_is_off_is_told_in_parts() -> None:
    assert ratio_error(1920, 1080, "16:9") == pytest.approx(0)
    assert ratio_error(102, 100, "1:1") == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("size", "tier"),
    [
        ((1024, 1024), "1k"),
        ((1536, 1024), "1k"),
        ((1552, 1024), "2k"),
        ((2048, 2048), "2k"),
        ((2064, 2048), "4k"),
        ((3840, 2160), "4k"),
    ],
)
def test_a_size_is_priced_by_its_area(size: tuple[int, int], tier: str) -> None:
    assert tier_of(*size) == tier


@pytest.mark.parametrize(
    "size",
    [(1000, 1000), (512, 512), (3856, 1600), (3104, 1024), (2896, 2880), (256, 256), (1024, 1016)],
)
def test_a_size_that_the_vendor_refuses_is_refused(size: tuple[int, int]) -> None:
    assert not vendor_takes(*size)
    with pytest.raises(BadRequest) as caught:
        tier_of(*size)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "size")
    assert "x".join(map(str, size)) in caught.value.message


def test_our_constraints_are_the_vendors() -> None:
    edges = [*range(16, 4000, 240), 1024, 3840, 3856, 1001]
    for width in edges:
        for height in edges:
            try:
                tier_of(width, height)
                taken = True
            except BadRequest:
                taken = False
            assert taken == vendor_takes(width, height), (width, height)


@pytest.mark.parametrize(
    "text", ["", "auto", "1024", "1024x", "x1024", "0x1024", "01024x1024", "1024X1024", "1024x1024\n",
             "-1024x1024", "1024x1024x1024", "１０２４x1024", "999999x16"],
)  # fmt: skip
def test_what_is_no_size_is_none(text: str) -> None:
    assert parse_size(text) is None


def test_a_size_is_a_width_and_a_height() -> None:
    assert parse_size("1024x1536") == (1024, 1536)
