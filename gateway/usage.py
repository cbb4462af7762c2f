"""Usage as providers report it, brought into disjoint buckets; and how much was generated where they report none. Pure.

Chat Completions (OpenAI's API reference, "usage"): cached and audio tokens stand inside `prompt_tokens`, reasoning and
audio tokens inside `completion_tokens`.
"""

from collections.abc import Mapping
from typing import Any

from billing.pricing import Usage

TOKENS_MAX = 2**40
CHARS_PER_TOKEN = 4
DELTA_CHARS_MAX = 8


def read_chat_usage(reported: Any) -> Usage | None:
    """The buckets of a Chat Completions `usage` object.

    None where it is missing or cannot be true (not an object, a figure that is negative, no integer, or a part above
    its total): the caller then falls back to counting, never to a guess at what was meant.
    """
    if not isinstance(reported, Mapping):
        return None
    inside = _mapping(reported.get("prompt_tokens_details"))
    outside = _mapping(reported.get("completion_tokens_details"))
    if inside is None or outside is None:
        return None
    prompt = _count(reported.get("prompt_tokens"), required=True)
    completion = _count(reported.get("completion_tokens"), required=False)
    cached = _count(inside.get("cached_tokens"), required=False)
    written = _count(inside.get("cache_write_tokens"), required=False)
    audio_in = _count(inside.get("audio_tokens"), required=False)
    reasoning = _count(outside.get("reasoning_tokens"), required=False)
    audio_out = _count(outside.get("audio_tokens"), required=False)
    if min(prompt, completion, cached, written, audio_in, reasoning, audio_out) < 0:
        return None
    if cached + written + audio_in > prompt or reasoning + audio_out > completion:
        return None
    return Usage(
        input_tokens=prompt - cached - written - audio_in,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        audio_input_tokens=audio_in,
        output_tokens=completion - audio_out,
        reasoning_tokens=reasoning,
        audio_output_tokens=audio_out,
    )


class Generated:
    """Counts what a provider generates while it passes, for answers that end without a report."""

    def __init__(self) -> None:
        self._deltas = 0
        self._ascii = 0
        self._other = 0

    def add(self, text: str) -> None:
        """One delta of output: content, reasoning or arguments of a tool."""
        if not text:
            return
        self._deltas += 1
        if text.isascii():
            self._ascii += len(text)
        else:
            narrow = sum(character < "\x80" for character in text)
            self._ascii += narrow
            self._other += len(text) - narrow

    @property
    def tokens(self) -> int:
        """Tokens generated so far.

        Providers that stream a token at a time send short deltas: then their number is the count. Longer deltas are
        turned into tokens by their characters: four of ASCII, one of any other script.
        """
        chars = self._ascii + self._other
        if chars == 0:
            return 0
        if chars <= self._deltas * DELTA_CHARS_MAX:
            return self._deltas
        return -(-self._ascii // CHARS_PER_TOKEN) + self._other


def estimated_usage(input_bytes: int, output_tokens: int, input_tokens_max: int) -> Usage | None:
    """Usage for an answer without a report: what was generated, and its input by size. None if nothing was."""
    if output_tokens == 0:
        return None
    input_tokens = min(-(-input_bytes // CHARS_PER_TOKEN), input_tokens_max)
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, basis="estimated")


def _mapping(value: Any) -> Mapping[str, Any] | None:
    if value is None:
        return {}
    return value if isinstance(value, Mapping) else None


def _count(value: Any, *, required: bool) -> int:
    """A count, or -1 for what is none. `None` counts as 0 where the field may be absent."""
    if value is None and not required:
        return 0
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        return -1
    return value
