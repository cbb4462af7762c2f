"""The translations: `python -m config.translations extract` brings the .po files in locale/ up to what the code says,
`compile` makes the .mo files that Django loads. Both work without the gettext package.

`extract` takes the texts from templates and Python files, keeps what is translated, drops what is not said any more,
and prints how much is still missing; a test fails while anything is.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "locale"
LOCALES = ("ko", "zh_Hans", "zh_Hant")
SOURCES = ("accounts", "billing", "gateway", "guides", "config", "templates")
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
    "Fault": None,
}
# What must stand in a translation as often as in the original, whatever the order: %(name)s.
PLACEHOLDER = re.compile(r"%\([a-z_0-9]+\)[sd]")


class Text(NamedTuple):
    """A message as the code says it; `plural` is None where it has no plural."""

    context: str | None
    singular: str
    plural: str | None


def compile_catalogs() -> None:
    """Make the .mo file of every .po file that is newer."""
    for locale in LOCALES:
        source = _path(locale)
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime_ns > source.stat().st_mtime_ns:
            continue
        catalog = read_catalog(locale)
        # Another process may be reading the old one.
        draft = target.with_suffix(f".{id(catalog)}")
        with draft.open("wb") as file:
            write_mo(file, catalog)
        draft.replace(target)


def update_catalogs() -> dict[str, int]:
    """Bring every .po file up to the code. Returns how many messages of each locale have no translation."""
    template = Catalog(charset="utf-8")
    for path, text in find_texts():
        message_id = text.singular if text.plural is None else (text.singular, text.plural)
        template.add(message_id, locations=[(path, 0)], context=text.context, auto_comments=())
    missing = {}
    for locale in LOCALES:
        catalog = read_catalog(locale) if _path(locale).exists() else Catalog(locale=locale)
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        _write(catalog, locale)
        missing[locale] = sum(1 for _message in find_missing(catalog))
    return missing


def read_catalog(locale: str) -> Catalog:
    """The .po file of a locale such as `zh_Hans`."""
    with _path(locale).open("rb") as file:
        return read_po(file, locale=locale)


def find_missing(catalog: Catalog) -> Iterator[Message]:
    """Messages without a translation, in whole or in one of their plural forms."""
    for message in catalog:
        if message.id and not all(_strings(message)):
            yield message


def find_faults(catalog: Catalog) -> Iterator[str]:
    """Translations that would fail or lose something: placeholders that differ, and markup that does."""
    for message in catalog:
        if not message.id:
            continue
        originals = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
        for string in filter(None, _strings(message)):
            # A language without a plural takes the number from either form.
            if not any(_marks(string) == _marks(original) for original in originals):
                yield f"{originals[0]!r} became {string!r}"


def find_texts() -> Iterator[tuple[str, Text]]:
    """Every text of the project with the file that says it, in a stable order."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".py", ".html", ".md", ".txt") or "migrations" in path.parts:
                continue
            source = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT).as_posix()
            if path.suffix != ".py":
                # What stands between the texts comes out as words; only its indentation would be an error in Python.
                lines = templatize(source, origin=name).splitlines()
                source = "\n".join(map(str.lstrip, lines))
            yield from ((name, text) for text in _extract(source))


def _extract(source: str) -> Iterable[Text]:
    found = extract("python", io.BytesIO(source.encode()), keywords=KEYWORDS)
    for _line, message, _comments, context in found:
        if isinstance(message, tuple):
            yield Text(context, message[0], message[1])
        elif message:
            yield Text(context, message, None)


def _strings(message: Message) -> tuple[str, ...]:
    string = message.string
    return tuple(string) if isinstance(string, (tuple, list)) else (string or "",)


def _marks(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text) + re.findall(r"</?[a-z]+", text))


def _path(locale: str) -> Path:
    return LOCALE / locale / "LC_MESSAGES" / "django.po"


def _write(catalog: Catalog, locale: str) -> None:
    path = _path(locale)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=100, omit_header=True, include_lineno=False, sort_output=True)
    header = (
        'msgid ""\nmsgstr ""\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n'
        f'"Language: {locale}\\n"\n'
        f'"Plural-Forms: {catalog.plural_forms}\\n"\n\n'
    )
    path.write_text(header + buffer.getvalue().decode(), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """The command line. Returns the exit status."""
    if arguments == ["compile"]:
        compile_catalogs()
        return 0
    if arguments == ["extract"]:
        settings.configure(USE_I18N=True)
        for locale, count in update_catalogs().items():
            sys.stdout.write(f"{locale}: {count} without a translation\n")
        return 0
    sys.stderr.write("usage: python -m config.translations compile|extract\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
