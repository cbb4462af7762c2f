"""The translations, and the tool that keeps them."""

import ast
import gettext
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from config import translations
from config.translations import LOCALES, Text

KEYWORDS = {"_", "gettext", "gettext_lazy", "ngettext", "pgettext", "npgettext"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with a template and a module."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "billing").mkdir()
    (tmp_path / "templates/page.html").write_text(
        "{% load i18n %}\n"
        "  {% if x %}<p>{% translate 'Keys' %}</p>\n"
        " {% endif %}{% blocktranslate count n=n %}{{ n }} key{% plural %}{{ n }} keys{% endblocktranslate %}"
    )
    (tmp_path / "billing/words.py").write_text('NAME = pgettext_lazy("of a provider", "Model")\n')
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    monkeypatch.setattr(translations, "LOCALE", tmp_path / "locale")
    monkeypatch.setattr(translations, "SOURCES", ("billing", "templates"))
    return tmp_path


def test_texts_of_templates_and_modules_are_found(folder: Path) -> None:
    assert list(translations.find_texts()) == [
        ("billing/words.py", Text("of a provider", "Model", None)),
        ("templates/page.html", Text(None, "Keys", None)),
        ("templates/page.html", Text(None, "%(n)s key", "%(n)s keys")),
    ]


def test_what_is_translated_stays_and_what_is_not_said_any_more_goes(folder: Path) -> None:
    assert translations.update_catalogs() == dict.fromkeys(LOCALES, 3)
    path = folder / "locale/ko/LC_MESSAGES/django.po"
    path.write_text(
        path.read_text().replace('msgid "Keys"\nmsgstr ""', 'msgid "Keys"\nmsgstr "키"')
    )
    (folder / "billing/words.py").write_text("")
    assert translations.update_catalogs() == {"ko": 1, "zh_Hans": 2, "zh_Hant": 2}
    kept = path.read_text()
    assert translations.update_catalogs()["ko"] == 1
    assert path.read_text() == kept, "a second time changes nothing"

    translations.compile_catalogs()
    with path.with_suffix(".mo").open("rb") as file:
        words = gettext.GNUTranslations(file)
    assert words.gettext("Keys") == "키"
    assert words.gettext("Model") == "Model"


@pytest.mark.parametrize(
    ("original", "translation", "is_fault"),
    [
        ("%(a)s of %(b)s", "%(b)s 중 %(a)s", False),
        ("%(a)s of %(b)s", "%(b)s 중", True),
        ("%(a)s of %(b)s", "%(b)s 중 %(c)s", True),
        ("a <b>word</b>", "<b>낱말</b>", False),
        ("a <b>word</b>", "낱말", True),
        ("a word", "<b>낱말</b>", True),
    ],
)
def test_a_translation_that_loses_a_placeholder_or_markup_is_a_fault(
    original: str, translation: str, is_fault: bool
) -> None:
    catalog = Catalog(locale="ko")
    catalog.add(original, translation)
    assert bool(list(translations.find_faults(catalog))) is is_fault


def test_a_plural_may_take_its_number_from_either_form() -> None:
    catalog = Catalog(locale="ko")
    catalog.add(("one key", "%(n)s keys"), ("키 %(n)s개",))
    assert not list(translations.find_faults(catalog))
    assert not list(translations.find_missing(catalog))


@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_of_the_project_is_translated(locale: str) -> None:
    catalog = translations.read_catalog(locale)
    said = {(text.context, text.singular) for _path, text in translations.find_texts()}
    known = {
        (message.context, message.id[0] if isinstance(message.id, tuple) else message.id)
        for message in catalog
        if message.id
    }
    assert said == known, "run `python -m config.translations extract` and translate what is new"
    assert not [message.id for message in translations.find_missing(catalog)]
    assert not list(translations.find_faults(catalog))


def test_no_text_stands_inside_an_f_string_where_babel_does_not_look() -> None:
    hidden = [
        f"{path.relative_to(translations.ROOT)}:{node.lineno}"
        for folder in ("accounts", "billing", "config", "gateway", "guides")
        for path in sorted((translations.ROOT / folder).rglob("*.py"))
        for joined in ast.walk(ast.parse(path.read_text()))
        if isinstance(joined, ast.JoinedStr)
        for node in ast.walk(joined)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KEYWORDS
    ]
    assert hidden == []
