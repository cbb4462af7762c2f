"""Low-balance alerts: one message for one crossing, however many look."""

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Change, GroupMembership, Membership
from billing import alerts, ledger
from billing.alert_mail import compose, send_mail
from billing.alerts import AlertPlan, check_balances, read_plan, save_plan
from billing.models import Account
from billing.notice_models import Alert, Notice
from tests.billing.bank import in_parallel, orm_on
from tests.billing.past import USD, capture
from tests.people import People, fund, make_people

BASE = "https://gate.example"


@pytest.fixture
def people(db: None) -> People:
    made = make_people()
    fund(made, pool_nanos=1000 * USD, wallet_nanos=100 * USD)
    return made


def plan(people: People, *dollars: int) -> None:
    thresholds = tuple(amount * USD for amount in dollars)
    wanted = AlertPlan(thresholds, (people.alice,))
    save_plan(people.group, wanted, base_url=BASE, actor=people.alice)


def spend(people: People, nanos: int) -> None:
    capture(Account.objects.wallet_of(people.group), nanos, timezone.now())


def grant(people: People, nanos: int) -> None:
    ledger.grant(people.group, nanos, operation_id=uuid7(), actor=people.alice)


def told(people: People) -> list[tuple[int, int]]:
    """Threshold and balance of each message, in dollars, oldest first."""
    found = Notice.objects.filter(group=people.group).order_by("pk")
    return [(one.threshold_nanos // USD, one.balance_nanos // USD) for one in found]


def test_a_balance_that_falls_below_makes_one_message(people: People) -> None:
    plan(people, 50)
    assert check_balances() == 0
    spend(people, 50 * USD)
    assert check_balances() == 0, "at the threshold is not below it"
    spend(people, 1)
    assert check_balances() == 1
    assert told(people) == [(50, 49)]
    spend(people, 10 * USD)
    assert check_balances() == 0
    assert told(people) == [(50, 49)]


def test_it_is_armed_again_only_clearly_above(people: People) -> None:
    plan(people, 50)
    spend(people, 51 * USD)
    check_balances()
    grant(people, 3 * USD)
    check_balances()
    spend(people, 4 * USD)
    assert check_balances() == 0, "a balance that trembles around the threshold does not ring twice"
    grant(people, 4 * USD + 499_999_999)
    check_balances()
    assert not Alert.objects.get().is_armed
    grant(people, 1)  # 52.50: a twentieth above
    check_balances()
    assert Alert.objects.get().is_armed
    spend(people, 5 * USD)
    assert check_balances() == 1
    assert told(people) == [(50, 49), (50, 47)]


def test_who_falls_past_several_thresholds_hears_of_the_lowest(people: People) -> None:
    plan(people, 50, 20, 5)
    spend(people, 90 * USD)
    check_balances()
    assert told(people) == [(20, 10)]
    spend(people, 6 * USD)
    check_balances()
    assert told(people) == [(20, 10), (5, 4)]


def test_a_threshold_that_is_below_already_waits_for_a_crossing(people: People) -> None:
    plan(people, 200)
    assert check_balances() == 0
    grant(people, 150 * USD)
    check_balances()
    spend(people, 60 * USD)
    assert check_balances() == 1


def test_saving_again_keeps_what_has_rung(people: People) -> None:
    plan(people, 50)
    spend(people, 60 * USD)
    check_balances()
    plan(people, 50, 30)
    assert check_balances() == 0
    assert read_plan(people.group).thresholds == (50 * USD, 30 * USD)
    plan(people, 30)
    assert read_plan(people.group).thresholds == (30 * USD,)


def test_each_change_leaves_a_line(people: People) -> None:
    plan(people, 50)
    plan(people, 50)
    line = Change.objects.get(verb="alerts.changed")
    assert line.after == {
        "thresholds_nanos": [50 * USD],
        "recipients": ["alice@example.com"],
    }
    assert line.group_id == people.group.pk


def test_only_who_manages_can_receive(people: People) -> None:
    assert list(alerts.can_receive(people.group)) == [people.alice]
    GroupMembership.objects.filter(user=people.bob).update(role="manager")
    assert list(alerts.can_receive(people.group)) == [people.alice, people.bob]
    people.bob.is_active = False
    people.bob.save()
    assert list(alerts.can_receive(people.group)) == [people.alice]


def test_the_mail_is_in_the_language_of_its_reader_and_leads_to_the_settings(
    people: People, settings: Any
) -> None:
    settings.PUBLIC_URL = ""
    people.group.name = "R&D <b>"
    people.group.save()
    plan(people, 50)
    spend(people, 60 * USD)
    check_balances()
    assert send_mail() == 1
    (sent,) = mail.outbox
    assert sent.to == ["alice@example.com"]
    assert sent.subject == "The balance of “R&D <b>” is below $50.00"
    assert "It is $40.00 now." in sent.body
    assert f"{BASE}/groups/{people.group.pk}/alerts/" in sent.body
    html = str(sent.alternatives[0][0])  # type: ignore[attr-defined]
    assert "R&amp;D &lt;b&gt;" in html
    assert "<b>" not in html
    settings.PUBLIC_URL = "https://else.example"
    assert "https://else.example/groups/" in compose(Notice.objects.get()).body
    people.alice.language = "ko"
    people.alice.save()
    assert 'lang="ko"' in str(compose(Notice.objects.get()).alternatives[0][0])  # type: ignore[attr-defined]
    assert send_mail() == 0
    assert Notice.objects.get().state == "delivered"


def test_mail_that_does_not_go_out_is_tried_again(people: People, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens there
    plan(people, 50)
    spend(people, 60 * USD)
    check_balances()
    assert send_mail() == 1
    waiting = Notice.objects.get()
    assert waiting.state == "waiting"
    assert waiting.log[0]["error"]
    assert waiting.next_at > timezone.now() + timedelta(seconds=5)
    assert send_mail() == 0, "not before its time"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    Notice.objects.update(next_at=timezone.now())
    assert send_mail() == 1
    assert len(mail.outbox) == 1
    assert Notice.objects.get().state == "delivered"
    assert issubclass(smtplib.SMTPException, OSError)


def test_mail_is_given_up_after_a_day(people: People, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    plan(people, 50)
    spend(people, 60 * USD)
    check_balances()
    Notice.objects.update(created_at=timezone.now() - timedelta(hours=25))
    send_mail()
    assert Notice.objects.get().state == "failed"


def test_who_left_meanwhile_gets_nothing(people: People) -> None:
    plan(people, 50)
    spend(people, 60 * USD)
    check_balances()
    Membership.objects.filter(user=people.alice).delete()
    GroupMembership.objects.filter(user=people.alice).delete()
    assert send_mail() == 1
    assert mail.outbox == []
    assert Notice.objects.get().state == "failed"


def test_a_test_goes_to_everybody_and_not_for_ever(people: People) -> None:
    plan(people, 50)
    for _ in range(alerts.TESTS_MAX):
        assert len(alerts.send_test(people.group)) == 1
    with pytest.raises(alerts.TooManyTests):
        alerts.send_test(people.group)
    assert Alert.objects.get().is_armed, "a test changes no state"


def test_who_stops_his_mail_gets_no_more(people: People) -> None:
    plan(people, 50)
    alerts.stop_mail(people.group, people.alice)
    spend(people, 60 * USD)
    assert check_balances() == 1
    assert told(people) == []


def test_many_workers_make_one_message_and_send_it_once(
    fresh_world: Any, django_db_blocker: Any
) -> None:
    with orm_on(fresh_world.database, django_db_blocker):

        def prepare() -> People:
            made = make_people()
            fund(made, pool_nanos=USD, wallet_nanos=100 * USD)
            plan(made, 50, 20, 5)
            spend(made, 98 * USD)
            return made

        (people,) = in_parallel(prepare)
        assert isinstance(people, People), people
        fired = in_parallel(*[check_balances] * 8)
        assert sorted(fired) == [0] * 7 + [1]  # type: ignore[type-var]
        tried = in_parallel(*[send_mail] * 8)
        assert sum(tried) == 1  # type: ignore[arg-type]
    states = fresh_world.database.query(
        "SELECT state, jsonb_array_length(log) AS tries FROM billing_notice"
    )
    assert states == [{"state": "delivered", "tries": 1}]
