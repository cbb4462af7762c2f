"""Usage as vendors report it, for tests: every kind of report, short to write."""

import copy
from typing import Any

from hypothesis import strategies as st

from billing.pricing import Usage
from gateway.usage import (
    TOKENS_MAX,
    read_chat_usage,
    read_deepseek_chat_usage,
    read_embeddings_usage,
    read_gemini_chat_usage,
    read_generate_usage,
    read_messages_usage,
    read_mistral_chat_usage,
    read_responses_usage,
    read_xai_chat_usage,
)

Report = dict[str, Any]
READERS = {
    "chat": read_chat_usage,
    "deepseek": read_deepseek_chat_usage,
    "embeddings": read_embeddings_usage,
    "gemini": read_gemini_chat_usage,
    "generate": read_generate_usage,
    "messages": read_messages_usage,
    "mistral": read_mistral_chat_usage,
    "responses": read_responses_usage,
    "xai": read_xai_chat_usage,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def chat(prompt: int, completion: int, total: int | None = None, **more: Any) -> Report:
    """A report of Chat Completions; `cached`, `reasoning` and others go where OpenAI has them."""
    inside = {"cached": "cached_tokens", "written": "cache_write_tokens", "heard": "audio_tokens"}
    outside = {"reasoning": "reasoning_tokens", "spoken": "audio_tokens"}
    prompt_details = {field: more.pop(name) for name, field in inside.items() if name in more}
    output_details = {field: more.pop(name) for name, field in outside.items() if name in more}
    report: Report = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    if total is not None:
        report["total_tokens"] = total
    if prompt_details:
        report["prompt_tokens_details"] = prompt_details
    if output_details:
        report["completion_tokens_details"] = output_details
    return report


def responses(input_tokens: int, output_tokens: int, **parts: Any) -> Report:
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {
            "cached_tokens": parts.get("cached", 0),
            "cache_write_tokens": parts.get("written", 0),
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": parts.get("reasoning", 0)},
        "total_tokens": parts.get("total", input_tokens + output_tokens),
    }


def messages(fresh: int, output: int, **parts: Any) -> Report:
    report: Report = {"input_tokens": fresh, "output_tokens": output}
    names = {
        "read": "cache_read_input_tokens",
        "written": "cache_creation_input_tokens",
        "iterations": "iterations",
    }
    report |= {names[part]: value for part, value in parts.items() if part in names}
    if "short" in parts or "long" in parts:
        report["cache_creation"] = {
            "ephemeral_5m_input_tokens": parts.get("short", 0),
            "ephemeral_1h_input_tokens": parts.get("long", 0),
        }
    return report


def generate(prompt: int, **parts: Any) -> Report:
    names = {
        "visible": "candidatesTokenCount",
        "thoughts": "thoughtsTokenCount",
        "cached": "cachedContentTokenCount",
        "fetched": "toolUsePromptTokenCount",
        "total": "totalTokenCount",
    }
    lists = {
        "of_prompt": "promptTokensDetails",
        "of_cached": "cacheTokensDetails",
        "of_fetched": "toolUsePromptTokensDetails",
        "of_visible": "candidatesTokensDetails",
    }
    report: Report = {"promptTokenCount": prompt}
    report |= {names[part]: value for part, value in parts.items() if part in names}
    for part, field in lists.items():
        if part in parts:
            report[field] = [
                {"modality": modality, "tokenCount": count}
                for modality, count in parts[part].items()
            ]
    return report


def buckets(usage: Usage | None) -> dict[str, int] | None:
    """The buckets that are not zero, by short names; None for no usage."""
    if usage is None:
        return None
    fields = ((name, getattr(usage, name)) for name in Usage.__struct_fields__ if name != "basis")
    return {name.removesuffix("_tokens"): value for name, value in fields if value}


# A report of each kind that names every field.
WHOLE = {
    "chat": chat(100, 50, 150, cached=30, written=10, heard=5, reasoning=20, spoken=4),
    "deepseek": chat(
        100, 50, 150, cached=60, reasoning=20,
        prompt_cache_hit_tokens=60, prompt_cache_miss_tokens=40,
    ),
    "embeddings": chat(100, 0, 100),
    "gemini": chat(100, 50, 170, cached=30, reasoning=20),
    "generate": generate(
        100, visible=50, thoughts=20, cached=30, fetched=10, total=180,
        of_prompt={"TEXT": 60, "AUDIO": 40}, of_cached={"AUDIO": 20}, of_fetched={"TEXT": 10},
        of_visible={"IMAGE": 30},
    ),
    "messages": messages(
        100, 50, read=30, written=10, short=6, long=4,
        iterations=[{"type": "compaction", **messages(9, 8, read=7, written=6, short=6, long=0)}],
    ),
    "mistral": chat(
        100, 50, 150, cached=30, num_cached_tokens=30, prompt_audio_seconds=0,
    ),
    "responses": responses(100, 50, cached=60, written=10, reasoning=32),
    "xai": chat(100, 50, 170, cached=30, heard=5, reasoning=20),
}  # fmt: skip
ODD = [-1, -TOKENS_MAX, TOKENS_MAX + 1, 1.0, 1.5, float("nan"), float("inf"), True, False, "1"]


def paths(value: Any, kind: type, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a report values of that kind stand."""
    found = [path] if type(value) is kind else []
    inside = enumerate(value) if isinstance(value, list) else ()
    for key, entry in value.items() if isinstance(value, dict) else inside:
        found += paths(entry, kind, (*path, key))
    return found


def put(report: Report, path: tuple[Any, ...], value: Any) -> Report:
    changed = copy.deepcopy(report)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed
