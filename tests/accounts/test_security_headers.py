"""Whatever Django answers carries the browser's rules."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path, reverse

from accounts.spreadsheets import stream_csv
from config.security import ADMIN_POLICY, POLICY
from config.urls import handler429 as handler429
from config.urls import urlpatterns as real_urlpatterns
from tests.people import People


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("planted")


def download(request: HttpRequest) -> Any:
    return stream_csv("a.csv", ["a"], [[1]])


urlpatterns = [path("broken/", broken), path("download/", download), *real_urlpatterns]
pytestmark = pytest.mark.urls(__name__)


def answers(people: People) -> Iterator[tuple[str, int, Any]]:
    """One answer of each kind: what it is, the status it must have, the answer."""
    anybody = Client(raise_request_exception=False)
    yield "page", 200, anybody.get("/accounts/login/")
    yield "redirect", 302, anybody.get("/start/")
    yield "missing page", 404, anybody.get("/none/")
    yield "refused host", 400, anybody.get("/", headers={"Host": "evil.example"})
    yield "broken page", 500, anybody.get("/broken/")
    yield "download", 200, anybody.get("/download/")
    yield "wrong method", 405, anybody.post("/")
    script = anybody.get("/static/tollgate.js")
    assert script.getvalue()
    yield "static file", 200, script
    strict = Client(enforce_csrf_checks=True)
    yield "form without its token", 403, strict.post("/accounts/login/", {"login": "a"})
    alice = Client(raise_request_exception=False)
    alice.force_login(people.alice)
    yield "no permission", 403, alice.get("/admin/", follow=True)
    group = reverse("group_keys", args=[people.group.pk])
    yield "own page", 200, alice.get(group)
    yield "fragment", 200, alice.get(group, headers={"HX-Request": "true"})
    olga = Client()
    olga.force_login(people.olga)
    yield "admin page", 200, olga.get("/admin/")


def test_every_kind_of_answer_carries_the_rules(people: People) -> None:
    for kind, status, answer in answers(people):
        assert answer.status_code == status, kind
        admin = answer.request["PATH_INFO"].startswith("/admin/")
        expected = {
            "Content-Security-Policy": ADMIN_POLICY if admin else POLICY,
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        assert {name: answer.headers.get(name) for name in expected} == expected, kind
        assert "camera=()" in answer["Permissions-Policy"], kind


def test_no_policy_lets_scripts_in() -> None:
    for policy in (POLICY, ADMIN_POLICY):
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == "'self'"
        assert rules["base-uri"] == "'none'"
        assert rules["frame-ancestors"] == "'none'"
        assert rules["form-action"] == "'self'"
    assert "unsafe" not in POLICY


def test_pages_are_not_framed(client: Client, db: None) -> None:
    assert client.get("/accounts/login/")["X-Frame-Options"] == "DENY"


def test_pages_with_secrets_stay_in_no_cache(people: People, client: Client) -> None:
    client.force_login(people.alice)
    for url in (reverse("group_keys", args=[people.group.pk]), "/accounts/profile/"):
        assert "no-store" in client.get(url)["Cache-Control"]
