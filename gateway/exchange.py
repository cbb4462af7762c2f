"""How a call that came on one surface is put to a provider: on the same surface, or translated to another. Pure."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from gateway.catalog import Channel, Model
from gateway.errors import BadRequest
from gateway.images.offers import image_paths
from gateway.providers import DIALECTS
from gateway.sse import data_of
from gateway.surfaces import SURFACES
from gateway.surfaces.base import Ask, Surface, Watcher, decode
from gateway.translate import chat_over_responses, responses_over_chat
from gateway.usage import UsageReader

# Which surfaces a model of each mode answers on, where its provider has them.
MODE_SURFACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "chat": ("chat", "responses", "messages", "generate"),
        "responses": ("responses",),
        "embedding": ("embeddings",),
    }
)


class StreamTranslation(Protocol):
    """One stream, event by event, from the provider's surface to the client's."""

    def feed(self, event: dict[str, Any]) -> list[bytes]:
        """The client's events for one of the provider's."""
        ...

    def finish(self) -> list[bytes]:
        """What ends the client's stream."""
        ...


def _drop_nothing(body: dict[str, Any]) -> list[str]:
    return []


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """What a module of gateway/translate does. `dropped_fields`: the paths that its requests leave out."""

    translate_request: Callable[[dict[str, Any]], dict[str, Any]]
    translate_answer: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
    translate_stream: Callable[[dict[str, Any]], StreamTranslation]
    dropped_fields: Callable[[dict[str, Any]], list[str]] = _drop_nothing


# (what the client speaks, what the provider speaks)
TRANSLATIONS: Mapping[tuple[str, str], Translation] = MappingProxyType(
    {
        ("responses", "chat"): Translation(
            translate_request=responses_over_chat.translate_request,
            translate_answer=responses_over_chat.translate_answer,
            translate_stream=responses_over_chat.StreamTranslation,
            dropped_fields=responses_over_chat.dropped_fields,
        ),
        ("chat", "responses"): Translation(
            translate_request=chat_over_responses.translate_request,
            translate_answer=chat_over_responses.translate_answer,
            translate_stream=chat_over_responses.StreamTranslation,
        ),
    }
)


class Exchange(msgspec.Struct, frozen=True):
    """`surface` is what the provider is spoken to in; `translation` leads there from the client's surface."""

    surface: Surface
    translation: Translation | None = None


def choose_exchange(asked: Surface, model: Model, channel: Channel) -> Exchange | None:
    """How `channel` can serve a call of the model that came on `asked`; None if it cannot."""
    spoken = DIALECTS[channel.dialect].paths
    offered = [name for name in MODE_SURFACES.get(model.mode, ()) if name in spoken]
    if asked.name in offered:
        return Exchange(asked)
    for name in offered:
        translation = TRANSLATIONS.get((asked.name, name))
        if translation is not None:
            return Exchange(SURFACES[name], translation)
    return None


def offered_paths(model: Model, channels: Sequence[Channel]) -> list[str]:
    """The paths on which the model can be called, for the words of a refusal."""
    return [
        surface.path
        for surface in SURFACES.values()
        if any(choose_exchange(surface, model, channel) for channel in channels)
    ]


def refuse_mismatch(asked: Surface, model: Model, channels: Sequence[Channel]) -> BadRequest:
    """The error for a model that cannot be called on this surface; it names the ones where it can."""
    paths = offered_paths(model, channels) or image_paths(model.name)
    hint = f"; use {' or '.join(paths)}" if paths else ""
    return BadRequest(
        f"'{model.name}' cannot be called on {asked.path}{hint}.",
        code="model_endpoint_mismatch",
        param="model",
    )


class TranslatingWatcher(Watcher):
    """Watches the provider's stream with that surface's own watcher, and gives the client the translation."""

    def __init__(self, inner: Watcher, translation: StreamTranslation) -> None:
        super().__init__()
        self._inner = inner
        self._translation = translation
        self.generated = inner.generated

    @property
    def has_finished(self) -> bool:
        return self._inner.has_finished

    def pass_event(self, event: bytes) -> bytes:
        passed = super().pass_event(event)
        # One event of the provider can become several.
        self.events += max(passed.count(b"\ndata: ") - 1, 0)
        return passed

    def closing(self) -> bytes:
        return b"".join(self._translation.finish())

    def _look_at(self, event: bytes) -> bytes:
        inner = self._inner
        inner.pass_event(event)
        self.usage, self.input_usage = inner.usage, inner.input_usage
        self.service_tier, self.upstream_id = inner.service_tier, inner.upstream_id
        self.error, self.is_done = inner.error, inner.is_done
        if self.error is not None:
            return b""
        data = data_of(event)
        if data is None:
            return event  # a comment keeps the client's connection alive too
        said = decode(data, _object_decoder)
        return b"" if said is None else b"".join(self._translation.feed(said))


_object_decoder = msgspec.json.Decoder(dict[str, Any])


def make_watcher(
    exchange: Exchange, read_usage: UsageReader, ask: Ask, request: dict[str, Any]
) -> Watcher:
    """The watcher of a stream that goes from the provider to the client in this exchange."""
    watcher = exchange.surface.watch(read_usage, ask)
    if exchange.translation is None:
        return watcher
    return TranslatingWatcher(watcher, exchange.translation.translate_stream(request))


def translate_plain(exchange: Exchange, body: bytes, request: dict[str, Any]) -> bytes:
    """A provider's whole answer in the client's surface."""
    if exchange.translation is None:
        return body
    answer = decode(body, _object_decoder)
    assert answer is not None  # it was read as an answer before
    return msgspec.json.encode(exchange.translation.translate_answer(answer, request))
