"""What operators do with channels, and the lines that it leaves."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import APIKey, Change, User
from gateway.channels import Change as Wish
from gateway.models import Channel, ChannelCost, Provider
from gateway.operator import channel_services as services
from gateway.operator.costs import costs_at
from gateway.provisioning import fingerprint, open_credential, provide_vendors
from tests.gateway.operator.shop import SECRET, URL, add_channel, tried
from tests.people import People

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(people: People) -> User:
    return people.olga


def last_line() -> Change:
    return Change.objects.order_by("-id")[0]


def test_a_channel_is_added_with_a_sealed_credential_and_a_line(olga: User) -> None:
    provide_vendors()
    wanted = Channel(provider_id="openai", name="main", base_url=f"{URL}/", priority=2)
    channel = services.add_channel(olga, wanted, SECRET, 4000)
    assert open_credential(channel) == SECRET
    assert SECRET.encode() not in bytes(channel.credential)
    assert channel.base_url == URL
    assert costs_at(timezone.now()).of(channel.pk) == 4000
    added = Change.objects.get(verb="channel.added")
    assert (added.actor, added.subject_id) == (olga, str(channel.pk))
    assert added.after["fingerprint"] == fingerprint(channel)
    assert SECRET not in str(list(Change.objects.values()))


def test_a_second_channel_of_that_name_is_refused(olga: User) -> None:
    add_channel()
    with pytest.raises(ValidationError):
        services.add_channel(
            olga, Channel(provider_id="openai", name="main", base_url=URL), "sk-2", 10_000
        )
    assert open_credential(Channel.objects.get()) == SECRET


def test_a_change_says_what_it_was_before(olga: User) -> None:
    channel = add_channel()
    services.change_channel(olga, channel.pk, Wish(base_url="http://other/v1", weight=3))
    line = last_line()
    assert line.verb == "channel.changed"
    assert line.before == {"base_url": URL, "weight": 1}
    assert line.after == {"base_url": "http://other/v1", "weight": 3}
    count = Change.objects.count()
    services.change_channel(olga, channel.pk, Wish(weight=3))
    assert Change.objects.count() == count, "nothing changed, nothing is told"


def test_an_address_that_cannot_be_called_changes_nothing(olga: User) -> None:
    channel = add_channel()
    with pytest.raises(ValidationError):
        services.change_channel(olga, channel.pk, Wish(base_url="ftp://host/v1"))
    channel.refresh_from_db()
    assert channel.base_url == URL


def test_a_rotated_credential_is_told_by_its_fingerprint_alone(olga: User) -> None:
    channel = add_channel()
    before = fingerprint(channel)
    services.rotate_credential(olga, channel.pk, "sk-new-secret")
    channel.refresh_from_db()
    assert open_credential(channel) == "sk-new-secret"
    line = last_line()
    assert line.verb == "channel.rotated"
    assert (line.before, line.after) == (
        {"fingerprint": before},
        {"fingerprint": fingerprint(channel)},
    )
    assert before != fingerprint(channel)
    with pytest.raises(ValidationError):
        services.rotate_credential(olga, channel.pk, "two words")


def test_a_channel_is_taken_out_and_put_back(olga: User) -> None:
    channel = add_channel()
    services.switch_channel(olga, channel.pk, is_enabled=False)
    assert (last_line().verb, Channel.objects.get().is_enabled) == ("channel.disabled", False)
    services.switch_channel(olga, channel.pk, is_enabled=True)
    assert (last_line().verb, Channel.objects.get().is_enabled) == ("channel.enabled", True)


def test_only_what_is_disabled_and_was_never_tried_is_deleted(olga: User, key: APIKey) -> None:
    channel = add_channel()
    with pytest.raises(ValidationError, match="Disable"):
        services.delete_channel(olga, channel.pk)
    services.switch_channel(olga, channel.pk, is_enabled=False)
    call = tried(key, seconds_ago=0)
    with pytest.raises(ValidationError, match="records name it"):
        services.delete_channel(olga, channel.pk)
    call.delete()
    tried(key, channel="openai:other", seconds_ago=0)
    services.delete_channel(olga, channel.pk)
    assert not Channel.objects.exists()
    assert last_line().verb == "channel.deleted"


def test_a_channel_with_too_many_calls_since_counts_as_used(
    key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = add_channel()
    tried(key, channel="openai:other", seconds_ago=0)
    assert not services.was_used(channel)
    monkeypatch.setattr(services, "LOOKED_THROUGH_MAX", 1)
    tried(key, channel="openai:other", seconds_ago=0)
    assert services.was_used(channel)


def test_a_cost_begins_at_a_full_hour_to_come_and_is_never_altered(olga: User) -> None:
    channel = add_channel()
    hour = services.hour_of(timezone.now())
    for moment in (hour, hour - timedelta(hours=1), hour + timedelta(hours=1, minutes=1)):
        with pytest.raises(ValidationError):
            services.set_cost(olga, channel.pk, 4000, moment)
    cost = services.set_cost(olga, channel.pk, 4000, hour + timedelta(hours=1))
    assert (last_line().before, last_line().after["cost_bps"]) == ({"cost_bps": 10_000}, 4000)
    assert costs_at(hour).of(channel.pk) == 10_000
    assert costs_at(hour + timedelta(hours=1)).of(channel.pk) == 4000
    for statement in (
        "UPDATE gateway_channelcost SET cost_bps = 1",
        "DELETE FROM gateway_channelcost",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert ChannelCost.objects.get().pk == cost.pk


@pytest.mark.parametrize("cost_bps", [-1, 100_001])
def test_an_absurd_cost_is_refused(olga: User, cost_bps: int) -> None:
    channel = add_channel()
    hour = services.hour_of(timezone.now()) + timedelta(hours=2)
    with pytest.raises(ValidationError):
        services.set_cost(olga, channel.pk, cost_bps, hour)


def test_tests_are_counted_per_operator_and_minute(people: People) -> None:
    channel = add_channel()
    for _turn in range(services.TESTS_PER_MINUTE):
        services.count_test(people.olga, channel, "openai/tiny")
    with pytest.raises(services.TooManyTests):
        services.count_test(people.olga, channel, "openai/tiny")
    services.count_test(people.alice, channel, "")
    assert Change.objects.filter(verb="channel.tested").count() == services.TESTS_PER_MINUTE + 1


def test_a_provider_is_added_once(olga: User) -> None:
    fields: dict[str, Any] = {"slug": "own", "name": "Own", "dialect": "openai", "base_url": URL}
    services.add_provider(olga, Provider(**fields))
    assert last_line().verb == "provider.added"
    with pytest.raises(ValidationError):
        services.add_provider(olga, Provider(**fields))
