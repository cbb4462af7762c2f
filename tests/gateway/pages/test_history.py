"""What the pages read from the records of calls."""

from datetime import timedelta

import pytest
from django.db import connection

from accounts.key_services import issue_key
from accounts.models import APIKey
from gateway.pages import history
from tests.gateway.pages.dated_calls import NOW, record_many
from tests.gateway.pages.dated_calls import record_at as record
from tests.people import People


def test_a_page_changes_its_fingerprint_when_a_late_call_takes_its_place(
    people: People, key: APIKey
) -> None:
    rows = [record(key, NOW - timedelta(minutes=index)) for index in range(3)]
    before = history.fingerprint(rows)
    assert before == history.fingerprint(list(rows))
    late = record(key, NOW - timedelta(seconds=90))
    assert history.fingerprint([rows[0], rows[1], late]) != before


def test_models_and_error_codes_to_choose_from_are_all_that_the_group_ever_met(
    people: People, key: APIKey
) -> None:
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    record(foreign, NOW, model="his/model", error_code="his_error", status="refused")
    for model, code in (("b/two", ""), ("a/one", "lost_it"), ("b/two", "a_code"), ("", "")):
        record(key, NOW, model=model, error_code=code)
    assert history.called_models(people.group) == ["a/one", "b/two"]
    assert history.error_codes(people.group) == ["a_code", "lost_it"]
    assert history.called_models(people.foreign_group) == ["his/model"]


def test_a_group_that_named_very_many_models_is_offered_a_bounded_choice(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHOICES_MAX", 3)
    for index in range(5):
        record(key, NOW, model=f"made/up-{index}")
    assert history.called_models(people.group) == ["made/up-0", "made/up-1", "made/up-2"]


def test_names_to_choose_from_are_jumped_to_along_their_index(people: People, key: APIKey) -> None:
    record_many(key, 4000, lambda n: {"model": f"a/{n % 5}", "error_code": "x" if n % 7 else ""})
    with connection.cursor() as cursor:
        for statement, index in (
            (history.DISTINCT_MODELS, "gateway_callrecord_of_model"),
            (history.DISTINCT_ERRORS, "gateway_callrecord_of_error"),
        ):
            cursor.execute(f"EXPLAIN {statement}", {"group": people.group.pk, "most": 200})
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert index in plan, plan
            assert "Seq Scan" not in plan, plan


def test_the_neighbours_of_a_call_stand_around_it(people: People, key: APIKey) -> None:
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    calls = [record(key, NOW + timedelta(seconds=index)) for index in range(9)]
    record(foreign, NOW + timedelta(seconds=4, milliseconds=500))
    assert history.neighbours(calls[4], people.group) == calls[1:8][::-1]
    assert history.neighbours(calls[0], people.group) == calls[:4][::-1]
    assert history.neighbours(calls[8], people.group) == calls[5:][::-1]


def test_the_id_of_a_call_tells_when_it_began(people: People, key: APIKey) -> None:
    assert history.moment_of(record(key, NOW).pk) == NOW
