"""How often one caller may ask the management API: it shall not crowd out the dashboard on the same database."""

import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.models import APIKey

WINDOW_S = 60


class CallerThrottle(BaseThrottle):
    """`TOLLGATE_API_REQUESTS_PER_MINUTE` of each key, or of each user by his sessions, in every minute of the clock.

    The counts lie in the cache that all processes share. Nothing locks them: requests at the very same moment
    may count as one, which a guard against runaway programs can bear.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        window, self._left_s = divmod(time.time(), WINDOW_S)
        caller = request.auth if isinstance(request.auth, APIKey) else request.user
        name = f"api:{type(caller).__name__}:{caller.pk}:{int(window)}"
        if cache.add(name, 1, 2 * WINDOW_S):
            return True
        try:
            count: int = cache.incr(name)
        except ValueError:
            # Thrown out of a full cache in between.
            return True
        return count <= settings.API_REQUESTS_PER_MINUTE

    def wait(self) -> float:
        """Seconds until the next minute."""
        return WINDOW_S - self._left_s
