"""Organizations and groups in the browser: inviting, three steps to a group, roles, deleting by name, the switcher."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visitor
from tests.people import PASSWORD
from tests.world import ROOT

# What a job runner would do, in a process of its own, with mail put into files.
SEND = "import django; django.setup(); from accounts.tasks import send_invitations; print(send_invitations())"


def send_mail(site: Site) -> str:
    """Run the job that mails invitations; answers all that it sent, as text."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SEND],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": site.database.url,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "TOLLGATE_HOME": home,
                "TOLLGATE_EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        texts = [path.read_text() for path in sorted(Path(home, "mail").glob("*"))]
    return "\n".join(texts).replace("=\n", "").replace("=3D", "=")


def open_organization(visitor: Visitor, site: Site, name: str) -> Page:
    """An organization of a user of its own, who administers it. Ends on its page."""
    page = visitor.open()
    email = f"{name.lower()}@example.com"
    page.goto(f"{site.root}/accounts/signup/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up", exact=True).click()
    page.get_by_label("Organization").fill(f"{name} Works")
    page.get_by_label("First group").fill("Base")
    page.get_by_role("button", name="Make both").click()
    page.wait_for_url("**/keys/")
    page.goto(f"{site.root}/organization/{site.id_of('accounts_organization', f'{name} Works')}/")
    return page


def test_invited_mailed_signed_up_and_in(visitor: Visitor, site: Site) -> None:
    page = open_organization(visitor, site, "Ines")
    page.locator("#tab-members").click()
    page.get_by_role("button", name="Invite").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("E-mail addresses")).to_be_focused()
    page.keyboard.type("Nora@Example.com")
    dialog.get_by_text("Base", exact=True).click()
    dialog.get_by_role("button", name="Invite").click()
    expect(page.get_by_text("nora@example.com is invited by e-mail")).to_be_visible()
    row = page.locator(".invitations-table tr", has_text="nora@example.com")
    expect(row).to_contain_text("Waiting to join")

    mail = send_mail(site)
    assert "Subject: ines@example.com invites you to Ines Works" in mail
    link = re.search(rf"{re.escape(site.root)}/invitations/\S+/", mail)
    assert link, mail
    page.reload()
    expect(row).to_contain_text("just now")

    guest = visitor.open()
    guest.goto(link.group())
    expect(guest.get_by_role("heading", name="Join “Ines Works”")).to_be_visible()
    guest.get_by_role("link", name="Create an account").click()
    expect(guest.get_by_label("Email")).to_have_value("nora@example.com")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Sign up", exact=True).click()
    guest.wait_for_url("**/keys/")
    expect(guest.get_by_text("You are now a member of “Ines Works”.")).to_be_visible()

    page.reload()
    expect(page.locator(".members-table tr", has_text="nora@example.com")).to_contain_text("Base")
    expect(page.locator(".invitations-table")).to_have_count(0)


def test_a_group_in_three_steps_by_keyboard(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(site.organization_url)
    page.get_by_role("link", name="New group", exact=True).last.click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Night shift")
    page.keyboard.press("Enter")
    page.wait_for_url("**/new/credits/")
    expect(page.locator("[aria-current=step]")).to_contain_text("Credits")
    expect(page.get_by_label("Amount")).to_be_focused()
    page.keyboard.type("2.50")
    expect(page.locator("#move-preview")).to_contain_text("$2.50")
    page.keyboard.press("Enter")
    page.wait_for_url("**/new/members/")
    expect(page.get_by_text("$2.50 granted to “Night shift”.")).to_be_visible()

    # Back and forth loses nothing and makes no second group.
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="Back").click()
    page.get_by_label("Name").fill("Night crew")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Skip", exact=True).click()
    page.get_by_label("Bob Brook").check()
    page.get_by_role("button", name="Add and finish").click()
    page.wait_for_url("**/keys/")
    expect(page.get_by_role("heading", name="Night crew")).to_be_visible()
    wallet = site.database.one(
        "SELECT balance_nanos FROM billing_account a JOIN accounts_group g ON g.id = a.group_id"
        " WHERE g.name = 'Night crew'"
    )
    assert wallet == 2_500_000_000
    assert site.database.one("SELECT count(*) FROM accounts_group WHERE name LIKE 'Night %%'") == 1


def test_a_role_is_changed_after_a_question_and_taken_back_by_no(
    visitor: Visitor, site: Site
) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.group_url}members/")
    role = page.get_by_label("Role of Bob Brook", exact=True)
    role.select_option("manager")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Change the role of Bob Brook?")
    page.keyboard.press("Escape")
    expect(role).to_have_value("member")
    role.select_option("manager")
    dialog.get_by_role("button", name="Change the role").click()
    expect(page.get_by_text("Bob Brook manages the group now.")).to_be_visible()
    expect(role).to_have_value("manager")
    role.select_option("member")
    dialog.get_by_role("button", name="Change the role").click()
    expect(page.get_by_text("Bob Brook is a member now.")).to_be_visible()


def test_a_group_is_deleted_by_its_name(visitor: Visitor, site: Site) -> None:
    page = open_organization(visitor, site, "Paula")
    page.get_by_role("link", name="Base", exact=True).first.click()
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_role("link", name="Delete…").click()
    field = page.get_by_label("Type “Base” to confirm")
    expect(field).to_be_focused()
    page.keyboard.type("Bass")
    page.keyboard.press("Enter")
    expect(page.get_by_text("That is not its name.")).to_be_visible()
    page.get_by_label("Type “Base” to confirm").fill("Base")
    page.get_by_role("button", name="Delete the group").click()
    expect(page.get_by_text("The group “Base” is deleted.")).to_be_visible()
    expect(page.get_by_role("heading", name="No groups yet")).to_be_visible()
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label("Type “Paula Works” to confirm").fill("Paula Works")
    page.get_by_role("button", name="Delete the organization").click()
    page.wait_for_url("**/start/")


def test_the_switcher_filters_and_follows_the_arrows(visitor: Visitor, site: Site) -> None:
    page = visitor.open(email="alice@example.com")
    page.goto(f"{site.root}/start/")
    for name in ("Alpha", "Beta", "Gamma", "Delta"):
        page.goto(f"{site.organization_url}groups/new/")
        page.get_by_label("Name").fill(f"Switch {name}")
        page.keyboard.press("Enter")
        page.wait_for_url("**/new/credits/")
    page.goto(f"{site.group_url}keys/")
    page.locator("#group-menu summary").click()
    find = page.get_by_label("Find a group or an organization")
    expect(find).to_be_focused()
    menu = page.locator("#switcher-list")
    expect(menu.locator("[aria-current=true]")).to_have_text("Research")
    page.keyboard.type("switch GAM")
    expect(menu.locator("li:visible")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/keys/")
    expect(page.get_by_role("heading", name="Switch Gamma")).to_be_visible()

    page.locator("#group-menu summary").click()
    find.fill("no such group")
    expect(page.get_by_text("None is called that.")).to_be_visible()
    find.fill("")
    expect(page.get_by_text("None is called that.")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#group-menu summary")).to_be_focused()


@pytest.mark.parametrize("path", ["members/?add=1", "settings/"])
def test_forms_work_without_scripts(visitor: Visitor, site: Site, path: str) -> None:
    visitor.open(email="alice@example.com")
    context = visitor._browser.new_context(java_script_enabled=False)
    context.add_cookies(site.cookies["alice@example.com"])
    page = context.new_page()
    page.goto(f"{site.group_url}{path}")
    if "add" in path:
        page.get_by_label("By e-mail").fill("plain@example.com")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("plain@example.com is invited by e-mail")).to_be_visible()
        page.get_by_role("button", name="Withdraw the invitation of plain@example.com").click()
        expect(page.get_by_text("is withdrawn")).to_be_visible()
    else:
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("The name is saved.")).to_be_visible()
    context.close()
