"""Upper bounds of what a call can use, before it is sent. Pure.

Text: no tokenizer of the forwarded vendors makes more tokens than there are bytes, and the JSON around the text
outweighs the few tokens that a vendor adds for each message. Pictures and sound are not text: their data is taken
out of the byte count and bounded by vendor formulas instead.
"""

from typing import Any

IMAGE_TOKENS_MAX = 16_384
AUDIO_BYTES_PER_TOKEN = 64
FLOOR_OUTPUT_TOKENS = 256
OUTPUT_TOKENS_UNKNOWN = 32_768


def bound_input_tokens(body_bytes: int, body: dict[str, Any]) -> int:
    """The most input tokens that a chat body of `body_bytes` (as forwarded) can be counted as."""
    tokens = body_bytes
    for message in body.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            tokens += sum(_extra_tokens(part) for part in content if isinstance(part, dict))
    return max(tokens, 0)


def _extra_tokens(part: dict[str, Any]) -> int:
    """What a content part can cost beyond its bytes; negative where its bytes are encoded media."""
    image = part.get("image_url")
    if image is not None:
        url = image.get("url") if isinstance(image, dict) else image
        inline = len(url) if isinstance(url, str) and url.startswith("data:") else 0
        return IMAGE_TOKENS_MAX - inline
    audio = part.get("input_audio")
    if isinstance(audio, dict) and isinstance(audio.get("data"), str):
        encoded = len(audio["data"])
        return encoded // AUDIO_BYTES_PER_TOKEN + 128 - encoded
    return 0


def bound_output_tokens(
    asked: int | None, model_max: int | None, context_length: int | None
) -> int:
    """The most output tokens of one choice: what the client asked for, but not above what the model can give."""
    most = model_max or context_length or OUTPUT_TOKENS_UNKNOWN
    return most if asked is None else min(asked, most)
