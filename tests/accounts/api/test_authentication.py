"""Which keys and sessions the management API takes."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import key_services
from accounts.api.authentication import INVALID_KEY
from accounts.models import APIKey, Group, User
from tests.management import ManagementClient, manage
from tests.people import People

MANAGE = APIKey.Purpose.MANAGE


def refusal(text: str | None) -> tuple[int, str]:
    answer = ManagementClient(text).get("organizations")
    return answer.status, answer.body["error"]["message"]


def test_a_management_key_works_in_either_header(people: People) -> None:
    _, text = key_services.issue_key(people.group, people.alice, "robot", purpose=MANAGE)
    assert ManagementClient(text).get("organizations").status == 200
    assert ManagementClient().get("organizations", x_api_key=text).status == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key_services.revoke_key(key, None),
        lambda key: APIKey.objects.filter(pk=key.pk).update(expires_at=timezone.now()),
        lambda key: User.objects.filter(pk=key.created_by_id).update(is_active=False),
        lambda key: Group.objects.filter(pk=key.group_id).update(expires_at=timezone.now()),
        lambda key: Group.objects.filter(pk=key.group_id).update(archived_at=timezone.now()),
    ],
    ids=["revoked", "expired", "maker locked out", "group expired", "group archived"],
)
def test_every_key_that_does_not_work_gets_the_same_words(people: People, spoil: object) -> None:
    key, text = key_services.issue_key(people.group, people.alice, "robot", purpose=MANAGE)
    assert refusal_status(text) == 200
    spoil(key)  # type: ignore[operator]
    assert refusal(text) == (401, INVALID_KEY)
    assert refusal(text[:-1] + ("a" if text[-1] != "a" else "b")) == (401, INVALID_KEY)
    assert refusal("nonsense") == (401, INVALID_KEY)


def test_a_key_that_calls_models_does_not_manage(people: People) -> None:
    _, text = key_services.issue_key(people.group, people.alice, "caller")
    answer = ManagementClient(text).get("organizations")
    assert (answer.status, answer.code) == (403, "key_scope")
    _, text = key_services.playground_key(people.group, people.alice)
    assert ManagementClient(text).get("organizations").code == "key_scope"


def test_the_text_before_a_rotation_works_through_its_grace(people: People) -> None:
    key, old = key_services.issue_key(people.group, people.alice, "robot", purpose=MANAGE)
    new = key_services.rotate_key(key, people.alice, timedelta(hours=1))
    assert [refusal_status(text) for text in (old, new)] == [200, 200]
    key_services.end_rotation(key, people.alice)
    assert [refusal_status(text) for text in (old, new)] == [401, 200]


def refusal_status(text: str) -> int:
    return ManagementClient(text).get("organizations").status


def test_only_its_maker_may_rotate_a_management_key(people: People) -> None:
    key, _ = key_services.issue_key(people.group, people.alice, "robot", purpose=MANAGE)
    with pytest.raises(key_services.PermissionDenied):
        key_services.rotate_key(key, people.bob, timedelta())


@pytest.mark.parametrize(
    ("networks", "status"),
    [(["10.0.0.0/8"], 403), (["127.0.0.0/8"], 200), (["127.0.0.1", "::1"], 200)],
)
def test_a_key_keeps_to_its_networks(people: People, networks: list[str], status: int) -> None:
    _, text = key_services.issue_key(
        people.group, people.alice, "robot", purpose=MANAGE, allowed_networks=networks
    )
    answer = ManagementClient(text).get("organizations")
    assert answer.status == status
    assert status == 200 or answer.code == "ip_not_allowed"


def test_a_group_s_networks_hold_for_its_management_keys(people: People) -> None:
    client = manage(people.alice, people.group)
    key_services.restrict_group(people.group, people.alice, allowed_networks=["10.0.0.0/8"])
    assert client.get("organizations").code == "ip_not_allowed"


def test_a_session_reads_and_writes_with_its_token(people: People) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.alice)
    session = ManagementClient(client=browser)
    assert session.get("organizations").status == 200
    path = f"organizations/{people.organization.pk}"
    assert session.patch(path, {"name": "Other"}).status == 403, "without the token"
    browser.get("/accounts/profile/")
    token = browser.cookies["csrftoken"].value
    assert session.patch(path, {"name": "Other"}, X_CSRFToken=token).status == 200


def test_a_session_whose_proof_is_old_only_reads(people: People, settings: object) -> None:
    browser = Client()
    browser.force_login(people.alice)
    session = ManagementClient(client=browser)
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0  # type: ignore[attr-defined]
    assert session.get("organizations").status == 200
    answer = session.patch(f"organizations/{people.organization.pk}", {"name": "Other"})
    assert (answer.status, answer.code) == (403, "reauthentication_required")


def test_nobody_is_told_how_to_sign_in(db: None) -> None:
    answer = ManagementClient().get("organizations")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_operator_without_a_second_factor_is_held_to_it_with_keys_too(
    olga: ManagementClient, alice: ManagementClient, settings: object
) -> None:
    settings.OPERATORS_NEED_MFA = True  # type: ignore[attr-defined]
    assert olga.get("organizations").code == "second_factor_required"
    assert alice.get("organizations").status == 200
