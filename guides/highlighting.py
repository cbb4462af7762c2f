"""Code in two colours: texts in quotes, and comments. More would need a parser for each language."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

_HASH, _SLASHES = r"(?<![^\s])\#[^\n]*", r"(?<![^\s])//[^\n]*"
_COMMENTS: Mapping[str, str] = MappingProxyType(
    {
        "shell": _HASH, "dotenv": _HASH, "python": _HASH, "yaml": _HASH, "toml": _HASH, "javascript": _SLASHES,
    }
)  # fmt: skip
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_QUOTED = r"'(?:[^'\\\n]|\\.)*'"


def highlight(text: str, language: str) -> SafeString:
    """The code as HTML: every character of it, in spans of the classes `code-string` and `code-comment`."""
    kinds = [f"(?P<string>{_STRING})"]
    # In a shell, what stands between single quotes is mostly JSON, whose own texts are to be seen.
    if language not in ("shell", "json"):
        kinds = [f"(?P<string>{_STRING}|{_QUOTED})"]
    if language in _COMMENTS:
        kinds.append(f"(?P<comment>{_COMMENTS[language]})")
    made: list[str] = []
    end = 0
    for found in re.finditer("|".join(kinds), text):
        made.append(escape(text[end : found.start()]))
        made.append(f'<span class="code-{found.lastgroup}">{escape(found[0])}</span>')
        end = found.end()
    made.append(escape(text[end:]))
    # Every piece of the text went through `escape`.
    return mark_safe("".join(made))  # noqa: S308
