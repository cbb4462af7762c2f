"""Snippets with the reader's own address, key and model in them."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from django.utils.functional import Promise
from django.views.decorators.debug import sensitive_variables

from gateway.snippets.parts import Kind, Part, parts_of

KEY_VARIABLE = "TOLLGATE_API_KEY"
VARIABLE_KEY = f"${KEY_VARIABLE}"
"""The `key` of snippets that read it from the environment."""
KEY_PLACEHOLDER = "your-key"
"""What stands for the key where snippets with VARIABLE_KEY say how to set the variable."""

_MARKER = re.compile(r"\{\{ (\w+) \}\}")
_KEY_MARKER = "{{ key }}"


class Snippet(NamedTuple):
    """One text to copy. `filename`: where it is kept, empty for what is typed into a terminal; `language`: that of its
    highlighting; `runs`: it is a program, not a setting. Those of one client and family work one after another."""

    kind: Kind
    title: Promise
    filename: str
    language: str
    text: str
    runs: bool


@sensitive_variables()
def render(
    client_slug: str,
    family_slug: str,
    *,
    base_url: str,
    model: str,
    key: str = VARIABLE_KEY,
    key_note: str = "",
) -> tuple[Snippet, ...]:
    """The snippets of a client for models of a family, in the order in which they are used.

    `base_url`: the site's root, without /v1. `key`: the text of a key, to stand where the client reads it; as it is, an
    environment variable holds it. `key_note`: a line of comment above the line that sets the variable, such as the
    key's name. Raises KeyError for a pair that does not work together.
    """
    parts = parts_of(client_slug, family_slug)
    if key != VARIABLE_KEY and any(part.kind != "env" and _holds_key(part) for part in parts):
        # What has the key in itself reads no variable of the shell.
        parts = tuple(part for part in parts if part.kind != "env" or part.filename)
    values = {"base_url": base_url.rstrip("/"), "model": model}
    return tuple(_fill(part, values, key, key_note) for part in parts)


def _holds_key(part: Part) -> bool:
    return _KEY_MARKER in part.read()


@sensitive_variables()
def _fill(part: Part, values: Mapping[str, str], key: str, key_note: str) -> Snippet:
    told = {**values, "key": _key_text(part.kind, key)}
    text = _MARKER.sub(lambda found: told[found[1]], part.read())
    if part.kind == "python" and key != VARIABLE_KEY and "os.environ" not in text:
        text = text.replace("import os\n", "", 1).lstrip("\n")
    if key_note and part.kind == "env" and _holds_key(part):
        text = f"# {' '.join(key_note.split())}\n{text}"
    runs = part.kind in ("shell", "python", "node")
    return Snippet(part.kind, part.title, part.filename, part.language, text, runs)


def _key_text(kind: Kind, key: str) -> str:
    if kind == "env":
        return KEY_PLACEHOLDER if key == VARIABLE_KEY else key
    if key != VARIABLE_KEY:
        return key if kind == "shell" else f'"{key}"'
    if kind == "python":
        return f'os.environ["{KEY_VARIABLE}"]'
    return f"process.env.{KEY_VARIABLE}" if kind == "node" else VARIABLE_KEY
