"""The mail of invitations: what it says, in which language, and what becomes of it where it does not go out."""

import re
from datetime import timedelta
from smtplib import SMTPException
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts import invitation_mail, invitations, tasks
from accounts.invitation_models import Invitation
from accounts.invitations import Offer, invite
from accounts.models import User
from tests.people import People

NEW = "dora@example.com"
SITE = "https://gate.example/"


def ask(people: People, email: str) -> Invitation:
    offer = Offer("member", {people.group: "member"})
    invite(people.organization, [email], offer, actor=people.alice, site_url=SITE)
    return Invitation.objects.get(email=email)


def link_in(text: str) -> str:
    found = re.search(r"https://\S+/invitations/(\S+)/", text)
    assert found, text
    return found.group(1)


def test_who_waits_gets_a_link_that_works_and_is_stored_nowhere(people: People) -> None:
    ask(people, NEW)
    assert tasks.send_invitations() == 1
    [message] = mail.outbox
    assert message.to == [NEW]
    assert message.subject == "Alice Arden invites you to Arden Labs"
    assert "Research" in message.body
    assert "alice@example.com" in message.body
    token = link_in(message.body)
    assert invitations.find_by_token(token) == Invitation.objects.get()
    html = message.alternatives[0][0]  # type: ignore[attr-defined]
    assert f"https://gate.example/invitations/{token}/" in html
    assert tasks.send_invitations() == 0, "once"


def test_who_joined_at_once_is_told_so_without_a_link_to_join(people: People) -> None:
    ask(people, "charlie@example.com")
    tasks.send_invitations()
    [message] = mail.outbox
    assert message.subject == "You are now a member of Arden Labs"
    assert "/invitations/" not in message.body
    assert SITE in message.body


def test_the_address_of_the_installation_goes_before_that_of_the_request(
    people: People, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://public.example"
    ask(people, NEW)
    tasks.send_invitations()
    assert "https://public.example/invitations/" in mail.outbox[0].body


def test_the_mail_is_in_the_language_of_whom_it_goes_to(people: People) -> None:
    User.objects.filter(pk=people.charlie.pk).update(language="ko")
    invitation = ask(people, "charlie@example.com")
    invitation = Invitation.objects.select_related("joined_by").get(pk=invitation.pk)
    assert invitation_mail._language(invitation) == "ko"
    assert invitation_mail._language(ask(people, NEW)) == "en"
    Invitation.objects.filter(email=NEW).update(language="zh-hant")
    assert invitation_mail._language(Invitation.objects.get(email=NEW)) == "zh-hant"


def test_names_are_no_markup_and_no_second_header(people: People) -> None:
    people.organization.name = "<b>Labs</b>\nBcc: all@example.com"
    people.organization.save()
    ask(people, NEW)
    tasks.send_invitations()
    [message] = mail.outbox
    assert message.subject.endswith("invites you to <b>Labs</b> Bcc: all@example.com")
    assert message.recipients() == [NEW]
    assert "<b>Labs" not in message.alternatives[0][0]  # type: ignore[attr-defined,operator]


def test_what_was_withdrawn_is_not_sent(people: People) -> None:
    invitations.withdraw(ask(people, NEW), actor=people.alice)
    assert tasks.send_invitations() == 0
    assert mail.outbox == []


def test_a_mail_that_did_not_go_out_is_tried_again_later_with_another_link(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(people, NEW)

    def refuse(_message: object) -> None:
        raise SMTPException("away")

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMultiAlternatives.send", refuse)
        assert tasks.send_invitations() == 0
    invitation = Invitation.objects.get()
    assert invitation.mail_failures == 1
    assert invitation.digest is None, "the link of a mail that nobody has"
    assert invitation.mail_due_at is not None
    assert invitation.mail_due_at > timezone.now() + timedelta(seconds=90)
    Invitation.objects.update(mail_due_at=timezone.now())
    assert tasks.send_invitations() == 1
    assert Invitation.objects.get().mail_failures == 0


def test_after_many_failures_somebody_has_to_press_send_again(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_message: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMultiAlternatives.send", refuse)
    invitation = ask(people, NEW)
    for _ in range(invitation_mail.FAILURES_MAX):
        Invitation.objects.update(mail_due_at=timezone.now())
        tasks.send_invitations()
    invitation.refresh_from_db()
    assert invitation.mail_due_at is None
    invitations.resend(invitation, actor=people.alice)
    invitation.refresh_from_db()
    assert (invitation.mail_failures, invitation.mail_due_at is None) == (0, False)


def test_a_broker_that_is_away_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("accounts.tasks.current_app.send_task", refuse)
    tasks._nudge()
