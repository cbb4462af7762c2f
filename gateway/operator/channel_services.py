"""What operators do with providers and channels; each is one change, with its line in the audit trail."""

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import trail
from accounts.ids import CLOCK_SKEW, first_id_at
from accounts.models import Change as TrailLine
from accounts.models import User
from gateway.channels import Change, check_credential
from gateway.models import CallRecord, Channel, ChannelCost, Provider, Task
from gateway.operator_models import LIST_BPS
from gateway.provisioning import (
    channel_label,
    describe_channel,
    record_channel,
    seal_credential,
)

# So many records at most are looked through for a channel's name before it counts as used.
LOOKED_THROUGH_MAX = 100_000
TESTS_PER_MINUTE = 10


class TooManyTests(Exception):
    """This operator has tested as many channels in the last minute as one may."""


@transaction.atomic
def add_provider(actor: User, provider: Provider) -> Provider:
    """A vendor that is not among the known ones. Raises ValidationError."""
    provider.full_clean()
    provider.save(force_insert=True)
    facts = {
        "name": provider.name,
        "dialect": provider.dialect,
        "base_url": provider.base_url,
    }
    trail.record(actor, "provider.added", provider, after=facts)
    return provider


@transaction.atomic
def add_channel(actor: User, channel: Channel, credential: str, cost_bps: int) -> Channel:
    """A new channel with its credential and, from now on, its share of list price. Raises ValidationError."""
    check_credential(credential)
    channel.base_url = channel.base_url.rstrip("/")
    channel.full_clean()
    seal_credential(channel, credential)
    channel.save(force_insert=True)
    record_channel(actor, channel, None)
    if cost_bps != LIST_BPS:
        _put_cost(actor, channel, cost_bps, hour_of(timezone.now()))
    return channel


@transaction.atomic
def change_channel(actor: User, channel_id: int, change: Change) -> Channel:
    """Another address, place or map of models. Raises ValidationError."""
    channel = Channel.objects.select_for_update().get(pk=channel_id)
    before = describe_channel(channel)
    for field, value in change._asdict().items():
        if value is not None:
            setattr(channel, field, value)
    channel.base_url = channel.base_url.rstrip("/")
    channel.full_clean()
    channel.save(update_fields=list(change._asdict()))
    record_channel(actor, channel, before)
    return channel


@transaction.atomic
def rotate_credential(actor: User, channel_id: int, credential: str) -> Channel:
    """Another credential for the channel. Raises ValidationError."""
    check_credential(credential)
    channel = Channel.objects.select_for_update().get(pk=channel_id)
    before = describe_channel(channel)
    seal_credential(channel, credential)
    channel.save(update_fields=["credential"])
    record_channel(actor, channel, before)
    return channel


@transaction.atomic
def switch_channel(actor: User, channel_id: int, *, is_enabled: bool) -> Channel:
    """Put the channel into routing or take it out. Running calls go on."""
    channel = Channel.objects.select_for_update().get(pk=channel_id)
    before = describe_channel(channel)
    channel.is_enabled = is_enabled
    channel.save(update_fields=["is_enabled"])
    record_channel(actor, channel, before)
    return channel


@transaction.atomic
def delete_channel(actor: User, channel_id: int) -> None:
    """Remove a channel that is disabled and was never tried. Raises ValidationError for any other: records name it."""
    channel = Channel.objects.select_for_update().get(pk=channel_id)
    if channel.is_enabled:
        raise ValidationError(_("Disable the channel first."))
    if was_used(channel):
        raise ValidationError(
            _(
                "Calls have gone through this channel, and their records name it: it stays, disabled."
            )
        )
    before = describe_channel(channel)
    trail.record(actor, "channel.deleted", channel, before=before)
    channel.delete()


def was_used(channel: Channel) -> bool:
    """Whether a call or task has tried the channel. Where that would take reading too many records: yes."""
    label = channel_label(channel)
    since = first_id_at(channel.created_at - CLOCK_SKEW)
    since_then = CallRecord.objects.filter(id__gte=since).order_by("-id").values("pk")
    if since_then[LOOKED_THROUGH_MAX:].exists():
        return True
    named = [{"channel": label}]
    if CallRecord.objects.filter(id__gte=since, attempts__contains=named).exists():
        return True
    return Task.objects.unfinished().filter(trials__contains=named).exists()


@transaction.atomic
def set_cost(actor: User, channel_id: int, cost_bps: int, effective_from: datetime) -> ChannelCost:
    """What the channel costs from that full hour on, as a share of list price. Raises ValidationError."""
    channel = Channel.objects.select_for_update().get(pk=channel_id)
    if effective_from != hour_of(effective_from):
        raise ValidationError({"effective_from": _("A cost begins at a full hour.")})
    if effective_from <= timezone.now():
        raise ValidationError(
            {"effective_from": _("This has begun already: what is over keeps its cost.")}
        )
    return _put_cost(actor, channel, cost_bps, effective_from)


def _put_cost(
    actor: User, channel: Channel, cost_bps: int, effective_from: datetime
) -> ChannelCost:
    before = (
        ChannelCost.objects.filter(channel=channel, effective_from__lte=effective_from)
        .values_list("cost_bps", flat=True)
        .first()
    )
    cost = ChannelCost(channel=channel, cost_bps=cost_bps, effective_from=effective_from)
    cost.full_clean()
    cost.save(force_insert=True)
    trail.record(
        actor,
        "channel.cost_set",
        channel,
        before={"cost_bps": LIST_BPS if before is None else before},
        after={"cost_bps": cost_bps, "effective_from": effective_from.isoformat()},
    )
    return cost


@transaction.atomic
def count_test(actor: User, channel: Channel, model_name: str) -> None:
    """Note that the channel is tested now, by a call of that model if one is named. Raises TooManyTests.

    The trail itself is the counter, so that the limit holds across processes; one operator's tests queue at a lock.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('channel.tested'), %s)", [actor.pk])
    since = timezone.now() - timedelta(minutes=1)
    lately = TrailLine.objects.filter(
        id__gte=first_id_at(since), actor=actor, verb="channel.tested", at__gte=since
    )
    if lately.count() >= TESTS_PER_MINUTE:
        raise TooManyTests
    trail.record(
        actor, "channel.tested", channel, after={"model": model_name} if model_name else None
    )


def hour_of(moment: datetime) -> datetime:
    """The full hour that the moment lies in."""
    return moment.replace(minute=0, second=0, microsecond=0)
