"""xAI (API reference): Grok."""

from gateway.providers.base import Dialect
from gateway.usage import read_responses_usage, read_xai_chat_usage

XAI = Dialect(
    slug="xai",
    name="xAI",
    base_url="https://api.x.ai/v1",
    paths={"chat": "/chat/completions", "responses": "/responses"},
    usage={"chat": read_xai_chat_usage, "responses": read_responses_usage},
    output_limit="max_completion_tokens",
)
