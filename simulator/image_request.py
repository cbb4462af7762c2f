"""The body of OpenAI's POST /v1/images/...: reading it, and refusing it the way OpenAI does.

Fields and limits are those of the Images API reference; the sizes of gpt-image-2 and its successors
are the image generation guide's.
"""

import hashlib
import re
from typing import Any

import msgspec

from simulator.catalog import find_card
from simulator.chat_request import ChatBody
from simulator.checks import (
    check_integer,
    check_member,
    check_model,
    decode_body,
    missing,
    wrong_member,
    wrong_type,
)
from simulator.connection import Request
from simulator.errors import ApiError
from simulator.multipart import Upload, parse_form
from simulator.pictures import Size, measure, parse_size

_SQUARE, _WIDE, _TALL = Size(1024, 1024), Size(1536, 1024), Size(1024, 1536)
_FIXED_SIZES = (_SQUARE, _WIDE, _TALL)
_OF_FIXED_SIZES = re.compile(r"gpt-image-1(?![0-9])|gpt-4o-image|chatgpt-image")
_EDGE_STEP, _MOST_EDGE, _MOST_RATIO = 16, 3_840, 3
_PIXELS = range(655_360, 8_294_400 + 1)
_QUALITIES = ("low", "medium", "high", "auto")
_AUTO_QUALITY = "medium"
_MOST_PROMPT = 32_000
_MOST_IMAGES = 16
_MOST_MASK = 4 * 1024 * 1024
# Parameters of DALL-E, which the image models of today do not know.
_RETIRED = ("response_format", "style")
_NUMBERS = ("n", "partial_images", "output_compression")


class ImageBody(msgspec.Struct):
    """The fields that are read; any other is ignored. Types are checked by `read_drawing`."""

    model: Any = None
    prompt: Any = None
    n: Any = None
    size: Any = None
    quality: Any = None
    background: Any = None
    moderation: Any = None
    output_format: Any = None
    output_compression: Any = None
    partial_images: Any = None
    input_fidelity: Any = None
    response_format: Any = None
    style: Any = None
    stream: Any = None
    simulate: msgspec.Raw = msgspec.Raw()


class EditBody(ImageBody):
    """An edit's form."""

    images: list[Upload] = []
    masks: list[Upload] = []


class Drawing(msgspec.Struct):
    """Pictures that were asked for; of an edit also the sizes and a digest of what was sent."""

    count: int
    size: Size
    quality: str
    transparent: bool
    partials: int
    sources: list[Size]
    sources_digest: str
    is_faithful: bool


class ImageAsk(ChatBody):
    """A prompt as a chat body, with its drawing."""

    drawing: Drawing | None = None


_DECODER = msgspec.json.Decoder(ImageBody)


def parse_generation(request: Request) -> ImageBody:
    """A JSON body. Raises ApiError(400) for what is not a JSON object."""
    return decode_body(request.body, _DECODER)


def parse_edit(request: Request) -> EditBody:
    """A form. Numbers and booleans are read from their texts. Raises ApiError(400)."""
    form = parse_form(request.headers.get(b"content-type", b""), request.body)
    body = EditBody(images=form.take_files("image", "image[]"), masks=form.take_files("mask"))
    for name, text in form.texts.items():
        if name == "simulate":
            body.simulate = msgspec.Raw(text.encode())
        elif name in _NUMBERS and re.fullmatch(r"-?[0-9]{1,9}", text):
            setattr(body, name, int(text))
        elif name == "stream" and text in ("true", "false"):
            body.stream = text == "true"
        elif name in ImageBody.__struct_fields__:
            setattr(body, name, text)
    return body


def read_drawing(body: ImageBody) -> Drawing:
    """What a body asks for. Raises ApiError as OpenAI refuses it."""
    _check_image_model(body.model)
    _check_prompt(body.prompt)
    for name in _RETIRED:
        if getattr(body, name) is not None:
            raise ApiError(
                400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter"
            )
    if body.stream is not None and not isinstance(body.stream, bool):
        raise wrong_type("stream", "a boolean", body.stream)
    check_integer("n", 1 if body.n is None else body.n, 1, 10)
    partials = 0 if body.partial_images is None else body.partial_images
    check_integer("partial_images", partials, 0, 3)
    for name, allowed in (
        ("quality", _QUALITIES),
        ("background", ("transparent", "opaque", "auto")),
        ("moderation", ("low", "auto")),
        ("input_fidelity", ("high", "low")),
    ):
        _check_choice(name, getattr(body, name), allowed)
    _check_format(body)
    if body.stream and body.n not in (None, 1):
        # What the vendor does with several streamed pictures is not documented.
        raise ApiError(400, "Streaming is served for one picture here.", param="n")
    sources, digest = _read_sources(body) if isinstance(body, EditBody) else ([], "")
    return Drawing(
        count=body.n or 1,
        size=_read_size(body, sources),
        quality=_AUTO_QUALITY if body.quality in (None, "auto") else body.quality,
        transparent=body.background == "transparent",
        partials=partials if body.stream else 0,
        sources=sources,
        sources_digest=digest,
        is_faithful=body.input_fidelity == "high",
    )


def _check_image_model(model: Any) -> None:
    check_model(model)
    if find_card(model) is not None:
        raise ApiError(
            400,
            f"The model '{model}' is not supported by the Images API.",
            param="model",
            code="invalid_value",
        )


def _check_prompt(prompt: Any) -> None:
    if prompt is None:
        raise missing("prompt")
    if not isinstance(prompt, str):
        raise wrong_type("prompt", "a string", prompt)
    if not prompt or len(prompt) > _MOST_PROMPT:
        wrong = "too long" if prompt else "empty"
        raise ApiError(
            400,
            f"Invalid 'prompt': {wrong}. Expected 1 to {_MOST_PROMPT} characters.",
            param="prompt",
            code="string_above_max_length" if prompt else "empty_string",
        )


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value is not None and not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    check_member(name, value, allowed)


def _check_format(body: ImageBody) -> None:
    """PNG is all that is written here; its compression cannot be chosen."""
    _check_choice("output_format", body.output_format, ("png", "jpeg", "webp"))
    if body.output_format not in (None, "png"):
        raise ApiError(
            400,
            f"The simulator draws PNG alone, not {body.output_format}.",
            param="output_format",
            code="invalid_value",
        )
    if body.output_compression is not None:
        check_integer("output_compression", body.output_compression, 0, 100)
        if body.output_compression != 100:
            raise ApiError(
                400,
                "Compression less than 100 is not supported for PNG output format",
                param="output_compression",
                code="invalid_png_output_compression",
            )


def _read_size(body: ImageBody, sources: list[Size]) -> Size:
    """The size asked for; `auto` is square, and for an edit as the first picture lies."""
    if body.size is not None and not isinstance(body.size, str):
        raise wrong_type("size", "a string", body.size)
    if body.size in (None, "auto"):
        if not sources or sources[0].width == sources[0].height:
            return _SQUARE
        return _WIDE if sources[0].width > sources[0].height else _TALL
    size = parse_size(body.size)
    if size in _FIXED_SIZES:
        return size
    if _OF_FIXED_SIZES.match(body.model.rpartition("/")[2]):
        raise wrong_member("size", body.size, [*map(str, _FIXED_SIZES), "auto"])
    problem = "expected WIDTHxHEIGHT or auto" if size is None else _wrong_measure(size)
    if problem is not None or size is None:
        raise ApiError(
            400, f"Invalid size '{body.size}': {problem}.", param="size", code="invalid_value"
        )
    return size


def _wrong_measure(size: Size) -> str | None:
    if size.width % _EDGE_STEP or size.height % _EDGE_STEP:
        return f"both edges must be multiples of {_EDGE_STEP}"
    if max(size) > _MOST_EDGE:
        return f"no edge may be longer than {_MOST_EDGE}"
    if max(size) > _MOST_RATIO * min(size):
        return f"one edge may be {_MOST_RATIO} times the other at most"
    if size.pixels not in _PIXELS:
        return f"expected {_PIXELS.start} to {_PIXELS.stop - 1} pixels"
    return None


def _read_sources(body: EditBody) -> tuple[list[Size], str]:
    """The sizes and a digest of the pictures to edit."""
    if not body.images:
        raise missing("image")
    if len(body.images) > _MOST_IMAGES:
        raise ApiError(400, f"At most {_MOST_IMAGES} images can be edited.", param="image")
    sizes = []
    digest = hashlib.sha256()
    for position, upload in enumerate(body.images, 1):
        size = measure(upload.data)
        if size is None:
            raise ApiError(
                400,
                f"Invalid image file or mode for image {position}, please check your image file.",
                param="image",
                code="invalid_image_file",
            )
        sizes.append(size)
        digest.update(upload.data)
    for mask in body.masks:
        if len(mask.data) > _MOST_MASK or measure(mask.data) != sizes[0]:
            raise ApiError(
                400,
                "Invalid mask: expected a picture of at most 4 MiB and of the first image's size.",
                param="mask",
                code="invalid_mask",
            )
        digest.update(mask.data)
    return sizes, digest.hexdigest()
