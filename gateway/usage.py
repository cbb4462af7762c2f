"""Usage as vendors report it, brought into disjoint buckets; and how much was generated where they report none. Pure.

A reader takes the usage object of one API and answers its buckets. None means missing or impossible (no object; a
figure that is negative, no integer or above 2**40; a part above its total; a total that its parts do not make): the
caller then falls back to counting, never to a guess at what was meant. A usage of 0 is a value.

What stands inside what, from the vendors' API references:

- OpenAI, Chat Completions and Responses: cached, cache-written and audio tokens inside the input, reasoning and audio
  inside the output, total = input + output. Upstage, DeepSeek, Mistral and Anthropic's OpenAI-compatible endpoint too.
- xAI, Chat Completions: reasoning beside `completion_tokens`, inside the total.
- Gemini: thoughts beside the candidates, what tools fetched beside the prompt; the total is the sum of all four.
- Anthropic, Messages: `input_tokens` without what was read from or written to the cache; thinking inside the output.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, NamedTuple

from billing.pricing import Usage

UsageReader = Callable[[Any], Usage | None]

TOKENS_MAX = 2**40
CHARS_PER_TOKEN = 4
DELTA_CHARS_MAX = 8


class _Impossible(ValueError):
    """A report that cannot be true. A ValueError, as Usage raises for buckets that do not add up."""


class _Names(NamedTuple):
    input: str
    input_details: str
    output: str
    output_details: str


_CHAT: Final = _Names(
    "prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details"
)
_RESPONSES: Final = _Names(
    "input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details"
)


class _Figures(NamedTuple):
    """A report in OpenAI's shape; the other figures are parts of `input` and of `output`."""

    input: int
    cached: int
    written: int
    audio_input: int
    output: int
    reasoning: int
    audio_output: int
    total: int | None

    def in_buckets(self) -> Usage:
        return Usage(
            input_tokens=self.input - self.cached - self.written - self.audio_input,
            cached_input_tokens=self.cached,
            cache_write_tokens=self.written,
            audio_input_tokens=self.audio_input,
            output_tokens=self.output - self.audio_output,
            reasoning_tokens=self.reasoning,
            audio_output_tokens=self.audio_output,
        )


def _reader(read: Callable[[Mapping[str, Any]], Usage]) -> UsageReader:
    """`read` for any value: None for what is no object and where `read` finds a figure impossible."""

    @wraps(read)
    def read_any(reported: Any) -> Usage | None:
        if not isinstance(reported, Mapping):
            return None
        try:
            return read(reported)
        except ValueError:
            return None

    return read_any


@_reader
def read_chat_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of Chat Completions as OpenAI, Upstage and Anthropic's OpenAI-compatible endpoint report it."""
    return _add_up(_read_figures(reported, _CHAT)).in_buckets()


@_reader
def read_responses_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of Responses."""
    return _add_up(_read_figures(reported, _RESPONSES)).in_buckets()


@_reader
def read_embeddings_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of Embeddings: input alone."""
    figures = _add_up(_read_figures(reported, _CHAT))
    if figures.output:
        raise _Impossible
    return figures.in_buckets()


@_reader
def read_deepseek_chat_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of DeepSeek's Chat Completions: hits and misses of its cache make up the prompt."""
    figures = _add_up(_read_figures(reported, _CHAT))
    hit = _optional(reported, "prompt_cache_hit_tokens")
    miss = _optional(reported, "prompt_cache_miss_tokens")
    if hit is None and miss is None:
        return figures.in_buckets()
    cached = hit or 0
    if cached + (miss or 0) != figures.input or figures.cached not in (0, cached):
        raise _Impossible
    return figures._replace(cached=cached).in_buckets()


@_reader
def read_mistral_chat_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of Mistral's Chat Completions, which names cached tokens twice.

    Audio is reported and billed in seconds, which no bucket counts: such a report is None.
    """
    figures = _add_up(_read_figures(reported, _CHAT))
    cached = _count(reported, "num_cached_tokens") or figures.cached
    if figures.cached not in (0, cached) or _count(reported, "prompt_audio_seconds"):
        raise _Impossible
    return figures._replace(cached=cached).in_buckets()


@_reader
def read_xai_chat_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of xAI's Chat Completions. Reasoning is beside the completion unless the total says otherwise."""
    figures = _read_figures(reported, _CHAT)
    if figures.total is None or figures.total != figures.input + figures.output:
        figures = figures._replace(output=figures.output + figures.reasoning)
    return _add_up(figures).in_buckets()


@_reader
def read_gemini_chat_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of Gemini's OpenAI-compatible Chat Completions.

    Thoughts stand in the total and, as a rule, nowhere else: without a total they would be lost, so it is None.
    """
    figures = _read_figures(reported, _CHAT)
    if figures.total is None:
        raise _Impossible
    sides = _place_thoughts(figures.total, figures.input, figures.output, figures.reasoning)
    return figures._replace(
        input=sides.input, output=sides.output, reasoning=sides.thoughts
    ).in_buckets()


@_reader
def read_messages_usage(reported: Mapping[str, Any]) -> Usage:
    """`usage` of Anthropic's Messages.

    The report covers every round of sampling but those that compacted the context, which stand in `iterations` alone
    (Anthropic, "Compaction") and are added. A round of another kind may have run on another model: None.
    """
    rounds = [_read_round(reported)]
    for iteration in _objects(reported, "iterations"):
        kind = iteration.get("type")
        if kind == "compaction":
            rounds.append(_read_round(iteration))
        elif kind != "message":
            raise _Impossible
    fresh, read, short, long, output = (sum(parts) for parts in zip(*rounds, strict=True))
    return Usage(
        input_tokens=fresh,
        cached_input_tokens=read,
        cache_write_tokens=short,
        cache_write_1h_tokens=long,
        output_tokens=output,
    )


def merge_messages_usage(start: Any, delta: Any) -> Any:
    """The usage that a stream of Messages has reported: `message_start`'s with what a `message_delta` says anew.

    A delta is cumulative: what it gives replaces, what it leaves out stays. The lifetimes of cache writes may be among
    what it leaves out; what was written since then counts as the longest lifetime that the start wrote. None for input
    that shrank, which nothing cumulative does. For `read_messages_usage`, which judges everything else.
    """
    if not isinstance(start, Mapping) or not isinstance(delta, Mapping):
        return start if delta is None else delta
    news = {name: value for name, value in delta.items() if value is not None}
    merged = {**start, **news}
    before, after = _input_of(start), _input_of(merged)
    if before is not None and after is not None and after < before:
        return None
    lifetimes = start.get("cache_creation")
    if isinstance(lifetimes, Mapping) and "cache_creation" not in news:
        merged["cache_creation"] = _stretch(lifetimes, merged.get("cache_creation_input_tokens"))
    return merged


@_reader
def read_generate_usage(reported: Mapping[str, Any]) -> Usage:
    """`usageMetadata` of Gemini's generateContent. Zeros may be left out of it, as in all JSON made of protobuf.

    Sound has rates of its own on either side, pictures on the output side. Where it is not said what of the prompt came
    from the cache, everything else did before sound; cached sound is cached input like any other.
    """
    prompt = _count(reported, "promptTokenCount", required=True)
    fetched = _count(reported, "toolUsePromptTokenCount")
    visible = _count(reported, "candidatesTokenCount")
    thoughts = _count(reported, "thoughtsTokenCount")
    cached = _count(reported, "cachedContentTokenCount")
    total = _optional(reported, "totalTokenCount")
    sides = _Sides(prompt + fetched, visible + thoughts, thoughts)
    if total is not None:
        sides = _place_thoughts(total, prompt + fetched, visible, thoughts)
    if (fetched and sides.input != prompt + fetched) or cached > prompt:
        raise _Impossible
    heard = _modalities(reported, "promptTokensDetails", prompt).get("AUDIO", 0)
    heard_cached = max(cached - (prompt - heard), 0)
    if reported.get("cacheTokensDetails") is not None:
        heard_cached = _modalities(reported, "cacheTokensDetails", cached).get("AUDIO", 0)
    if heard_cached > heard:
        raise _Impossible
    heard += _modalities(reported, "toolUsePromptTokensDetails", fetched).get("AUDIO", 0)
    made = _modalities(reported, "candidatesTokensDetails", visible)
    spoken, drawn = made.get("AUDIO", 0), made.get("IMAGE", 0)
    return Usage(
        input_tokens=sides.input - cached - (heard - heard_cached),
        cached_input_tokens=cached,
        audio_input_tokens=heard - heard_cached,
        output_tokens=sides.output - spoken - drawn,
        reasoning_tokens=sides.thoughts,
        audio_output_tokens=spoken,
        image_output_tokens=drawn,
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


def _read_figures(reported: Mapping[str, Any], names: _Names) -> _Figures:
    inside = _object(reported, names.input_details)
    outside = _object(reported, names.output_details)
    return _Figures(
        input=_count(reported, names.input, required=True),
        cached=_count(inside, "cached_tokens"),
        written=_count(inside, "cache_write_tokens"),
        audio_input=_count(inside, "audio_tokens"),
        output=_count(reported, names.output),
        reasoning=_count(outside, "reasoning_tokens"),
        audio_output=_count(outside, "audio_tokens"),
        total=_optional(reported, "total_tokens"),
    )


def _add_up(figures: _Figures) -> _Figures:
    """The figures, if their total is input and output: more would be something that no figure names."""
    if figures.total not in (None, figures.input + figures.output):
        raise _Impossible
    return figures


class _Sides(NamedTuple):
    """Input and output of a call; `thoughts` are inside `output`."""

    input: int
    output: int
    thoughts: int


def _place_thoughts(total: int, input_tokens: int, output: int, thoughts: int) -> _Sides:
    """Gemini's two sides, when `total` is known.

    What the total has beyond input and output is thoughts, whether they are named or not; beyond named thoughts it is
    what tools fetched, the last of the total's four parts. Nothing beyond: thoughts stand inside the output.
    """
    rest = total - input_tokens - output
    if rest < 0 or 0 < rest < thoughts:
        raise _Impossible
    if not rest:
        return _Sides(input_tokens, output, thoughts)
    thoughts = thoughts or rest
    return _Sides(input_tokens + rest - thoughts, output + thoughts, thoughts)


def _read_round(reported: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
    """One round of Messages: fresh input, cache reads, writes for 5 minutes and for an hour, output."""
    written = _count(reported, "cache_creation_input_tokens")
    short, long = written, 0
    if reported.get("cache_creation") is not None:
        lifetimes = _object(reported, "cache_creation")
        short = _count(lifetimes, "ephemeral_5m_input_tokens")
        long = _count(lifetimes, "ephemeral_1h_input_tokens")
    if short + long != written:
        raise _Impossible
    return (
        _count(reported, "input_tokens", required=True),
        _count(reported, "cache_read_input_tokens"),
        short,
        long,
        _count(reported, "output_tokens", required=True),
    )


def _input_of(reported: Mapping[str, Any]) -> int | None:
    """The whole input of a report of Messages, None where that is not to be had."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    try:
        return sum(_count(reported, name) for name in names)
    except _Impossible:
        return None


def _stretch(lifetimes: Mapping[str, Any], written: Any) -> Mapping[str, Any]:
    """The lifetimes of cache writes, with what `written` has beyond them in the longest that is there."""
    try:
        short = _count(lifetimes, "ephemeral_5m_input_tokens")
        long = _count(lifetimes, "ephemeral_1h_input_tokens")
        growth = _count({"written": written}, "written") - short - long
    except _Impossible:
        return lifetimes
    if growth <= 0:
        return lifetimes
    name = "ephemeral_1h_input_tokens" if long else "ephemeral_5m_input_tokens"
    return {**lifetimes, name: (long or short) + growth}


def _modalities(reported: Mapping[str, Any], name: str, whole: int) -> dict[str, int]:
    """Tokens by modality of a list of Gemini's, which together are at most `whole`."""
    tokens: dict[str, int] = {}
    for entry in _objects(reported, name):
        modality = entry.get("modality") or "MODALITY_UNSPECIFIED"
        if not isinstance(modality, str):
            raise _Impossible
        tokens[modality] = tokens.get(modality, 0) + _count(entry, "tokenCount")
    if sum(tokens.values()) > whole:
        raise _Impossible
    return tokens


def _objects(reported: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = reported.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        raise _Impossible
    return value


def _object(reported: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = reported.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _Impossible
    return value


def _count(reported: Mapping[str, Any], name: str, *, required: bool = False) -> int:
    """The count of that name; 0 where it is absent or null and may be."""
    value = _optional(reported, name)
    if value is None:
        if required:
            raise _Impossible
        return 0
    return value


def _optional(reported: Mapping[str, Any], name: str) -> int | None:
    value = reported.get(name)
    if value is None:
        return None
    # Not isinstance: True is an int.
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise _Impossible
    return value
