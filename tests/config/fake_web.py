"""The smallest application that granian can serve, for the tests of how its workers end."""

import os
from typing import Any

from config.process import die_with_parent

die_with_parent()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request with the worker's process id."""
    if scope["type"] == "http":
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
