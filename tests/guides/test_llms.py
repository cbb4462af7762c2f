"""/llms.txt, as llmstxt.org describes it."""

import re
from urllib.parse import urlsplit

import pytest
from django.test import Client

from guides.catalogue import read_catalogue
from guides.localization import language_prefix
from guides.pairs import list_pairs
from tests.guides.guide_pages import LANGUAGES

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("price_book")]


@pytest.fixture
def text(client: Client) -> str:
    answer = client.get("/llms.txt", headers={"accept-language": "ko"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "public" in answer["Cache-Control"]
    return answer.content.decode()


def test_it_has_the_form_of_llmstxt(text: str) -> None:
    lines = text.splitlines()
    assert lines[0] == "# Tollgate"
    assert lines[2].startswith("> A gateway to model APIs")
    assert len(re.findall("^# ", text, re.MULTILINE)) == 1
    for line in lines[5:]:
        assert re.fullmatch(r"|## .+|- \[[^\]]+\]\(http://testserver/[^)]+\)", line), line


def test_it_lists_every_page_in_every_language(text: str) -> None:
    listed = re.findall(r"\((http://testserver/[^)]+)\)", text)
    assert len(listed) == len(set(listed))
    names = [f"guides/{pair.slug}" for pair in list_pairs()]
    names += [f"models/{offered.name}" for offered in read_catalogue()]
    names += ["index", "pricing", "models", "status", "guides"]
    expected = {
        f"http://testserver/{language_prefix(code)}{name}.md"
        for code in LANGUAGES
        for name in names
    }
    assert set(listed) == expected


def test_what_it_lists_is_there_in_markdown(client: Client, text: str) -> None:
    for url in re.findall(r"\((http://testserver/zh-hans/[^)]+)\)", text):
        answer = client.get(urlsplit(url).path)
        assert answer.status_code == 200, url
        assert answer["Content-Type"].startswith("text/markdown"), url
