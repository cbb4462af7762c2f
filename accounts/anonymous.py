"""Views that must not look who asks: what they answer may be cached for anybody, and sets no cookie."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_MARK = "knows_nobody"


def knows_nobody(view: Callable[P, R]) -> Callable[P, R]:
    """Marks such a view for our middleware: reading the session alone would add `Vary: Cookie` and refresh it."""
    setattr(view, _MARK, True)
    return view


def is_marked(view: object) -> bool:
    """Whether the view that a request was resolved to is marked."""
    return bool(getattr(view, _MARK, False))
