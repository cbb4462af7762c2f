"""Texts of guides on pages."""

from django import template
from django.utils.safestring import SafeString

from guides.highlighting import highlight
from guides.prose import as_html

register = template.Library()


@register.filter
def prose(text: object) -> SafeString:
    """Markdown in one line as HTML."""
    return as_html(str(text))


@register.filter
def highlighted(text: str, language: str) -> SafeString:
    """Code with its comments and strings in colours of their own."""
    return highlight(text, language)
