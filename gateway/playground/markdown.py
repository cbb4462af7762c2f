"""Answers of models as HTML. What a model writes is as hostile as what anybody else does."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

TEXT_LENGTH_MAX = 400_000
# A model's headings stand below those of the page.
HEADINGS_BELOW = 3


def render(text: str) -> SafeString:
    """The text as HTML: CommonMark with tables and strikethrough. Markup inside it is shown as text, links open
    elsewhere and tell nobody where they were followed, pictures are links: a picture that loads by itself would tell
    its owner who reads."""
    html: str = _renderer().render(text[:TEXT_LENGTH_MAX])
    # Made by markdown-it with `html` off: every character that came from outside is escaped.
    return mark_safe(html)  # noqa: S308


@cache
def _renderer() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "breaks": True})
    made.enable(["table", "strikethrough"])
    made.add_render_rule("link_open", _open_link)
    made.add_render_rule("image", _link_picture)
    made.add_render_rule("heading_open", _lower_heading)
    made.add_render_rule("heading_close", _lower_heading)
    made.add_render_rule("th_open", _align_cell)
    made.add_render_rule("td_open", _align_cell)
    return made


def _open_link(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    tokens[at].attrSet("rel", "noopener noreferrer nofollow")
    tokens[at].attrSet("target", "_blank")
    return self.renderToken(tokens, at, options, env)


def _link_picture(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    picture = tokens[at]
    words = self.renderInlineAsText(picture.children or [], options, env)
    link = Token("link_open", "a", 1, attrs={"href": picture.attrs.get("src", "")})
    text = Token("text", "", 0, content=words or str(picture.attrs.get("src", "")))
    return self.renderInline([link, text, Token("link_close", "a", -1)], options, env)


def _lower_heading(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    level = min(int(tokens[at].tag[1:]) + HEADINGS_BELOW - 1, 6)
    return f"<h{level}>" if tokens[at].nesting == 1 else f"</h{level}>\n"


def _align_cell(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any
) -> str:
    """An inline style would be refused by our Content-Security-Policy."""
    style = str(tokens[at].attrs.pop("style", ""))
    if style:
        tokens[at].attrSet("class", style.replace("text-align:", "align-"))
    return self.renderToken(tokens, at, options, env)
