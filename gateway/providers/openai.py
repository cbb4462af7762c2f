"""OpenAI (API reference), and any vendor that says nothing else of itself."""

from gateway.providers.base import Dialect
from gateway.usage import read_chat_usage, read_embeddings_usage, read_responses_usage

OPENAI = Dialect(
    slug="openai",
    name="OpenAI",
    base_url="https://api.openai.com/v1",
    paths={
        "chat": "/chat/completions",
        "responses": "/responses",
        "embeddings": "/embeddings",
    },
    usage={
        "chat": read_chat_usage,
        "responses": read_responses_usage,
        "embeddings": read_embeddings_usage,
    },
    output_limit="max_completion_tokens",
)
