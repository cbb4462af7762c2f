"""Invitations: who joins at once, who waits, and what a link proves."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import invitations, services
from accounts.invitation_models import Invitation
from accounts.invitations import Offer, invite
from accounts.membership_services import (
    change_group_role,
    change_role,
    remove_from_group,
    remove_from_organization,
)
from accounts.models import Change, Group, Membership, User
from tests.people import People

NEW = "dora@example.com"


@pytest.fixture
def second(people: People) -> Group:
    return services.create_group(people.organization, "Second", people.alice)


def ask(people: People, *emails: str, by: User | None = None, **groups: str) -> Any:
    """Invite into Alice's organization, and into her groups of those names in those roles."""
    named = {people.organization.groups.get(name=name): role for name, role in groups.items()}
    return invite(
        people.organization, list(emails), Offer("member", named), actor=by or people.alice
    )


def sent(invitation: Invitation, ago: timedelta = timedelta(0)) -> str:
    """As if the mail had gone out; answers the token of its link."""
    Invitation.objects.filter(pk=invitation.pk).update(
        mail_due_at=None, mailed_at=timezone.now() - ago
    )
    invitation.refresh_from_db()
    return invitations.renew_token(invitation)


# Who has an account


def test_a_known_account_joins_at_once_with_the_groups_and_is_told_by_mail(people: People) -> None:
    outcome = ask(people, " Charlie@Example.com ", Research="manager")
    assert outcome == (["charlie@example.com"], [], [])
    assert people.group.role_of(people.charlie) == "manager"
    assert Membership.objects.get(organization=people.organization, user=people.charlie).role == (
        "member"
    )
    invitation = Invitation.objects.get()
    assert invitation.joined_by == people.charlie
    assert invitation.mail_due_at is not None
    assert invitation.digest is None


def test_an_account_is_known_by_each_of_its_confirmed_addresses(people: People) -> None:
    EmailAddress.objects.create(user=people.charlie, email="cc@example.com", verified=True)
    assert ask(people, "CC@example.com").joined == ["cc@example.com"]
    assert people.organization.memberships.filter(user=people.charlie).exists()


def test_an_address_that_was_only_typed_at_sign_up_waits(people: People) -> None:
    stranger = User.objects.create_user(NEW)
    EmailAddress.objects.create(user=stranger, email=NEW, verified=False, primary=True)
    assert ask(people, NEW).waiting == [NEW]
    assert invitations.join_waiting(stranger) == []
    assert not people.organization.memberships.filter(user=stranger).exists()


def test_a_colleague_is_put_into_the_groups(people: People, second: Group) -> None:
    assert ask(people, "bob@example.com", Second="member").joined == ["bob@example.com"]
    assert second.role_of(people.bob) == "member"
    assert ask(people, "bob@example.com", Second="member").unchanged == ["bob@example.com"]
    assert not Invitation.objects.exists(), "no mail for what colleagues see by themselves"


def test_an_account_that_is_locked_out_is_not_known(people: People) -> None:
    User.objects.filter(pk=people.charlie.pk).update(is_active=False)
    assert ask(people, "charlie@example.com").waiting == ["charlie@example.com"]


def test_a_manager_is_not_told_who_has_an_account(people: People) -> None:
    people.group.memberships.filter(user=people.bob).update(role="manager")
    known, unknown = (
        ask(people, email, by=people.bob, Research="member")
        for email in ("charlie@example.com", NEW)
    )
    assert (known.joined, unknown.joined) == ([], [])
    assert (len(known.waiting), len(unknown.waiting)) == (1, 1)
    assert people.group.role_of(people.charlie) is None
    rows = Invitation.objects.values("role", "joined_at", "joined_by", "withdrawn_at", "digest")
    first, other = rows
    assert first == other
    # Once he is here he joins like anybody.
    assert invitations.join_waiting(people.charlie) == [people.organization]
    assert people.group.role_of(people.charlie) == "member"


# Who has none


def test_an_unknown_address_waits_and_joins_when_it_is_confirmed(people: People) -> None:
    assert ask(people, NEW, Research="manager").waiting == [NEW]
    user = User.objects.create_user(NEW)
    address = EmailAddress.objects.create(user=user, email=NEW, verified=False)
    assert invitations.waiting_for(user) == []
    address.verified = True
    address.save()
    assert invitations.join_waiting(user) == [people.organization]
    assert people.group.role_of(user) == "manager"
    assert Membership.objects.get(user=user).role == "member"
    assert invitations.join_waiting(user) == [], "once"
    assert "invitation.accepted" in Change.objects.values_list("verb", flat=True)


def test_addresses_that_differ_in_case_are_one_invitation(people: People, second: Group) -> None:
    ask(people, NEW, Research="member")
    ask(people, "DORA@example.com", "Dora@Example.com", Second="manager")
    invitation = Invitation.objects.get()
    places = dict(invitation.places.values_list("group__name", "role"))
    assert places == {"Research": "member", "Second": "manager"}


def test_an_offer_of_the_same_sends_no_second_mail_at_once(people: People) -> None:
    ask(people, NEW)
    invitation = Invitation.objects.get()
    sent(invitation)
    ask(people, NEW)
    invitation.refresh_from_db()
    assert invitation.mail_due_at is None
    sent(invitation, ago=timedelta(minutes=11))
    ask(people, NEW)
    invitation.refresh_from_db()
    assert invitation.mail_due_at is not None


def test_a_known_account_takes_along_what_had_waited_for_it(people: People, second: Group) -> None:
    people.group.memberships.filter(user=people.bob).update(role="manager")
    ask(people, "charlie@example.com", by=people.bob, Research="member")
    ask(people, "charlie@example.com", Second="member")
    assert people.group.role_of(people.charlie) == "member"
    assert second.role_of(people.charlie) == "member"
    assert not Invitation.objects.waiting().exists()


def test_a_group_that_was_deleted_meanwhile_is_left_out(people: People) -> None:
    ask(people, NEW, Research="member")
    services.archive_group(people.group, actor=people.alice, before={})
    user = User.objects.create_user(NEW)
    assert invitations.join_waiting(user) == [people.organization]
    assert not people.group.memberships.filter(user=user).exists()


# Links


def test_a_link_finds_its_invitation_and_only_a_digest_of_it_is_kept(people: People) -> None:
    ask(people, NEW)
    token = sent(Invitation.objects.get())
    assert invitations.find_by_token(token) == Invitation.objects.get()
    assert invitations.find_by_token(token + "x") is None
    row = Invitation.objects.values().get()
    assert token not in str(row)
    assert token.encode() not in bytes(row["digest"])


def test_a_later_mail_ends_the_link_of_the_one_before(people: People) -> None:
    ask(people, NEW)
    first = sent(Invitation.objects.get())
    second = sent(Invitation.objects.get())
    assert invitations.find_by_token(first) is None
    assert invitations.find_by_token(second) is not None


def test_a_link_that_is_too_old_is_refused_and_joins_nobody(people: People) -> None:
    ask(people, NEW)
    invitation = Invitation.objects.get()
    token = sent(invitation)
    assert timedelta(days=13) < invitation.expires_at - timezone.now() <= timedelta(days=14)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert invitations.find_by_token(token) is None
    user = User.objects.create_user(NEW)
    assert invitations.join_waiting(user) == []
    assert not invitations.join(invitation, user)
    assert list(Invitation.objects.waiting()) == [invitation], "it can be sent again"


def test_a_withdrawn_invitation_ends_its_link_and_can_be_made_anew(people: People) -> None:
    ask(people, NEW)
    invitation = Invitation.objects.get()
    token = sent(invitation)
    invitations.withdraw(invitation, actor=people.alice)
    invitations.withdraw(invitation, actor=people.alice)
    assert invitations.find_by_token(token) is None
    assert not invitations.join(invitation, User.objects.create_user(NEW))
    verbs = list(Change.objects.values_list("verb", flat=True))
    assert verbs.count("invitation.withdrawn") == 1
    User.objects.filter(email=NEW).delete()
    assert ask(people, NEW).waiting == [NEW]
    assert Invitation.objects.count() == 2


def test_the_link_confirms_an_address_of_the_user_and_no_other(people: People) -> None:
    user = User.objects.create_user(NEW)
    EmailAddress.objects.create(user=user, email=NEW, verified=False)
    assert not invitations.confirm_address(user, "bob@example.com")
    assert invitations.confirm_address(user, NEW.upper())
    assert invitations.addresses_of(user) == {NEW}
    rival = User.objects.create_user("rival@example.com")
    EmailAddress.objects.create(user=rival, email=NEW, verified=False)
    assert not invitations.confirm_address(rival, NEW), "it is known to be somebody else's"


# How often


def test_a_mail_is_sent_again_only_after_a_while(people: People) -> None:
    ask(people, NEW)
    invitation = Invitation.objects.get()
    with pytest.raises(ValidationError, match="just gone out"):
        invitations.resend(invitation, actor=people.alice)
    sent(invitation)
    with pytest.raises(ValidationError, match="after 10 minutes"):
        invitations.resend(invitation, actor=people.alice)
    sent(invitation, ago=timedelta(minutes=11))
    Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
    invitations.resend(invitation, actor=people.alice)
    invitation.refresh_from_db()
    assert invitation.mail_due_at is not None
    assert not invitation.is_expired


def test_withdrawing_and_inviting_again_floods_nobody(people: People) -> None:
    ask(people, NEW)
    invitation = Invitation.objects.get()
    sent(invitation)
    invitations.withdraw(invitation, actor=people.alice)
    ask(people, NEW)
    due = Invitation.objects.waiting().get().mail_due_at
    assert due is not None
    assert due > timezone.now() + timedelta(minutes=9)


def test_a_day_has_so_many_invitations(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MAILS_PER_DAY", 3)
    ask(people, "a@example.com", "b@example.com")
    with pytest.raises(ValidationError, match="At most 3 invitations a day"):
        ask(people, "c@example.com", "d@example.com")
    assert ask(people, "c@example.com").waiting == ["c@example.com"]


# Out of a group


def test_a_managers_invitation_ends_with_its_only_group(people: People, second: Group) -> None:
    people.group.memberships.filter(user=people.bob).update(role="manager")
    ask(people, NEW, by=people.bob, Research="member")
    ask(people, "emil@example.com", Research="member", Second="member")
    own, wide = Invitation.objects.order_by("pk")
    for each in (own, wide):
        invitations.withdraw_from_group(each, people.group, actor=people.bob)
    assert list(Invitation.objects.waiting()) == [wide]
    assert [place.group for place in wide.places.all()] == [second]


# Whoever invited is no more what he was


def test_who_is_removed_does_not_come_back_by_an_invitation_of_his_own(people: People) -> None:
    people.organization.memberships.filter(user=people.bob).update(role="admin")
    invite(people.organization, ["bob.too@example.com"], Offer("admin", {}), actor=people.bob)
    ask(people, NEW)
    remove_from_organization(people.organization, people.bob, actor=people.alice)
    assert [each.email for each in Invitation.objects.open()] == [NEW]
    assert Change.objects.get(verb="invitation.withdrawn").actor == people.alice


def test_a_demoted_admin_has_offered_no_admins_role(people: People, second: Group) -> None:
    people.organization.memberships.filter(user=people.bob).update(role="admin")
    people.group.memberships.filter(user=people.bob).update(role="manager")
    invite(people.organization, ["one@example.com"], Offer("admin", {}), actor=people.bob)
    offer = Offer("member", {people.group: "manager", second: "member"})
    invite(people.organization, ["two@example.com"], offer, actor=people.bob)
    invite(people.organization, ["three@example.com"], Offer("member", {}), actor=people.bob)
    change_role(people.organization, people.bob, "member", actor=people.alice)
    # He manages the one group still, and may go on to bring people there.
    left = Invitation.objects.open().get()
    assert left.email == "two@example.com"
    assert [place.group for place in left.places.all()] == [people.group]


@pytest.mark.parametrize("way", ["removed", "demoted"])
def test_who_manages_a_group_no_more_has_invited_nobody_there(people: People, way: str) -> None:
    people.group.memberships.filter(user=people.bob).update(role="manager")
    offer = Offer("member", {people.group: "manager"})
    invite(people.organization, ["bob.too@example.com"], offer, actor=people.bob)
    ask(people, NEW, Research="member")
    if way == "removed":
        remove_from_group(people.group, people.bob, actor=people.alice)
    else:
        change_group_role(people.group, people.bob, "member", actor=people.alice)
    assert [each.email for each in Invitation.objects.open()] == [NEW]
