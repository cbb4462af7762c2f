"""Addresses of the public pages: files for machines, and the pages in every language.

English comes last, since that is the one which `reverse` finds where no language is named.
"""

from django.urls import include, path

from guides import guide_urls
from guides.localization import language_codes, language_prefix
from guides.pages.machines import robots, sitemap
from guides.pages.status import status_json

urlpatterns = [
    path("robots.txt", robots, name="robots"),
    path("sitemap.xml", sitemap, name="sitemap"),
    path("status.json", status_json, name="status_json"),
    *guide_urls.root_urlpatterns,
    *(
        path(language_prefix(code), include("guides.page_urls"), {"language": code})
        for code in reversed(language_codes())
    ),
]
