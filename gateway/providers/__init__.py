"""The vendors whose dialects the gateway speaks, by the name that a provider's row gives."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.providers.anthropic import ANTHROPIC
from gateway.providers.base import Dialect
from gateway.providers.black_forest_labs import BLACK_FOREST_LABS
from gateway.providers.deepseek import DEEPSEEK
from gateway.providers.gemini import GEMINI
from gateway.providers.mistral import MISTRAL
from gateway.providers.openai import OPENAI
from gateway.providers.topaz import TOPAZ
from gateway.providers.upstage import UPSTAGE
from gateway.providers.xai import XAI

_ALL = (
    OPENAI,
    ANTHROPIC,
    GEMINI,
    UPSTAGE,
    DEEPSEEK,
    XAI,
    MISTRAL,
    BLACK_FOREST_LABS,
    TOPAZ,
)
DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.slug: dialect for dialect in _ALL})
