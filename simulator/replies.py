"""What a call is answered with: choices cut into tokens, tool calls, and the usage reported."""

import random
import re
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from simulator.answers import (
    AnswerBook,
    free_json,
    one_line,
    quote_results,
    sample_json,
    spread,
)
from simulator.chat_request import ChatBody, check_context, chosen_names
from simulator.errors import ApiError
from simulator.exchange import Exchange, read_exchange
from simulator.script import Script
from simulator.tokens import TokenCounter, split_tokens

_TOOL_CALL_FRAME = 8
_EFFORT_TOKENS = {"minimal": 0, "low": 64, "medium": 192, "high": 448, "xhigh": 960, "max": 1920}


class ToolCall(msgspec.Struct):
    """A call of one function; `frame_tokens` are spent on naming it, one more per piece."""

    id: str
    name: str
    pieces: list[str]
    frame_tokens: int


class Choice(msgspec.Struct):
    """One answer: text pieces or tool calls, one token per piece.

    `stopped_by`: the stop sequence that ended it, if one did.
    """

    pieces: list[str]
    finish_reason: str
    reasoning: int = 0
    tool_calls: list[ToolCall] | None = None
    stopped_by: str | None = None

    @property
    def tokens(self) -> int:
        """Completion tokens of this choice, reasoning included."""
        total = self.reasoning + len(self.pieces)
        for call in self.tool_calls or ():
            total += call.frame_tokens + len(call.pieces)
        return total


class Reply(msgspec.Struct):
    """Everything a call is answered with.

    `usage` is the JSON reported, written by the dialect; None is no report. `media`: the prompt's
    tokens that are no text, by modality, counted for the dialect that reports them.
    """

    choices: list[Choice]
    prompt_tokens: int
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    usage: bytes | None = None
    media: dict[str, int] = {}


class Share(msgspec.Struct):
    """One choice's part of what a script fixes; None leaves it to the prompt and the limits."""

    index: int
    reasoning: int
    visible: int | None


class Composer:
    """Makes replies; pure apart from its memory of texts already counted."""

    def __init__(self) -> None:
        self._counter = TokenCounter()
        self._book = AnswerBook()

    def compose(self, body: ChatBody, script: Script) -> Reply:
        """The reply to a checked body; the usage is left to the dialect.

        Raises ApiError(400) for a prompt over the model's window or a schema without a value.
        """
        prompt_tokens = script.input_tokens
        if prompt_tokens is None:
            prompt_tokens = self.count(body)
            check_context(body.model, prompt_tokens)
        exchange = read_exchange(body.messages)
        choices = [
            self._choose(body, script, exchange, share)
            for share in _shares(body, script, exchange.prompt, body.n or 1)
        ]
        completion = sum(choice.tokens for choice in choices)
        reasoning = sum(choice.reasoning for choice in choices)
        return Reply(choices, prompt_tokens, completion, reasoning)

    def count(self, body: ChatBody) -> int:
        """The prompt tokens of a checked body."""
        return self._counter.count_prompt(body.messages, body.tools or (), body.response_format)

    def count_media(self, body: ChatBody) -> dict[str, int]:
        """The prompt tokens of a checked body's pictures, sound and documents, by modality."""
        return self._counter.count_media(body.messages)

    def count_text(self, text: str) -> int:
        """The tokens of one text."""
        return self._counter.count(text)

    def _choose(self, body: ChatBody, script: Script, exchange: Exchange, share: Share) -> Choice:
        limit = body.limit if share.visible is None else None
        if limit is not None:
            share.reasoning = min(share.reasoning, limit)
            limit -= share.reasoning
        scripted = script.content is not None or script.line_bytes is not None
        if body.tools and not scripted:
            called = _called_tools(body, exchange)
            if called:
                return self._call_tools(called, exchange.prompt, share, limit)
        pieces = self._say(body, script, exchange, share)
        stopped_by = None
        if body.stops and share.visible is None:
            pieces, stopped_by = _cut_at_stop(pieces, body.stops)
        if limit is not None and len(pieces) > limit:
            return Choice(pieces[:limit], "length", share.reasoning)
        return Choice(pieces, "stop", share.reasoning, stopped_by=stopped_by)

    def _say(self, body: ChatBody, script: Script, exchange: Exchange, share: Share) -> list[str]:
        prompt = exchange.prompt
        text = self._fixed_text(body, script, exchange)
        if script.line_bytes is not None:
            pieces = one_line(script.line_bytes)
            return pieces if share.visible is None else spread("".join(pieces), share.visible)
        if text is not None:
            return split_tokens(text) if share.visible is None else spread(text, share.visible)
        if share.visible is not None:
            return self._book.fill(prompt, share.visible, share.index)
        if script.answer_tokens is not None:
            return self._book.fill(prompt, script.answer_tokens, share.index)
        pieces = self._book.reply(prompt, share.index)
        if script.split_surrogates and not any(max(one) > "\uffff" for one in pieces):
            return [*pieces, " \U0001f600"]
        return pieces

    def _fixed_text(self, body: ChatBody, script: Script, exchange: Exchange) -> str | None:
        """The text a script, an output format or a tool's result prescribes; else None."""
        if script.content is not None:
            return script.content
        wanted = body.response_format
        if wanted is not None and wanted["type"] == "json_schema":
            where = "response_format"
            return sample_json(wanted["json_schema"]["schema"], exchange.prompt, where)
        if wanted is not None and wanted["type"] == "json_object":
            return free_json(exchange.prompt)
        if exchange.results:
            return "".join(quote_results(exchange.results))
        return None

    def _call_tools(
        self, called: Sequence[dict[str, Any]], prompt: str, share: Share, limit: int | None
    ) -> Choice:
        plain = prompt
        for function in called:
            plain = plain.replace(function["name"], " ")
        calls: list[ToolCall] = []
        for position, function in enumerate(called):
            name = function["name"]
            schema = function.get("parameters") or {"type": "object"}
            arguments = sample_json(schema, plain, "tools")
            frame = _TOOL_CALL_FRAME + self._counter.count(name)
            pieces = split_tokens(arguments)
            if share.visible is not None:
                own = share.visible // len(called) + (position < share.visible % len(called))
                if not own:
                    raise ApiError(
                        400,
                        "Invalid 'simulate': fewer output tokens than tools to call.",
                        param="simulate",
                        code="invalid_script",
                    )
                frame, pieces = 0, spread(arguments, own)
            if limit is not None:
                if limit <= frame:
                    return Choice([], "length", share.reasoning, calls or None)
                cut = pieces[: limit - frame]
                limit -= frame + len(cut)
            else:
                cut = pieces
            calls.append(ToolCall(f"call_{random.getrandbits(96):024x}", name, cut, frame))
            if len(cut) < len(pieces):
                return Choice([], "length", share.reasoning, calls)
        return Choice([], "tool_calls", share.reasoning, calls)


def _shares(body: ChatBody, script: Script, prompt: str, count: int) -> list[Share]:
    reasoning = script.reasoning_tokens
    if reasoning is None:
        effort = None if script.output_tokens is not None else body.reasoning_effort
        each = _EFFORT_TOKENS.get(effort or "", 0)
        if each:
            each += 64 * (zlib.crc32(prompt.encode("utf-8", "replace")) % 3)
        reasoning = each * count
    visible = None
    if script.output_tokens is not None:
        visible = script.output_tokens - reasoning
    if count == 1:
        return [Share(0, reasoning, visible)]
    return [
        Share(
            index,
            reasoning // count + (index < reasoning % count),
            None if visible is None else visible // count + (index < visible % count),
        )
        for index in range(count)
    ]


def _called_tools(body: ChatBody, exchange: Exchange) -> list[dict[str, Any]]:
    """The functions to call now: those the choice forces, else those the user's words name.

    None is called twice in an exchange unless it is forced: else an agent that names its tools
    after every result would never be answered.
    """
    choice = body.tool_choice
    if choice == "none" or not exchange.is_asked:
        return []
    functions = [tool["function"] for tool in body.tools if tool["type"] == "function"]
    forced = choice == "required"
    if isinstance(choice, dict):
        names = chosen_names(choice)
        functions = [one for one in functions if one["name"] in names]
        allowed = choice["type"] == "allowed_tools"
        forced = not allowed or choice["allowed_tools"].get("mode") == "required"
    if not forced:
        functions = [one for one in functions if one["name"] not in exchange.answered]
    text = exchange.prompt.lower()
    called = [one for one in functions if _mentions(text, one["name"].lower())]
    if not called and forced:
        called = functions[:1]
    return called[:1] if body.parallel_tool_calls is False else called


def _mentions(text: str, name: str) -> bool:
    # ASCII boundaries only: in Korean a particle follows the name without a space.
    return name in text and bool(
        re.search(rf"(?<![A-Za-z0-9_-]){re.escape(name)}(?![A-Za-z0-9_-])", text)
    )


def _cut_at_stop(pieces: list[str], stops: Sequence[str]) -> tuple[list[str], str | None]:
    text = "".join(pieces)
    ends = [(found, stop) for stop in stops if (found := text.find(stop)) >= 0]
    if not ends:
        return pieces, None
    (left, stopped_by), kept = min(ends), []
    for piece in pieces:
        if left <= 0:
            break
        kept.append(piece[:left])
        left -= len(piece)
    return kept, stopped_by
