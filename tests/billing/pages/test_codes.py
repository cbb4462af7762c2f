"""Redeem codes in the browser: operators make and disable them, managers redeem them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.ids import uuid7
from billing import codes
from billing.models import Account
from billing.promotion_models import Code, CodeBatch, Redemption, WrongCode
from tests.people import People

CODE = re.compile(r"[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}")


def fields(**changes: Any) -> dict[str, Any]:
    in_a_month = timezone.localdate() + timedelta(days=30)
    return {
        "note": "Conference",
        "amount": "5",
        "kind": "wallet",
        "days": "",
        "count": "3",
        "uses": "2",
        "valid_until": in_a_month.isoformat(),
        "operation_id": str(uuid7()),
        **changes,
    }


def make(people: People, **changes: Any) -> list[str]:
    later = timezone.now() + timedelta(days=3)
    offer = codes.Offer("wallet", 5_000_000_000, None, 1, later, "Conference")
    return codes.make_codes(offer._replace(**changes), 1, operation_id=uuid7(), actor=people.olga)


@pytest.mark.parametrize("who", ["charlie", "bob", "alice"])
def test_codes_are_made_by_operators_only(client: Client, people: People, who: str) -> None:
    make(people)
    batch, code = CodeBatch.objects.get(), Code.objects.get()
    client.force_login(getattr(people, who))
    assert client.get(reverse("operator_codes")).status_code == 404
    assert client.post(reverse("operator_codes"), fields()).status_code == 404
    assert client.get(reverse("code_batch", args=[batch.pk])).status_code == 404
    for url in (
        reverse("disable_code_batch", args=[batch.pk]),
        reverse("disable_code", args=[batch.pk, code.pk]),
    ):
        assert client.post(url).status_code == 404
    assert CodeBatch.objects.count() == 1
    assert Code.objects.get().disabled_at is None


def test_codes_are_shown_once_and_as_a_file(client: Client, people: People) -> None:
    client.force_login(people.olga)
    form = fields()
    response = client.post(reverse("operator_codes"), form)
    html = response.content.decode()
    shown = re.search(r'<pre id="new-codes"[^>]*>([^<]+)</pre>', html)
    assert shown
    texts = shown[1].split()
    assert len(set(texts)) == 3
    assert all(CODE.fullmatch(text) for text in texts)
    file = re.search(r'href="data:text/csv;charset=utf-8,([^"]+)" download="([^"]+)\.csv"', html)
    assert file
    assert file[1] == "code%0D%0A" + "%0D%0A".join(texts) + "%0D%0A"
    assert "no-store" in response["Cache-Control"]
    again = client.post(reverse("operator_codes"), form, follow=True).content.decode()
    assert "were made before" in again
    assert Code.objects.count() == 3
    batch = CodeBatch.objects.get()
    for url in (reverse("operator_codes"), reverse("code_batch", args=[batch.pk])):
        html = client.get(url).content.decode()
        assert not any(text in html for text in texts), url


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": "0"}, "must be above zero"),
        ({"amount": "٥"}, "such as 12.50"),
        ({"amount": "9999999999999"}, "more than an account can hold"),
        ({"count": "0"}, "greater than or equal to 1"),
        ({"count": "1001"}, "less than or equal to 1000"),
        ({"uses": "0"}, "greater than or equal to 1"),
        ({"uses": "2147483648"}, "less than or equal to 100000"),
        ({"kind": "gift"}, "Select a valid choice"),
        ({"kind": "promotion"}, "after how many days"),
        ({"kind": "promotion", "days": "3651"}, "less than or equal to 3650"),
        ({"valid_until": "2020-01-01"}, "This day is over."),
        ({"valid_until": "9999-12-31"}, "next ten years"),
        ({"valid_until": "tomorrow"}, "such as 2027-01-31"),
        ({"note": " "}, "This field is required."),
        ({"note": "x" * 201}, "at most 200 characters"),
        ({"operation_id": "nonsense"}, "valid UUID"),
    ],
)
def test_what_makes_no_sense_is_refused_beside_the_field(
    client: Client, people: People, changes: dict[str, str], words: str
) -> None:
    client.force_login(people.olga)
    response = client.post(reverse("operator_codes"), fields(**changes))
    assert response.status_code == 422
    assert words in response.content.decode()
    assert not CodeBatch.objects.exists()


def test_days_are_kept_for_promotional_credits_only(client: Client, people: People) -> None:
    client.force_login(people.olga)
    client.post(reverse("operator_codes"), fields(days="30"))
    client.post(reverse("operator_codes"), fields(days="30", kind="promotion", note="Trial"))
    kept = dict(CodeBatch.objects.values_list("note", "days"))
    assert kept == {"Conference": None, "Trial": 30}


def test_an_operator_disables_one_and_all(client: Client, people: People) -> None:
    client.force_login(people.olga)
    client.post(reverse("operator_codes"), fields())
    batch, code = CodeBatch.objects.get(), Code.objects.order_by("pk")[0]
    page = reverse("code_batch", args=[batch.pk])
    assert client.post(reverse("disable_code", args=[batch.pk, code.pk]))["Location"] == page
    assert Code.objects.filter(disabled_at=None).count() == 2
    client.post(reverse("disable_code_batch", args=[batch.pk]))
    assert not Code.objects.filter(disabled_at=None).exists()
    html = client.get(page).content.decode()
    assert html.count(">Disabled</span>") == 3
    assert "Disable all" not in html


def test_a_code_of_another_batch_is_not_disabled_through_this_one(
    client: Client, people: People
) -> None:
    make(people)
    make(people)
    first, second = CodeBatch.objects.order_by("created_at")
    client.force_login(people.olga)
    stranger = second.codes.get()
    url = reverse("disable_code", args=[first.pk, stranger.pk])
    assert client.post(url).status_code == 404


@pytest.mark.parametrize(("who", "status"), [("charlie", 404), ("bob", 404), ("alice", 200)])
def test_managers_redeem(client: Client, people: People, who: str, status: int) -> None:
    [text] = make(people)
    client.force_login(getattr(people, who))
    url = reverse("redeem", args=[people.group.pk])
    assert client.get(url).status_code == status
    response = client.post(url, {"code": text, "operation_id": str(uuid7())})
    balance = Account.objects.wallet_of(people.group).balance_nanos
    if status == 200:
        assert response["Location"] == reverse("group_credits", args=[people.group.pk])
        assert balance == 5_000_000_000
        batch = CodeBatch.objects.get()
        client.force_login(people.olga)
        html = client.get(reverse("code_batch", args=[batch.pk])).content.decode()
        assert "Alice Arden" in html
        assert "Used up" in html
    else:
        assert response.status_code == 404
        assert balance == 0


def test_a_double_click_redeems_once_and_says_so_twice(client: Client, people: People) -> None:
    [text] = make(people, kind="pool")
    client.force_login(people.alice)
    form = {"code": text.lower().replace("-", " "), "operation_id": str(uuid7())}
    for _ in range(2):
        response = client.post(reverse("redeem", args=[people.group.pk]), form, follow=True)
        assert "$5.00 redeemed for the pool of “Arden Labs”." in response.content.decode()
    assert Redemption.objects.count() == 1
    assert Account.objects.pool_of(people.organization).balance_nanos == 5_000_000_000


def test_guessing_tells_nothing(client: Client, people: People) -> None:
    """Unknown, used up, disabled and expired: the same words."""
    [used] = make(people)
    codes.redeem(used, people.foreign_group, operation_id=uuid7(), actor=people.charlie)
    [expired] = make(people, valid_until=timezone.now() - timedelta(seconds=1))
    [disabled] = make(people)
    codes.disable_codes(Code.objects.get(last_four=disabled[-4:]).batch, people.olga)
    client.force_login(people.alice)
    answers = set()
    for text in (used, expired, disabled, codes.mint_code(), "nonsense", "' OR 1=1"):
        form = {"code": text, "operation_id": "01900000-0000-7000-8000-000000000000"}
        response = client.post(reverse("redeem", args=[people.group.pk]), form)
        assert response.status_code == 422
        found = re.search(r'class="field-error"[^>]*>(.+?)</div>', response.content.decode(), re.S)
        assert found
        answers.add(found[1])
    assert len(answers) == 1
    assert "cannot be redeemed" in answers.pop()
    assert WrongCode.objects.count() == 6


def test_too_many_wrong_codes_are_told(client: Client, people: People) -> None:
    [text] = make(people)
    client.force_login(people.alice)
    url = reverse("redeem", args=[people.group.pk])
    for _ in range(codes.GUESSES_MAX):
        client.post(url, {"code": codes.mint_code(), "operation_id": str(uuid7())})
    response = client.post(url, {"code": text, "operation_id": str(uuid7())})
    assert "Try again in an hour." in response.content.decode()
    assert not Redemption.objects.exists()


@pytest.mark.parametrize(
    "form",
    [
        {"code": "", "operation_id": "01900000-0000-7000-8000-000000000000"},
        {"code": "x" * 101, "operation_id": "01900000-0000-7000-8000-000000000000"},
        {"code": "0123-4567-89AB-CDEF"},
        {"code": "0123\x004567", "operation_id": "01900000-0000-7000-8000-000000000000"},
    ],
)
def test_a_form_that_is_not_complete_is_no_guess(
    client: Client, people: People, form: dict[str, str]
) -> None:
    client.force_login(people.alice)
    assert client.post(reverse("redeem", args=[people.group.pk]), form).status_code == 422
    assert not WrongCode.objects.exists()
