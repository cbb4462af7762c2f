"""Bytes of an answer: the whole JSON of a plain call, the events of a streamed one."""

import zlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from simulator.events import ENCODE, halve_surrogates
from simulator.replies import Choice, Reply
from simulator.script import Script

_RUNNERS_UP = ("The", " the", " a", " it", " is", ".", ",", " to", " of", " and")
_DONE = b"data: [DONE]"


class Stamp(msgspec.Struct):
    """What every chunk of one answer repeats; `model` and `tier` are JSON strings already."""

    id: str
    created: int
    model: bytes
    tier: bytes
    fingerprint: bytes


def make_stamp(call: str, created: int, model: str, tier: str | None) -> Stamp:
    """The stamp of one call; an absent or `auto` tier is answered as `default`."""
    served = tier if tier not in (None, "auto") else "default"
    fingerprint = b"fp_%010x" % zlib.crc32(model.encode("utf-8", "replace"))
    return Stamp(call, created, ENCODE(model), ENCODE(served), fingerprint)


def encode_plain(stamp: Stamp, reply: Reply, top_logprobs: int | None) -> bytes:
    """The body of a plain answer. `top_logprobs` is None when log probabilities were not asked."""
    choices = b",".join(
        _plain_choice(index, choice, top_logprobs) for index, choice in enumerate(reply.choices)
    )
    usage = b"" if reply.usage is None else b',"usage":' + reply.usage
    return (
        b'{"id":"%b","object":"chat.completion","created":%d,"model":%b,"choices":[%b]%b,'
        b'"service_tier":%b,"system_fingerprint":"%b"}'
        % (
            stamp.id.encode(),
            stamp.created,
            stamp.model,
            choices,
            usage,
            stamp.tier,
            stamp.fingerprint,
        )
    )


def _plain_choice(index: int, choice: Choice, top_logprobs: int | None) -> bytes:
    calls = b""
    content = ENCODE("".join(choice.pieces))
    if choice.tool_calls:
        content = b"null"
        calls = b',"tool_calls":' + ENCODE(
            [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.pieces)},
                }
                for call in choice.tool_calls
            ]
        )
    return (
        b'{"index":%d,"message":{"role":"assistant","content":%b%b,"refusal":null,'
        b'"annotations":[]},"logprobs":%b,"finish_reason":"%b"}'
        % (
            index,
            content,
            calls,
            _logprobs(choice.pieces, top_logprobs),
            choice.finish_reason.encode(),
        )
    )


class EventWriter:
    """Server-sent events of one answer, each complete with its blank line."""

    def __init__(
        self, stamp: Stamp, script: Script, top_logprobs: int | None, *, include_usage: bool
    ) -> None:
        newline = b"\r\n" if script.crlf else b"\n"
        self._blank = newline * 2
        self._lead = b": keep-alive" + self._blank if script.comments else b""
        self._head = (
            b'%bdata: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":%b,'
            b'"service_tier":%b,"system_fingerprint":"%b","choices":['
            % (
                self._lead,
                stamp.id.encode(),
                stamp.created,
                stamp.model,
                stamp.tier,
                stamp.fingerprint,
            )
        )
        self._tail = (b',"usage":null}' if include_usage else b"}") + self._blank
        self._plain_end = b'},"logprobs":null,"finish_reason":null}]' + self._tail
        self._script = script
        self._top_logprobs = top_logprobs
        self._include_usage = include_usage

    def opening(self, reply: Reply) -> Iterator[bytes]:
        """The role chunk of each choice."""
        for index, choice in enumerate(reply.choices):
            content = b"null" if choice.tool_calls else b'""'
            yield self._chunk(
                index, b'"role":"assistant","content":%b,"refusal":null' % content, ()
            )

    def content(self, reply: Reply) -> Iterator[tuple[bytes, int]]:
        """Each content chunk with the tokens it stands for; choices take turns."""
        if len(reply.choices) == 1:
            yield from self._choice(0, reply.choices[0])
            return
        streams = [self._choice(index, choice) for index, choice in enumerate(reply.choices)]
        for row in zip_longest(*streams):
            for event in row:
                if event is not None:
                    yield event

    def closing(self, reply: Reply) -> Iterator[bytes]:
        """Finish chunks, the usage chunk if it was asked for, and [DONE]."""
        last = len(reply.choices) - 1
        riding = self._script.usage_on_last_chunk and self._include_usage
        for index, choice in enumerate(reply.choices):
            tail = self._tail
            if riding and index == last and reply.usage is not None:
                tail = b',"usage":' + reply.usage + b"}" + self._blank
            yield (
                b'%b{"index":%d,"delta":{},"logprobs":null,"finish_reason":"%b"}]%b'
                % (self._head, index, choice.finish_reason.encode(), tail)
            )
        if self._include_usage and not riding and reply.usage is not None:
            yield self._head + b'],"usage":' + reply.usage + b"}" + self._blank
        if not self._script.no_done:
            yield self._lead + _DONE + self._blank

    def error(self, body: bytes) -> bytes:
        """An event that carries an error envelope."""
        return self._lead + b"data: " + body + self._blank

    def _choice(self, index: int, choice: Choice) -> Iterator[tuple[bytes, int]]:
        if choice.tool_calls:
            yield from self._tool_calls(index, choice)
            return
        size = self._script.chunk_tokens
        if self._script.line_bytes is not None:
            size = max(1, len(choice.pieces))
        if size == 1 and self._top_logprobs is None and not self._script.split_surrogates:
            head = b'%b{"index":%d,"delta":{"content":' % (self._head, index)
            end = self._plain_end
            for piece in choice.pieces:
                yield head + ENCODE(piece) + end, 1
            return
        for start in range(0, len(choice.pieces), size):
            pieces = choice.pieces[start : start + size]
            texts = [ENCODE("".join(pieces))]
            if self._script.split_surrogates:
                texts = halve_surrogates("".join(pieces))
            for text in texts[:-1]:
                yield self._chunk(index, b'"content":' + text, ()), 0
            yield self._chunk(index, b'"content":' + texts[-1], pieces), len(pieces)

    def _tool_calls(self, index: int, choice: Choice) -> Iterator[tuple[bytes, int]]:
        size = self._script.chunk_tokens
        for position, call in enumerate(choice.tool_calls or ()):
            opening = (
                b'"tool_calls":[{"index":%d,"id":"%b","type":"function","function":{"name":%b,'
                b'"arguments":""}}]' % (position, call.id.encode(), ENCODE(call.name))
            )
            yield self._chunk(index, opening, ()), call.frame_tokens
            for start in range(0, len(call.pieces), size):
                pieces = call.pieces[start : start + size]
                fragment = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (
                    position,
                    ENCODE("".join(pieces)),
                )
                yield self._chunk(index, fragment, ()), len(pieces)

    def _chunk(self, index: int, delta: bytes, pieces: Sequence[str]) -> bytes:
        logprobs = _logprobs(pieces, self._top_logprobs) if pieces else b"null"
        return b'%b{"index":%d,"delta":{%b},"logprobs":%b,"finish_reason":null}]%b' % (
            self._head,
            index,
            delta,
            logprobs,
            self._tail,
        )


def _logprobs(pieces: Sequence[str], top: int | None) -> bytes:
    if top is None or not pieces:
        return b"null"
    return ENCODE({"content": [_logprob(piece, top) for piece in pieces], "refusal": None})


def _logprob(piece: str, top: int) -> dict[str, object]:
    value = -(zlib.crc32(piece.encode("utf-8", "replace")) % 400) / 1000
    entry = {"token": piece, "logprob": value, "bytes": list(piece.encode())}
    others = [one for one in _RUNNERS_UP if one != piece]
    ranked = [dict(entry)] if top else []
    for rank in range(1, top):
        token = others[(rank - 1) % len(others)] + "'" * ((rank - 1) // len(others))
        ranked.append({"token": token, "logprob": value - rank, "bytes": list(token.encode())})
    return {**entry, "top_logprobs": ranked}
