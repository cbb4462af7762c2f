"""What keys and groups may call, from where and until when: what is stored of it, and what is refused."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import key_services, services
from accounts.models import APIKey, Group, User


@pytest.fixture
def group(db: None) -> Group:
    alice = User.objects.create_user("alice@example.com", name="Alice")
    organization = services.create_organization(alice, "Arden Labs")
    return services.create_group(organization, "Research", alice)


@pytest.fixture
def key(group: Group) -> APIKey:
    made, _ = key_services.issue_key(group, User.objects.get(), "CI")
    return made


def stored(owner: APIKey | Group) -> tuple[Any, Any, Any]:
    fresh: Any = type(owner).objects.get(pk=owner.pk)
    return fresh.allowed_models, fresh.allowed_networks, fresh.expires_at


def test_a_new_key_and_a_new_group_are_not_restricted(group: Group, key: APIKey) -> None:
    assert stored(group) == stored(key) == ([], [], None)


def test_what_is_named_changes_and_the_rest_stays(group: Group, key: APIKey) -> None:
    until = timezone.now() + timedelta(days=3)
    models = ["openai/gpt-5.5", "gpt-5.4-nano", "anthropic/*"]
    key_services.restrict_key(key, None, allowed_models=models, expires_at=until)
    key_services.restrict_group(group, None, allowed_networks=["10.0.0.0/8"])
    assert stored(key) == (models, [], until)
    assert stored(group) == ([], ["10.0.0.0/8"], None)
    key_services.restrict_key(key, None, allowed_networks=["192.0.2.7"])
    assert stored(key) == (models, ["192.0.2.7/32"], until)
    key_services.restrict_key(key, None, allowed_models=[], allowed_networks=[], expires_at=None)
    assert stored(key) == ([], [], None)


def test_a_change_of_restrictions_leaves_the_rest_of_the_row(key: APIKey) -> None:
    key_services.rename_key(APIKey.objects.get(pk=key.pk), None, "Renamed meanwhile")
    key_services.restrict_key(key, None, allowed_models=["gpt-5.5"])
    assert APIKey.objects.get(pk=key.pk).name == "Renamed meanwhile"


def test_nothing_named_changes_nothing(key: APIKey) -> None:
    key_services.restrict_key(key, None)
    assert stored(key) == ([], [], None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "*",
        "openai/",
        "/gpt-5.5",
        "OpenAI/*",
        "gpt-*",
        "a/b/c",
        "gpt 5",
        "a/" + "b" * 119,
        "é",
    ],
)
def test_what_is_no_name_of_a_model_is_refused(key: APIKey, name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        key_services.restrict_key(key, None, allowed_models=["gpt-5.5", name])
    assert caught.value.message_dict == {
        "allowed_models": [f"'{name[:120]}' is no name of a model."]
    }
    assert stored(key)[0] == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["10.1.2.3/8"], ["10.0.0.0/8"]),
        (["192.0.2.7"], ["192.0.2.7/32"]),
        ([" 192.0.2.7 ", "192.0.2.7/32"], ["192.0.2.7/32"]),
        (["2001:DB8:0::/32"], ["2001:db8::/32"]),
        (["2001:db8::1"], ["2001:db8::1/128"]),
    ],
)
def test_networks_are_kept_in_one_spelling(group: Group, given: list[str], kept: list[str]) -> None:
    key_services.restrict_group(group, None, allowed_networks=given)
    assert stored(group)[1] == kept


@pytest.mark.parametrize(
    "network", ["", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.0/8/8", "example.com", "::/129"]
)
def test_what_is_no_network_is_refused(group: Group, network: str) -> None:
    with pytest.raises(ValidationError) as caught:
        key_services.restrict_group(group, None, allowed_networks=["10.0.0.0/8", network])
    assert list(caught.value.message_dict) == ["allowed_networks"]
    assert stored(group)[1] == []


@pytest.mark.parametrize("field", ["allowed_models", "allowed_networks"])
@pytest.mark.parametrize("entries", ["gpt-5.5", [5], [None], ["10.0.0.1"] * 201])
def test_anything_but_a_list_of_some_texts_is_refused(
    key: APIKey, field: str, entries: Any
) -> None:
    restrictions: Any = {field: entries}
    with pytest.raises(ValidationError) as caught:
        key_services.restrict_key(key, None, **restrictions)
    assert list(caught.value.message_dict) == [field]


def test_an_expiry_without_its_time_zone_is_refused(key: APIKey) -> None:
    naive = datetime(2099, 1, 1)  # noqa: DTZ001 - that is the mistake
    with pytest.raises(ValidationError):
        key_services.restrict_key(key, None, expires_at=naive)
    assert stored(key)[2] is None


def test_a_restriction_that_does_not_exist_is_refused(key: APIKey) -> None:
    with pytest.raises(TypeError, match="allowed_hours"):
        key_services.restrict_key(key, None, allowed_hours=[9, 17])  # type: ignore[call-arg]
