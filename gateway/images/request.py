"""What an image task is asked to make, and reading it from the bodies of the image endpoints. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.images.offers import PATHS, Offer

PROMPT_CHARS_MAX = 32_000
"""OpenAI's limit (Images API reference); nobody needs more of the others."""
SOURCE_CHARS_MAX = 8192
SHOWN_CHARS_MAX = 80
FIELDS = frozenset(
    {
        "model",
        "prompt",
        "output_resolution",
        "aspect_ratio",
        "output_count",
        "background",
        "source_image_urls",
        "upscale_factor",
        "callback_url",
    }
)
_FILE_ID = re.compile("file_[0-9a-f]{32}")
_WEB = ("https://", "http://")


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request with its defaults resolved: what is stored is what is priced and sent.

    `action`: text_to_image, edit_image or upscale_image. Empty or 0: the model has no such choice. `sources`: https
    URLs and file ids as given; `mask`: a file id. `size` is WIDTHxHEIGHT where OpenAI's Images named one, else the size
    follows from resolution and ratio. `quality`: low or medium, empty for the offer's own.
    """

    action: str
    prompt: str = ""
    output_resolution: str = ""
    aspect_ratio: str = ""
    output_count: int = 1
    background: str = ""
    upscale_factor: int = 0
    sources: tuple[str, ...] = ()
    mask: str = ""
    size: str = ""
    quality: str = ""


def parse_image_request(action: str, body: Mapping[str, Any], offer: Offer) -> ImageRequest:
    """The body of POST /v1/<action> for the model of `offer`, which must offer the action.

    `model` and `callback_url` are the caller's to read. Whether a URL may be fetched is not looked at. Raises
    BadRequest naming the field: `unsupported_parameter` for what the model does not offer.
    """
    refuse_unknown(body, FIELDS)
    ratio = take_choice(body, "aspect_ratio", offer.ratios, "auto", offer)
    return ImageRequest(
        action=action,
        prompt=_take_prompt(action, body, offer),
        output_resolution=take_choice(body, "output_resolution", offer.resolutions, "1k", offer),
        aspect_ratio=offer.auto_ratio if ratio == "auto" else ratio,
        output_count=take_number(body, "output_count", offer.counts, 1, offer),
        background=take_choice(body, "background", offer.backgrounds, "auto", offer),
        upscale_factor=take_number(
            body, "upscale_factor", offer.factors, offer.default_factor, offer
        ),
        sources=_take_sources(action, body, offer),
    )


def refuse_unknown(body: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise BadRequest for a field that is not among the known ones."""
    for name in body:
        if name not in known:
            shown = show(name)
            raise unsupported(
                shown, f"'{shown}' is not a parameter here; known are {_list(sorted(known))}."
            )


def take_choice(
    body: Mapping[str, Any], name: str, offered: Sequence[str], default: str, offer: Offer
) -> str:
    """The field, one of the texts that are offered; the default where it is absent or null, which is empty where
    nothing is offered. Raises BadRequest."""
    value = body.get(name)
    if value is None:
        return default if offered else ""
    refuse_unless_offered(name, value, offered, offer)
    if not isinstance(value, str):
        raise BadRequest(f"'{name}' must be a text.", param=name)
    if value not in offered:
        raise not_offered(name, value, offered, offer)
    return value


def take_number(
    body: Mapping[str, Any], name: str, offered: Sequence[int], default: int, offer: Offer
) -> int:
    """The field, one of the integers that are offered; the default where it is absent or null. Raises BadRequest."""
    value = body.get(name)
    if value is None:
        return default
    refuse_unless_offered(name, value, offered, offer)
    if type(value) is not int:
        raise BadRequest(f"'{name}' must be an integer.", param=name)
    if value < 1:
        raise BadRequest(f"'{name}' must be at least 1, not {value}.", param=name)
    if value not in offered:
        raise not_offered(name, value, offered, offer)
    return value


def check_prompt(value: Any) -> str:
    """A prompt that can be stored and sent. Raises BadRequest."""
    if value is None:
        raise BadRequest("'prompt' is required.", param="prompt")
    if not isinstance(value, str):
        raise BadRequest("'prompt' must be a text.", param="prompt")
    if not value.strip():
        raise BadRequest("'prompt' must not be empty.", param="prompt")
    if len(value) > PROMPT_CHARS_MAX:
        raise BadRequest(
            f"'prompt' has {len(value):,} characters; at most {PROMPT_CHARS_MAX:,} are taken.",
            param="prompt",
        )
    if not _is_storable(value):
        raise BadRequest(
            "'prompt' has a NUL character or half of a surrogate pair.", param="prompt"
        )
    return value


def check_source_count(count: int, name: str, offer: Offer) -> None:
    """Raise BadRequest for no source or for more than the model takes."""
    if count == 0:
        raise BadRequest(f"'{name}' must name at least one picture.", param=name)
    if count > offer.sources_max:
        most = "one picture" if offer.sources_max == 1 else f"{offer.sources_max} pictures"
        raise unsupported(
            name, f"'{name}' has {count} pictures; {offer.model} takes at most {most}."
        )


def unsupported(name: str, message: str) -> BadRequest:
    """The error for a combination that is not offered."""
    return BadRequest(message, code="unsupported_parameter", param=name)


def not_offered(name: str, value: object, offered: Sequence[object], offer: Offer) -> BadRequest:
    """The error for a value that the model does not offer."""
    return unsupported(
        name, f"{offer.model} does not offer '{name}' {show(value)}; it offers {_list(offered)}."
    )


def refuse_unless_offered(
    name: str, value: object, offered: Sequence[object], offer: Offer
) -> None:
    """Raise BadRequest for a field with which the model has nothing to choose."""
    if not offered:
        raise unsupported(
            name, f"'{name}' {show(value)}: {offer.model} has no such parameter; leave it out."
        )


def show(value: object) -> str:
    """A caller's value as it may stand in an answer: on one line, not long."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(char if char.isprintable() else "�" for char in text[: SHOWN_CHARS_MAX + 1])
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def _take_prompt(action: str, body: Mapping[str, Any], offer: Offer) -> str:
    if action != "upscale_image":
        return check_prompt(body.get("prompt"))
    if body.get("prompt") is not None:
        raise unsupported("prompt", f"'prompt': {offer.model} takes a picture and no prompt.")
    return ""


def _take_sources(action: str, body: Mapping[str, Any], offer: Offer) -> tuple[str, ...]:
    name = "source_image_urls"
    given = body.get(name)
    if action == "text_to_image":
        if given is not None:
            hint = PATHS["edit_image"][0]
            raise unsupported(name, f"'{name}' is not taken here; use {hint} to change pictures.")
        return ()
    if given is None:
        raise BadRequest(f"'{name}' is required.", param=name)
    if not isinstance(given, list):
        raise BadRequest(f"'{name}' must be a list of https URLs and file ids.", param=name)
    check_source_count(len(given), name, offer)
    return tuple(_check_source(value, name, at) for at, value in enumerate(given))


def _check_source(value: Any, name: str, at: int) -> str:
    problem = _problem_of_source(value)
    if problem is not None:
        raise BadRequest(f"'{name}[{at}]' {problem}.", param=name)
    return str(value)


def _problem_of_source(value: Any) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return "must be a text that is not empty"
    if value[:5].lower() == "data:":
        return "is a data URL; send the picture to POST /v1/files and name its file id here"
    if len(value) > SOURCE_CHARS_MAX:
        return f"has over {SOURCE_CHARS_MAX:,} characters"
    if not _is_storable(value):
        return "has a character that no URL has"
    if _FILE_ID.fullmatch(value) or value[:8].lower().startswith(_WEB):
        return None
    return (
        f"is neither an https URL nor a file id (`file_` and 32 hexadecimal digits): {show(value)}"
    )


def _is_storable(text: str) -> bool:
    """Whether PostgreSQL's JSON takes it: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _list(values: Sequence[object]) -> str:
    *most, last = map(str, values)
    return f"{', '.join(most)} and {last}" if most else f"{last} alone"
