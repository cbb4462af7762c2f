"""What a dialect has to say about its provider."""

from typing import Any, Protocol

from billing.pricing import Usage


class Dialect(Protocol):
    """How to speak to a provider. Instances are stateless.

    `chat_path` follows the channel's base URL; `output_limit` is the body's field for the most output tokens, used
    where the client named none.
    """

    chat_path: str
    output_limit: str

    def headers(self, credential: str) -> list[tuple[str, str]]:
        """The headers that authenticate us."""
        ...

    def read_usage(self, reported: Any) -> Usage | None:
        """The `usage` object of an answer in disjoint buckets; None if it is missing or cannot be true."""
        ...
