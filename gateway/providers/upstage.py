"""Upstage (API reference): Solar."""

from gateway.providers.base import Dialect
from gateway.usage import read_chat_usage, read_embeddings_usage

UPSTAGE = Dialect(
    slug="upstage",
    name="Upstage",
    base_url="https://api.upstage.ai/v1",
    paths={"chat": "/chat/completions", "embeddings": "/embeddings"},
    usage={"chat": read_chat_usage, "embeddings": read_embeddings_usage},
)
