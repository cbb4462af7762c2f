"""Keys by the management API: issued, listed, changed, rotated, revoked."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import key_services, keys, membership_services
from accounts.api.authentication import find_key
from accounts.models import APIKey, Change, Group, User
from billing.models import Limit
from tests.billing.api.asking import USD, Asker, asker_of, browser_of, error_of
from tests.billing.api.conftest import Askers
from tests.people import People

SETTINGS = {
    "name": "ci",
    "allowed_models": ["openai/gpt-5.5", "anthropic/*"],
    "allowed_networks": ["10.1.2.3/8"],
    "expires_at": "2030-01-01T09:00:00+09:00",
    "limits": {"month_usd": "25", "requests_per_minute": 60},
}


@pytest.fixture
def path(people: People) -> str:
    return f"groups/{people.group.pk}/keys"


def test_a_key_is_issued_with_all_its_settings_and_shown_once(askers: Askers, path: str) -> None:
    made = askers.bob.post(path, SETTINGS)
    key = APIKey.objects.get(pk=made["id"])
    assert made["secret"] == made["key"]
    assert keys.digest(made["secret"], settings.KEY_PEPPER) == bytes(key.digest)
    assert (made["scope"], made["state"]) == ("call", "active")
    assert made["allowed_networks"] == ["10.0.0.0/8"]
    assert made["expires_at"] == "2030-01-01T00:00:00Z"
    assert (made["limits"]["month_usd"], made["limits"]["requests_per_minute"]) == ("25.00", 60)
    assert Limit.objects.get(api_key=key).month_nanos == 25 * USD
    shown = askers.bob.get(f"{path}/{made['id']}")
    assert "secret" not in shown
    assert "key" not in shown
    assert shown == {name: made[name] for name in shown}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "x", "scope": "admin"}, "scope"),
        ({"name": "x", "allowed_models": "openai/gpt-5.5"}, "allowed_models"),
        ({"name": "x", "allowed_models": ["no model!"]}, "allowed_models"),
        ({"name": "x", "allowed_networks": ["somewhere"]}, "allowed_networks"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": 5}, "expires_at"),
        ({"name": "x", "limits": {"month_usd": 5}}, "limits.month_usd"),
        ({"name": "x", "limits": {"month_usd": "-5"}}, "limits.month_usd"),
        ({"name": "x", "limits": {"requests_per_minute": 1.5}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"month": "5"}}, "limits.month"),
        ({"name": "x", "limit": {}}, "limit"),
        ({"name": "x", "scope": "manage", "allowed_models": ["openai/*"]}, "allowed_models"),
        ({"name": "x", "scope": "manage", "limits": {"day_usd": "1"}}, "limits"),
    ],
)
def test_a_bad_setting_is_named_and_no_key_is_made(
    askers: Askers, path: str, body: dict[str, Any], param: str
) -> None:
    before = APIKey.objects.count()
    assert error_of(askers.alice.post(path, body, 400)) == ("invalid_request_error", param)
    assert APIKey.objects.count() == before


def test_the_same_idempotency_key_issues_one_key(askers: Askers, path: str) -> None:
    headers = {"Idempotency-Key": "deploy-1"}
    first = askers.alice.send("POST", path, SETTINGS, **headers)
    again = askers.alice.send("POST", path, SETTINGS, **headers)
    assert first.content == again.content
    assert again["Idempotency-Replayed"] == "true"
    other = askers.alice.post(path, SETTINGS | {"name": "other"}, 409, **headers)
    assert error_of(other) == ("idempotency_conflict", "Idempotency-Key")
    wider = askers.alice.post(path, SETTINGS | {"limits": {}}, 409, **headers)
    assert error_of(wider) == ("idempotency_conflict", "Idempotency-Key")
    assert APIKey.objects.filter(name="ci").count() == 1


def test_a_repeat_that_comes_late_is_told_which_key_it_was(askers: Askers, path: str) -> None:
    headers = {"Idempotency-Key": "deploy-1"}
    made = askers.alice.post(path, SETTINGS, **headers)
    past = timezone.now() - 2 * key_services.REPEAT
    APIKey.objects.filter(pk=made["id"]).update(created_at=past)
    refused = askers.alice.post(path, SETTINGS, 409, **headers)
    assert made["id"] in refused["error"]["message"]
    assert made["secret"] not in str(refused)


def test_a_management_key_is_issued_and_works(people: People, askers: Askers, path: str) -> None:
    made = browser_of(people.bob).post(path, {"name": "deploy", "scope": "manage"})
    assert made["scope"] == "manage"
    assert Asker(made["secret"]).get(path)["data"][0]["id"] == made["id"]
    listed = askers.bob.get(path, scope="manage", created_by=str(people.bob.pk))["data"]
    assert [row["name"] for row in listed] == ["deploy", "manages"]
    call = askers.bob.post(path, {"name": "calls"})
    assert error_of(Asker(call["secret"]).get(path, 403)) == ("key_scope", None)


def test_a_member_sees_no_settings_of_others_keys(askers: Askers, path: str) -> None:
    made = askers.alice.post(path, SETTINGS)
    seen = askers.bob.get(f"{path}/{made['id']}")
    assert (seen["name"], seen["created_by"]["name"]) == ("ci", "Alice Arden")
    hidden = ("masked", "allowed_models", "allowed_networks", "limits")
    assert [seen[name] for name in hidden] == [None] * 4
    own = askers.bob.post(path, SETTINGS)
    assert askers.alice.get(f"{path}/{own['id']}")["limits"]["month_usd"] == "25.00"


def test_who_may_change_a_key(people: People, askers: Askers, path: str) -> None:
    """Statuses for the outsider, the member, the admin."""
    made = askers.alice.post(path, {"name": "ci"})
    here = f"{path}/{made['id']}"
    for method, place, body, good in (
        ("PATCH", here, {"name": "renamed"}, 200),
        ("GET", f"{here}/limits", None, 200),
        ("PATCH", f"{here}/limits", {"day_usd": "1"}, 200),
        ("POST", f"{here}/rotate", {}, 201),
        ("POST", f"{here}/rotate/end", {}, 200),
        ("POST", f"{here}/revoke", {}, 200),
        ("DELETE", here, {}, 204),
    ):
        changes = Change.objects.count()
        assert askers.charlie.send(method, place, body).status_code == 404, place
        assert askers.bob.send(method, place, body).status_code == 403, place
        assert Change.objects.count() == changes
        assert askers.alice.send(method, place, body).status_code == good, place
    assert askers.charlie.send("POST", path, {"name": "mine"}).status_code == 404


def test_a_key_of_another_group_is_not_found(people: People, askers: Askers, path: str) -> None:
    foreign = askers.charlie.post(f"groups/{people.foreign_group.pk}/keys", {"name": "theirs"})
    askers.alice.get(f"{path}/{foreign['id']}", 404)
    assert askers.alice.send("DELETE", f"{path}/{foreign['id']}").status_code == 404
    assert APIKey.objects.get(pk=foreign["id"]).revoked_at is None


def test_what_is_named_changes_and_the_rest_stays(askers: Askers, path: str) -> None:
    made = askers.alice.post(path, SETTINGS)
    here = f"{path}/{made['id']}"
    changed = askers.alice.patch(here, {"limits": {"month_usd": None, "day_usd": "1.5"}})
    assert changed["limits"] == {
        "requests_per_minute": 60,
        "tokens_per_minute": None,
        "concurrent_calls": None,
        "day_usd": "1.50",
        "month_usd": None,
        "lifetime_usd": None,
    }
    assert changed["allowed_models"] == SETTINGS["allowed_models"]
    everything = {"name": "n", "allowed_models": [], "allowed_networks": [], "expires_at": None}
    changed = askers.alice.patch(here, everything | {"limits": {"day_usd": "2"}})
    assert {name: changed[name] for name in everything} == everything
    assert changed["limits"]["day_usd"] == "2.00"


def test_a_change_that_is_wrong_in_one_part_changes_nothing(askers: Askers, path: str) -> None:
    made = askers.alice.post(path, SETTINGS)
    here = f"{path}/{made['id']}"
    body = {"name": "new", "limits": {"day_usd": "1"}, "allowed_networks": ["nowhere"]}
    assert error_of(askers.alice.patch(here, body, 400))[1] == "allowed_networks"
    assert askers.alice.get(here) == {
        name: made[name] for name in made if name not in ("secret", "key")
    }


def test_a_management_key_takes_nothing_about_calls(people: People, path: str) -> None:
    alice = browser_of(people.alice)
    made = alice.post(path, {"name": "deploy", "scope": "manage"})
    here = f"{path}/{made['id']}"
    refused = alice.patch(here, {"limits": {"day_usd": "1"}}, 400)
    assert error_of(refused)[1] == "limits"
    alice.patch(f"{here}/limits", {"day_usd": "1"}, 400)
    changed = alice.patch(here, {"name": "n", "allowed_networks": ["127.0.0.0/8"]})
    assert changed["allowed_networks"] == ["127.0.0.0/8"]


def test_a_key_issues_and_changes_no_management_keys(
    people: People, askers: Askers, path: str
) -> None:
    refused = askers.alice.post(path, {"name": "deploy", "scope": "manage"}, 403)
    assert error_of(refused) == ("key_scope", None)
    key = APIKey.objects.get(created_by=people.alice, name="manages")
    refused = askers.alice.patch(f"{path}/{key.pk}", {"expires_at": None}, 403)
    assert error_of(refused) == ("key_scope", None)
    assert askers.alice.post(f"{path}/{key.pk}/revoke", status=200)["state"] == "revoked"


def test_a_rotation_answers_another_secret_and_lets_the_old_one_end(
    people: People, askers: Askers, path: str
) -> None:
    made = browser_of(people.alice).post(path, {"name": "deploy", "scope": "manage"})
    here = f"{path}/{made['id']}"
    alice = browser_of(people.alice)
    turned = alice.post(f"{here}/rotate", {"grace_s": 3600})
    assert turned["secret"] != made["secret"]
    assert turned["rotating_until"] > turned["rotated_at"]
    assert find_key(made["secret"])
    assert find_key(turned["secret"])
    askers.alice.post(f"{here}/rotate/end", status=200)
    assert find_key(made["secret"]) is None
    assert find_key(turned["secret"])
    at_once = alice.post(f"{here}/rotate", {"grace_s": 0})
    assert find_key(turned["secret"]) is None
    assert find_key(at_once["secret"])


@pytest.mark.parametrize("grace", [-1, 7 * 86_400 + 1, "1", 1.5, None])
def test_a_bad_grace_is_named(askers: Askers, path: str, grace: object) -> None:
    made = askers.alice.post(path, {"name": "ci"})
    refused = askers.alice.post(f"{path}/{made['id']}/rotate", {"grace_s": grace}, 400)
    assert error_of(refused)[1] == "grace_s"


def test_a_rotation_that_is_sent_again_keeps_the_secret_in_use(people: People, path: str) -> None:
    alice = browser_of(people.alice)
    made = alice.post(path, {"name": "deploy", "scope": "manage"})
    here, headers = f"{path}/{made['id']}/rotate", {"Idempotency-Key": "turn"}
    first = alice.send("POST", here, {}, **headers)
    again = alice.send("POST", here, {}, **headers)
    assert again.json()["secret"] == first.json()["secret"]
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert find_key(made["secret"])
    other = alice.post(here, {}, **{"Idempotency-Key": "another"})
    assert other["secret"] != first.json()["secret"]


def test_a_management_key_is_rotated_by_its_maker_alone(people: People, path: str) -> None:
    alice, bob = browser_of(people.alice), browser_of(people.bob)
    made = bob.post(path, {"name": "deploy", "scope": "manage"})
    here = f"{path}/{made['id']}"
    assert error_of(alice.post(f"{here}/rotate", {}, 403))[0] == "forbidden"
    bob.post(f"{here}/rotate", {})
    assert alice.post(f"{here}/revoke", status=200)["state"] == "revoked"
    bob.post(f"{here}/rotate", {}, 400)


def test_a_revoked_key_stays_in_the_list_and_is_not_rotated(askers: Askers, path: str) -> None:
    made = askers.alice.post(path, {"name": "ci"})
    here = f"{path}/{made['id']}"
    assert askers.alice.send("DELETE", here).status_code == 204
    assert askers.alice.get(here)["state"] == "revoked"
    askers.alice.post(f"{here}/rotate", {}, 400)
    usable = askers.alice.get(path, usable="true", name="C")["data"]
    over = askers.alice.get(path, usable="false", name="C")["data"]
    assert (usable, [row["id"] for row in over]) == ([], [made["id"]])


def test_the_playgrounds_keys_are_no_business_of_the_api(
    people: People, askers: Askers, path: str
) -> None:
    key, _ = key_services.playground_key(people.group, people.alice)
    assert str(key.pk) not in [row["id"] for row in askers.alice.get(path)["data"]]
    askers.alice.get(f"{path}/{key.pk}", 404)
    assert askers.alice.send("PATCH", f"{path}/{key.pk}", {"name": "x"}).status_code == 404


def test_a_session_changes_keys_with_its_token_and_a_recent_proof_alone(
    people: People, path: str
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.alice)
    body = {"data": b'{"name": "x"}', "content_type": "application/json"}
    assert client.generic("POST", f"/api/v1/{path}", **body).status_code == 403
    client.get("/accounts/profile/")
    token = {"X-CSRFToken": client.cookies["csrftoken"].value}
    assert client.generic("POST", f"/api/v1/{path}", **body, headers=token).status_code == 201
    session = client.session
    session["signed_in_at"] = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT - 1
    session["account_authentication_methods"] = []
    session.save()
    refused = client.generic("POST", f"/api/v1/{path}", **body, headers=token)
    assert refused.json()["error"]["code"] == "reauthentication_required"


def lists(asker: Asker, path: str, **query: str) -> list[str]:
    names, after = [], ""
    while True:
        page = asker.get(path, **query, **({"after": after} if after else {}))
        names += [row["name"] for row in page["data"]]
        after = page["next"]
        if after is None:
            assert page["has_more"] is False
            return names


def test_pages_show_each_key_once(people: People, askers: Askers, path: str) -> None:
    for number in range(7):
        askers.alice.post(path, {"name": f"k{number}"})
    assert lists(askers.alice, path, limit="3", name="k") == [f"k{n}" for n in reversed(range(7))]


def test_bad_queries_are_named(askers: Askers, path: str) -> None:
    for name, value in (
        ("limit", "0"), ("limit", "101"), ("after", "x"), ("scope", "x"), ("created_by", "x"), ("sort", "name"),
        ("created_by", "1e400"),
    ):  # fmt: skip
        assert error_of(askers.alice.get(path, 400, **{name: value}))[1] == name


def test_a_key_acts_within_its_organization_alone(people: People, path: str) -> None:
    """Alice is a member of Charlie's group too; the key that she made at home does not reach it."""
    home = asker_of(people.alice, people.group)
    join(people.alice, people.foreign_group)
    home.get(f"groups/{people.foreign_group.pk}/keys", 404)
    abroad = asker_of(people.alice, people.foreign_group)
    assert abroad.get(f"groups/{people.foreign_group.pk}/keys")
    abroad.get(path, 404)


def join(user: User, group: Group) -> None:
    group.organization.memberships.create(user=user)
    group.memberships.create(user=user, joined_at=timezone.now() - timedelta(days=1))


def test_a_key_rotates_no_other_management_key_but_itself(
    people: People, askers: Askers, path: str
) -> None:
    free = browser_of(people.alice).post(path, {"name": "free", "scope": "manage"})
    refused = askers.alice.post(f"{path}/{free['id']}/rotate", {}, 403)
    assert error_of(refused) == ("key_scope", None)
    assert find_key(free["secret"])
    own = APIKey.objects.get(created_by=people.alice, name="manages")
    assert find_key(askers.alice.post(f"{path}/{own.pk}/rotate", {})["secret"])


def test_a_management_key_of_another_is_not_widened(people: People, path: str) -> None:
    membership_services.change_group_role(people.group, people.bob, "manager", actor=people.alice)
    body = {"name": "deploy", "scope": "manage", "allowed_networks": ["10.9.9.9"]}
    made = browser_of(people.alice).post(path, body)
    bob = browser_of(people.bob)
    bob.patch(f"{path}/{made['id']}", {"allowed_networks": []}, 403)
    assert APIKey.objects.get(pk=made["id"]).allowed_networks == ["10.9.9.9/32"]
    page = f"/groups/{people.group.pk}/keys/{made['id']}/edit/"
    assert bob.client.post(page, {"name": "deploy", "expiry": "never"}).status_code == 403
    assert bob.post(f"{path}/{made['id']}/revoke", status=200)["state"] == "revoked"


@pytest.mark.parametrize("grace", [0, 3600])
def test_a_rotation_is_made_once_for_its_idempotency_key(
    askers: Askers, path: str, grace: int
) -> None:
    made = askers.alice.post(path, {"name": "ci"})
    here, headers = f"{path}/{made['id']}/rotate", {"Idempotency-Key": "turn"}
    first = askers.alice.post(here, {"grace_s": grace}, **headers)
    again = askers.alice.post(here, {"grace_s": grace}, **headers)
    assert again["secret"] == first["secret"]
    assert bool(find_key(made["secret"])) is bool(grace)
    past = timezone.now() - 2 * key_services.REPEAT
    APIKey.objects.filter(pk=made["id"]).update(rotated_at=past)
    late = askers.alice.post(here, {"grace_s": grace}, 409, **headers)
    assert error_of(late)[0] == "rotated_meanwhile"
    stored = APIKey.objects.get(pk=made["id"])
    assert stored.public_id == keys.public_id_of(first["secret"])
