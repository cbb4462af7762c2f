"""OpenAI Embeddings, and the same API as Google serves it for Gemini."""

import base64
import hashlib
import math
from array import array
from typing import Any, ClassVar

import msgspec

from simulator.catalog import find_card, serves_only
from simulator.chat import GoogleCompatible
from simulator.chat_request import ChatBody
from simulator.checks import (
    check_integer,
    check_member,
    check_model,
    decode_body,
    missing,
    wrong_type,
)
from simulator.connection import Request
from simulator.dialect import Answer, Dialect, Order
from simulator.errors import ApiError
from simulator.events import ENCODE
from simulator.log import Totals
from simulator.replies import Composer, Reply
from simulator.script import Script

_DIMENSIONS = 1_536  # of models that are not known
_MOST_INPUTS = 2_048
_MOST_DIMENSIONS = 16_384


class EmbeddingsBody(msgspec.Struct):
    """The fields that are read; any other is ignored."""

    stream: ClassVar[bool] = False

    model: Any = None
    input: Any = None
    encoding_format: Any = None
    dimensions: Any = None
    simulate: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(EmbeddingsBody)


class EmbeddingsAnswer(Answer):
    """A list of vectors, one for each input."""

    def __init__(self, order: Order, totals: Totals) -> None:
        self._order = order
        self.usage = order.script.report(
            b'{"prompt_tokens":%d,"total_tokens":%d}' % (totals.input, totals.input)
        )

    def plain(self) -> bytes:
        body: EmbeddingsBody = self._order.body
        card = find_card(body.model)
        size = body.dimensions or (card.dimensions if card is not None else 0) or _DIMENSIONS
        vectors = []
        for index, message in enumerate(self._order.ask.messages):
            vector = make_vector(str(message["content"]), size)
            shown: str | list[float] = vector.tolist()
            if body.encoding_format == "base64":
                shown = base64.b64encode(vector.tobytes()).decode()
            vectors.append({"object": "embedding", "index": index, "embedding": shown})
        usage = b"" if self.usage is None else b',"usage":' + self.usage
        return b'{"object":"list","data":%b,"model":%b%b}' % (
            ENCODE(vectors),
            ENCODE(body.model),
            usage,
        )


class Embeddings(Dialect):
    """POST /v1/embeddings."""

    name = "embeddings"
    id_prefix = "embd-"

    def parse(self, request: Request) -> EmbeddingsBody:
        return decode_body(request.body, _DECODER)

    def read(self, request: Request, body: EmbeddingsBody) -> ChatBody:
        check_model(body.model)
        card = find_card(body.model)
        if card is not None and serves_only(body.model) != "embeddings":
            raise ApiError(403, f"You are not allowed to generate embeddings from {body.model}.")
        check_member("encoding_format", body.encoding_format, ("float", "base64"))
        if body.dimensions is not None:
            most = card.dimensions if card is not None else _MOST_DIMENSIONS
            check_integer("dimensions", body.dimensions, 1, most)
        # Each input is a user's text of its own.
        messages = [{"role": "user", "content": text} for text in _texts(body.input)]
        return ChatBody(model=body.model, messages=messages)

    def compose(self, composer: Composer, ask: ChatBody, script: Script) -> Reply:
        if script.input_tokens is not None:
            return Reply([], script.input_tokens)
        card = find_card(ask.model)
        counts = [_count(composer, message["content"]) for message in ask.messages]
        if card is not None and max(counts) > card.context:
            raise ApiError(
                400,
                f"This model's maximum context length is {card.context} tokens, however you "
                f"requested {max(counts)} tokens. Please reduce your prompt.",
            )
        return Reply([], sum(counts))

    def answer(self, order: Order, totals: Totals) -> Answer:
        return EmbeddingsAnswer(order, totals)


class GeminiEmbeddings(GoogleCompatible, Embeddings):
    """POST /v1beta/openai/embeddings."""


def make_vector(text: str, size: int) -> "array[float]":
    """A vector of length 1 that depends on the text alone; a shorter one is its beginning."""
    noise = array("h", hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * size))
    length = math.sqrt(sum(one * one for one in noise)) or 1.0
    return array("f", [one / length for one in noise])


def _count(composer: Composer, content: Any) -> int:
    return len(content) if isinstance(content, tuple) else composer.count_text(content)


def _texts(given: Any) -> list[Any]:
    """The inputs: texts as they are, lists of tokens as tuples."""
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        raise wrong_type("input", "one of a string or array", given)
    if given and all(type(one) is int for one in given):
        given = [given]
    if not given or len(given) > _MOST_INPUTS:
        raise ApiError(400, f"Invalid 'input': expected 1 to {_MOST_INPUTS} inputs.", param="input")
    return [_text(one) for one in given]


def _text(one: Any) -> str | tuple[int, ...]:
    if isinstance(one, str) and one:
        return one
    if isinstance(one, list) and one and all(type(token) is int and token >= 0 for token in one):
        return tuple(one)
    raise ApiError(
        400,
        "Invalid 'input': expected texts or lists of tokens, none of them empty.",
        param="input",
    )
