"""Tries a channel out: the least call that a vendor answers, or, where a picture would cost too much, a question about
the account."""

import contextlib
import time
from typing import Any, NamedTuple

import httpx
import msgspec
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.models import Price
from gateway.models import Channel, Model
from gateway.providers import DIALECTS
from gateway.providers.base import Dialect
from gateway.provisioning import open_credential
from gateway.refusals import ERROR_BYTES_MAX, error_fields

TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 256 * 1024
TEXT_CHARS_MAX = 500
# Enough for a word. The Responses API takes no less than 16 (OpenAI, API reference, `max_output_tokens`).
OUTPUT_TOKENS = 16
PROMPT = "Answer with the word OK."
# Which surfaces serve a mode, the one to be asked first.
SURFACES = {
    "chat": ("messages", "chat", "generate"),
    "responses": ("responses",),
    "embedding": ("embeddings",),
}
Outgoing = tuple[str, str, list[tuple[str, str]], dict[str, Any] | None]


class Tested(NamedTuple):
    """What became of a test. `status` None: no answer came. `text` is the answer, or what went wrong, without the
    credential; `model` is empty where only the account was asked after."""

    is_good: bool
    status: int | None
    ms: int
    text: str
    model: str
    address: str


def testable_models(channel: Channel) -> list[Model]:
    """Enabled models that can be called through the channel for next to nothing, the cheapest first."""
    spoken = DIALECTS[channel.provider.dialect].paths
    modes = [mode for mode, surfaces in SURFACES.items() if any(s in spoken for s in surfaces)]
    models = Model.objects.filter(is_enabled=True, mode__in=modes)
    if channel.model_map:
        models = models.filter(name__in=channel.model_map)
    else:
        models = models.filter(provider=channel.provider_id)
    found = list(models)
    in_force = Price.objects.filter(model__in=[m.name for m in found], group=None).in_force(
        timezone.now()
    )
    dearest = {
        price.model: max((rate.list_nanos for rate in price.rates.all()), default=0)
        for price in in_force.prefetch_related("rates")
    }
    # Chat before the others: its answer has words.
    return sorted(
        found, key=lambda model: (model.mode != "chat", dearest.get(model.name, 0), model.name)
    )


def try_channel(channel: Channel, model: Model | None) -> Tested:
    """One request through the channel, of 15 s at most. Never raises for what the far end does.

    A model is called; without one the vendor is asked what costs nothing, as probes do.
    """
    credential = open_credential(channel)
    if credential is None:
        return Tested(False, None, 0, "", model.name if model else "", channel.base_url)
    method, url, headers, body = _outgoing(channel, credential, model)
    began = time.perf_counter()
    status, answer, failure = _send(method, url, headers, body, began + TIMEOUT_S)
    ms = int((time.perf_counter() - began) * 1000)
    is_good = status is not None and 200 <= status < 300 and not failure
    text = failure or (_answered(answer) if is_good else _refused(answer))
    text = text.replace(credential, "…")[:TEXT_CHARS_MAX]
    address = url.partition("?")[0].replace(credential, "…")
    return Tested(is_good, status, ms, text, model.name if model else "", address)


def _outgoing(channel: Channel, credential: str, model: Model | None) -> Outgoing:
    dialect = DIALECTS[channel.provider.dialect]
    if model is None:
        url, headers = dialect.probe(channel.base_url, credential)
        return "GET", url, headers, None
    name = channel.model_map.get(model.name, model.upstream_name)
    surface = next(one for one in SURFACES[model.mode] if one in dialect.paths)
    url = dialect.url(channel.base_url, surface, name, stream=False)
    return "POST", url, dialect.headers(surface, credential), _least_body(dialect, surface, name)


def _least_body(dialect: Dialect, surface: str, name: str) -> dict[str, Any]:
    said = [{"role": "user", "content": PROMPT}]
    if surface == "chat":
        return {"model": name, "messages": said, dialect.output_limit: OUTPUT_TOKENS}
    if surface == "messages":
        return {"model": name, "messages": said, "max_tokens": OUTPUT_TOKENS}
    if surface == "responses":
        return {"model": name, "input": PROMPT, "max_output_tokens": OUTPUT_TOKENS}
    if surface == "embeddings":
        return {"model": name, "input": "OK"}
    return {
        "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
        "generationConfig": {"maxOutputTokens": OUTPUT_TOKENS},
    }


def _send(
    method: str,
    url: str,
    headers: list[tuple[str, str]],
    body: dict[str, Any] | None,
    deadline: float,
) -> tuple[int | None, bytes, str]:
    """Status, what was read of the answer, and in words what broke."""
    timeout = httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    # As for calls: no redirects, which would carry the credential elsewhere, and no proxies of this machine.
    with httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False) as client:
        try:
            request = client.build_request(
                method, url, headers=[*headers, ("accept-encoding", "identity")], json=body
            )
            with contextlib.closing(client.send(request, stream=True)) as response:
                answer, is_late = _read(response, deadline)
                return response.status_code, answer, _say_late() if is_late else ""
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None, b"", _say_broken(error)


def _say_late() -> str:
    return _("There was no whole answer within %(seconds)d seconds.") % {"seconds": TIMEOUT_S}


def _say_broken(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    # The library's words may quote the address, and some vendors' addresses hold the key.
    detail = {"detail": f"{type(error).__name__}: {str(error)[:200]}"}
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return _("No connection was made (%(detail)s).") % detail
    if isinstance(error, httpx.TimeoutException):
        return _say_late()
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return _("The address cannot be called (%(detail)s).") % detail
    return _("The connection broke (%(detail)s).") % detail


def _read(response: httpx.Response, deadline: float) -> tuple[bytes, bool]:
    """The answer up to its limit, and whether it was left at the deadline: a far end may drip."""
    found = bytearray()
    for chunk in response.iter_bytes():
        found += chunk
        if len(found) > ANSWER_BYTES_MAX:
            break
        if time.perf_counter() > deadline:
            return bytes(found), True
    return bytes(found[:ANSWER_BYTES_MAX]), False


def _answered(body: bytes) -> str:
    """The words of an answer, whatever its surface; empty for one without words (a list, a vector)."""
    decoded = _decode(body)
    if not isinstance(decoded, dict):
        return ""
    for path in (
        ("choices", 0, "message", "content"),
        ("content", 0, "text"),
        ("candidates", 0, "content", "parts", 0, "text"),
    ):
        found = _follow(decoded, path)
        if isinstance(found, str):
            return found
    for item in decoded.get("output") or ():
        found = _follow(item, ("content", 0, "text"))
        if isinstance(found, str):
            return found
    return ""


def _follow(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _refused(body: bytes) -> str:
    fields = error_fields(_decode(body[:ERROR_BYTES_MAX]))
    # Whole: what is cut before the credential is looked for may end in a part of it.
    return fields.get("message") or body.decode(errors="replace")


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
