"""Finding a call by its id: whose call is whose, and every form of an id."""

from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from accounts.key_services import issue_key
from accounts.models import APIKey
from accounts.services import create_group
from gateway.models import CallRecord
from gateway.pages.call_search import parse_digits
from tests.gateway.call_rows import record, rows_of
from tests.gateway.task_rows import add_task
from tests.people import People

NOTHING = "No call or task of your groups has this id"


def forms_of(call: CallRecord) -> list[str]:
    digits = call.pk.hex
    return [f"call_{digits}", f"tsk_{digits}", digits, str(call.pk), f" CALL_{digits.upper()} "]


def test_every_form_of_a_whole_id_leads_to_its_call(
    client: Client, people: People, key: APIKey
) -> None:
    call = record(key)
    record(key)
    client.force_login(people.bob)
    for text in forms_of(call):
        response = client.get(reverse("group_calls", args=[people.group.pk]), {"find": text})
        assert response["Location"] == reverse("call", args=[people.group.pk, call.public_id]), text


def test_a_call_of_another_group_of_ones_own_is_found_from_here(
    client: Client, people: People, key: APIKey
) -> None:
    other = create_group(people.organization, "Second", people.alice)
    call = record(issue_key(other, people.alice, "there")[0])
    url = reverse("group_calls", args=[people.group.pk])
    client.force_login(people.alice)
    assert client.get(url, {"find": call.public_id})["Location"] == reverse(
        "call", args=[other.pk, call.public_id]
    )
    client.force_login(people.bob)
    assert NOTHING in client.get(url, {"find": call.public_id}).content.decode()


def test_what_belongs_to_others_looks_like_what_is_not_there(
    client: Client, people: People, key: APIKey
) -> None:
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    call, task = record(foreign), add_task(foreign)
    client.force_login(people.bob)
    answers = []
    for digits in (call.pk.hex, task.pk.hex, uuid4().hex, call.pk.hex[:30], "0" * 32, "f" * 32):
        response = client.get(reverse("group_calls", args=[people.group.pk]), {"find": digits})
        assert response.status_code == 200
        html = response.content.decode()
        assert rows_of(html) == []
        assert NOTHING in html
        answers.append(html.replace(digits, "ID").replace(f"{digits[:47]}", "ID"))
    assert people.foreign_group.name not in "".join(answers)


def test_a_task_that_has_no_call_yet_is_found_too(
    client: Client, people: People, key: APIKey
) -> None:
    task = add_task(key, status="processing")
    client.force_login(people.bob)
    response = client.get(reverse("group_calls", args=[people.group.pk]), {"find": task.public_id})
    assert response["Location"] == reverse("task", args=[people.group.pk, task.public_id])


def test_a_beginning_leads_to_the_one_call_that_has_it_or_lists_them(
    client: Client, people: People, key: APIKey
) -> None:
    call, near = record(key), record(key)
    far = record(key, 400_000)
    url = reverse("group_calls", args=[people.group.pk])
    client.force_login(people.bob)
    assert client.get(url, {"find": far.pk.hex[:8]})["Location"].endswith(f"/{far.public_id}/")
    assert client.get(url, {"find": f"call_{call.pk.hex[:20]}"})["Location"].endswith(
        f"/{call.public_id}/"
    )
    both = client.get(url, {"find": call.pk.hex[:8]}).content.decode()
    assert set(rows_of(both)) == {call.public_id, near.public_id}
    assert 'id="live"' not in both


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0199", "at least 8 digits"),
        ("call_0199abc", "at least 8 digits"),
        ("hello", "not the id of a call"),
        ("call_" + "0" * 33, "not the id of a call"),
        ("call_call_01234567", "not the id of a call"),
        ("０１２３４５６７", "not the id of a call"),
        ("0123456\x00", "Null characters"),
        ("0" * 10_000, "at most 80 characters"),
    ],
)
def test_what_is_no_id_says_what_an_id_is(
    client: Client, people: People, key: APIKey, text: str, words: str
) -> None:
    record(key)
    client.force_login(people.bob)
    response = client.get(reverse("group_calls", args=[people.group.pk]), {"find": text})
    assert response.status_code == 200
    assert words in response.content.decode()


def test_digits_are_those_of_the_id() -> None:
    assert parse_digits("tsk_0199ABCD-1234") == "0199abcd1234"
    with pytest.raises(ValidationError):
        parse_digits("")
