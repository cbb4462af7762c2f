"""Translations that a test chooses itself, so that it does not lean on what translators have done by then."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.utils import translation
from django.utils.translation import trans_real


@contextmanager
def korean_words(words: Mapping[str, str]) -> Iterator[None]:
    """These translations stand beside the Korean ones of the project, and Korean is spoken here."""
    catalog = trans_real.translation("ko")._catalog._catalogs[0]
    before = dict(catalog)
    catalog.update(words)
    try:
        with translation.override("ko"):
            yield
    finally:
        catalog.clear()
        catalog.update(before)
