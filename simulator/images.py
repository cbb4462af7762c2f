"""OpenAI Images: pictures drawn from a prompt, and pictures drawn over pictures."""

import base64
from collections.abc import Iterator
from math import ceil
from typing import Any, cast

from simulator.connection import Request
from simulator.dialect import Answer, Dialect, Order
from simulator.errors import ApiError, scripted_fields
from simulator.events import ENCODE, EventLines
from simulator.image_request import (
    Drawing,
    EditBody,
    ImageAsk,
    ImageBody,
    parse_edit,
    parse_generation,
    read_drawing,
)
from simulator.log import PictureTotals, Totals, Work
from simulator.pictures import Size, deliver, draw
from simulator.replies import Composer, Reply
from simulator.script import Script

# The edge of the square that a token stands for. With it `count_output` gives the numbers of OpenAI's
# guide for gpt-image-1; what it gives for other models and sizes is this vendor's own.
_TOKEN_EDGES = {"low": 64, "medium": 32, "high": 16}
_PARTIAL_TOKENS = 100  # image generation guide, "Streaming": each partial picture
_SHORT_EDGE, _TILE = (
    512,
    512,
)  # vision guide, "Image inputs cost": scaled to the one, cut by the other
_SOURCE_TOKENS, _TILE_TOKENS = 65, 129
_FAITHFUL_SQUARE_TOKENS, _FAITHFUL_TOKENS = 4_160, 6_240


def count_output(size: Size, quality: str) -> int:
    """The tokens of one picture: one for each square, and one at the end of each row of squares."""
    edge = _TOKEN_EDGES[quality]
    return ceil(size.height / edge) * (ceil(size.width / edge) + 1)


def count_source(size: Size, *, is_faithful: bool) -> int:
    """The input tokens of one picture: a base and each tile once its short edge is 512 pixels."""
    shortest = min(size)
    across, down = (ceil(edge * _SHORT_EDGE / shortest / _TILE) for edge in size)
    tokens = _SOURCE_TOKENS + _TILE_TOKENS * across * down
    if is_faithful:
        tokens += _FAITHFUL_SQUARE_TOKENS if size.width == size.height else _FAITHFUL_TOKENS
    return tokens


class ImageAnswer(Answer):
    """The pictures of one call. A streamed answer has a content chunk for each event."""

    def __init__(self, order: Order, totals: PictureTotals, event: str) -> None:
        self._order, self._event, self._script = order, event, order.script
        self._tokens = order.reply.completion_tokens
        drawing = cast(ImageAsk, order.ask).drawing
        assert drawing is not None
        self._drawing: Drawing = drawing
        self._prompt = str(order.ask.messages[0]["content"])
        self.usage = self._script.report(_encode_usage(totals))
        size, count = drawing.size, drawing.count
        self.work = Work(count, count * size.pixels, str(size))
        self._pictures = [self._draw(f"picture {number}") for number in range(count)]

    def plain(self) -> bytes:
        shown = {"created": self._order.created, **self._manner()}
        shown["data"] = [{"b64_json": picture} for picture in self._pictures]
        body = ENCODE(shown)
        return body if self.usage is None else body[:-1] + b',"usage":%b}' % self.usage

    def opening(self) -> Iterator[bytes]:
        return iter(())

    def content(self) -> Iterator[tuple[bytes, int]]:
        partials = self._drawing.partials
        each = min(_PARTIAL_TOKENS, self._tokens // (partials + 1))
        for number in range(partials):
            picture = self._draw(f"partial {number}")
            yield self._frame("partial_image", picture, {"partial_image_index": number}), each
        yield self._frame("completed", self._pictures[0], {}), self._tokens - partials * each

    def closing(self) -> Iterator[bytes]:
        return iter(())

    def error(self) -> bytes:
        body = ENCODE({"type": "error", "error": scripted_fields(500, self._script.error)})
        return EventLines(self._script).named(b"error", body)

    def _draw(self, what: str) -> str:
        """A picture as base64."""
        drawing = self._drawing
        seed = f"{what}\n{drawing.sources_digest}\n{self._prompt}"
        picture = draw(seed, drawing.size, transparent=drawing.transparent)
        return base64.b64encode(deliver(picture, self._script).data).decode()

    def _manner(self) -> dict[str, Any]:
        drawing = self._drawing
        return {
            "background": "transparent" if drawing.transparent else "opaque",
            "output_format": "png",
            "quality": drawing.quality,
            "size": str(drawing.size),
        }

    def _frame(self, name: str, picture: str, more: dict[str, Any]) -> bytes:
        kind = f"{self._event}.{name}"
        fields = {"type": kind, "b64_json": picture, "created_at": self._order.created}
        body = ENCODE({**fields, **self._manner(), **more})
        if name == "completed" and self.usage is not None:
            body = body[:-1] + b',"usage":%b}' % self.usage
        return EventLines(self._script).named(kind.encode(), body)


def _encode_usage(totals: PictureTotals) -> bytes:
    return ENCODE(
        {
            "input_tokens": totals.input,
            "input_tokens_details": {
                "image_tokens": totals.image_input,
                "text_tokens": totals.input - totals.image_input,
            },
            "output_tokens": totals.output,
            "output_tokens_details": {"image_tokens": totals.image_output, "text_tokens": 0},
            "total_tokens": totals.input + totals.output,
        }
    )


class ImageGenerations(Dialect):
    """POST /v1/images/generations."""

    name = "images"
    id_prefix = "img-"
    event = "image_generation"

    def parse(self, request: Request) -> ImageBody:
        return parse_generation(request)

    def plan(self, body: Any, call: str) -> Work | None:
        try:
            drawing = read_drawing(body)
        except ApiError:
            return None
        return Work(drawing.count, drawing.count * drawing.size.pixels, str(drawing.size))

    def read(self, request: Request, body: ImageBody) -> ImageAsk:
        drawing = read_drawing(body)
        messages = [{"role": "user", "content": body.prompt}]
        return ImageAsk(model=body.model, messages=messages, drawing=drawing)

    def compose(self, composer: Composer, ask: Any, script: Script) -> Reply:
        if script.job_refused:
            raise ApiError(
                400,
                "Your request was rejected by the safety system.",
                code="moderation_blocked",
                kind="image_generation_user_error",
            )
        drawing: Drawing = ask.drawing
        images = sum(count_source(one, is_faithful=drawing.is_faithful) for one in drawing.sources)
        given = script.input_tokens
        if given is None:
            given = images + composer.count_text(ask.messages[0]["content"])
        made = script.output_tokens
        if made is None:
            made = drawing.count * count_output(drawing.size, drawing.quality)
            made += drawing.partials * _PARTIAL_TOKENS
        return Reply([], given, made, media={"IMAGE": min(images, given)})

    def totals(self, script: Script, reply: Reply) -> Totals:
        made = reply.completion_tokens
        return PictureTotals(
            input=reply.prompt_tokens,
            output=made,
            image_input=reply.media["IMAGE"],
            image_output=made,
        )

    def answer(self, order: Order, totals: Totals) -> Answer:
        return ImageAnswer(order, cast(PictureTotals, totals), self.event)


class ImageEdits(ImageGenerations):
    """POST /v1/images/edits."""

    event = "image_edit"

    def parse(self, request: Request) -> EditBody:
        return parse_edit(request)
