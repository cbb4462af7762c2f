"""Chips of the filters that are set."""

from django.http import QueryDict

from accounts.models import APIKey
from gateway.pages.chips import list_chips
from gateway.pages.forms import CallFilterForm
from tests.people import People


def chips_of(people: People, query: str) -> list[tuple[str, str, str]]:
    form = CallFilterForm(QueryDict(query), people.group)
    form.is_valid()
    return [(chip.label, chip.value, chip.rest) for chip in list_chips(form)]


def test_no_filter_no_chip(people: People) -> None:
    assert chips_of(people, "") == []
    assert chips_of(people, "source=task&size=25&key=") == []


def test_each_chip_takes_off_its_own_filter_alone(people: People, key: APIKey) -> None:
    query = f"source=api&key={key.pk}&status=lost&status=refused&stream=no&size=25"
    assert chips_of(people, query) == [
        ("Key", "ci", "source=api&status=lost&status=refused&stream=no&size=25"),
        ("Status", "Lost", f"source=api&key={key.pk}&status=refused&stream=no&size=25"),
        ("Status", "Refused", f"source=api&key={key.pk}&status=lost&stream=no&size=25"),
        (
            "Streaming",
            "Not streamed",
            f"source=api&key={key.pk}&status=lost&status=refused&size=25",
        ),
    ]
    assert chips_of(people, "status=lost") == [("Status", "Lost", "")]


def test_amounts_durations_and_spans_are_said_in_words(people: People) -> None:
    chips = chips_of(
        people,
        "charge_min=0.5&duration_min=2.50&period=custom&since=2026-11-01T09:00&until=2026-11-02T10:30",
    )
    assert [chip[:2] for chip in chips] == [
        ("Time", "1 Nov 2026, 09:00 to 2 Nov 2026, 10:30"),
        ("Charged at least, USD", "$0.50"),
        ("Took at least, seconds", "2.5 s"),
    ]
    assert chips[0][2] == "charge_min=0.5&duration_min=2.50"


def test_what_was_refused_can_be_taken_off_too(people: People) -> None:
    [chip] = chips_of(people, "charge_min=" + "x" * 500)
    assert (len(chip[1]) <= 48, chip[2]) == (True, "")
