"""The dialects that the gateway speaks, by the name that a provider's row gives."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.providers.base import Dialect
from gateway.providers.openai import OpenAI

DIALECTS: Mapping[str, Dialect] = MappingProxyType({"openai": OpenAI()})
