"""The travellers of the journeys: a browser that speaks one language, and a shop that is open for all of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page

from simulator.process import SimulatorProcess
from tests.browser.conftest import Site, Visitor
from tests.browser.journeys.looks import faults
from tests.browser.place import Place, let_in, open_place
from tests.people import PASSWORD
from tests.world import Tenant

LANGUAGES = ("en", "ko", "zh-hans", "zh-hant")
OPERATOR = "olga@example.com"


@pytest.fixture(scope="package")
def place(
    server_url: str,
    template_database: str,
    simulator: SimulatorProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """One shop for all journeys, with an operator: a journey that counts has a tenant of its own."""
    home = tmp_path_factory.mktemp("crew")
    with open_place(server_url, template_database, simulator, home) as opened:
        opened.world.database.query(
            "INSERT INTO accounts_user (email, name, password, is_active, is_staff, is_superuser, joined_at)"
            " SELECT %s, 'Olga Orlov', password, true, true, true, now() FROM accounts_user WHERE email = %s",
            OPERATOR,
            opened.email,
        )
        yield opened


class Traveller(Visitor):
    """Goes through the pages in one language and looks around at each stop."""

    def __init__(self, browser: Browser, site: Site, language: str) -> None:
        super().__init__(browser, site)
        self.language = language
        self.faults: list[str] = []

    def open(self, *, email: str = "", **options: Any) -> Page:
        page = super().open(**options)
        if email in self.site.cookies:
            page.context.add_cookies(self.site.cookies[email])
        page.context.add_cookies(
            [{"name": "language", "value": self.language, "url": self.site.root}]
        )
        if email and email not in self.site.cookies:
            self._sign_in_by_the_form(page, email)
        return page

    def _sign_in_by_the_form(self, page: Page, email: str) -> None:
        page.goto(f"{self.site.root}/accounts/login/")
        page.locator("#id_login").fill(email)
        page.locator("#id_password").fill(PASSWORD)
        page.locator("form[action='/accounts/login/'] button.primary").click()
        page.wait_for_url(lambda url: "/accounts/login/" not in url)
        self.site.cookies[email] = page.context.cookies()

    def look_around(self, page: Page, stop: str) -> None:
        """Note what is wrong with the page in any look, with the name of the stop."""
        self.faults += [f"{stop}, {fault}" for fault in faults(page, self.language)]


@pytest.fixture(params=LANGUAGES)
def traveller(
    request: pytest.FixtureRequest, chromium: Browser, place: Place
) -> Iterator[Traveller]:
    """In each language. At its end no fault, no console error, no script error and no CSP violation may stand."""
    made = Traveller(chromium, place.site, request.param)
    yield made
    made.close()
    wrong = [*made.faults, *made.complaints]
    assert wrong == [], "\n".join([*wrong, place.world.gateways[0].log[-4000:]])


@pytest.fixture
def tenant(place: Place) -> Tenant:
    """A group with 10 dollars and an admin, for this test alone."""
    return place.world.add_tenant("Tessa", balance="10")


@pytest.fixture
def email(place: Place, tenant: Tenant) -> str:
    """Who administers the tenant's organization."""
    return let_in(place.world, tenant)


def primary(page: Page | Locator) -> Locator:
    """The one button of the page or of a part of it that goes on."""
    return page.locator("button.primary:visible")
