"""The clock's jobs of alerts and closings, as a worker finds them."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from billing.alerts import AlertPlan, save_plan
from billing.models import Account
from billing.notice_models import Closing
from config.celery import app
from tests.billing.past import USD, capture
from tests.people import fund, make_people

JOBS = {
    "billing.notice_tasks.check_balances",
    "billing.notice_tasks.send_alert_mail",
    "billing.notice_tasks.close_days",
    "gateway.notice_tasks.send_webhook_mail",
}


def test_every_job_of_the_clock_is_one_that_workers_know() -> None:
    app.loader.import_default_modules()
    asked = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert asked >= JOBS
    assert {name for name in asked if name not in app.tasks} == set()


@pytest.mark.django_db
def test_a_low_balance_becomes_mail_by_the_jobs_alone() -> None:
    people = make_people()
    fund(people, pool_nanos=USD, wallet_nanos=10 * USD)
    plan = AlertPlan((5 * USD,), (people.alice,))
    save_plan(people.group, plan, base_url="https://gate.example", actor=people.alice)
    wallet = Account.objects.wallet_of(people.group)
    capture(wallet, 6 * USD, timezone.now())
    capture(wallet, 1, timezone.now() - timedelta(days=2))
    app.loader.import_default_modules()
    for job in sorted(JOBS):
        app.tasks[job].apply(throw=True)
    assert len(mail.outbox) == 1
    assert Closing.objects.filter(account=wallet, captured_nanos=1).exists()
