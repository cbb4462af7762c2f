"""DeepSeek (API reference)."""

from gateway.providers.base import Dialect
from gateway.usage import read_deepseek_chat_usage

DEEPSEEK = Dialect(
    slug="deepseek",
    name="DeepSeek",
    base_url="https://api.deepseek.com/v1",
    paths={"chat": "/chat/completions"},
    usage={"chat": read_deepseek_chat_usage},
)
