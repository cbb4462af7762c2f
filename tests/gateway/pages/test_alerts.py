"""The page of low-balance alerts."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import GroupMembership
from billing.alerts import read_plan
from billing.notice_models import Notice
from tests.billing.past import USD
from tests.gateway.webhook_rows import subscribe
from tests.people import People, fund


@pytest.fixture
def funded(people: People) -> People:
    fund(people, pool_nanos=USD, wallet_nanos=100 * USD)
    return people


def url_of(people: People, name: str = "group_alerts") -> str:
    return reverse(name, args=[people.group.pk])


def save(client: Client, people: People, **fields: object) -> Any:
    values = {"threshold_0": "50", "recipients": [people.alice.pk]} | fields
    return client.post(url_of(people), values)


def test_only_managers_see_and_set_alerts(client: Client, funded: People) -> None:
    names = ("group_alerts", "test_alerts", "stop_alert_mail")
    for user, status in ((funded.alice, 200), (funded.bob, 404), (funded.charlie, 404)):
        client.force_login(user)
        assert client.get(url_of(funded)).status_code == status
        if status == 404:
            for name in names:
                assert client.post(url_of(funded, name)).status_code == 404, name


def test_what_was_saved_stands_in_the_form_again(client: Client, funded: People) -> None:
    client.force_login(funded.alice)
    assert save(client, funded, threshold_3="7.50").status_code == 302
    plan = read_plan(funded.group)
    assert (plan.thresholds, plan.recipients) == ((50 * USD, 7_500_000_000), (funded.alice,))
    html = client.get(url_of(funded)).content.decode()
    assert 'value="50.00"' in html
    assert 'value="7.50"' in html
    assert re.search(rf'value="{funded.alice.pk}" checked', html)
    save(client, funded, threshold_0="", recipients=[])
    assert read_plan(funded.group).thresholds == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"threshold_0": "-5"},
        {"threshold_0": "much"},
        {"threshold_4": "0"},
        {"recipients": ["999999"]},
        {"recipients": "bob"},
    ],
)
def test_what_makes_no_sense_is_refused(
    client: Client, funded: People, fields: dict[str, object]
) -> None:
    client.force_login(funded.alice)
    if fields.get("recipients") == "bob":
        fields = {"recipients": [funded.bob.pk]}  # a member manages nothing
    assert save(client, funded, **fields).status_code == 422
    assert read_plan(funded.group).thresholds == ()


def test_the_page_says_whether_webhooks_hear_of_it(client: Client, funded: People) -> None:
    client.force_login(funded.alice)
    leads = reverse("group_webhooks", args=[funded.group.pk])
    page = client.get(url_of(funded)).content.decode()
    assert "A webhook can hear of it, too." in page
    assert f'href="{leads}"' in page
    subscribe(funded.group, funded.alice, "https://a.example/", "balance.low")
    subscribe(funded.group, funded.alice, "https://b.example/", "task.ended")
    subscribe(funded.group, funded.alice, "https://c.example/", is_enabled=False)
    page = client.get(url_of(funded)).content.decode()
    assert "1 webhook hears of it, too." in page


def test_a_test_says_so_and_too_many_are_refused(client: Client, funded: People) -> None:
    client.force_login(funded.alice)
    page = client.post(url_of(funded, "test_alerts"), follow=True).content.decode()
    assert "Nobody would get a message" in page
    save(client, funded)
    for _ in range(5):
        page = client.post(url_of(funded, "test_alerts"), follow=True).content.decode()
        assert "A test is on its way" in page
    page = client.post(url_of(funded, "test_alerts"), follow=True).content.decode()
    assert "many tests" in page
    assert set(Notice.objects.values_list("is_test", flat=True)) == {True}


def test_a_manager_can_stop_his_own_mail(client: Client, funded: People) -> None:
    GroupMembership.objects.filter(user=funded.bob).update(role="manager")
    client.force_login(funded.alice)
    save(client, funded, recipients=[funded.alice.pk, funded.bob.pk])
    client.force_login(funded.bob)
    assert "Stop mail to me" in client.get(url_of(funded)).content.decode()
    client.post(url_of(funded, "stop_alert_mail"))
    assert read_plan(funded.group).recipients == (funded.alice,)
    assert "Stop mail to me" not in client.get(url_of(funded)).content.decode()
