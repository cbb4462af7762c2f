"""Low-balance alerts by the management API."""

import pytest

from billing import alerts
from billing.notice_models import Notice
from tests.billing.api.asking import USD, error_of
from tests.billing.api.conftest import Askers
from tests.people import People


@pytest.fixture
def path(people: People) -> str:
    return f"groups/{people.group.pk}/alerts"


def test_thresholds_and_recipients_change_apart(people: People, askers: Askers, path: str) -> None:
    changed = askers.alice.patch(path, {"thresholds": ["5", "20", "5.00"]})
    assert [(one["amount"], one["is_armed"]) for one in changed["thresholds"]] == [
        ("20.00", False),
        ("5.00", True),
    ]
    changed = askers.alice.patch(path, {"recipients": [people.alice.pk]})
    assert [one["amount"] for one in changed["thresholds"]] == ["20.00", "5.00"]
    assert [one["email"] for one in changed["recipients"]] == ["alice@example.com"]
    assert changed == askers.alice.get(path)
    assert alerts.read_plan(people.group).thresholds == (20 * USD, 5 * USD)


def test_only_who_may_get_mail_can_be_chosen(people: People, askers: Askers, path: str) -> None:
    for user in (people.bob, people.charlie):
        refused = askers.alice.patch(path, {"recipients": [user.pk]}, 400)
        assert error_of(refused)[1] == "recipients"
    shown = askers.alice.get(path)
    assert shown["recipients"] == []
    assert [one["id"] for one in shown["possible_recipients"]] == [people.alice.pk]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"thresholds": [5]}, "thresholds.0"),
        ({"thresholds": ["1", "2", "3", "4", "5", "6"]}, "thresholds"),
        ({"thresholds": None}, "thresholds"),
        ({"recipients": ["1"]}, "recipients.0"),
        ({"webhook_url": "https://example.com"}, "webhook_url"),
    ],
)
def test_a_bad_setting_is_named(
    askers: Askers, path: str, body: dict[str, object], param: str
) -> None:
    assert error_of(askers.alice.patch(path, body, 400))[1] == param


def test_a_test_is_sent_to_the_recipients(people: People, askers: Askers, path: str) -> None:
    askers.alice.patch(path, {"recipients": [people.alice.pk], "thresholds": ["1"]})
    assert askers.alice.post(f"{path}/test", status=200)["messages"] == 1
    assert Notice.objects.get().user == people.alice
    for _ in range(4):
        askers.alice.post(f"{path}/test", status=200)
    assert error_of(askers.alice.post(f"{path}/test", status=429))[0] == "rate_limited"


def test_alerts_are_for_managers(askers: Askers, path: str) -> None:
    for asker, status in ((askers.charlie, 404), (askers.bob, 403)):
        asker.get(path, status)
        asker.patch(path, {"thresholds": ["1"]}, status)
        asker.post(f"{path}/test", status=status)
