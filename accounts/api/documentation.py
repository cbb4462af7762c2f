"""/api/schema/ and /api/docs/: the management API for programs and for people. Everybody may read it."""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer

from accounts.api.schema import DESCRIPTION, TAGS

JSON, YAML = "json", "yaml"
RENDERERS = {JSON: OpenApiJsonRenderer, YAML: OpenApiYamlRenderer}
MEDIA_TYPES = {JSON: "application/json", YAML: "application/yaml"}
# Stands in the text for where we are asked.
ANYWHERE = b"https://tollgate.invalid"


def read_document(base_url: str) -> dict[str, Any]:
    """The OpenAPI document, in English, for an installation at `base_url`."""
    with translation.override("en"):
        document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    document["info"]["description"] = DESCRIPTION
    return document | {"servers": [{"url": base_url}], "tags": TAGS}


def write_document(base_url: str, form: str) -> bytes:
    """The same as a text: `json` or `yaml`."""
    return _write_anywhere(form).replace(ANYWHERE, base_url.encode())


@lru_cache(maxsize=len(RENDERERS))
def _write_anywhere(form: str) -> bytes:
    """It takes a second to make and does not change while the process runs. Not made for each name under which we are
    asked: whoever asks chooses the port in it."""
    text = RENDERERS[form]().render(read_document(ANYWHERE.decode()), renderer_context={})
    return text.encode() if isinstance(text, str) else text


def _text(request: HttpRequest, form: str) -> bytes:
    base_url = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    return write_document(base_url, _form(request, form))


def _form(request: HttpRequest, form: str) -> str:
    """What the address says, else what the client would rather read."""
    preferred = request.get_preferred_type(list(MEDIA_TYPES.values()))
    asked = form or (YAML if preferred == MEDIA_TYPES[YAML] else JSON)
    if asked not in RENDERERS:
        raise Http404
    return asked


@require_safe
@cache_control(public=True, max_age=300)
def schema(request: HttpRequest, form: str = "") -> HttpResponse:
    """The OpenAPI document: JSON, or YAML at an address of its own and for those who accept nothing else."""
    found = _form(request, form)
    response = HttpResponse(_text(request, found), content_type=MEDIA_TYPES[found])
    response.headers["Vary"] = "Accept, Host"
    return response


@require_safe
@never_cache
def docs(request: HttpRequest) -> HttpResponse:
    """The document to read and to try, by a key that is pasted in or by the session."""
    return render(request, "api/docs.html", {"schema_url": reverse("api_schema_as", args=[JSON])})
