"""Reading the guides as a browser and as a model would."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import NamedTuple

from django.http import HttpResponse
from django.test import Client

from guides.localization import language_prefix
from guides.pairs import list_pairs

LANGUAGES = ("en", "ko", "zh-hans", "zh-hant")
TAGS = {"en": "en", "ko": "ko", "zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}


class Element(NamedTuple):
    """A start tag with its attributes."""

    tag: str
    attributes: dict[str, str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


class Page(NamedTuple):
    """What a page says, and its elements."""

    text: str
    elements: list[Element]

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of the elements with that tag which have all of these."""
        return [
            found
            for name, found in self.elements
            if name == tag and attributes.items() <= found.items()
        ]


def read_html(html: str) -> Page:
    """The page."""
    reader = _Reader()
    reader.feed(html)
    return Page("".join(reader.text), reader.elements)


def guide_paths(language: str) -> Iterator[str]:
    """The index, the overviews and the guides in a language."""
    prefix = f"/{language_prefix(language)}guides"
    yield prefix
    for pair in list_pairs():
        yield f"{prefix}/{pair.slug}"


def fetch_all(client: Client, paths: Iterable[str]) -> dict[str, HttpResponse]:
    """The answers to all of them, by path."""
    answers: dict[str, HttpResponse] = {}
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, path
        answers[path] = answer
    return answers


def rows_of(markdown: str, head: str) -> list[list[str]]:
    """The rows of the table whose first column is called `head`."""
    lines = iter(markdown.splitlines())
    for line in lines:
        if line.startswith(f"| {head} |"):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows
