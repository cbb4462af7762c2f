"""Whatever people write into names, prompts and reasons stays text: on every page, and in every spreadsheet."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from accounts import trail
from accounts.ids import uuid7
from accounts.models import APIKey, Group, Organization, User
from billing import ledger
from gateway.models import CallRecord, Channel, Delivery, Provider, Task
from tests.access.expectations import PAGES
from tests.access.objects import Scene, make_code, make_scene, promote
from tests.access.test_matrix import ADDRESSES, KNOWN, url_of

MARK = "xq7z"
HOSTILE = (
    f'<script>{MARK}(1)</script>"><img src=x onerror={MARK}(1)>',
    f"'; {MARK}() // {{{{7*7}}}}{MARK} {{% csrf_token %}} </title></textarea>",
    f'=HYPERLINK("http://{MARK}")\u202e{MARK}\u200b\u2066',
)
FORMULA = re.compile(r"^[\s]*[=+\-@＝＋－＠]")
NUMBER = re.compile(r"^-?[0-9.]+$")


@pytest.fixture
def scene(price_book: None, db: None) -> Scene:
    return make_scene()


class Page(HTMLParser):
    """What a browser would run or follow on a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._script: dict[str, str | None] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name.startswith("on") or name == "style":
                self.faults.append(f"<{tag} {name}={value}>")
            if MARK in name:
                self.faults.append(f"the text is part of <{tag}>")
            if name in ("href", "src", "action", "formaction") and value:
                scheme = value.strip().lower().partition(":")[0]
                if scheme in ("javascript", "data", "vbscript") and tag != "img":
                    self.faults.append(f"<{tag} {name}={value}>")
        if tag == "img" and dict(attributes).get("src") == "x":
            self.faults.append("an image out of a text")
        self._script = dict(attributes) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None or not data.strip():
            return
        if self._script.get("type") != "application/json":
            self.faults.append(f"inline: {data[:60]}")


def poison(scene: Scene, text: str) -> None:
    """Writes the text wherever people, callers and providers can put theirs."""
    Organization.objects.update(name=text)
    for number, group in enumerate(Group.objects.all()):
        Group.objects.filter(pk=group.pk).update(name=f"{text} {number}")
    User.objects.update(name=text)
    APIKey.objects.update(name=text)
    Channel.objects.update(name=text)
    Provider.objects.update(name=text)
    CallRecord.objects.update(
        model=text,
        error_message=text,
        error_code=text[:64],
        upstream_id=text,
        status="upstream_failed",
    )
    Task.objects.update(
        requested_model=text, model=text, request={"action": "text_to_image", "prompt": text}
    )
    people = scene.people
    ledger.grant(people.group, 1, operation_id=uuid7(), actor=people.alice, reason=text)
    trail.record(
        people.alice,
        "key.changed",
        scene.key,
        before={"name": ""},
        after={"name": text},
        within=people.group,
    )
    promote(people, text)
    make_code(people, text)
    Delivery.objects.update(url=f"https://receiver.example/{text}")


def pages_of(scene: Scene) -> list[tuple[str, str, User]]:
    """Every page that shows something, as whoever sees most of it."""
    found = []
    for name in KNOWN:
        page = PAGES[name].filled(scene)
        for viewer in ("operator", "admin", "member"):
            user = scene.viewers[viewer]
            if getattr(page.get, viewer) == 200 and user is not None:
                found.append((name, url_of(name, scene.parameters(), page), user))
                break
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_on_every_page(scene: Scene, text: str) -> None:
    poison(scene, text)
    shown = set()
    for name, url, user in pages_of(scene):
        client = Client(raise_request_exception=False)
        client.force_login(user)
        answer = client.get(url)
        assert answer.status_code == 200, f"{name} with {text!r}"
        body = answer.getvalue().decode()
        if MARK in body:
            shown.add(name)
        if answer["Content-Type"].startswith("text/csv"):
            assert dangerous_cells(body) == [], name
        elif answer["Content-Type"].startswith("text/html"):
            assert Page(body).faults == [], f"{name} with {text!r}"
            assert f"49{MARK}" not in body, f"{name} rendered the text as a template"
    assert len(shown) > len(ADDRESSES) / 3, "most pages show such a text"


def dangerous_cells(table: str) -> list[str]:
    """Cells that a spreadsheet program would take for a formula."""
    cells = [cell for row in csv.reader(io.StringIO(table, newline="")) for cell in row]
    return [cell for cell in cells if FORMULA.match(cell) and not NUMBER.match(cell)]


def test_the_test_knows_what_is_dangerous() -> None:
    assert Page("<p onclick=x>").faults
    assert Page(f"<script>{MARK}(1)</script>").faults
    assert Page('<a href=" JavaScript:alert(1)">').faults
    assert Page('"><img src=x onerror=a>').faults
    assert not Page(
        '<script src="/static/a.js"></script><script type="application/json">{}</script>'
    ).faults
    assert dangerous_cells("a,=1\r\n-5,'=1\r\n") == ["=1"]
