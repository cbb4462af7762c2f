"""Pages about money: for each, a stranger, an outsider, a member, an admin and the operator."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Change
from billing import ledger, promotions
from billing.models import Account, HoldOwner, Transfer
from tests.billing import bank
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


# Adjusting, promoting, refunding: for operators


def charge(people: People, amount: int) -> UUID:
    """A call of Alice's group that cost as much."""
    call_id, wallet = uuid7(), Account.objects.wallet_of(people.group).pk
    owner = HoldOwner.objects.create().pk
    with connection.cursor() as cursor:
        for batch in (
            ((), (bank.Hold(call_id, wallet, amount),)),
            ((bank.Settle(call_id, wallet, amount),), ()),
        ):
            cursor.execute(bank.APPLY, bank.apply_arguments(owner, *batch))
    return call_id


@pytest.mark.parametrize("who", ["charlie", "bob", "alice"])
def test_only_operators_adjust_promote_and_refund(client: Client, people: People, who: str) -> None:
    call_id = charge(people, USD)
    client.force_login(getattr(people, who))
    ids = [people.organization.pk, people.group.pk]
    for url in (
        reverse("adjust", args=ids),
        reverse("adjust", args=ids[:1]),
        reverse("promote", args=ids),
        reverse("refund", args=[call_id]),
    ):
        form = {"amount": "5", "reason": "x", "operation_id": str(uuid4()), "step": "confirm"}
        form |= {"direction": "up", "expires_on": "2099-01-01"}
        assert client.get(url).status_code == 404, url
        assert client.post(url, form).status_code == 404, url
    assert Account.objects.wallet_of(people.group).balance_nanos == 9 * USD


@pytest.mark.parametrize(
    ("direction", "amount", "left", "question"),
    [
        ("up", "2.50", 12_500_000_000, "Add $2.50 to “Research”."),
        ("down", "2.50", 7_500_000_000, "Take $2.50 from “Research”."),
    ],
)
def test_a_wallet_is_adjusted_in_both_directions(
    client: Client, people: People, direction: str, amount: str, left: int, question: str
) -> None:
    client.force_login(people.olga)
    url = reverse("adjust", args=[people.organization.pk, people.group.pk])
    html, form = review(client, url, {"direction": direction, "amount": amount, "reason": "Agreed"})
    assert question in html
    client.post(url, form)
    client.post(url, form)
    assert Account.objects.wallet_of(people.group).balance_nanos == left
    line = Change.objects.get(verb="credits.adjusted")
    assert (line.actor, line.after["reason"]) == (people.olga, "Agreed")
    assert line.after["amount_nanos"] == left - 10 * USD


def test_a_pool_is_adjusted_and_never_below_zero(client: Client, people: People) -> None:
    client.force_login(people.olga)
    url = reverse("adjust", args=[people.organization.pk])
    form = {"direction": "down", "amount": "100.01", "reason": "Agreed"}
    response = client.post(url, form | {"step": "review"}, headers=HTMX)
    assert "$100.01 is more than can be moved: $100.00." in response.content.decode()
    _html, confirmed = review(client, url, form | {"amount": "100"})
    client.post(url, confirmed)
    assert Account.objects.pool_of(people.organization).balance_nanos == 0


@pytest.mark.parametrize("name", ["adjust", "promote", "refund"])
def test_what_operators_do_needs_a_reason(client: Client, people: People, name: str) -> None:
    client.force_login(people.olga)
    call_id = charge(people, USD)
    ids = [call_id] if name == "refund" else [people.organization.pk, people.group.pk]
    form = {"amount": "1", "reason": "  ", "direction": "up", "expires_on": "2030-01-01"}
    before = Transfer.objects.count()
    for step in ("review", "confirm"):
        values = form | {"step": step, "operation_id": str(uuid4())}
        response = client.post(reverse(name, args=ids), values, headers=HTMX)
        assert response.status_code == 422
        assert "This field is required." in response.content.decode()
    assert Transfer.objects.count() == before


def test_a_call_is_refunded_in_part_and_once(client: Client, people: People) -> None:
    call_id = charge(people, 4 * USD)
    client.force_login(people.olga)
    url = reverse("refund", args=[call_id])
    page = client.get(url).content.decode()
    assert 'value="4.00"' in page, "all of it unless less is typed"
    response = client.post(
        url, {"amount": "4.01", "reason": "Slow", "step": "review"}, headers=HTMX
    )
    assert "$4.01 is more than can be moved: $4.00." in response.content.decode()
    _html, form = review(client, url, {"amount": "1.50", "reason": "Slow"})
    response = client.post(url, form)
    assert response["Location"].endswith(f"/calls/call_{call_id.hex}/")
    made = Transfer.objects.get(kind="refund")
    assert (made.call_id, made.amount_nanos) == (call_id, 1_500_000_000)
    assert Account.objects.wallet_of(people.group).balance_nanos == 7_500_000_000
    line = Change.objects.get(verb="call.refunded")
    assert (line.group_id, line.after["call"]) == (people.group.pk, f"call_{call_id.hex}")
    page = client.get(url).content.decode()
    assert "$1.50 of this call was refunded before" in page
    _form = {"amount": "1", "reason": "x", "operation_id": str(uuid4()), "step": "confirm"}
    assert client.post(url, _form).status_code == 422
    assert Transfer.objects.filter(kind="refund").count() == 1


def test_a_call_that_was_charged_nothing_has_no_refund(client: Client, people: People) -> None:
    client.force_login(people.olga)
    assert client.get(reverse("refund", args=[uuid7()])).status_code == 404
    deposit = Transfer.objects.get(kind="deposit")
    assert client.get(reverse("refund", args=[deposit.pk])).status_code == 404


# Once


def test_a_second_tab_that_shows_the_balances_of_before_moves_nothing_more(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "grant")
    tabs = [operation_id(client.get(url)) for _ in range(2)]
    assert tabs[0] == tabs[1]
    for _ in tabs:
        _html, form = review(client, url, {"amount": "3", "operation_id": tabs[0]})
        client.post(url, form)
    assert Account.objects.wallet_of(people.group).balance_nanos == 13 * USD
    _html, form = review(client, url, {"amount": "4", "operation_id": tabs[1]})
    response = client.post(url, form, headers=HTMX)
    assert "used for another move before" in response.content.decode()
    again = operation_id(response)
    assert again != tabs[0]
    _html, form = review(client, url, {"amount": "4", "operation_id": again})
    client.post(url, form)
    assert Account.objects.wallet_of(people.group).balance_nanos == 17 * USD


def test_the_same_amount_can_be_granted_again_from_a_new_page(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "grant")
    for _ in range(2):
        opened = operation_id(client.get(url))
        _html, form = review(client, url, {"amount": "3", "operation_id": opened})
        client.post(url, form)
    assert Account.objects.wallet_of(people.group).balance_nanos == 16 * USD


def test_going_back_to_the_review_page_and_confirming_again_moves_once(
    client: Client, people: People
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "grant")
    opened = operation_id(client.get(url))
    for _ in range(3):
        _html, form = review(client, url, {"amount": "3", "operation_id": opened})
        client.post(url, form)
    assert Account.objects.wallet_of(people.group).balance_nanos == 13 * USD


def test_nobody_can_use_up_the_id_of_somebody_elses_move(client: Client, people: People) -> None:
    ids = set()
    for user in (people.alice, people.olga):
        client.force_login(user)
        ids.add(operation_id(client.get(url_of(people, "grant"))))
    assert len(ids) == 2


@pytest.mark.parametrize("operation", ["", "nonsense", "1" * 5_000, "\x00"])
def test_a_confirmation_without_an_operation_id_moves_nothing(
    client: Client, people: People, operation: str
) -> None:
    client.force_login(people.alice)
    url = url_of(people, "grant")
    response = client.post(url, {"amount": "1", "operation_id": operation, "step": "confirm"})
    assert response.status_code == 422
    assert Account.objects.wallet_of(people.group).balance_nanos == 10 * USD


@pytest.mark.parametrize("amount", ["4611686018.427387903", "4611686018.427387904", "9" * 40])
def test_what_no_account_can_hold_is_refused_in_words(
    client: Client, people: People, amount: str
) -> None:
    client.force_login(people.olga)
    url = url_of(people, "deposit")
    for _ in range(4):
        opened = operation_id(client.get(url))
        form = {"amount": amount, "reason": "", "operation_id": opened, "step": "confirm"}
        response = client.post(url, form, headers=HTMX)
    assert response.status_code == 422
    assert (
        "account can hold" in response.content.decode()
        or "cannot hold" in response.content.decode()
    )


@pytest.mark.parametrize(
    "amount", ["١٢", "１２", "12,50", "1e3", "0x10", "NaN", "--1", "1 000", "½"]
)
def test_other_spellings_are_refused_with_an_example(
    client: Client, people: People, amount: str
) -> None:
    client.force_login(people.alice)
    response = client.post(
        url_of(people, "grant"), {"amount": amount, "step": "review"}, headers=HTMX
    )
    assert response.status_code == 422
    words = response.content.decode()
    assert "such as 12.50" in words or "above zero" in words


def test_the_dialog_of_a_reclaim_says_what_stays(client: Client, people: People) -> None:
    promotions.promote(
        people.group,
        2 * USD,
        expires_at=timezone.now() + timedelta(days=1),
        operation_id=uuid7(),
        actor=people.olga,
        reason="Welcome",
    )
    Account.objects.filter(group=people.group).update(held_nanos=3 * USD)
    client.force_login(people.alice)
    html = client.get(url_of(people, "reclaim"), headers=HTMX).content.decode()
    assert "Held for running calls" in html
    assert "Promotional, stays in the wallet" in html
    assert "At most $9.00 can be moved." in html


def operation_id(response: HttpResponse) -> str:
    found = re.search(r'name="operation_id" value="([^"]+)"', response.content.decode())
    assert found, response.content.decode()[:3000]
    return found[1]


def review(client: Client, url: str, values: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The page that asks whether it is right, and the form in it."""
    response = client.post(url, values | {"step": "review"}, headers=HTMX)
    html = response.content.decode()
    assert response.status_code == 200, html
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))
    fields.pop("csrfmiddlewaretoken", None)
    return html, fields | {"step": "confirm"}
