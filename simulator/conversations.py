"""Conversations that a Responses caller can go on with by the id of their last response."""

from collections import OrderedDict
from typing import Any

from simulator.errors import ApiError

_MOST = 1_000


class Conversations:
    """The latest conversations by response id, as chat messages; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    def recall(self, response_id: str) -> list[dict[str, Any]]:
        """The conversation up to and with that response. Raises ApiError(400) for an unknown id."""
        found = self._kept.get(response_id)
        if found is None:
            raise ApiError(
                400,
                f"Previous response with id '{response_id}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return found

    def keep(self, response_id: str, messages: list[dict[str, Any]]) -> None:
        """Remember a conversation."""
        self._kept[response_id] = messages
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
