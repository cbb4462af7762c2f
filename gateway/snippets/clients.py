"""Clients that guides and snippets are written for, and which families each of them can call."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateway.snippets.families import FAMILIES, Family, find_family


class Client(NamedTuple):
    """A program or library that calls models. `install`: the command that installs it, empty where it is there."""

    slug: str
    name: str
    install: str = ""


CURL = Client("curl", "curl")
OPENAI_PYTHON = Client("openai-python", "OpenAI Python", "pip install openai")
OPENAI_NODE = Client("openai-node", "OpenAI Node.js", "npm install openai")
ANTHROPIC_SDK = Client("anthropic-sdk", "Anthropic SDK", "pip install anthropic")
HERMES = Client("hermes", "Hermes Agent", "pip install hermes-agent")
OPENCLAW = Client("openclaw", "OpenClaw", "npm install -g openclaw")
LANGCHAIN = Client("langchain", "LangChain", "pip install langchain-openai")
VERCEL_AI = Client("vercel-ai", "Vercel AI SDK", "npm install ai @ai-sdk/openai-compatible zod")
CODEX = Client("codex", "Codex CLI", "npm install -g @openai/codex")
CLAUDE_CODE = Client("claude-code", "Claude Code", "npm install -g @anthropic-ai/claude-code")
AIDER = Client("aider", "aider", "pip install aider-chat")
GOOGLE_GENAI = Client("google-genai", "Google Gen AI SDK", "pip install google-genai")

CLIENTS = (
    HERMES, OPENCLAW, OPENAI_PYTHON, OPENAI_NODE, ANTHROPIC_SDK, CURL, LANGCHAIN, VERCEL_AI, CODEX, CLAUDE_CODE, AIDER,
    GOOGLE_GENAI,
)  # fmt: skip

_MESSAGES_ONLY = _(
    "It speaks Anthropic’s Messages API, which is served for models of Anthropic alone."
)
_GEMINI_ONLY = _("It speaks Google’s API, which is served for models of Gemini alone.")
_WRITES_CODE = _("It writes code with a chat model and asks for no pictures.")

LEFT_OUT: Mapping[tuple[str, str], Promise | str] = MappingProxyType(
    {
        ("anthropic-sdk", "gpt"): _MESSAGES_ONLY,
        ("anthropic-sdk", "gpt-image"): _MESSAGES_ONLY,
        ("anthropic-sdk", "gemini"): _MESSAGES_ONLY,
        ("claude-code", "gpt"): _MESSAGES_ONLY,
        ("claude-code", "gpt-image"): _MESSAGES_ONLY,
        ("claude-code", "gemini"): _MESSAGES_ONLY,
        ("codex", "gpt-image"): _WRITES_CODE,
        ("aider", "gpt-image"): _WRITES_CODE,
        ("google-genai", "gpt"): _GEMINI_ONLY,
        ("google-genai", "gpt-image"): _GEMINI_ONLY,
        ("google-genai", "claude"): _GEMINI_ONLY,
    }
)
"""Pairs of a client and a family that do not work together, and why."""


def find_client(slug: str) -> Client:
    """Raises KeyError."""
    return {client.slug: client for client in CLIENTS}[slug]


def clients_of(family_slug: str) -> tuple[Client, ...]:
    """The clients that can call models of the family. Raises KeyError for an unknown one."""
    family = find_family(family_slug)
    return tuple(client for client in CLIENTS if (client.slug, family.slug) not in LEFT_OUT)


def families_of(client_slug: str) -> tuple[Family, ...]:
    """The families whose models the client can call. Raises KeyError for an unknown one."""
    client = find_client(client_slug)
    return tuple(family for family in FAMILIES if (client.slug, family.slug) not in LEFT_OUT)
