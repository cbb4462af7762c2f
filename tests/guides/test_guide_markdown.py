"""The guides' twins in Markdown."""

import re
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import translation

from guides.document import (
    Amount,
    Code,
    Column,
    Document,
    Exact,
    Link,
    Links,
    Paragraph,
    PricePair,
    Section,
    Table,
)
from guides.markdown_text import write_front_matter, write_markdown
from guides.prose import as_html, name_of, with_links_to
from tests.guides.guide_pages import LANGUAGES, TAGS, fetch_all, guide_paths, read_html

ROOT = "http://testserver"

LINK = re.compile(r"\]\(([^)]+)\)")
CODE = re.compile(r"^(`{3,})[a-z]*\n.*?^\1$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def twins(
    django_db_setup: None, price_book: None, django_db_blocker: Any
) -> dict[str, HttpResponse]:
    """The answer to every guide in Markdown, by path."""
    paths = [f"{path}.md" for code in LANGUAGES for path in guide_paths(code)]
    with django_db_blocker.unblock():
        return fetch_all(Client(), paths)


def front_matter(text: str) -> dict[str, str]:
    """The lines between the first two rules."""
    head = text.split("---\n")[1]
    return {
        name: value[1:-1] for name, _, value in (line.partition(": ") for line in head.splitlines())
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_guide_has_a_twin_in_markdown(twins: dict[str, HttpResponse], language: str) -> None:
    for path in guide_paths(language):
        answer = twins[f"{path}.md"]
        assert answer["Content-Type"] == "text/markdown; charset=utf-8"
        text = answer.content.decode()
        front = front_matter(text)
        assert front["locale"] == TAGS[language]
        assert (front["url"], front["canonical"]) == (f"{ROOT}{path}.md", f"{ROOT}{path}")
        assert f"\n# {front['title']}\n" in text
        told = CODE.sub("", text)
        assert not re.search(r"%\(|<", told), path
        links = LINK.findall(told)
        assert links, path
        assert all(link.startswith(ROOT) for link in links), path


@pytest.mark.django_db
def test_page_and_twin_say_the_same(client: Client, twins: dict[str, HttpResponse]) -> None:
    for path in guide_paths("ko"):
        if path.endswith("guides"):
            continue  # a table there, a list here
        page = read_html(client.get(path).content.decode())
        text = twins[f"{path}.md"].content.decode()
        said = " ".join(page.text.split())
        for heading in re.findall(r"^#{1,3} (.+)$", CODE.sub("", text), re.MULTILINE):
            assert heading.replace("`", "") in said, (path, heading)
        for fence in CODE.finditer(text):
            code = fence[0].split("\n", 1)[1].rsplit("\n", 1)[0]
            assert " ".join(code.split()) in said, (path, code)
        assert len(page.all("table")) == len(re.findall(r"^\| --", text, re.MULTILINE))


def test_a_document_is_written_in_full() -> None:
    document = Document(
        title="T",
        description="D",
        lead=("L [x](/y)",),
        sections=(
            Section(
                "s",
                "S",
                (
                    Paragraph("P"),
                    Code("c", "Put it there", "echo '```'\n\n\necho", "shell", "~/.x"),
                    Table(
                        "prices",
                        (Column("A|B"), Column("N", is_number=True), Column("M", is_number=True)),
                        (("a|b", Amount(1_500_000_000), PricePair(250_000_000, 500_000_000)),),
                        total=("sum", "", Exact("0.0375")),
                    ),
                    Links("More:", (Link("here", "/h"),)),
                ),
            ),
        ),
    )
    with translation.override("en"):
        written = write_markdown(document, {"title": 'a "b"\n---'}, "https://x.example")
    assert written == (
        '---\ntitle: "a \\"b\\" ---"\n---\n\n# T\n\nL [x](https://x.example/y)\n\n## S\n\nP\n\n'
        "Put it there (`~/.x`):\n\n````shell\necho '```'\n\n\necho\n````\n\n"
        "| A\\|B | N | M |\n| --- | --: | --: |\n| a\\|b | $1.50 | $0.25 (list $0.50) |\n"
        "| **sum** |  | **$0.0375** |\n\nMore:\n\n- [here](https://x.example/h)\n"
    )


def test_front_matter_keeps_to_one_line_each() -> None:
    assert write_front_matter({"title": "a\n---\nb\\"}) == '---\ntitle: "a --- b\\\\"\n---'


def test_prose_is_marked_up_and_nothing_else() -> None:
    assert as_html("a `<b>` <i>c</i> [d](/e) **f**") == (
        'a <code class="short">&lt;b&gt;</code> &lt;i&gt;c&lt;/i&gt; <a href="/e">d</a> <strong>f</strong>'
    )
    assert "href" not in as_html("[d](javascript:alert(1))")
    assert with_links_to("https://x", "[a](/b) [c](https://d)") == "[a](https://x/b) [c](https://d)"
    assert name_of("a`b\n| c") == "a b | c"
