"""Records of calls, as rows and as rows of a table."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from accounts.ids import first_id_at
from accounts.models import APIKey
from gateway.models import CallRecord


def record(key: APIKey, seconds_ago: float = 0, **fields: Any) -> CallRecord:
    """A completed call by the key, so long ago."""
    at = timezone.now() - timedelta(seconds=seconds_ago)
    return CallRecord.objects.create(
        id=UUID(int=first_id_at(at).int | uuid4().int & (2**62 - 1)),
        organization_id=key.group.organization_id,
        group=key.group,
        api_key=key,
        created_at=at,
        **{
            "endpoint": "chat/completions",
            "model": "openai/gpt-5.5",
            "status": "completed",
            "basis": "reported",
        }
        | fields,
    )


def rows_of(html: str) -> list[str]:
    """Ids of the calls that a page lists, in its order."""
    return re.findall(r'<tr id="(call_[0-9a-f]{32})"', html)
