"""What a statement says about spending: by model and by key, agreeing with the charges of its month.

The sums of usage count a call in the month in which it began; a charge counts when it was booked. Calls that began
before midnight of the first and were charged after it make the difference, and they are few: they are moved over.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q

from accounts.ids import CLOCK_SKEW, LONGEST_CALL, first_id_at
from accounts.models import APIKey
from billing.closings import day_start
from billing.statements import Month
from gateway.usage_analytics import Key, Scope, Span, Totals, read_top

_ACROSS = """
SELECT r.model, r.api_key_id, sum(t.amount_nanos)::bigint
FROM gateway_callrecord r JOIN billing_transfer t ON t.id = r.id AND t.kind = 'capture'
WHERE r.{owner} = %s AND r.id >= %s AND r.id < %s AND r.created_at < %s AND t.created_at >= %s
GROUP BY r.model, r.api_key_id
"""


class Part(NamedTuple):
    """What one model or key was charged. `name` is empty for what no call record tells."""

    name: str
    nanos: int


class Spending(NamedTuple):
    """Dearest first; each list adds up to what the calls of the month were charged."""

    models: list[Part]
    keys: list[Part]


def read_spending(scope: Scope, month: Month, charged_nanos: int) -> Spending:
    """The spending of a group or an organization; `charged_nanos` is what its ledger says."""
    since, until = day_start(month.first), day_start(month.last)
    span = Span(since, until, UTC)
    models = _charged(read_top(scope, span, "model"))
    keys = _charged(read_top(scope, span, "key"))
    for boundary, sign in ((since, 1), (until, -1)):
        for model, key_id, nanos in _charged_across(scope, boundary):
            models[model] = models.get(model, 0) + sign * nanos
            keys[key_id] = keys.get(key_id, 0) + sign * nanos
    names = _key_names(keys)
    return Spending(
        _parts({str(model): nanos for model, nanos in models.items()}, charged_nanos),
        _parts({names.get(key, str(key)): nanos for key, nanos in keys.items()}, charged_nanos),
    )


def _charged(top: list[tuple[Key, Totals]]) -> dict[Key, int]:
    return {key: totals.amount_nanos for key, totals in top}


def _charged_across(scope: Scope, boundary: datetime) -> list[tuple[str, UUID, int]]:
    """Model, key and charge of calls that began before the boundary and were charged after it."""
    owner = "group_id" if scope.group_id else "organization_id"
    parameters = [
        scope.group_id or scope.organization_id,
        first_id_at(boundary - LONGEST_CALL),
        first_id_at(boundary + CLOCK_SKEW),
        boundary,
        boundary,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ACROSS.format(owner=owner), parameters)
        found: list[tuple[str, UUID, int]] = cursor.fetchall()
    return found


def _key_names(keys: Mapping[Key, int]) -> dict[Key, str]:
    """Names; those that several keys bear with the public part of the key behind it."""
    ids = [key for key in keys if isinstance(key, UUID)]
    found = list(APIKey.objects.filter(Q(pk__in=ids)).values_list("pk", "name", "public_id"))
    names = [name for _pk, name, _public in found]
    return {
        pk: f"{name} ({public})" if names.count(name) > 1 else name for pk, name, public in found
    }


def _parts(sums: dict[str, int], charged_nanos: int) -> list[Part]:
    parts = [Part(name, nanos) for name, nanos in sums.items() if nanos]
    parts.sort(key=lambda part: (-part.nanos, part.name))
    rest = charged_nanos - sum(part.nanos for part in parts)
    return [*parts, Part("", rest)] if rest else parts
