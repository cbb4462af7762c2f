"""Names, expiry dates and networks of keys as people type them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django import forms
from django.utils import timezone

from accounts.key_forms import ExpiryForm, KeyNameForm, NetworksField


def expiry(choice: str, last_day: str = "", current: datetime | None = None) -> ExpiryForm:
    return ExpiryForm({"expiry": choice, "last_day": last_day}, current=current)


def chosen(form: ExpiryForm) -> Any:
    assert form.is_valid(), form.errors
    return form.cleaned_data["expires_at"]


def test_never_is_no_moment() -> None:
    assert chosen(expiry("never", "2999-12-30")) is None


def test_a_number_of_days_counts_from_now() -> None:
    for days in (7, 30, 90):
        distance = chosen(expiry(str(days))) - timezone.now()
        assert timedelta(days=days) - timedelta(minutes=1) < distance <= timedelta(days=days)


def test_a_day_ends_with_itself_in_the_viewers_zone() -> None:
    with timezone.override("Asia/Seoul"):
        end = chosen(expiry("day", "2999-12-30"))
    assert end.astimezone(UTC) == datetime(2999, 12, 30, 15, tzinfo=UTC)


def test_today_is_a_last_day_and_yesterday_is_not() -> None:
    today = timezone.localdate()
    assert expiry("day", today.isoformat()).is_valid()
    over = expiry("day", (today - timedelta(days=1)).isoformat())
    assert over.errors["last_day"] == ["That day is over."]


@pytest.mark.parametrize("day", ["", "9999-12-31", "31.12.2999", "soon"])
def test_what_is_no_day_is_refused_beside_the_field(day: str) -> None:
    assert "last_day" in expiry("day", day).errors


def test_what_is_set_stays_to_the_second_unless_something_else_is_chosen() -> None:
    current = datetime(2999, 5, 4, 3, 2, 1, tzinfo=UTC)
    assert chosen(expiry("stays", current=current)) == current
    assert chosen(expiry("never", current=current)) is None
    assert "expiry" in expiry("stays").errors, "there is nothing that could stay"


@pytest.mark.parametrize("choice", ["", "8", "-1", "tomorrow"])
def test_a_choice_that_is_not_offered_is_refused(choice: str) -> None:
    assert "expiry" in expiry(choice).errors


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x07b", "a\u2028b", "x" * 81])
def test_a_name_that_could_not_be_read_in_a_list_is_refused(name: str) -> None:
    assert "name" in KeyNameForm({"name": name}).errors


@pytest.mark.parametrize(
    "name", ["고객 지원", "全角\u3000空白", "<script>alert(1)</script>", " ci "]
)
def test_any_writing_is_a_name(name: str) -> None:
    form = KeyNameForm({"name": name})
    assert form.is_valid()
    assert form.cleaned_data["name"] == name.strip()


def test_networks_stand_one_a_line_and_blank_lines_are_nothing() -> None:
    field = NetworksField(required=False)
    assert field.clean("10.0.0.0/8\r\n\r\n  2001:db8::1 \n") == ["10.0.0.0/8", "2001:db8::1"]
    assert field.clean("") == []
    assert field.prepare_value(["10.0.0.0/8", "192.0.2.7/32"]) == "10.0.0.0/8\n192.0.2.7/32"


def test_a_line_that_is_no_network_is_named() -> None:
    field = NetworksField(required=False)
    with pytest.raises(forms.ValidationError) as caught:
        field.clean("10.0.0.0/8\n\nlocalhost\n::/129")
    assert caught.value.messages == ["Line 3: “localhost” is no address and no network."]
