"""What is to be answered in a conversation: the user's own words, or the results of tools.

Agents write around what their user typed: reminders, the state of the machine, what they remember. A
model that has learnt to tell them apart answers the user, and so does the stand-in.
"""

import re
from typing import Any, NamedTuple

# Claude Code, Hermes and OpenClaw, in this order, fence off what their user did not write.
_CONTEXT = re.compile(
    r"<(?:(system-reminder|memory-context)>.*?</\1>"
    r"|<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>.*?<<<END_OPENCLAW_INTERNAL_CONTEXT>>>)",
    re.DOTALL,
)
# OpenClaw's time of day before the user's text, and its line about itself behind it.
_STAMP = re.compile(r"\A\[[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d [^\]\n]{1,40}\] ")
_RUNTIME = re.compile(r"\n\nRuntime: agent=[^\n]*\s*\Z")


class Exchange(NamedTuple):
    """What has been said since the latest answer.

    `prompt`: the user's last own words. `is_asked`: they are what is to be answered; else `results`,
    name and text of each result after the last call, oldest first, if there are any. `answered`: the
    tools that have been called and whose results are here.
    """

    prompt: str
    is_asked: bool
    results: list[tuple[str, str]]
    answered: frozenset[str]


def read_exchange(messages: list[dict[str, Any]]) -> Exchange:
    """The exchange at the end of a checked conversation."""
    said = list(messages)
    while len(said) > 1 and _is_context(said[-1]):
        said.pop()
    results = _tool_results(said) if said[-1]["role"] == "tool" else []
    return Exchange(
        prompt=_last_own_words(messages),
        is_asked=said[-1]["role"] == "user",
        results=results,
        answered=_answered_tools(said),
    )


def _text_of(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(str(part.get("text")) for part in content if part.get("type") == "text")


def _without_context(text: str) -> str:
    """The text without what an agent wrote around it."""
    kept = _CONTEXT.sub("", text)
    kept = _RUNTIME.sub("", _STAMP.sub("", kept))
    return text if kept == text else kept.strip()


def _is_context(message: dict[str, Any]) -> bool:
    """Whether all of a user's message was written by the agent."""
    if message["role"] != "user":
        return False
    text = _text_of(message)
    return bool(text) and not _without_context(text)


def _last_own_words(messages: list[dict[str, Any]]) -> str:
    """Those of the last user message that has any; if none has, the last one as it stands."""
    users = [message for message in messages if message["role"] == "user"]
    for message in reversed(users):
        if not _is_context(message):
            return _without_context(_text_of(message))
    return _text_of(users[-1]) if users else ""


def _named_calls(message: dict[str, Any]) -> dict[str, str]:
    """The name of each called function by the call's id."""
    return {
        str(call.get("id")): str(call["function"].get("name"))
        for call in message.get("tool_calls") or ()
        if isinstance(call.get("function"), dict)
    }


def _tool_results(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    results: list[tuple[str, str]] = []
    for message in reversed(messages):
        if message["role"] == "tool":
            text = _without_context(_text_of(message))
            results.append((str(message["tool_call_id"]), text))
            continue
        names = _named_calls(message)
        return [(names.get(call_id, call_id), text) for call_id, text in reversed(results)]
    return results


def _answered_tools(messages: list[dict[str, Any]]) -> frozenset[str]:
    """Those with a result since the last assistant message that called none."""
    with_result: set[str] = set()
    names: set[str] = set()
    for message in reversed(messages):
        if message["role"] == "tool":
            with_result.add(str(message["tool_call_id"]))
        elif message["role"] == "assistant":
            if not message.get("tool_calls"):
                break
            calls = _named_calls(message)
            names.update(calls[call_id] for call_id in calls.keys() & with_result)
    return frozenset(names)
