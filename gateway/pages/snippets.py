"""The examples on the pages: one tab for each client, filled with the site's address, a model, and the key if it is
known."""

from collections.abc import Iterable
from typing import NamedTuple

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from gateway.models import Model
from gateway.snippets import VARIABLE_KEY, Family, Snippet, find_family, render

EXAMPLE_MODEL = find_family("gpt").preferred[0]
"""What examples name where it is sold."""


class Box(NamedTuple):
    """One text to copy. `target` is the id of its element, `name` what it is called, `label` what its button says,
    `note` what stands above it."""

    target: str
    text: str
    name: str
    label: str
    note: str


class Tab(NamedTuple):
    """A client. `slug` is known to static/css/pages.css."""

    slug: str
    name: str
    boxes: list[Box]


class _Shown(NamedTuple):
    slug: str
    client: str
    name: str
    note: Promise | str = ""


_NO_V1 = gettext_lazy("Its base URL has no /v1: the SDK adds that itself.")
_CURL, _PYTHON = _Shown("curl", "curl", "curl"), _Shown("python", "openai-python", "Python")
_OF_TEXT = (
    (_CURL, "gpt"),
    (_PYTHON, "gpt"),
    (_Shown("node", "openai-node", "Node.js"), "gpt"),
    (_Shown("anthropic", "anthropic-sdk", "Anthropic SDK", _NO_V1), "claude"),
    (_Shown("hermes", "hermes", "Hermes Agent"), "gpt"),
    (_Shown("openclaw", "openclaw", "OpenClaw"), "gpt"),
)
_COPY = {
    "shell": gettext_lazy("Copy the curl command"),
    "python": gettext_lazy("Copy the Python program"),
    "node": gettext_lazy("Copy the Node.js program"),
    "env": gettext_lazy("Copy the line"),
    "config": gettext_lazy("Copy the configuration"),
}


@sensitive_variables()
def text_tabs(request: HttpRequest, key: str = VARIABLE_KEY) -> list[Tab]:
    """How to ask a model for text. `key`: its text, where it is known."""
    models = {slug: example_model(slug) for slug in ("gpt", "claude")}
    return [_tab(shown, family, request, models[family], key) for shown, family in _OF_TEXT]


def picture_tabs(request: HttpRequest, model: str) -> list[Tab]:
    """How to ask that model for a picture."""
    return [_tab(shown, "gpt-image", request, model, VARIABLE_KEY) for shown in (_CURL, _PYTHON)]


def example_model(family_slug: str) -> str:
    """A model that may be called, by its shortest name: one of the family, else any that answers in text. The family's
    first wish where there is none."""
    family = find_family(family_slug)
    enabled = Model.objects.filter(is_enabled=True)
    name = _of_family(family, enabled.values_list("name", "mode")) or (
        enabled.filter(mode="chat").order_by("-name").values_list("name", flat=True).first()
    )
    if name is None:
        return family.preferred[0]
    aliases: list[str] = enabled.get(name=name).aliases
    return min([name, *aliases], key=len)


def _of_family(family: Family, models: Iterable[tuple[str, str]]) -> str:
    return family.example(name for name, mode in models if family.holds(name, mode))


@sensitive_variables()
def _tab(shown: _Shown, family: str, request: HttpRequest, model: str, key: str) -> Tab:
    root = request.build_absolute_uri("/").rstrip("/")
    snippets = render(shown.client, family, base_url=root, model=model, key=key)
    # An agent is set up by files; of a library's programs the first says enough here.
    files = [snippet for snippet in snippets if snippet.filename.startswith("~")]
    chosen = files or [next(snippet for snippet in snippets if snippet.runs)]
    return Tab(shown.slug, shown.name, [_box(shown, snippet) for snippet in chosen])


@sensitive_variables()
def _box(shown: _Shown, snippet: Snippet) -> Box:
    target, note, name = f"code-{shown.slug}", str(shown.note), shown.name
    if snippet.filename.startswith("~"):
        name = snippet.filename
        if snippet.kind == "env":
            target += "-env"
            note = _("The key goes into %(file)s:") % {"file": name}
        else:
            note = _("Provider and model go into %(file)s:") % {"file": name}
    return Box(target, snippet.text, name, str(_COPY[snippet.kind]), note)
