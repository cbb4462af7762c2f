"""The link that stops mail about a balance."""

import re

import pytest
from django.core import mail
from django.test import Client

from accounts import membership_services, services
from accounts.models import Change
from billing.alert_mail import send_mail
from billing.alerts import AlertPlan, check_balances, read_plan, save_plan
from billing.models import Account
from billing.unsubscribing import read_token, stop_path
from tests.people import People, fund

USD = 10**9


@pytest.fixture
def link(people: People) -> str:
    """The path of the link in a mail to Alice."""
    fund(people, pool_nanos=USD, wallet_nanos=10 * USD)
    plan = AlertPlan((5 * USD,), (people.alice,))
    save_plan(people.group, plan, base_url="https://gate.example", actor=people.alice)
    Account.objects.filter(group=people.group).update(balance_nanos=4 * USD)
    check_balances()
    send_mail()
    [sent] = mail.outbox
    assert sent.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.fullmatch(r"<https://gate\.example(/\S+)>", sent.extra_headers["List-Unsubscribe"])
    assert found
    return found[1]


def receivers(people: People) -> list[str]:
    return [user.email for user in read_plan(people.group).recipients]


def test_a_mail_program_stops_it_by_one_post_without_cookies(people: People, link: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(link, {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert "no more mail about the balance" in answer.content.decode()
    assert receivers(people) == []
    assert Change.objects.get(verb="alerts.mail_stopped").actor == people.alice
    assert strict.post(link).status_code == 200, "a second time as well"


def test_a_mail_program_that_opens_the_link_stops_nothing(people: People, link: str) -> None:
    page = Client().get(link).content.decode()
    assert "alice@example.com" in page
    assert f'<form method="post" action="{link}">' in page
    assert receivers(people) == ["alice@example.com"]


@pytest.mark.parametrize("spoil", [lambda at: at[:-2] + "/", lambda at: at.replace(":", "x:", 1)])
def test_a_link_that_was_not_made_here_stops_nothing(people: People, link: str, spoil) -> None:
    assert Client().post(spoil(link)).status_code == 404
    assert receivers(people) == ["alice@example.com"]


def test_the_links_of_two_people_differ(people: People, link: str) -> None:
    membership_services.change_group_role(people.group, people.bob, "manager", actor=people.alice)
    theirs = stop_path(people.group, people.bob)
    assert theirs != link
    assert read_token(theirs.split("/")[-2]) == (people.group, people.bob)


def test_who_gets_no_mail_any_more_learns_nothing_by_an_old_link(people: People) -> None:
    membership_services.change_group_role(people.group, people.bob, "manager", actor=people.alice)
    old = stop_path(people.group, people.bob)
    assert Client().get(old).status_code == 200
    membership_services.remove_from_organization(
        people.organization, people.bob, actor=people.alice
    )
    services.rename_group(people.group, "Secret Project X", actor=people.alice)
    assert b"Secret Project X" not in Client().get(old).content
