"""The public pages of one language: guides/urls.py includes them once for each, with `language`."""

from django.urls import include, path, re_path

from guides.pages.home import home
from guides.pages.models import model_page, models
from guides.pages.pricing import pricing
from guides.pages.redirects import without_slash
from guides.pages.status import status

urlpatterns = [
    path("", home, name="public_home"),
    path("index.md", home, name="public_home_md"),
    path("pricing", pricing, name="pricing"),
    path("pricing.md", pricing, name="pricing_md"),
    path("models", models, name="models"),
    path("models.md", models, name="models_md"),
    path("models/<str:provider>/<str:name>.md", model_page, name="model_page_md"),
    path("models/<str:provider>/<str:name>", model_page, name="model_page"),
    path("status", status, name="status"),
    path("status.md", status, name="status_md"),
    re_path(
        r"^(?P<page>(?:pricing|models|status|guides)(?:/[^/]+){0,2})/$",
        without_slash,
        name="without_slash",
    ),
    path("", include("guides.guide_urls")),
]
