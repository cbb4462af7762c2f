"""Roles, leaving and locking out: what each leaves behind, and what the last admin cannot do."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from accounts import key_services, services
from accounts import membership_services as members
from accounts.models import APIKey, Change, GroupMembership, Membership, Organization, User
from tests.billing.bank import in_parallel, orm_on
from tests.people import People, make_people
from tests.world import World

ROUNDS = 8
HEAD_START_S = 0.3


def verbs(**fields: Any) -> list[str]:
    """What the trail tells, oldest first."""
    return list(Change.objects.filter(**fields).order_by("pk").values_list("verb", flat=True))


def role(people: People, user: User) -> str | None:
    found = Membership.objects.filter(organization=people.organization, user=user).first()
    return found.role if found else None


# Roles


def test_a_member_is_made_an_admin_and_back_with_lines_in_the_trail(people: People) -> None:
    members.change_role(people.organization, people.bob, "admin", actor=people.alice)
    assert role(people, people.bob) == "admin"
    members.change_role(people.organization, people.bob, "member", actor=people.alice)
    assert role(people, people.bob) == "member"
    lines = Change.objects.filter(verb="organization.role_changed").order_by("pk")
    assert [(line.before["role"], line.after["role"]) for line in lines] == [
        ("member", "admin"),
        ("admin", "member"),
    ]
    assert {line.organization_id for line in lines} == {people.organization.pk}


def test_the_role_that_somebody_has_leaves_no_line(people: People) -> None:
    members.change_role(people.organization, people.bob, "member", actor=people.alice)
    assert "organization.role_changed" not in verbs()


def test_the_last_admin_is_neither_demoted_nor_removed_and_cannot_leave(people: People) -> None:
    for attempt in (
        lambda: members.change_role(
            people.organization, people.alice, "member", actor=people.alice
        ),
        lambda: members.remove_from_organization(
            people.organization, people.alice, actor=people.alice
        ),
        lambda: members.remove_from_organization(
            people.organization, people.alice, actor=people.olga
        ),
    ):
        with pytest.raises(ValidationError, match="Alice Arden is the last admin"):
            attempt()
    assert role(people, people.alice) == "admin"
    assert people.group.role_of(people.alice) == "manager"


def test_an_admin_who_is_locked_out_does_not_count(people: People) -> None:
    members.change_role(people.organization, people.bob, "admin", actor=people.alice)
    members.deactivate_user(people.bob, actor=people.olga)
    with pytest.raises(ValidationError, match="last admin"):
        members.change_role(people.organization, people.alice, "member", actor=people.alice)


def test_the_last_manager_of_a_group_may_go(people: People) -> None:
    members.remove_from_group(people.group, people.alice, actor=people.alice)
    assert not people.group.memberships.filter(role="manager").exists()


def test_a_group_member_is_put_in_charge(people: People) -> None:
    members.change_group_role(people.group, people.bob, "manager", actor=people.alice)
    assert people.group.role_of(people.bob) == "manager"
    assert verbs(verb="group.role_changed") == ["group.role_changed"]


# Two admins demote each other at the same moment


def test_of_two_admins_who_demote_each_other_at_once_one_stays(
    fresh_world: World, django_db_blocker: Any
) -> None:
    with orm_on(fresh_world.database, django_db_blocker):
        [people] = in_parallel(make_people)
        assert isinstance(people, People)
        organization = people.organization

        def make_admins() -> None:
            organization.memberships.update(role="admin")

        def demote(who: User, by: User) -> None:
            members.change_role(organization, who, "member", actor=by)

        def drop(who: User, by: User) -> None:
            members.remove_from_organization(organization, who, actor=by)

        for attempt in range(ROUNDS):
            second = drop if attempt == ROUNDS - 1 else demote
            in_parallel(make_admins)
            answers = in_parallel(
                lambda: demote(people.bob, people.alice),
                lambda second=second: second(people.alice, people.bob),  # type: ignore[misc]
            )
            assert [type(answer) for answer in answers].count(ValidationError) == 1, answers
            [left] = in_parallel(lambda: organization.memberships.filter(role="admin").count())
            assert left == 1


# Leaving


def issue(people: People, user: User, name: str) -> APIKey:
    return key_services.issue_key(people.group, user, name)[0]


def test_who_leaves_a_group_leaves_no_working_key_there(people: People) -> None:
    own, another = issue(people, people.bob, "own"), issue(people, people.alice, "another")
    second = services.create_group(people.organization, "Second", people.alice)
    services.add_member(second, people.bob)
    elsewhere = key_services.issue_key(second, people.bob, "elsewhere")[0]
    assert members.remove_from_group(people.group, people.bob, actor=people.bob) == 1
    own.refresh_from_db()
    assert own.state == "revoked"
    assert {key.name for key in APIKey.objects.usable()} == {another.name, elsewhere.name}
    assert people.group.role_of(people.bob) is None
    assert role(people, people.bob) == "member"
    assert verbs(group=people.group)[-2:] == ["key.revoked", "group.member_left"]


def test_who_leaves_an_organization_leaves_its_groups_with_his_keys(people: People) -> None:
    issue(people, people.bob, "one")
    second = services.create_group(people.organization, "Second", people.bob)
    key_services.issue_key(second, people.bob, "two")
    services.add_member(people.foreign_group, people.bob)
    kept = key_services.issue_key(people.foreign_group, people.bob, "kept")[0]
    removed = members.remove_from_organization(people.organization, people.bob, actor=people.alice)
    assert removed == 2
    assert list(APIKey.objects.usable()) == [kept]
    assert list(GroupMembership.objects.filter(user=people.bob)) == list(
        people.foreign_group.memberships.filter(user=people.bob)
    )
    assert role(people, people.bob) is None
    line = Change.objects.get(verb="organization.member_removed")
    assert (line.actor_id, line.after) == (people.alice.pk, {"keys_revoked": 2})


def test_keys_of_a_group_that_an_admin_was_never_in_are_revoked_too(people: People) -> None:
    services.join_organization(people.organization, people.charlie, "admin")
    key = issue(people, people.charlie, "by an admin")
    members.remove_from_organization(people.organization, people.charlie, actor=people.alice)
    key.refresh_from_db()
    assert key.state == "revoked"


def test_leaving_twice_is_leaving_once(people: People) -> None:
    issue(people, people.bob, "own")
    leave = members.remove_from_organization
    assert leave(people.organization, people.bob, actor=people.bob) == 1
    assert leave(people.organization, people.bob, actor=people.bob) == 0
    assert verbs(verb="organization.member_left") == ["organization.member_left"]


# Adding


def test_colleagues_are_added_and_strangers_passed_over(people: People) -> None:
    second = services.create_group(people.organization, "Second", people.alice)
    everybody = [people.alice, people.bob, people.charlie]
    assert members.add_colleagues(second, everybody, "member", actor=people.alice) == 1
    assert second.role_of(people.bob) == "member"
    assert second.role_of(people.alice) == "manager"
    assert second.role_of(people.charlie) is None


# Locking out


def test_who_is_locked_out_has_no_working_key_anywhere(people: People) -> None:
    issue(people, people.bob, "one")
    services.add_member(people.foreign_group, people.bob)
    key_services.issue_key(people.foreign_group, people.bob, "two")
    other = issue(people, people.alice, "hers")
    assert members.deactivate_user(people.bob, actor=people.olga) == 2
    assert list(APIKey.objects.usable()) == [other]
    people.bob.refresh_from_db()
    assert not people.bob.is_active
    line = Change.objects.get(verb="user.deactivated")
    assert (line.subject_id, line.organization_id) == (str(people.bob.pk), None)


def test_however_an_account_is_locked_out_its_keys_stop(people: People) -> None:
    key, other = issue(people, people.bob, "own"), issue(people, people.alice, "hers")
    User.objects.filter(pk=people.bob.pk).update(is_active=False)
    key.refresh_from_db()
    other.refresh_from_db()
    assert (key.state, other.state) == ("revoked", "active")


# Keys that are made while their maker goes


def test_a_demoted_admin_keeps_keys_only_where_he_belongs(people: People) -> None:
    people.organization.memberships.filter(user=people.bob).update(role="admin")
    second = services.create_group(people.organization, "Second", people.alice)
    own, lent = issue(people, people.bob, "own"), key_services.issue_key(second, people.bob, "l")[0]
    hers = key_services.issue_key(second, people.alice, "hers")[0]
    assert members.change_role(people.organization, people.bob, "member", actor=people.alice) == 1
    for key, state in ((own, "active"), (lent, "revoked"), (hers, "active")):
        key.refresh_from_db()
        assert key.state == state
    assert Change.objects.filter(verb="key.revoked", group=second, actor=people.alice).count() == 1


def part(people: People, who: User, way: str) -> None:
    if way == "group":
        members.remove_from_group(people.group, who, actor=people.alice)
    elif way == "organization":
        members.remove_from_organization(people.organization, who, actor=people.alice)
    else:
        members.deactivate_user(who, actor=people.olga)


def add_person(people: People, name: str) -> User:
    made = User.objects.create_user(f"{name}@example.com")
    services.add_member(people.group, made)
    return made


def one_while_the_other(first: Callable[[], object], second: Callable[[], object]) -> list[Any]:
    """`second` begins when `first` has written and has not committed yet."""
    begun = threading.Event()

    def lead() -> None:
        with transaction.atomic():
            first()
            begun.set()
            time.sleep(HEAD_START_S)

    def follow() -> None:
        begun.wait(10)
        second()

    return [type(answer) for answer in in_parallel(lead, follow)]


def test_of_a_key_and_a_parting_at_once_no_working_key_is_left(
    fresh_world: World, django_db_blocker: Any
) -> None:
    with orm_on(fresh_world.database, django_db_blocker):
        [people] = in_parallel(make_people)
        for number, way in enumerate(("group", "organization", "locked out")):
            for kind in ("issued", "playground"):
                early, late = in_parallel(
                    *(lambda n=f"{kind}{number}{order}": add_person(people, n) for order in "ab")  # type: ignore[misc]
                )

                def make_key(who: User, kind: str = kind) -> None:
                    if kind == "issued":
                        issue(people, who, "late")
                    else:
                        key_services.playground_key(people.group, who)

                def leave(who: User, way: str = way) -> None:
                    part(people, who, way)

                answers = one_while_the_other(
                    lambda who=early: make_key(who), lambda who=early: leave(who)
                )
                assert answers == [type(None), type(None)], (way, kind)
                answers = one_while_the_other(
                    lambda who=late: leave(who), lambda who=late: make_key(who)
                )
                assert answers == [type(None), PermissionDenied], (way, kind)
                assert in_parallel(APIKey.objects.usable().count) == [0], (way, kind)


# What came with it


def test_an_archived_group_takes_no_keys(people: People) -> None:
    services.archive_group(people.group, actor=people.alice, before={})
    with pytest.raises(Exception, match="it takes no keys"):
        issue(people, people.alice, "too late")


def test_organizations_and_groups_that_are_archived_are_seen_by_nobody(people: People) -> None:
    services.archive_group(people.group, actor=people.alice, before={})
    services.archive_organization(people.organization, actor=people.olga, before={}, note="")
    for user in (people.alice, people.bob, people.olga):
        assert people.group not in type(people.group).objects.visible_to(user)
        assert people.organization not in Organization.objects.visible_to(user)
        assert people.organization not in Organization.objects.administered_by(user)
