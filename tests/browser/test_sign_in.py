"""Signing in with more than a password, and proving it again before money moves."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.authenticators import code_of
from tests.browser.conftest import Site, Visitor
from tests.people import PASSWORD
from tests.world import GatewayProcess, run_command

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def root(site: Site) -> str:
    """The site by its name: browsers know no passkeys for bare addresses."""
    return site.root.replace("127.0.0.1", "localhost")


def make_user(site: Site, name: str) -> str:
    """The address of a new user, who belongs to no group yet."""
    email = f"{name}@example.com"
    code = f"from accounts.models import User; User.objects.create_user('{email}', '{PASSWORD}')"
    done = run_command(site.database.url, "shell", "-c", code)
    assert done.returncode == 0, done.stderr
    return email


def give_password(page: Page, root: str, email: str) -> None:
    page.goto(f"{root}/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.locator("#user-menu > summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/")


def prove(page: Page) -> None:
    """Answers the question for the password."""
    expect(page.get_by_role("heading", name="Confirm it is you")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()


def open_second_factor(page: Page, root: str) -> None:
    page.locator("#user-menu > summary").click()
    page.get_by_role("link", name="Second factor").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def set_up_app(page: Page, root: str) -> tuple[str, list[str]]:
    """The app's secret and the recovery codes."""
    open_second_factor(page, root)
    page.get_by_role("link", name="Set up").click()
    prove(page)
    picture = page.get_by_alt_text("A QR code for your authenticator app")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    secret = page.locator("#totp-secret").inner_text()
    page.get_by_label("Code from the app").fill(code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    page.wait_for_url("**/accounts/2fa/recovery-codes/")
    codes = page.locator("#recovery-codes").inner_text().split()
    assert len(codes) == 10
    return secret, codes


def test_an_app_and_a_recovery_code_sign_in(visitor: Visitor, site: Site, root: str) -> None:
    email = make_user(site, "with-an-app")
    page = visitor.open()
    give_password(page, root, email)
    secret, codes = set_up_app(page, root)
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    assert started.value.path().read_text().split() == codes

    for code in (code_of(secret, 1), codes[0]):
        sign_out(page)
        give_password(page, root, email)
        page.wait_for_url("**/accounts/2fa/authenticate/")
        expect(page.get_by_label("Code")).to_be_focused()
        page.get_by_label("Code").fill("000000")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_text("Incorrect code")).to_be_visible()
        page.get_by_label("Code").fill(code)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/start/")

    open_second_factor(page, root)
    expect(page.get_by_text("9 of 10 left")).to_be_visible()


def test_a_passkey_signs_in_alone(visitor: Visitor, site: Site, root: str) -> None:
    email = make_user(site, "with-a-passkey")
    page = visitor.open()
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    give_password(page, root, email)
    open_second_factor(page, root)
    page.get_by_role("link", name="Add a passkey").click()
    prove(page)
    page.get_by_label("Name").fill("Work laptop")
    page.get_by_role("button", name="Add a passkey").click()
    page.wait_for_url("**/accounts/2fa/recovery-codes/")

    sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/start/")
    open_second_factor(page, root)
    expect(page.get_by_text("Work laptop")).to_be_visible()
    expect(page.get_by_text("Signs in alone")).to_be_visible()

    page.get_by_role("link", name="Remove “Work laptop”").click()
    page.get_by_role("link", name="Use a passkey").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No passkeys yet")).to_be_visible()


def test_a_passkey_that_is_not_given_is_said_in_the_page(
    visitor: Visitor, site: Site, root: str
) -> None:
    page = visitor.open()
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    nobody = AUTHENTICATOR | {"isUserVerified": False}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": nobody})
    page.goto(f"{root}/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(
        "The passkey was not used"
    )


@pytest.fixture
def impatient(site: Site) -> Iterator[GatewayProcess]:
    """The same site, served by a process to which a proof is old after a second."""
    server = GatewayProcess(site.database.url, TOLLGATE_REAUTHENTICATION_S="1")
    yield server
    server.stop()


def test_before_money_moves_the_password_is_asked_for_again(
    visitor: Visitor, site: Site, impatient: GatewayProcess
) -> None:
    page = visitor.open()
    give_password(page, impatient.root, "alice@example.com")
    page.wait_for_url(lambda url: "/accounts/login/" not in url)
    url = site.organization_url.replace(site.root, impatient.root)
    page.goto(url)
    time.sleep(1.1)
    balances = transfers(site)
    page.get_by_role("link", name="Grant credits to “Research”").click()
    prove(page)
    page.wait_for_url("**/grant/")
    expect(page.locator("#messages")).to_be_empty()
    form = page.url
    page.get_by_label("Amount").fill("0.01")
    time.sleep(1.1)
    page.get_by_role("button", name="Review").click()
    prove(page)
    page.wait_for_url(form)
    expect(page.locator("#messages")).to_contain_text("please do it again")
    assert transfers(site) == balances, "nothing was moved meanwhile"


def transfers(site: Site) -> Any:
    return site.database.one("SELECT count(*) FROM billing_transfer")
