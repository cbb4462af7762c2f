"""A real server on a furnished database, and a Chromium that complains about everything."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.people import PASSWORD
from tests.world import ROOT, Database, GatewayProcess

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Site(NamedTuple):
    """An installation with the scenery of `scenery.py`, served by the real front door. `cookies` are those of
    everybody who signed in before, by e-mail address."""

    root: str
    database: Database
    cookies: dict[str, Any]

    def id_of(self, table: str, name: str) -> str:
        """The id of the organization or group of that name."""
        return str(self.database.one(f"SELECT id FROM {table} WHERE name = %s", name))

    @property
    def group_url(self) -> str:
        return f"{self.root}/groups/{self.id_of('accounts_group', 'Research')}/"

    @property
    def organization_url(self) -> str:
        return f"{self.root}/organization/{self.id_of('accounts_organization', 'Arden Labs')}/"


@pytest.fixture(scope="session")
def site(server_url: str, template_database: str) -> Iterator[Site]:
    """One site for the run: a test that needs a group to itself makes one. What a module leaves behind that its books
    cannot bear, or that other pages would show, belongs on a site of its own (`open_site`)."""
    with open_site(server_url, template_database) as made:
        yield made


@contextmanager
def open_site(server_url: str, template_database: str) -> Iterator[Site]:
    """A furnished site of its own, until left."""
    database = Database(server_url, template_database)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.browser.scenery"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database.url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    server = GatewayProcess(database.url)
    yield Site(server.root, database, {})
    server.stop()
    database.drop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module. Not for the session: while Playwright is open, its event loop counts as running, and
    Django would refuse the database to every other test of this process."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """Opens pages as somebody, and collects whatever the browser complains about."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self.site = site
        self.complaints: list[str] = []
        self._contexts: list[BrowserContext] = []

    def open(
        self, *, width: int = 1280, height: int = 860, scheme: str = "light", email: str = ""
    ) -> Page:
        """A page in a context of its own, signed in as that user if one is named."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",  # colours are measured as they stand, not as they change
            locale="en-GB",
            timezone_id="Asia/Seoul",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self._contexts.append(context)
        context.set_default_timeout(8000)
        page = context.new_page()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        if email:
            self.sign_in(page, email)
        return page

    def _note(self, kind: str, text: str) -> None:
        # A 422 is how a form says that it was refused; the browser logs it like a missing file.
        if kind in ("error", "warning") and "status of 422" not in text:
            self.complaints.append(f"{kind}: {text}")

    def sign_in(self, page: Page, email: str) -> None:
        """By the form the first time, by the session's cookies later. Ends at the start page."""
        if email in self.site.cookies:
            page.context.add_cookies(self.site.cookies[email])
            page.goto(self.site.root)
            return
        page.goto(f"{self.site.root}/accounts/login/")
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/accounts/login/" not in url)
        self.site.cookies[email] = page.context.cookies()

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def visitor(chromium: Browser, site: Site) -> Iterator[Visitor]:
    """Whatever a test does, at its end no console error, no script error and no CSP violation may stand."""
    made = Visitor(chromium, site)
    yield made
    made.close()
    assert made.complaints == []
