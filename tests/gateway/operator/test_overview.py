"""The overview: what came in, what it cost, what is outstanding, beside the days before."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from accounts.ids import uuid7
from accounts.key_services import issue_key
from accounts.models import APIKey
from billing import ledger
from gateway.models import ChannelCost
from gateway.operator.overview import read_outstanding, span_of
from tests.gateway.operator.shop import LONG_AGO, add_channel, tried
from tests.people import People, fund

PAGE = "/operator/"
DAY_S = 86_400


def test_revenue_cost_and_margin_of_the_days_beside_those_before(
    olga: Client, key: APIKey, people: People
) -> None:
    channel = add_channel()
    ChannelCost.objects.create(channel=channel, cost_bps=4000, effective_from=LONG_AGO)
    other = issue_key(people.foreign_group, people.charlie, "x")[0]
    for one in (key, other):
        tried(one, list_nanos=10**9, amount_nanos=5 * 10**8, written_off_nanos=7)
    tried(key, status="upstream_failed")
    tried(key, status="refused", attempts=[])
    tried(key, seconds_ago=8 * DAY_S, list_nanos=10**9, amount_nanos=10**9)
    context = olga.get(f"{PAGE}?period=7d").context
    money, before = context["money"], context["before"]
    assert (money.totals.amount_nanos, money.totals.list_nanos) == (10**9, 2 * 10**9)
    assert (money.spent.nanos, money.margin_nanos, money.margin_permille) == (
        8 * 10**8,
        2 * 10**8,
        200,
    )
    assert (money.totals.calls, money.failures, money.failure_permille) == (4, 1, 250)
    assert (money.active_groups, money.totals.written_off_nanos) == (2, 14)
    assert (before.totals.amount_nanos, before.spent.nanos) == (10**9, 4 * 10**8)


def test_deposits_and_what_is_outstanding(olga: Client, people: People) -> None:
    fund(people, pool_nanos=3 * 10**9, wallet_nanos=2 * 10**9)
    ledger.deposit(people.foreign_organization, 10**9, operation_id=uuid7(), actor=people.olga)
    context = olga.get(PAGE).context
    assert context["money"].deposits_nanos == 6 * 10**9
    left = read_outstanding()
    assert (left.pools_nanos, left.wallets_nanos, left.nanos) == (4 * 10**9, 2 * 10**9, 6 * 10**9)


def test_tops_name_organizations_models_and_channels(olga: Client, key: APIKey) -> None:
    channel = add_channel()
    tried(key, list_nanos=10**9, amount_nanos=5 * 10**8)
    tried(key, status="refused", attempts=[])
    tops = olga.get(PAGE).context["tops"]
    assert [row.name for row in tops["organization"]] == ["Arden Labs"]
    assert [row.name for row in tops["model"]] == ["openai/gpt-5.5"]
    assert [(row.name, row.url_args, row.margin_permille) for row in tops["channel"]] == [
        ("openai:main", channel.pk, -1000),
        ("", None, None),
    ]


def test_the_chart_stacks_by_what_is_asked_for_and_adds_up(olga: Client, key: APIKey) -> None:
    add_channel()
    for number in range(7):
        tried(key, model=f"openai/m{number}", list_nanos=10, amount_nanos=10 - number)
    for by, count in (("organization", 1), ("model", 7), ("channel", 1)):
        context = olga.get(f"{PAGE}?by={by}").context
        legend = context["chart"].legend
        assert len(legend) == count
        assert sum(part.value for part in legend) == 49
        [(_day, cells, total)] = context["day_rows"]
        assert (cells, total) == ([part.value for part in legend], 49)


def test_an_empty_installation_says_so(olga: Client, people: People) -> None:
    html = olga.get(PAGE).content.decode()
    assert "Nothing was charged in these days" in html


def test_spans_are_whole_days_and_months() -> None:
    now = timezone.now()
    assert [span_of(period, now).days for period in ("7d", "30d", "90d")] == [7, 30, 90]
    assert span_of("month", now).days == timezone.localdate(now).day
    last = span_of("last", now)
    assert last.until == span_of("month", now).since
    assert last.until - last.since >= timedelta(days=28)


def test_nonsense_in_the_address_shows_the_usual_days(olga: Client, people: People) -> None:
    assert olga.get(f"{PAGE}?period=century&by=colour").context["period"] == "30d"
