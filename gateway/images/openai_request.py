"""The bodies of OpenAI's POST /v1/images/generations and /v1/images/edits as image requests. Pure.

Fields are those of OpenAI's API reference, "Images". What our tasks cannot keep - another format than PNG, a quality
that the price does not cover, pictures in parts - is refused, never silently left out.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.body import take_count, take_flag
from gateway.errors import BadRequest
from gateway.images.offers import OFFERS, Offer
from gateway.images.request import (
    ImageRequest,
    check_prompt,
    check_source_count,
    not_offered,
    refuse_unknown,
    show,
    take_choice,
    take_number,
    unsupported,
)
from gateway.images.sizes import nearest_ratio, parse_size, pixel_size, ratio_error, tier_of

RATIO_ERROR_MAX = 0.02
GENERATION_FIELDS = frozenset(
    {
        "model",
        "prompt",
        "n",
        "size",
        "quality",
        "background",
        "output_format",
        "output_compression",
        "response_format",
        "moderation",
        "stream",
        "partial_images",
        "style",
        "user",
    }
)
EDIT_FIELDS = GENERATION_FIELDS | {"input_fidelity"}
_NUMBERS = ("n", "output_compression", "partial_images")
_NUMBER = re.compile("-?[0-9]{1,9}")
_SOLD_BY_SIZE = ("high", "hd")


def take_model(body: Mapping[str, Any]) -> str:
    """The model's name as given. Raises BadRequest; there is no default, for none of OpenAI's is sold here."""
    value = body.get("model")
    if value is not None and not isinstance(value, str):
        raise BadRequest("'model' must be a text.", param="model")
    if not value:
        models = ", ".join(name for name, offer in OFFERS.items() if offer.ratios)
        raise BadRequest(f"'model' is required; pictures are made by {models}.", param="model")
    return value


def take_response_format(body: Mapping[str, Any]) -> str:
    """`b64_json`, which is the default, or `url`. Raises BadRequest."""
    value = body.get("response_format")
    if value is None:
        return "b64_json"
    if value not in ("b64_json", "url"):
        raise BadRequest(
            f"'response_format' must be b64_json or url, not {show(value)}.",
            param="response_format",
        )
    return str(value)


def parse_generation(body: Mapping[str, Any], offer: Offer) -> ImageRequest:
    """The body of POST /v1/images/generations for the model of `offer`. Raises BadRequest naming the field."""
    refuse_unknown(body, GENERATION_FIELDS)
    return _parse("text_to_image", body, offer)


def parse_edit(
    fields: Mapping[str, str], sources: tuple[str, ...], mask: str, offer: Offer
) -> ImageRequest:
    """The form of POST /v1/images/edits: its texts, and the ids of the files that `image` and `mask` were stored as
    (no mask: empty). Raises BadRequest naming the field."""
    refuse_unknown(fields, EDIT_FIELDS)
    check_source_count(len(sources), "image", offer)
    if mask and not offer.has_mask:
        raise unsupported("mask", f"{offer.model} takes no 'mask'; leave it out.")
    return _parse("edit_image", _typed(fields), offer, sources, mask)


def _parse(
    action: str,
    body: Mapping[str, Any],
    offer: Offer,
    sources: tuple[str, ...] = (),
    mask: str = "",
) -> ImageRequest:
    _refuse_extras(dict(body))
    take_response_format(body)
    resolution, ratio, size = _take_size(body, offer)
    return ImageRequest(
        action=action,
        prompt=check_prompt(body.get("prompt")),
        output_resolution=resolution,
        aspect_ratio=ratio,
        output_count=take_number(body, "n", offer.counts, 1, offer),
        background=take_choice(body, "background", offer.backgrounds, "auto", offer),
        sources=sources,
        mask=mask,
        size=size,
        quality=_take_quality(body, offer),
    )


def _typed(fields: Mapping[str, str]) -> dict[str, Any]:
    """A form's texts as a JSON body would have them: numbers and booleans where the fields are such."""
    body: dict[str, Any] = dict(fields)
    for name in _NUMBERS:
        if name in fields and _NUMBER.fullmatch(fields[name]):
            body[name] = int(fields[name])
    if fields.get("stream") in ("true", "false"):
        body["stream"] = fields["stream"] == "true"
    return body


def _take_size(body: Mapping[str, Any], offer: Offer) -> tuple[str, str, str]:
    """Resolution, ratio and, where the pixels themselves are kept, the size."""
    value = body.get("size")
    if value is None or value == "auto":
        return "1k", offer.auto_ratio, ""
    size = parse_size(value) if isinstance(value, str) else None
    if size is None:
        raise BadRequest(f"'size' must be auto or WIDTHxHEIGHT, not {show(value)}.", param="size")
    if offer.named_sizes == "any":
        return tier_of(*size), "", str(value)
    ratio = nearest_ratio(*size, offer.ratios)
    if offer.named_sizes == "of_ratios":
        sizes = ["x".join(map(str, pixel_size("1k", r) or ())) for r in offer.ratios if r != "auto"]
        if value not in sizes:
            raise not_offered("size", value, ["auto", *sizes], offer)
    elif tier_of(*size) not in offer.resolutions or ratio_error(*size, ratio) > RATIO_ERROR_MAX:
        ratios = ", ".join(offer.ratios)
        raise unsupported(
            "size",
            f"{offer.model} does not offer 'size' {value}; it makes pictures of about a megapixel"
            f" in the ratios {ratios}.",
        )
    return "1k", ratio, ""


def _take_quality(body: Mapping[str, Any], offer: Offer) -> str:
    value = body.get("quality")
    if value in (None, "auto", "standard"):
        return ""
    if value in _SOLD_BY_SIZE:
        raise unsupported(
            "quality",
            f"'quality' {value} is not offered: pictures are sold by resolution, at"
            f" {offer.quality or 'one'} quality.",
        )
    return take_choice(body, "quality", offer.qualities, "", offer)


def _refuse_extras(body: dict[str, Any]) -> None:
    """Raise BadRequest for what OpenAI's models know and our tasks do not."""
    if take_flag(body, "stream"):
        raise unsupported("stream", "'stream' is not offered for pictures; leave it out.")
    if take_count(body, "partial_images", 0, 3):
        raise unsupported("partial_images", "'partial_images' are not offered; leave it out.")
    if take_count(body, "output_compression", 0, 100) not in (None, 100):
        raise unsupported("output_compression", "'output_compression': PNG is compressed at 100.")
    for name, kept, why in (
        ("output_format", ("png",), "pictures are PNG"),
        ("moderation", ("auto",), "the provider moderates as it does by itself"),
        ("input_fidelity", ("low",), "it is not in the price of a picture"),
        ("style", (), "none of the models here has styles"),
    ):
        value = body.get(name)
        if value is None or value in kept:
            continue
        raise unsupported(name, f"'{name}' {show(value)} is not offered: {why}.")
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        raise BadRequest("'user' must be a text.", param="user")
