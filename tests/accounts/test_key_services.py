"""Keys: what issuing, changing, rotating and revoking leave behind, and what they refuse."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone

from accounts import key_services, keys, services
from accounts.key_services import IssuedBefore, RotatedMeanwhile, playground_key
from accounts.models import APIKey, Change, Group, User
from tests.billing.bank import in_parallel, orm_on
from tests.world import World


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.com", name="Alice")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob@example.com", name="Bob")


@pytest.fixture
def group(alice: User, bob: User) -> Group:
    """Alice's, with Bob in it."""
    organization = services.create_organization(alice, "Arden Labs")
    made = services.create_group(organization, "Research", alice)
    services.add_member(made, bob)
    return made


def test_an_issued_key_is_found_by_its_public_id_and_matches_its_text(
    group: Group, bob: User
) -> None:
    expires_at = timezone.now() + timedelta(days=30)
    made, text = key_services.issue_key(group, bob, "CI", expires_at=expires_at)
    public_id = keys.public_id_of(text)
    assert public_id is not None
    key = APIKey.objects.get(public_id=public_id)
    assert key == made
    assert (key.group, key.created_by, key.name, key.expires_at) == (group, bob, "CI", expires_at)
    assert keys.matches(text, settings.KEY_PEPPER, bytes(key.digest))
    assert (key.state, key.revoked_at) == ("active", None)
    assert text.startswith(f"{settings.KEY_PREFIX}-v1-{public_id}-")


def test_the_text_of_a_key_is_kept_nowhere(group: Group, bob: User) -> None:
    key, text = key_services.issue_key(group, bob, "CI")
    secret = text.rsplit("-", 1)[1]
    row = APIKey.objects.filter(pk=key.pk).values().get()
    assert secret not in json.dumps(row, default=str)
    assert secret.encode() not in bytes(row["digest"])


def test_keys_of_one_name_are_different_keys(group: Group, bob: User) -> None:
    (first, text), (second, other) = (key_services.issue_key(group, bob, "CI") for _ in "ab")
    assert first.pk != second.pk
    assert not keys.matches(text, settings.KEY_PEPPER, bytes(second.digest))
    assert not keys.matches(other, settings.KEY_PEPPER, bytes(first.digest))


def test_renaming_a_key_changes_its_name_alone(group: Group, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    before = APIKey.objects.filter(pk=key.pk).values().get()
    # What somebody else did meanwhile is not undone by the copy in hand.
    revoked_at = timezone.now()
    APIKey.objects.filter(pk=key.pk).update(revoked_at=revoked_at)
    key_services.rename_key(key, bob, "Nightly")
    after = APIKey.objects.filter(pk=key.pk).values().get()
    assert after == {**before, "name": "Nightly", "revoked_at": revoked_at}


def test_a_revoked_key_stays_revoked_since_the_first_time(group: Group, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    bystander, _ = key_services.issue_key(group, bob, "Other")
    key_services.revoke_key(key, bob)
    key.refresh_from_db()
    first = key.revoked_at
    assert first is not None
    key_services.revoke_key(key, bob)
    key.refresh_from_db()
    assert key.revoked_at == first
    assert list(APIKey.objects.usable().filter(group=group)) == [bystander]


# What the audit trail says


def lines(key: APIKey) -> list[tuple[str, User | None, dict[str, Any], dict[str, Any]]]:
    """The key's lines, oldest first: verb, actor, before, after."""
    changes = Change.objects.filter(subject_kind="apikey", subject_id=str(key.pk)).order_by("id")
    return [(one.verb, one.actor, one.before, one.after) for one in changes]


def test_every_change_of_a_key_leaves_a_line_for_its_group(
    group: Group, alice: User, bob: User
) -> None:
    key, _ = key_services.issue_key(group, bob, "CI", allowed_models=["openai/*"])
    key_services.rename_key(key, alice, "Nightly")
    key_services.restrict_key(key, alice, allowed_models=["gpt-5.5"], allowed_networks=[])
    key_services.revoke_key(key, alice)
    assert lines(key) == [
        (
            "key.issued",
            bob,
            {},
            {"name": "CI", "expires_at": None, "allowed_models": ["openai/*"]},
        ),
        ("key.changed", alice, {"name": "CI"}, {"name": "Nightly"}),
        (
            "key.changed",
            alice,
            {"allowed_models": ["openai/*"]},
            {"allowed_models": ["gpt-5.5"]},
        ),
        ("key.revoked", alice, {}, {}),
    ]
    assert {one.group for one in Change.objects.filter(subject_id=str(key.pk))} == {group}


def test_what_changes_nothing_leaves_no_line(group: Group, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    key_services.rename_key(key, bob, "CI")
    key_services.restrict_key(key, bob, allowed_models=[], expires_at=None)
    key_services.end_rotation(key, bob)
    key_services.revoke_key(key, bob)
    key_services.revoke_key(key, bob)
    assert [verb for verb, *_ in lines(key)] == ["key.issued", "key.revoked"]


def test_a_change_is_told_from_what_is_stored_not_from_an_old_copy(group: Group, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    old = APIKey.objects.get(pk=key.pk)
    key_services.restrict_key(key, bob, allowed_models=["gpt-5.5"])
    key_services.restrict_key(old, bob, allowed_models=[])
    assert APIKey.objects.get(pk=key.pk).allowed_models == []
    assert lines(key)[-1][2:] == ({"allowed_models": ["gpt-5.5"]}, {"allowed_models": []})


def test_the_restrictions_of_a_group_are_a_line_of_the_group(group: Group, alice: User) -> None:
    key_services.restrict_group(group, alice, allowed_networks=["10.1.2.3/8"])
    change = Change.objects.get(verb="group.restricted")
    assert (change.subject_id, change.group, change.actor) == (str(group.pk), group, alice)
    assert change.after == {"allowed_networks": ["10.0.0.0/8"]}


# One form, one key


def test_an_operation_issues_one_key_and_shows_the_same_text_for_a_minute(
    group: Group, bob: User
) -> None:
    operation = uuid4()
    key, text = key_services.issue_key(group, bob, "CI", operation)
    with pytest.raises(IssuedBefore) as caught:
        key_services.issue_key(group, bob, "Another name", operation)
    assert (caught.value.key, caught.value.text) == (key, text)
    APIKey.objects.update(created_at=timezone.now() - key_services.REPEAT)
    with pytest.raises(IssuedBefore) as caught:
        key_services.issue_key(group, bob, "CI", operation)
    assert (caught.value.key, caught.value.text) == (key, None)
    assert APIKey.objects.count() == 1
    assert [verb for verb, *_ in lines(key)] == ["key.issued"]


def test_a_rotated_key_is_not_shown_again_by_the_form_that_issued_it(
    group: Group, bob: User
) -> None:
    operation = uuid4()
    key, text = key_services.issue_key(group, bob, "CI", operation)
    key_services.rotate_key(key, bob, timedelta())
    with pytest.raises(IssuedBefore) as caught:
        key_services.issue_key(group, bob, "CI", operation)
    assert caught.value.text is None
    assert keys.public_id_of(text) != APIKey.objects.get().public_id


def test_the_same_number_of_somebody_else_or_in_another_group_is_another_operation(
    group: Group, alice: User, bob: User
) -> None:
    operation = uuid4()
    other = services.create_group(group.organization, "Support", alice)
    services.add_member(other, bob)
    texts = {
        key_services.issue_key(where, who, "CI", operation)[1]
        for where, who in ((group, bob), (group, alice), (other, bob))
    }
    assert len(texts) == 3


def test_the_number_of_an_operation_is_not_stored(group: Group, bob: User) -> None:
    operation = uuid4()
    key_services.issue_key(group, bob, "CI", operation)
    row = APIKey.objects.values().get()
    stored = b"".join(bytes(part) for part in row.values() if isinstance(part, bytes | memoryview))
    assert operation.bytes not in stored
    assert str(operation).encode() not in stored


# Rotation


def test_a_rotation_keeps_the_row_and_both_texts_while_the_grace_lasts(
    group: Group, bob: User
) -> None:
    key, old = key_services.issue_key(group, bob, "CI")
    new = key_services.rotate_key(key, bob, timedelta(hours=1))
    row = APIKey.objects.get()
    assert (row.pk, row.public_id) == (key.pk, keys.public_id_of(new))
    assert keys.matches(new, settings.KEY_PEPPER, bytes(row.digest))
    assert row.previous_public_id == keys.public_id_of(old)
    assert keys.matches(old, settings.KEY_PEPPER, bytes(row.previous_digest or b""))
    left = (row.rotating_until or timezone.now()) - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    [_, (verb, actor, before, after)] = lines(key)
    assert (verb, actor, before) == ("key.rotated", bob, {"public_id": key.public_id})
    assert after["public_id"] == row.public_id
    assert new.rsplit("-", 1)[1] not in str(after)


def test_without_grace_nothing_of_the_old_text_is_left(group: Group, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    key_services.rotate_key(key, bob, timedelta())
    row = APIKey.objects.get()
    assert (row.previous_public_id, row.previous_digest, row.rotating_until) == (None, None, None)


def test_a_second_rotation_stops_what_the_first_had_left(group: Group, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    second = key_services.rotate_key(key, bob, timedelta(days=7))
    key.refresh_from_db()
    key_services.rotate_key(key, bob, timedelta(days=7))
    assert APIKey.objects.get().previous_public_id == keys.public_id_of(second)


def test_a_rotation_that_is_asked_for_twice_happens_once(group: Group, bob: User) -> None:
    key, old = key_services.issue_key(group, bob, "CI")
    operation, hour = uuid4(), timedelta(hours=1)
    first = key_services.rotate_key(key, bob, hour, operation, key.public_id)
    again = key_services.rotate_key(key, bob, hour, operation, key.public_id)
    assert again == first
    assert APIKey.objects.get().previous_public_id == keys.public_id_of(old)
    APIKey.objects.update(rotated_at=timezone.now() - key_services.REPEAT)
    with pytest.raises(RotatedMeanwhile):
        key_services.rotate_key(key, bob, hour, operation, key.public_id)


def test_whoever_saw_an_older_text_does_not_rotate(group: Group, alice: User, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    seen = key.public_id
    new = key_services.rotate_key(key, bob, timedelta(hours=1), uuid4(), seen)
    with pytest.raises(RotatedMeanwhile):
        key_services.rotate_key(key, alice, timedelta(hours=1), uuid4(), seen)
    assert APIKey.objects.get().public_id == keys.public_id_of(new)


@pytest.mark.parametrize("over", ["revoked_at", "expires_at"])
def test_a_key_that_is_over_is_not_rotated(group: Group, bob: User, over: str) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    APIKey.objects.update(**{over: timezone.now()})
    with pytest.raises(ValidationError):
        key_services.rotate_key(key, bob, timedelta())
    assert APIKey.objects.get().public_id == key.public_id


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_a_grace_period_has_its_bounds(group: Group, bob: User, grace: timedelta) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    with pytest.raises(ValueError, match="grace"):
        key_services.rotate_key(key, bob, grace)


def test_the_grace_ends_no_later_than_the_key(group: Group, bob: User) -> None:
    end = timezone.now() + timedelta(hours=1)
    key, _ = key_services.issue_key(group, bob, "CI", expires_at=end)
    key_services.rotate_key(key, bob, timedelta(days=7))
    assert APIKey.objects.get().rotating_until == end


def test_a_grace_can_be_ended_early(group: Group, alice: User, bob: User) -> None:
    key, _ = key_services.issue_key(group, bob, "CI")
    key_services.rotate_key(key, bob, timedelta(days=7))
    key_services.end_rotation(key, alice)
    row = APIKey.objects.get()
    assert (row.previous_public_id, row.rotating_until, row.state) == (None, None, "active")
    assert lines(key)[-1][:2] == ("key.rotation_ended", alice)


# The playground's key


def test_a_person_has_one_playground_key_a_group_and_finds_its_text_again(
    group: Group, bob: User
) -> None:
    key, text = playground_key(group, bob)
    assert playground_key(group, bob) == (key, text)
    row = APIKey.objects.get()
    assert (row.purpose, row.created_by, row.group) == ("playground", bob, group)
    assert keys.matches(text, settings.KEY_PEPPER, bytes(row.digest))
    assert row.expires_at is not None
    longest = key_services.PLAYGROUND_WINDOW + key_services.PLAYGROUND_GRACE
    assert timezone.now() < row.expires_at <= timezone.now() + longest


def test_the_playground_keys_text_changes_with_its_window_and_the_old_one_works_on_a_little(
    group: Group, bob: User
) -> None:
    start = datetime(2026, 11, 21, 11, 59, 59, tzinfo=UTC)
    with time_machine.travel(start, tick=False) as clock:
        key, old = playground_key(group, bob)
        clock.shift(timedelta(seconds=2))
        again, new = playground_key(group, bob)
        assert again.pk == key.pk
        assert new != old
        row = APIKey.objects.get()
        assert row.previous_public_id == keys.public_id_of(old)
        assert row.rotating_until == datetime(2026, 11, 21, 13, tzinfo=UTC)
        assert row.expires_at == datetime(2026, 11, 22, 1, tzinfo=UTC)
        clock.shift(timedelta(days=3))
        assert row.state == "expired"
        playground_key(group, bob)
        row = APIKey.objects.get()
        assert (row.state, row.previous_public_id) == ("active", None)


def test_a_revoked_playground_key_is_replaced_by_another(group: Group, bob: User) -> None:
    key, text = playground_key(group, bob)
    key_services.revoke_key(key, None)
    other, another = playground_key(group, bob)
    assert other.pk != key.pk
    assert another != text


def test_who_is_not_of_the_group_gets_no_key_there(group: Group) -> None:
    charlie = User.objects.create_user("charlie@example.com")
    with pytest.raises(PermissionDenied):
        playground_key(group, charlie)
    with pytest.raises(PermissionDenied):
        key_services.issue_key(group, charlie, "CI")
    assert not APIKey.objects.exists()


# At the same time


@pytest.fixture
def parallel(fresh_world: World, django_db_blocker: Any) -> Iterator[tuple[Group, User]]:
    """Alice's group and Alice on a database that threads share."""
    with orm_on(fresh_world.database, django_db_blocker):

        def build() -> tuple[Group, User]:
            alice = User.objects.create_user("alice@example.com", name="Alice")
            organization = services.create_organization(alice, "Arden Labs")
            return services.create_group(organization, "Research", alice), alice

        yield in_thread(build)


def in_thread(work: Any) -> Any:
    """What the work answers, with a connection of its own to the shared database."""
    [answer] = in_parallel(work)
    assert not isinstance(answer, Exception), answer
    return answer


def test_a_form_sent_twice_at_once_issues_one_key_with_one_text(
    parallel: tuple[Group, User],
) -> None:
    group, alice = parallel
    operation = uuid4()

    def issue() -> str | None:
        try:
            return key_services.issue_key(group, alice, "CI", operation)[1]
        except IssuedBefore as before:
            return before.text

    texts = in_parallel(*[issue] * 6)
    assert len(set(texts)) == 1
    assert isinstance(texts[0], str)
    assert in_parallel(APIKey.objects.count) == [1]


def test_rotations_at_once_leave_one_new_text(parallel: tuple[Group, User]) -> None:
    group, alice = parallel
    key = in_thread(lambda: key_services.issue_key(group, alice, "CI")[0])

    def rotate() -> str | None:
        try:
            return key_services.rotate_key(key, alice, timedelta(hours=1), uuid4(), key.public_id)
        except RotatedMeanwhile:
            return None

    texts = [text for text in in_parallel(*[rotate] * 6) if text]
    assert len(texts) == 1
    row = in_thread(APIKey.objects.get)
    assert row.previous_public_id == key.public_id


def test_playground_pages_at_once_share_one_key(parallel: tuple[Group, User]) -> None:
    group, alice = parallel
    answers = in_parallel(*[lambda: playground_key(group, alice)[1]] * 6)
    assert len(set(answers)) == 1
    assert in_parallel(APIKey.objects.count) == [1]
