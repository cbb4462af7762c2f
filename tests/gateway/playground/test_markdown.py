"""Answers of models as HTML."""

import re

import pytest

from gateway.playground.markdown import render


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** and ~~s~~", "<p><strong>b</strong> and <s>s</s></p>"),
        ("one\ntwo", "<p>one<br />\ntwo</p>"),
        ("# Title", "<h3>Title</h3>"),
        ("###### Deep", "<h6>Deep</h6>"),
        ("```python\nx < 1\n```", '<pre><code class="language-python">x &lt; 1\n</code></pre>'),
        ("", ""),
    ],
)
def test_what_models_write_is_laid_out(text: str, html: str) -> None:
    assert render(text).strip() == html


def test_columns_of_a_table_keep_their_side_without_an_inline_style() -> None:
    html = render("|a|b|\n|:-|-:|\n|1|2|")
    assert '<td class="align-right">2</td>' in html
    assert "style" not in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "<javascript:alert(1)>",
        "![x](javascript:alert(1))",
        '[x](https://a.example "\\" onmouseover=alert(1)")',
        '```"><script>alert(1)</script>\nx\n```',
        "[x]: javascript:alert(1)\n\n[x]",
        "&#x6A;avascript:alert(1) [x](&#x6A;avascript:alert(1))",
    ],
)
def test_nothing_that_a_model_writes_runs(text: str) -> None:
    html = render(text)
    tags = re.findall(r"<[a-zA-Z/][^>]*>", html)
    assert not [
        tag for tag in tags if re.match(r"<(script|img|iframe|svg|object|embed|style)", tag)
    ]
    assert not [tag for tag in tags if re.search(r"\son\w+\s*=", re.sub(r'"[^"]*"', '""', tag))]
    assert not re.search(r'href="\s*(?!https?:|mailto:|#|/)', html)


def test_links_open_elsewhere_and_pictures_do_not_load() -> None:
    html = render("[a](https://a.example) ![b](https://b.example/p.png) <https://c.example>")
    links = re.findall(r"<a [^>]*>", html)
    assert len(links) == 3
    assert all('rel="noopener noreferrer nofollow" target="_blank"' in link for link in links)
    assert ">b</a>" in html
    assert "<img" not in html


def test_the_end_of_an_endless_text_is_cut() -> None:
    assert len(render("x" * 500_000)) < 401_000
