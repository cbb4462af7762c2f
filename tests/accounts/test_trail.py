"""The audit trail."""

import pytest
from django.db import IntegrityError, transaction

from accounts import trail
from accounts.models import Change
from tests.people import People


def test_a_line_tells_who_did_what_to_which_group(people: People) -> None:
    before, after = trail.differences({"name": "a", "role": "x"}, {"name": "b", "role": "x"})
    made = trail.record(
        people.alice, "group.created", people.group, before=before, after=after, within=people.group
    )
    kept = Change.objects.get(pk=made.pk)
    assert (kept.actor_name, kept.subject_kind, kept.subject_name) == (
        "Alice Arden",
        "group",
        "Research",
    )
    assert (kept.organization, kept.group) == (people.organization, people.group)
    assert (kept.before, kept.after) == ({"name": "a"}, {"name": "b"})


@pytest.mark.parametrize("verb", ["group.exploded", ""])
def test_what_is_no_verb_is_refused(people: People, verb: str) -> None:
    with pytest.raises(ValueError, match="no such verb"):
        trail.record(people.alice, verb, people.group)


def test_a_secret_is_refused(people: People) -> None:
    with pytest.raises(ValueError, match="keeps no secrets"):
        trail.record(people.alice, "group.created", people.group, after={"credential": "x"})


def test_a_line_is_neither_altered_nor_deleted(people: People) -> None:
    made = trail.record(None, "group.created", people.group)
    with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
        Change.objects.filter(pk=made.pk).update(verb="key.issued")
    with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
        Change.objects.filter(pk=made.pk).delete()


def test_admins_read_their_organization_and_operators_everything(people: People) -> None:
    ours = trail.record(people.alice, "group.created", people.group, within=people.group)
    theirs = trail.record(
        people.charlie,
        "organization.created",
        people.foreign_organization,
        within=people.foreign_organization,
    )
    alone = trail.record(people.olga, "organization.created", people.organization)
    made = {ours.pk, theirs.pk, alone.pk}
    seen = {
        user: made & set(Change.objects.visible_to(user).values_list("pk", flat=True))
        for user in (people.alice, people.bob, people.charlie, people.olga)
    }
    assert seen[people.alice] == {ours.pk}
    assert seen[people.bob] == set()
    assert seen[people.charlie] == {theirs.pk}
    assert seen[people.olga] == made
