"""Writes to webhooks of groups: each function is one change, in one transaction, with a line in the audit trail.

`actor` None stands for Tollgate itself. What may not be raises ValidationError by field. Whoever sends something wakes
a sender afterwards (`gateway.nudge`).
"""

from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import trail
from accounts.ids import uuid7
from accounts.models import Group, User
from gateway.addresses import UnsafeAddress, check_url
from gateway.deliveries import address_policy, check_test_rate, hurry_waiting
from gateway.models import Delivery, WebhookEndpoint, WebhookEvent
from gateway.signing import put_first_secret, replace_secret
from gateway.webhooks.health import let_waiting_end
from gateway.webhooks.models import SUBSCRIBABLE
from gateway.webhooks.payloads import example_facts

ENDPOINTS_MAX = 5
DESCRIPTION_CHARS_MAX = 120


class EndpointPlan(NamedTuple):
    """What somebody set. `events`: of SUBSCRIBABLE, at least one."""

    url: str
    events: tuple[str, ...]
    description: str = ""
    is_enabled: bool = True


def plan_of(endpoint: WebhookEndpoint) -> EndpointPlan:
    """What is set now."""
    return EndpointPlan(
        endpoint.url, tuple(endpoint.events), endpoint.description, endpoint.is_enabled
    )


@transaction.atomic
def create_endpoint(
    group: Group, actor: User | None, plan: EndpointPlan, *, base_url: str = ""
) -> tuple[WebhookEndpoint, str]:
    """A new webhook and its secret: show it once. `base_url` is where this installation was asked.

    Raises ValidationError for a plan that cannot be, and where the group has ENDPOINTS_MAX already.
    """
    others = _lock_webhooks(group)
    if others.count() >= ENDPOINTS_MAX:
        text = _("A group has at most %(most)d webhooks.") % {"most": ENDPOINTS_MAX}
        raise ValidationError({"__all__": text})
    endpoint = WebhookEndpoint(group=group, base_url=base_url)
    _put(endpoint, plan, others)
    secret = put_first_secret(endpoint)
    endpoint.save(force_insert=True)
    trail.record(actor, "webhook.created", endpoint, after=_told(endpoint), within=group)
    return endpoint, secret


@transaction.atomic
def change_endpoint(
    endpoint: WebhookEndpoint, actor: User | None, plan: EndpointPlan
) -> WebhookEndpoint:
    """Set what the plan says. What waits goes to the new address; what waits for one that is switched off ends unsent.
    Raises ValidationError."""
    others = _lock_webhooks(endpoint.group).exclude(pk=endpoint.pk)
    stored = _lock(endpoint)
    before, was_enabled = _told(stored), stored.is_enabled
    _put(stored, plan, others)
    if stored.is_enabled and not was_enabled:
        # Whoever switches it on again has seen to it: its days are counted anew.
        stored.stopped_why, stored.failing_since, stored.mail_due = "", None, False
    old, new = trail.differences(before, _told(stored))
    if new:
        stored.save()
        trail.record(actor, "webhook.changed", stored, before=old, after=new, within=stored.group)
    if was_enabled and not stored.is_enabled:
        let_waiting_end(stored)
    return stored


@transaction.atomic
def remove_endpoint(endpoint: WebhookEndpoint, actor: User | None) -> None:
    """Take the webhook away, with its log."""
    stored = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint.pk).first()
    if stored is None:
        return
    trail.record(actor, "webhook.removed", stored, before=_told(stored), within=stored.group)
    stored.delete()


@transaction.atomic
def rotate_secret(endpoint: WebhookEndpoint, actor: User | None) -> str:
    """Another secret: show it once. The one before signs too for signing.OVERLAP."""
    stored = _lock(endpoint)
    made = replace_secret(stored)
    trail.record(actor, "webhook.secret_rotated", stored, within=stored.group)
    return made


@transaction.atomic
def send_test(endpoint: WebhookEndpoint, actor: User | None) -> Delivery:
    """An event that says that nothing has happened, to this webhook alone, on or off; it is tried once. Raises
    TooManyTests."""
    stored = _lock(endpoint)
    tests = Delivery.objects.filter(endpoint=stored, event__type=WebhookEvent.Type.TEST)
    check_test_rate(tests)
    event = WebhookEvent(
        id=uuid7(), group=stored.group, type=WebhookEvent.Type.TEST, facts=example_facts()
    )
    event.cause = f"test:{event.pk}"
    event.save(force_insert=True)
    trail.record(actor, "webhook.tested", stored, within=stored.group)
    return _deliver(stored, event)


@transaction.atomic
def redeliver(delivery: Delivery, actor: User | None) -> Delivery:
    """The same event to its webhook again, with the same id and bytes; what waits is tried now instead. A test is
    another test. Raises TooManyTests, and ValidationError where the webhook is switched off."""
    if delivery.endpoint is None or delivery.event is None:
        raise ValueError(f"{delivery} is of no webhook")
    if delivery.is_test:
        return send_test(delivery.endpoint, actor)
    stored = _lock(delivery.endpoint)
    if not stored.is_enabled:
        raise ValidationError({"__all__": _("The webhook is switched off. Switch it on first.")})
    same = Delivery.objects.filter(endpoint=stored, event=delivery.event)
    sent = hurry_waiting(same) or _deliver(stored, delivery.event)
    after = {"type": delivery.event.type, "message": delivery.event.public_id}
    trail.record(actor, "webhook.redelivered", stored, after=after, within=stored.group)
    return sent


def _deliver(endpoint: WebhookEndpoint, event: WebhookEvent) -> Delivery:
    made: Delivery = Delivery.objects.create(
        group_id=endpoint.group_id, endpoint=endpoint, event=event, url=endpoint.url
    )
    return made


def _lock(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The row as it is stored. Raises WebhookEndpoint.DoesNotExist for one that was removed meanwhile."""
    return (
        WebhookEndpoint.objects.select_for_update(of=("self",))
        .select_related("group")
        .get(pk=endpoint.pk)
    )


def _lock_webhooks(group: Group) -> Any:
    """The group's webhooks, of which no other transaction makes or changes one until this one ends."""
    Group.objects.select_for_update(no_key=True).get(pk=group.pk)
    return WebhookEndpoint.objects.of_group(group)


def _put(endpoint: WebhookEndpoint, plan: EndpointPlan, others: Any) -> None:
    wrong: dict[str, str] = {}
    unknown = sorted(set(plan.events) - set(SUBSCRIBABLE))
    if unknown:
        wrong["events"] = _("There is no event “%(name)s”.") % {"name": unknown[0][:40]}
    elif not plan.events:
        wrong["events"] = _("Choose at least one event.")
    if len(plan.description) > DESCRIPTION_CHARS_MAX:
        text = _("At most %(most)d characters.") % {"most": DESCRIPTION_CHARS_MAX}
        wrong["description"] = text
    try:
        check_url(plan.url, address_policy())
    except UnsafeAddress as error:
        wrong["url"] = str(error)
    else:
        if others.filter(url=plan.url).exists():
            wrong["url"] = _("The group has a webhook with this address already.")
    if wrong:
        raise ValidationError(wrong)
    endpoint.url, endpoint.description = plan.url, plan.description.strip()
    endpoint.events = [name for name in SUBSCRIBABLE if name in plan.events]
    endpoint.is_enabled = plan.is_enabled


def _told(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What the audit trail keeps. Of an address only what is no secret: what stands behind `?` may be one."""
    return {
        "webhook": endpoint.url.partition("?")[0],
        "description": endpoint.description,
        "events": list(endpoint.events),
        "is_enabled": endpoint.is_enabled,
    }
