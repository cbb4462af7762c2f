"""Texts of guides: Markdown in one line, as HTML and with links that can be followed from elsewhere."""

import re
from functools import cache

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_LINK_OF_OURS = re.compile(r"\]\((?=/)")
# A short name is not to be broken at its hyphen.
_SHORT_CODE = re.compile("<code>([^<]{1,24})</code>")
# What would end a line of code or begin markup of its own.
_NOT_CODE = re.compile(r"[`\s]+")


def as_html(text: str) -> SafeString:
    """Emphasis, code and links; everything else is shown as it is written."""
    html: str = _SHORT_CODE.sub(r'<code class="short">\1</code>', _renderer().renderInline(text))
    # Made by markdown-it with `html` off: markup inside the text is escaped.
    return mark_safe(html)  # noqa: S308


def with_links_to(root: str, text: str) -> str:
    """Links to pages of ours with the site in front, for who reads the text elsewhere."""
    return _LINK_OF_OURS.sub(f"]({root}", text)


def name_of(text: str) -> str:
    """A name that operators or makers chose, as it may stand between two marks of code."""
    return _NOT_CODE.sub(" ", text).strip()


@cache
def _renderer() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False})
