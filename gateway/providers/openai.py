"""OpenAI, and vendors whose Chat Completions differ in nothing that matters here."""

from typing import Any

from billing.pricing import Usage
from gateway.usage import read_chat_usage


class OpenAI:
    """Chat Completions as in OpenAI's API reference."""

    chat_path = "/chat/completions"
    output_limit = "max_completion_tokens"

    def headers(self, credential: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {credential}")]

    def read_usage(self, reported: Any) -> Usage | None:
        return read_chat_usage(reported)
