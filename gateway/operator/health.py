"""How the channels do, as the calls of the last hour saw them.

Breakers are each gateway process's own memory; what all processes saw stands in the attempts of call records. They are
read newest first, by id, and no more than READ_MAX of them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from accounts.ids import first_id_at

SPAN = timedelta(hours=1)
READ_MAX = 20_000
FAILING_PERCENT, DEGRADED_PERCENT = 50, 5
# So many tries at least before a share of failures says anything.
TRIES_MIN = 3

# A try counts against its channel where the provider did not do its part: no connection, no answer in time, a status
# that speaks of it or of our account there, or a stream that broke. What it refuses for the caller's sake (400, 422)
# does not.
JUDGED = """
WITH recent AS (
    SELECT id, model, created_at, status, error_code, error_message, attempts
    FROM gateway_callrecord WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s
), tries AS (
    SELECT r.id, r.model, r.created_at, t.value ->> 'channel' AS channel, (t.value ->> 'ms')::int AS ms,
           (t.value ->> 'status')::int AS status, t.value ->> 'error' AS error,
           t.n = jsonb_array_length(r.attempts) AS is_last, r.status AS ended, r.error_message
    FROM recent r CROSS JOIN LATERAL jsonb_array_elements(r.attempts) WITH ORDINALITY t(value, n)
), judged AS (
    SELECT *, coalesce(error, '') <> '' OR status >= 500 OR status IN (401, 402, 403, 407, 408, 429)
           OR (is_last AND ended IN ('upstream_failed', 'timed_out') AND (status IS NULL OR status < 300)) AS failed
    FROM tries
)
"""
READ = f"""{JUDGED}
SELECT channel, count(*) AS tries, count(*) FILTER (WHERE coalesce(failed, false)) AS failures,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY ms) FILTER (WHERE NOT coalesce(failed, false)) AS p50_ms,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY ms) FILTER (WHERE NOT coalesce(failed, false)) AS p95_ms,
       max(created_at) AS last_at, max(created_at) FILTER (WHERE coalesce(failed, false)) AS failed_at,
       (array_agg(coalesce(nullif(error, ''), nullif(error_message, ''), '') ORDER BY id DESC)
           FILTER (WHERE coalesce(failed, false)))[1] AS failed_with,
       (array_agg(status ORDER BY id DESC) FILTER (WHERE coalesce(failed, false)))[1] AS failed_status
FROM judged GROUP BY channel
"""  # noqa: S608 - made of constants
COUNT = """
SELECT count(*), min(created_at) FROM (
    SELECT created_at FROM gateway_callrecord WHERE id >= %(since)s ORDER BY id DESC LIMIT %(most)s
) r
"""


class Health(NamedTuple):
    """What the last hour's tries say of a channel; times in milliseconds are those of tries that went well."""

    tries: int = 0
    failures: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None
    last_at: datetime | None = None
    failed_at: datetime | None = None
    failed_with: str = ""
    failed_status: int | None = None

    @property
    def state(self) -> str:
        """`idle`, `good`, `degraded` or `failing`."""
        if not self.tries:
            return "idle"
        if self.tries >= TRIES_MIN and self.failures * 100 >= self.tries * FAILING_PERCENT:
            return "failing"
        if self.failures * 100 >= self.tries * DEGRADED_PERCENT:
            return "degraded"
        return "good"

    @property
    def error_percent(self) -> str:
        """The share of tries that failed, to a tenth of a percent."""
        tenths = round(self.failures * 1000 / self.tries) if self.tries else 0
        return f"{tenths // 10}.{tenths % 10}%"


class Healths(NamedTuple):
    """Health by the label of the channel. `is_cut`: only calls since `since` were read."""

    by_label: Mapping[str, Health]
    since: datetime
    is_cut: bool

    def of(self, label: str) -> Health:
        """The health of the channel with that label."""
        return self.by_label.get(label, Health())


def read_healths() -> Healths:
    """The health of every channel that was tried in the last hour."""
    since = timezone.now() - SPAN
    parameters: dict[str, Any] = {"since": first_id_at(since), "most": READ_MAX}
    with connection.cursor() as cursor:
        cursor.execute(COUNT, parameters)
        count, oldest = cursor.fetchone()
        cursor.execute(READ, parameters)
        rows = cursor.fetchall()
    found = {row[0]: Health._make((*row[1:7], row[7] or "", row[8])) for row in rows if row[0]}
    is_cut = count == READ_MAX
    return Healths(found, oldest if is_cut and oldest else since, is_cut)
