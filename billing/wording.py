"""What went wrong, in the reader's language: errors of modules that know no language, and texts that lie in rows.

Command lines and logs keep the English of these errors.
"""

import re
from collections.abc import Iterable

from django.utils.translation import gettext, gettext_noop

from billing.faults import Fault

_PLACEHOLDER = re.compile(r"%\(([a-z_]+)\)[sd]")


class KnownTexts:
    """English texts that a program writes, recognised and translated. Their words hold `%(name)s` for what varies."""

    def __init__(self, words: Iterable[str]) -> None:
        self._patterns = [(re.compile(_pattern_of(one), re.DOTALL), one) for one in words]

    def knows(self, text: str) -> bool:
        """Whether the text is one of these."""
        return any(pattern.fullmatch(text) for pattern, _words in self._patterns)

    def say(self, text: str) -> str:
        """The text in the reader's language; as it is where nobody here wrote it."""
        for pattern, words in self._patterns:
            if (found := pattern.fullmatch(text)) is not None:
                return gettext(words) % found.groupdict()
        return text


def _pattern_of(words: str) -> str:
    parts = _PLACEHOLDER.split(words)
    # Every other part is the name of a placeholder.
    return "".join(
        f"(?P<{part}>.+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )


# What msgspec and json say of a file that they cannot read, the longer form before the shorter one.
PARSER_TEXTS = KnownTexts(
    [
        gettext_noop("Object missing required field `%(field)s` - at `%(place)s`"),
        gettext_noop("Object missing required field `%(field)s`"),
        gettext_noop("Object contains unknown field `%(field)s` - at `%(place)s`"),
        gettext_noop("Object contains unknown field `%(field)s`"),
        gettext_noop("Expected `%(wanted)s`, got `%(found)s` - at `%(place)s`"),
        gettext_noop("Expected `%(wanted)s`, got `%(found)s`"),
        gettext_noop("Invalid enum value %(value)s - at `%(place)s`"),
        gettext_noop("Invalid RFC3339 encoded date - at `%(place)s`"),
        gettext_noop("Expecting value: line %(line)s column %(column)s (char %(character)s)"),
        gettext_noop("Extra data: line %(line)s column %(column)s (char %(character)s)"),
        gettext_noop(
            "Expecting property name enclosed in double quotes: line %(line)s column %(column)s (char %(character)s)"
        ),
        gettext_noop(
            "Expecting '%(sign)s' delimiter: line %(line)s column %(column)s (char %(character)s)"
        ),
        gettext_noop(
            "Unterminated string starting at: line %(line)s column %(column)s (char %(character)s)"
        ),
    ]
)


def say_fault(error: BaseException) -> str:
    """An error in the reader's language; what a parser said of which we know no translation stays as it is."""
    if not isinstance(error, Fault):
        return PARSER_TEXTS.say(str(error))
    said = {
        name: say_fault(value) if isinstance(value, BaseException) else value
        for name, value in error.values.items()
    }
    return gettext(error.words) % said
