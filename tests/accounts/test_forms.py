"""Names and expiry dates as people type them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.forms import KeyForm, OnboardingForm


def test_a_key_without_a_last_day_stays() -> None:
    form = KeyForm({"name": "ci", "last_day": ""})
    assert form.is_valid()
    assert form.cleaned_data["expires_at"] is None


def test_a_key_ends_with_its_last_day_in_the_viewers_zone() -> None:
    with timezone.override("Asia/Seoul"):
        form = KeyForm({"name": "ci", "last_day": "2999-12-30"})
        assert form.is_valid()
    assert form.cleaned_data["expires_at"].astimezone(UTC) == datetime(2999, 12, 30, 15, tzinfo=UTC)


def test_today_is_a_last_day_and_yesterday_is_not() -> None:
    today = timezone.localdate()
    assert KeyForm({"name": "ci", "last_day": today.isoformat()}).is_valid()
    over = KeyForm({"name": "ci", "last_day": (today - timedelta(days=1)).isoformat()})
    assert over.errors["last_day"] == ["That day is over."]


def test_the_last_day_of_the_calendar_is_refused_not_crashed_on() -> None:
    assert "last_day" in KeyForm({"name": "ci", "last_day": "9999-12-31"}).errors


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x07b", "a\u2028b", "x" * 81])
def test_a_name_that_could_not_be_read_in_a_list_is_refused(name: str) -> None:
    assert "name" in KeyForm({"name": name}).errors


@pytest.mark.parametrize(
    "name", ["고객 지원", "全角\u3000空白", "<script>alert(1)</script>", " ci "]
)
def test_any_writing_is_a_name(name: str) -> None:
    form = KeyForm({"name": name})
    assert form.is_valid()
    assert form.cleaned_data["name"] == name.strip()


def test_onboarding_needs_both_names() -> None:
    form = OnboardingForm({"organization_name": " ", "group_name": "g" * 121})
    assert set(form.errors) == {"organization_name", "group_name"}
