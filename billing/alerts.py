"""Low-balance alerts of groups: their settings, and finding what fell below a threshold.

An alert is a row with a state. Armed while the balance is above its threshold, it fires when the balance is below,
and is armed again once the balance is above by a twentieth. Whoever finds it changes the state and writes the mail
in one transaction, so however many look, one crossing makes one mail for each receiver. The group's webhooks hear of it
from a trigger on the state (gateway migration 0011).
"""

from collections import defaultdict
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import trail
from accounts.ids import first_id_at
from accounts.models import Group, GroupMembership, Membership, User
from billing.models import Account
from billing.notice_models import Alert, AlertRecipient, AlertSettings, Notice

THRESHOLDS_MAX = 5
TESTS_MAX, TESTS_PERIOD = 5, timedelta(minutes=1)

# Only rows whose state has to change are locked. One that another worker has is that worker's to change.
_DUE = """
SELECT l.id, l.group_id, l.threshold_nanos, a.balance_nanos, l.is_armed
FROM billing_alert l
JOIN billing_account a ON a.group_id = l.group_id AND a.kind = 'wallet'
WHERE CASE WHEN l.is_armed THEN a.balance_nanos < l.threshold_nanos
           ELSE a.balance_nanos >= l.threshold_nanos + l.threshold_nanos / 20 END
ORDER BY l.id LIMIT 1000
FOR UPDATE OF l SKIP LOCKED
"""


class TooManyTests(Exception):
    """More than TESTS_MAX tests of one group within TESTS_PERIOD."""


class AlertPlan(NamedTuple):
    """What somebody set: thresholds in nano-dollars, and who gets mail."""

    thresholds: tuple[int, ...]
    recipients: tuple[User, ...]


class Due(NamedTuple):
    """An alert whose state no longer fits the balance."""

    alert_id: int
    group_id: UUID
    threshold_nanos: int
    balance_nanos: int
    is_armed: bool


def can_receive(group: Group) -> QuerySet[User]:
    """Who may get mail about the group's balance: its managers and the admins of its organization."""
    managers = GroupMembership.objects.filter(group=group, role=GroupMembership.Role.MANAGER)
    admins = Membership.objects.filter(
        organization=group.organization_id, role=Membership.Role.ADMIN
    )
    people = Q(pk__in=managers.values("user")) | Q(pk__in=admins.values("user"))
    return User.objects.filter(people, is_active=True).order_by("name", "email")


def read_plan(group: Group) -> AlertPlan:
    """What is set now."""
    chosen = AlertRecipient.objects.filter(group=group).values("user")
    return AlertPlan(
        tuple(
            Alert.objects.filter(group=group)
            .order_by("-threshold_nanos")
            .values_list("threshold_nanos", flat=True)
        ),
        tuple(can_receive(group).filter(pk__in=chosen)),
    )


@transaction.atomic
def save_plan(group: Group, plan: AlertPlan, *, base_url: str, actor: User) -> AlertSettings:
    """Set thresholds and receivers. A threshold that stays keeps its state; a new one fires when the balance falls
    below it, not because it is below already. `base_url` is where this installation was asked."""
    AlertSettings.objects.get_or_create(pk=group.pk)
    settings = AlertSettings.objects.select_for_update().get(pk=group.pk)
    before = _told(read_plan(group))
    settings.base_url = base_url
    settings.save(update_fields=["base_url"])
    wallet = Account.objects.wallet_of(group)
    mine = Alert.objects.filter(group=group)
    mine.exclude(threshold_nanos__in=plan.thresholds).delete()
    known = set(mine.values_list("threshold_nanos", flat=True))
    Alert.objects.bulk_create(
        Alert(group=group, threshold_nanos=nanos, is_armed=wallet.balance_nanos >= nanos)
        for nanos in set(plan.thresholds) - known
    )
    AlertRecipient.objects.filter(group=group).exclude(user__in=plan.recipients).delete()
    AlertRecipient.objects.bulk_create(
        [AlertRecipient(group=group, user=user) for user in plan.recipients], ignore_conflicts=True
    )
    old, new = trail.differences(before, _told(read_plan(group)))
    if new:
        trail.record(actor, "alerts.changed", group, before=old, after=new, within=group)
    return settings


@transaction.atomic
def stop_mail(group: Group, user: User) -> None:
    """No more mail about this group to him, whoever chose him."""
    deleted, _kinds = AlertRecipient.objects.filter(group=group, user=user).delete()
    if deleted:
        trail.record(user, "alerts.mail_stopped", group, within=group)


@transaction.atomic
def check_balances() -> int:
    """Fire what fell below its threshold and arm what is above again. Answers how many groups get a message."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_DUE)
        due = [Due(*row) for row in cursor.fetchall()]
    crossed: dict[UUID, list[Due]] = defaultdict(list)
    for one in due:
        if one.is_armed:
            crossed[one.group_id].append(one)
    fired = [one.alert_id for one in due if one.is_armed]
    Alert.objects.filter(pk__in=fired).update(is_armed=False, fired_at=now)
    above = [one.alert_id for one in due if not one.is_armed]
    Alert.objects.filter(pk__in=above).update(is_armed=True)
    groups = Group.objects.select_related("organization").in_bulk(list(crossed))
    for group_id, several in crossed.items():
        # Whoever fell past two thresholds at once hears of the lower one.
        lowest = min(several, key=lambda one: one.threshold_nanos)
        _write_notices(groups[group_id], lowest.threshold_nanos, lowest.balance_nanos)
    return len(crossed)


def send_test(group: Group) -> list[Notice]:
    """A mail as an alert sends it, marked as a test, to everybody who would get one. Raises TooManyTests."""
    since = first_id_at(timezone.now() - TESTS_PERIOD)
    recent = Notice.objects.filter(group=group, is_test=True, pk__gte=since)
    plan = read_plan(group)
    if recent.count() >= TESTS_MAX * max(len(plan.recipients), 1):
        raise TooManyTests
    wallet = Account.objects.wallet_of(group)
    threshold = max(plan.thresholds, default=0)
    return _write_notices(group, threshold, wallet.balance_nanos, is_test=True)


def latest_notices(group: Group, count: int) -> list[Notice]:
    """The group's mails, newest first."""
    mine = Notice.objects.filter(group=group).select_related("user").order_by("-id")
    return list(mine[:count])


def _write_notices(
    group: Group, threshold_nanos: int, balance_nanos: int, *, is_test: bool = False
) -> list[Notice]:
    plan = read_plan(group)
    figures: dict[str, Any] = {
        "group": group,
        "is_test": is_test,
        "threshold_nanos": threshold_nanos,
        "balance_nanos": balance_nanos,
    }
    return Notice.objects.bulk_create([Notice(**figures, user=user) for user in plan.recipients])


def _told(plan: AlertPlan) -> dict[str, Any]:
    """What the audit trail keeps."""
    return {
        "thresholds_nanos": list(plan.thresholds),
        "recipients": sorted(user.email for user in plan.recipients),
    }
