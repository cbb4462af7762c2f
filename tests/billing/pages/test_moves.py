"""Pages about money: for each, a stranger, an outsider, a member, an admin and the operator."""

import re
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Group, Organization, User
from accounts.services import create_organization
from billing import ledger
from billing.models import Account, Transfer
from tests.people import People, fund, make_people

USD = 1_000_000_000
HTMX = {"HX-Request": "true"}


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=100 * USD, wallet_nanos=10 * USD)
    return made


def url_of(people: People, name: str) -> str:
    if name == "group_credits":
        return reverse(name, args=[people.group.pk])
    if name in ("grant", "reclaim"):
        return reverse(name, args=[people.organization.pk, people.group.pk])
    return reverse(name, args=[people.organization.pk])


@pytest.mark.parametrize(
    ("name", "member", "admin", "operator"),
    [
        ("group_credits", 200, 200, 200),
        ("organization", 404, 200, 200),
        ("grant", 404, 200, 200),
        ("reclaim", 404, 200, 200),
        ("deposit", 404, 404, 200),
    ],
)
def test_who_may_open_what(
    client: Client, people: People, name: str, member: int, admin: int, operator: int
) -> None:
    url = url_of(people, name)
    assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
    for user, status in (
        (people.charlie, 404),
        (people.bob, member),
        (people.alice, admin),
        (people.olga, operator),
    ):
        client.force_login(user)
        assert client.get(url).status_code == status, user
        assert client.head(url).status_code == status, user


def test_an_admin_cannot_reach_another_organizations_group_through_his_own(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    for verb in ("grant", "reclaim"):
        url = reverse(verb, args=[people.organization.pk, people.foreign_group.pk])
        assert client.get(url).status_code == 404
        assert (
            client.post(
                url, {"amount": "1", "step": "confirm", "operation_id": uuid4()}
            ).status_code
            == 404
        )


def test_the_three_figures_of_a_wallet_are_told_apart(client: Client, people: People) -> None:
    Account.objects.filter(group=people.group).update(held_nanos=USD // 4)
    client.force_login(people.bob)
    html = client.get(url_of(people, "group_credits")).content.decode()
    figures = re.findall(r'<dd class="value"><span class="money">([^<]+)</span>', html)
    assert figures == ["$10.00", "$0.25", "$9.75"]
    assert "Credit line" not in html
    assert "/grant/" not in html, "a member is not offered what he may not do"


def test_transfers_can_be_cut_to_a_kind_and_nonsense_is_ignored(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "group_credits")
    assert b"No transfer of this kind" in client.get(url, {"kind": "refund"}).content
    assert b"Unassigned pool" in client.get(url, {"kind": "grant"}).content
    assert b"Unassigned pool" in client.get(url, {"kind": "nonsense", "before": "nonsense"}).content


def test_reasons_are_text_and_not_markup(client: Client, people: People) -> None:
    reason = "<script>alert(1)</script>"
    ledger.grant(people.group, 1, operation_id=uuid4(), actor=people.alice, reason=reason)
    client.force_login(people.bob)
    html = client.get(url_of(people, "group_credits")).content.decode()
    assert reason not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_organization_lists_its_groups_with_their_wallets(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    html = client.get(url_of(people, "organization")).content.decode()
    assert "Research" in html
    assert "Support" not in html, "another organization's group"
    assert "$100.00" in html
    assert "/deposit/" not in html


def test_only_the_operator_is_offered_a_deposit(client: Client, people: People) -> None:
    client.force_login(people.olga)
    assert b"/deposit/" in client.get(url_of(people, "organization")).content


def test_an_admin_makes_a_group(client: Client, people: People) -> None:
    client.force_login(people.alice)
    url = url_of(people, "organization")
    assert client.post(url, {"group_name": " Ops "})["Location"] == url
    group = Group.objects.get(name="Ops")
    assert Account.objects.wallet_of(group).balance_nanos == 0
    assert "is ready" in client.get(url).content.decode()


def test_a_group_name_is_taken_once_whatever_its_case(client: Client, people: People) -> None:
    client.force_login(people.alice)
    response = client.post(url_of(people, "organization"), {"group_name": "RESEARCH"})
    assert response.status_code == 422
    assert "has a group of that name already" in response.content.decode()
    assert people.organization.groups.count() == 1


def test_an_outsider_makes_no_group(client: Client, people: People) -> None:
    for user in (people.charlie, people.bob):
        client.force_login(user)
        assert (
            client.post(url_of(people, "organization"), {"group_name": "Mine"}).status_code == 404
        )
    assert people.organization.groups.count() == 1


def test_the_preview_shows_both_balances_for_what_is_typed(client: Client, people: People) -> None:
    client.force_login(people.alice)
    headers = {**HTMX, "HX-Target": "move-preview"}
    html = client.get(
        url_of(people, "grant"), {"amount": "12.50"}, headers=headers
    ).content.decode()
    assert "<html" not in html
    assert [text in html for text in ("$100.00", "$87.50", "$10.00", "$22.50")] == [True] * 4


@pytest.mark.parametrize(
    ("verb", "amount", "words"),
    [
        ("grant", "100.01", "$100.01 is more than can be moved: $100.00."),
        ("reclaim", "10.01", "$10.01 is more than can be moved: $10.00."),
        ("grant", "0", "must be above zero"),
        ("grant", "-1", "must be above zero"),
        ("grant", "twelve", "such as 12.50"),
        ("grant", "", "This field is required."),
    ],
)
def test_what_cannot_be_moved_is_refused_inline(
    client: Client, people: People, verb: str, amount: str, words: str
) -> None:
    client.force_login(people.alice)
    before = Transfer.objects.count()
    form = {"amount": amount, "step": "review"}
    response = client.post(url_of(people, verb), form, headers=HTMX)
    assert response.status_code == 422
    assert words in response.content.decode()
    form = {"amount": amount, "step": "confirm", "operation_id": str(uuid4())}
    assert client.post(url_of(people, verb), form).status_code == 422
    assert Transfer.objects.count() == before


def confirm(client: Client, url: str, amount: str, reason: str = "") -> dict[str, str]:
    """The form that the review answers."""
    response = client.post(
        url, {"amount": amount, "reason": reason, "step": "review"}, headers=HTMX
    )
    assert response.status_code == 200
    html = response.content.decode()
    assert "Is this right?" in html
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
    return {name: fields[name] for name in ("amount", "reason", "operation_id")} | {
        "step": "confirm"
    }


def test_a_grant_is_confirmed_with_both_balances_and_then_made(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "grant")
    form = confirm(client, url, "12.50", "for the launch")
    assert Transfer.objects.filter(kind="grant").count() == 1, "reviewing moves nothing"
    response = client.post(url, form)
    assert response["Location"] == url_of(people, "organization")
    made = Transfer.objects.get(pk=form["operation_id"])
    assert (made.kind, made.amount_nanos, made.reason) == (
        "grant",
        12_500_000_000,
        "for the launch",
    )
    assert made.actor_id == people.alice.pk
    assert Account.objects.wallet_of(people.group).balance_nanos == 22_500_000_000
    assert Account.objects.pool_of(people.organization).balance_nanos == 87_500_000_000


def test_confirming_twice_moves_once(client: Client, people: People) -> None:
    client.force_login(people.alice)
    url = url_of(people, "reclaim")
    form = confirm(client, url, "10")
    for _ in range(2):
        response = client.post(url, form, headers=HTMX)
        assert response.status_code == 200
        assert "HX-Location" in response
    assert Account.objects.wallet_of(people.group).balance_nanos == 0
    assert Transfer.objects.filter(kind="reclaim").count() == 1


def test_the_same_form_with_another_amount_is_refused(client: Client, people: People) -> None:
    client.force_login(people.alice)
    url = url_of(people, "grant")
    form = confirm(client, url, "1")
    client.post(url, form)
    response = client.post(url, form | {"amount": "2"})
    assert response.status_code == 422
    assert "another move" in response.content.decode()
    assert Account.objects.wallet_of(people.group).balance_nanos == 11 * USD


def test_credits_spent_between_review_and_confirmation_are_not_reclaimed(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "reclaim")
    form = confirm(client, url, "10")
    Account.objects.filter(group=people.group).update(held_nanos=3 * USD)
    response = client.post(url, form, headers=HTMX)
    assert response.status_code == 422
    assert "more than can be moved: $7.00" in response.content.decode()


def test_going_back_from_the_confirmation_keeps_what_was_typed(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "grant")
    form = confirm(client, url, "3", "why") | {"step": "change"}
    html = client.post(url, form, headers=HTMX).content.decode()
    assert 'value="3"' in html
    assert 'value="why"' in html
    assert "Is this right?" not in html


def test_the_operator_deposits(client: Client, people: People) -> None:
    client.force_login(people.olga)
    url = url_of(people, "deposit")
    client.post(url, confirm(client, url, "1,000", "Invoice 7"))
    assert Account.objects.pool_of(people.organization).balance_nanos == 1100 * USD


@pytest.mark.parametrize("who", ["charlie", "bob", "alice"])
def test_nobody_else_deposits(client: Client, people: People, who: str) -> None:
    client.force_login(getattr(people, who))
    form = {"amount": "5", "operation_id": str(uuid4()), "step": "confirm"}
    assert client.post(url_of(people, "deposit"), form).status_code == 404
    assert Account.objects.pool_of(people.organization).balance_nanos == 100 * USD


@pytest.mark.parametrize("who", ["charlie", "bob"])
@pytest.mark.parametrize("verb", ["grant", "reclaim"])
def test_no_member_and_no_outsider_moves_credits(
    client: Client, people: People, who: str, verb: str
) -> None:
    client.force_login(getattr(people, who))
    form = {"amount": "5", "operation_id": str(uuid4()), "step": "confirm"}
    assert client.post(url_of(people, verb), form).status_code == 404
    assert Account.objects.wallet_of(people.group).balance_nanos == 10 * USD


def test_the_list_of_organizations_is_for_those_who_administer_one(
    client: Client, people: People
) -> None:
    url = reverse("organizations")
    assert client.get(url)["Location"] == f"/accounts/login/?next={url}"
    client.force_login(people.bob)
    assert client.get(url).status_code == 404
    client.force_login(people.alice)
    assert client.get(url)["Location"] == url_of(people, "organization")


def test_an_admin_of_two_organizations_chooses(client: Client, people: People) -> None:
    create_organization(people.alice, "Second")
    client.force_login(people.alice)
    html = client.get(reverse("organizations")).content.decode()
    assert "Second" in html
    assert "Arden Labs" in html
    assert people.foreign_organization.name not in html


def test_the_operator_finds_an_organization_by_a_part_of_its_name(
    client: Client, people: People
) -> None:
    client.force_login(people.olga)
    html = client.get(reverse("organizations"), {"name": "sons"}).content.decode()
    assert "Crane &amp; Sons" in html
    assert "Arden Labs" not in html
    assert (
        b"No organization of that name"
        in client.get(reverse("organizations"), {"name": "%"}).content
    )


def test_a_long_list_of_organizations_says_that_it_is_cut(client: Client, people: People) -> None:
    Organization.objects.bulk_create(
        Organization(name=f"Tenant {index:03}") for index in range(101)
    )
    client.force_login(User.objects.get(pk=people.olga.pk))
    html = client.get(reverse("organizations")).content.decode()
    assert "There are more" in html
    assert "Tenant 100" not in html
