"""The audit trail: every change of settings, members, keys, prices and channels leaves a line.

Money has its transfers, which are a trail of their own.
"""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Change, Group, Organization, User

# What can be done, as the dotted name that is stored and as people read it. `record` refuses others.
VERBS: dict[str, Any] = {
    "organization.created": _("Organization created"),
    "group.created": _("Group created"),
    "organization.renamed": _("Organization renamed"),
    "organization.archived": _("Organization deleted"),
    "organization.member_added": _("Member of the organization added"),
    "organization.member_left": _("Member left the organization"),
    "organization.member_removed": _("Member removed from the organization"),
    "organization.role_changed": _("Role in the organization changed"),
    "group.renamed": _("Group renamed"),
    "group.archived": _("Group deleted"),
    "group.member_added": _("Member of a group added"),
    "group.member_left": _("Member left a group"),
    "group.member_removed": _("Member removed from a group"),
    "group.role_changed": _("Role in a group changed"),
    "invitation.made": _("Invitation made"),
    "invitation.changed": _("Invitation changed"),
    "invitation.resent": _("Invitation sent again"),
    "invitation.withdrawn": _("Invitation withdrawn"),
    "invitation.accepted": _("Invitation accepted"),
    "user.deactivated": _("Account deactivated"),
    "key.issued": _("Key issued"),
    "key.revoked": _("Key revoked"),
    "key.changed": _("Key changed"),
    "key.rotated": _("Key rotated"),
    "key.rotation_ended": _("Previous secret of a key stopped"),
    "key.limits_changed": _("Limits of a key changed"),
    "group.restricted": _("Restrictions of a group changed"),
    "group.limits_changed": _("Limits of a group changed"),
    "provider.added": _("Provider added"),
    "channel.added": _("Channel added"),
    "channel.changed": _("Channel changed"),
    "channel.rotated": _("Credential of a channel changed"),
    "channel.enabled": _("Channel enabled"),
    "channel.disabled": _("Channel disabled"),
    "channel.deleted": _("Channel deleted"),
    "channel.tested": _("Channel tested"),
    "channel.cost_set": _("Cost of a channel set"),
    "model.added": _("Model added"),
    "model.changed": _("Model changed"),
    "price.added": _("Price added"),
    "user.reset_sent": _("Password reset sent"),
    "user.reactivated": _("Account reactivated"),
    "user.renamed": _("Name of a person changed"),
    "user.second_factor_removed": _("Second factor removed"),
    "alerts.changed": _("Low-balance alerts changed"),
    "alerts.mail_stopped": _("Mail about a low balance stopped"),
    "alerts.secret_rotated": _("Secret of the alerts’ webhook changed"),
    "webhook.created": _("Webhook added"),
    "webhook.changed": _("Webhook changed"),
    "webhook.removed": _("Webhook removed"),
    "webhook.secret_rotated": _("Secret of a webhook changed"),
    "webhook.tested": _("Webhook tested"),
    "webhook.redelivered": _("Message of a webhook sent again"),
    "webhook.stopped": _("Webhook switched off"),
    "call.refunded": _("Call refunded"),
    "credits.adjusted": _("Credits adjusted"),
    "promotion.given": _("Promotional credits given"),
    "promotion.ended": _("Promotional credits ended early"),
    "codes.made": _("Redeem codes made"),
    "codes.disabled": _("Redeem codes disabled"),
    "code.redeemed": _("Redeem code redeemed"),
}
# What no line may carry, wherever it stands in `before` or `after`.
SECRET_NAMES = frozenset({"password", "secret", "credential", "digest", "token", "code"})


def record(
    actor: User | None,
    verb: str,
    subject: models.Model,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    within: Group | Organization | None = None,
) -> Change:
    """Add a line about `subject`, in the transaction of the caller.

    `actor` None stands for Tollgate itself. `before` and `after` are JSON values of the fields that changed, money as
    nano-dollars in fields named `..._nanos`. `within` says whose admins may read it; without it, only operators.
    Raises ValueError for a verb that is not in VERBS and for a field that bears the name of a secret.
    """
    if verb not in VERBS:
        raise ValueError(f"no such verb in the audit trail: {verb}")
    before, after = before or {}, after or {}
    if named := SECRET_NAMES & (before.keys() | after.keys()):
        raise ValueError(f"the audit trail keeps no secrets: {', '.join(sorted(named))}")
    group = within if isinstance(within, Group) else None
    organization_id = group.organization_id if group else within.pk if within else None
    return Change.objects.create(
        actor=actor,
        actor_name=str(actor)[:254] if actor else "",
        organization_id=organization_id,
        group=group,
        verb=verb,
        subject_kind=subject._meta.model_name or "",
        subject_id=str(subject.pk),
        subject_name=str(subject)[:254],
        before=before,
        after=after,
    )


def differences(
    before: dict[str, Any], after: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides without the fields that stayed the same; empty where nothing changed."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
