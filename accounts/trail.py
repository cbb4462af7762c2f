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
    "key.issued": _("Key issued"),
    "key.revoked": _("Key revoked"),
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
