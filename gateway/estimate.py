"""Upper bounds of what a call can use, before it is sent. Pure.

Text: no tokenizer of the forwarded vendors makes more tokens than there are bytes, and the JSON around the text
outweighs the few tokens that a vendor adds for each message. Pictures, sound and documents are not text: their data is
taken out of the byte count and bounded by vendor formulas instead.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

IMAGE_TOKENS_MAX = 16_384
# A page is billed as its text and its picture, and the vendors that take documents stop at a hundred pages or, with
# longer context, at what fits into it (Anthropic, "PDF support"; OpenAI, "File inputs").
DOCUMENT_TOKENS_MAX = 300_000
# Film is billed by its seconds, however few bytes they take: at most what fits into the longest context there is.
FILM_TOKENS_MAX = 2**21
AUDIO_BYTES_PER_TOKEN = 64
BYTES_PER_EXPECTED_TOKEN = 3
EXPECTED_MEDIA_TOKENS = 1_500
FLOOR_OUTPUT_TOKENS = 256
OUTPUT_TOKENS_UNKNOWN = 32_768


class Media(msgspec.Struct, frozen=True):
    """A part of the input that is no text. `inline_bytes` of the body are its data; 0 if it is only referred to."""

    kind: Literal["image", "audio", "document", "film"]
    inline_bytes: int = 0

    @property
    def tokens_max(self) -> int:
        """The most that a provider counts it as."""
        if self.kind == "image":
            return IMAGE_TOKENS_MAX
        if self.kind == "audio":
            return self.inline_bytes // AUDIO_BYTES_PER_TOKEN + 128
        if self.kind == "film":
            return FILM_TOKENS_MAX
        return DOCUMENT_TOKENS_MAX


def inline_media(kind: Literal["image", "audio", "document", "film"], data: object) -> Media:
    """A part whose data is that text in the body (base64, or a data URL); a URL to elsewhere is no data."""
    if not isinstance(data, str) or data.startswith(("http://", "https://", "gs://")):
        return Media(kind)
    return Media(kind, len(data))


def is_text_data(data: object) -> bool:
    """Whether that is a data URL of text: its bytes bound it, however much of the context it fills."""
    return isinstance(data, str) and data[:10].lower() == "data:text/"


def bound_input_tokens(
    body_bytes: int, media: Iterable[Media] = (), context_length: int | None = None
) -> int:
    """The most input tokens that a body of `body_bytes` can be counted as.

    A document counts for no more than the model can read; text is never bounded by that, since a vendor may have
    raised it.
    """
    tokens = body_bytes
    documents = 0
    for part in media:
        tokens -= part.inline_bytes
        if part.kind in ("document", "film"):
            documents += part.tokens_max
        else:
            tokens += part.tokens_max
    if context_length is not None:
        documents = min(documents, context_length)
    return max(tokens, 0) + documents


def expect_input_tokens(body_bytes: int, media: Sequence[Media] = ()) -> int:
    """About how many input tokens a body is: what it brings to a limit of tokens until the provider has counted.

    Rather too many than too few: prose has four bytes to a token, Korean and Chinese about three.
    """
    text_bytes = max(body_bytes - sum(part.inline_bytes for part in media), 0)
    return -(-text_bytes // BYTES_PER_EXPECTED_TOKEN) + EXPECTED_MEDIA_TOKENS * len(media)


def bound_output_tokens(
    asked: int | None, model_max: int | None, context_length: int | None
) -> int:
    """The most output tokens of one choice: what the client asked for, but not above what the model can give."""
    most = model_max or context_length or OUTPUT_TOKENS_UNKNOWN
    return most if asked is None else min(asked, most)
