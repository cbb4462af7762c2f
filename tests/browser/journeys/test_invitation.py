"""A colleague is invited by e-mail, signs up through the link, and is in."""

import re

from playwright.sync_api import Page, expect

from tests.browser.journeys.conftest import Traveller, primary
from tests.browser.place import Place
from tests.browser.test_members import send_mail
from tests.people import PASSWORD
from tests.world import Tenant


def invite(traveller: Traveller, page: Page, guest: str) -> None:
    page.locator("[data-dialog=invite-dialog]").click()
    dialog = page.locator("#invite-dialog")
    expect(dialog.locator("[name=emails]")).to_be_focused()
    traveller.look_around(page, "invite dialog")
    dialog.locator("[name=emails]").fill(guest)
    dialog.locator("#invite-groups input").check()
    primary(dialog).click()
    row = page.locator(".invitations-table tbody tr")
    expect(row).to_contain_text(guest)
    expect(row.locator(".badge.warn")).to_be_visible()
    traveller.look_around(page, "invited")


def link_in_mail(place: Place, guest: str) -> str:
    """Where the one mail that is due leads, which is the guest's."""
    mail = send_mail(place.site)
    assert re.findall(r"^To: (.*)$", mail, re.MULTILINE) == [guest]
    link = re.search(rf"{re.escape(place.site.root)}/invitations/[\w-]+/", mail)
    assert link, mail
    return link.group()


def test_an_invited_colleague_signs_up_and_is_a_member(
    traveller: Traveller, place: Place, tenant: Tenant, email: str
) -> None:
    guest = f"guest-{traveller.language}@example.com"
    page = traveller.open(email=email)
    page.goto(f"{place.site.root}/organization/{tenant.organization_id}/members/")
    invite(traveller, page, guest)
    link = link_in_mail(place, guest)

    other = traveller.open()
    other.goto(link)
    traveller.look_around(other, "invitation")
    other.locator("a.button.primary").click()
    expect(other.locator("#id_email")).to_have_value(guest)
    other.locator("#id_password1").fill(PASSWORD)
    primary(other).click()
    other.wait_for_url(f"**/groups/{tenant.group_id}/keys/")
    traveller.look_around(other, "in the group")

    page.reload()
    expect(page.locator(".members-table tbody tr", has_text=guest)).to_contain_text("Tessa's group")
    expect(page.locator(".invitations-table")).to_have_count(0)
    traveller.look_around(page, "members")
    roles = place.world.database.query(
        "SELECT m.role, g.role AS group_role FROM accounts_user u"
        " JOIN accounts_membership m ON m.user_id = u.id AND m.organization_id = %s"
        " JOIN accounts_groupmembership g ON g.user_id = u.id AND g.group_id = %s WHERE u.email = %s",
        tenant.organization_id,
        tenant.group_id,
        guest,
    )
    assert roles == [{"role": "member", "group_role": "member"}]
