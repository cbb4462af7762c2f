"""Programs to copy: those of gateway.snippets where a model is called as a family of theirs is, else one by curl."""

import shlex
from typing import Any, NamedTuple

import msgspec

from gateway.snippets import KEY_VARIABLE, find_client, render
from guides.catalogue import Offered

CLIENTS = ("curl", "openai-python", "openai-node")
TAB_NAMES = {"curl": "curl", "openai-python": "Python", "openai-node": "Node.js"}


class Example(NamedTuple):
    """A program in a tab of its own; `install` is the command for its library, empty where none is needed."""

    tab: str
    language: str
    text: str
    install: str = ""


def examples_for(offered: Offered, root: str) -> list[Example]:
    """The first program of each of CLIENTS. `root`: the site without /v1."""
    family = _family_slug(offered)
    if family:
        return [_first_program(client, family, root, offered.short_name) for client in CLIENTS]
    path, body = _own_request(offered)
    return [Example("curl", "shell", _curl(f"{root}{path}", body))]


def _family_slug(offered: Offered) -> str:
    """The family whose programs call this model too: chat models are called alike, whoever made them."""
    if offered.kind == "text":
        return "gpt"
    is_task = offered.offer is not None and offered.offer.priced_by == "resolution"
    return "gpt-image" if is_task else ""


def _first_program(client: str, family: str, root: str, model: str) -> Example:
    snippets = render(client, family, base_url=root, model=model)
    program = next(one for one in snippets if one.runs and KEY_VARIABLE in one.text)
    return Example(TAB_NAMES[client], program.language, program.text, find_client(client).install)


def _own_request(offered: Offered) -> tuple[str, dict[str, Any]]:
    path = offered.endpoints[0]
    body: dict[str, Any] = {"model": offered.short_name}
    if path == "/v1/embeddings":
        return path, body | {"input": "The toll is due at the gate."}
    if path == "/v1/upscale_image":
        picture = "https://example.com/picture.png"
        return path, body | {"source_image_urls": [picture], "upscale_factor": 2}
    return path, body | {"prompt": "A toll gate at dawn, in ink"}


def _curl(url: str, body: dict[str, Any]) -> str:
    text = msgspec.json.format(msgspec.json.encode(body), indent=2).decode()
    return "\n".join(
        (
            f"curl {url} \\",
            f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\',
            '  -H "Content-Type: application/json" \\',
            f"  -d {shlex.quote(text)}",
        )
    )
