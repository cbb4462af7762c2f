"""Addresses of the guides: `urlpatterns` once for each language, `root_urlpatterns` once for all."""

from django.urls import path

from guides.pages.guide import guide
from guides.pages.index import guides
from guides.pages.llms import llms

urlpatterns = [
    path("guides", guides, name="guides"),
    path("guides.md", guides, name="guides_md"),
    path("guides/<slug:slug>.md", guide, name="guide_md"),
    path("guides/<slug:slug>", guide, name="guide"),
]
root_urlpatterns = [path("llms.txt", llms, name="llms")]
