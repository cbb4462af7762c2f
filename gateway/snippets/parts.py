"""Which texts make up the snippets of a client for a family. None is written per model."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Kind = Literal["shell", "python", "node", "config", "env"]

_TEXTS = Path(__file__).parent / "texts"


class Part(NamedTuple):
    """One text of `texts/`, whose name ends in `.txt`, and what it is."""

    kind: Kind
    title: Promise
    text: str
    language: str
    filename: str = ""

    def read(self) -> str:
        """The text with its markers, without the end of its last line."""
        return _read(self.text)


@cache
def _read(name: str) -> str:
    return (_TEXTS / f"{name}.txt").read_text().removesuffix("\n")


def _program(title: Promise, text: str) -> Part:
    filename = text.partition("/")[2]
    if text.endswith(".py"):
        return Part("python", title, text, "python", filename)
    if text.endswith(".mjs"):
        return Part("node", title, text, "javascript", filename)
    return Part("shell", title, text, "shell")


_CHAT, _STREAM = _("One answer"), _("Streamed")
_TOOLS, _STRUCTURED = _("Tools"), _("Structured output")
_DRAW, _EDIT = _("Draw a picture"), _("Edit a picture")
_SET_UP, _ASK = _("Provider and model"), _("First question")

_KEY = Part("env", _("The key"), "shared/key.sh", "shell")
_RESPONSES = _("Responses API")
_AS_TASKS = _("As tasks")


def _key_file(filename: str) -> Part:
    return Part("env", _("The key"), "shared/key.env", "dotenv", filename)


def _programs(client: str, *named: tuple[Promise, str]) -> tuple[Part, ...]:
    return (_KEY, *(_program(title, f"{client}/{name}") for title, name in named))


_CURL_CHAT = _programs(
    "curl",
    (_CHAT, "chat.sh"),
    (_STREAM, "stream.sh"),
    (_TOOLS, "tools.sh"),
)
_CURL_SCHEMA = _program(_STRUCTURED, "curl/structured.sh")
_CURL_PICTURES = _programs(
    "curl",
    (_("Order a picture"), "order.sh"),
    (_("Order, wait and download"), "draw.sh"),
    (_EDIT, "edit.sh"),
)
_PYTHON_CHAT = _programs(
    "openai-python",
    (_CHAT, "chat.py"),
    (_STREAM, "stream.py"),
    (_TOOLS, "tools.py"),
)
_PYTHON_SCHEMA = _program(_STRUCTURED, "openai-python/structured.py")
_NODE_CHAT = _programs(
    "openai-node", (_CHAT, "chat.mjs"), (_STREAM, "stream.mjs"), (_TOOLS, "tools.mjs")
)
_LANGCHAIN = _programs(
    "langchain",
    (_CHAT, "chat.py"),
    (_STREAM, "stream.py"),
    (_TOOLS, "tools.py"),
)
_LANGCHAIN_SCHEMA = _program(_STRUCTURED, "langchain/structured.py")
_VERCEL_AI = _programs(
    "vercel-ai", (_CHAT, "chat.mjs"), (_STREAM, "stream.mjs"), (_TOOLS, "tools.mjs")
)
_HERMES = (
    _key_file("~/.hermes/.env"),
    Part("config", _SET_UP, "hermes/config.yaml", "yaml", "~/.hermes/config.yaml"),
    _program(_ASK, "hermes/ask.sh"),
)
_OPENCLAW = (
    _key_file("~/.openclaw/.env"),
    Part("config", _SET_UP, "openclaw/openclaw.json", "json", "~/.openclaw/openclaw.json"),
    _program(_ASK, "openclaw/ask.sh"),
)
_CODEX = (
    _KEY,
    Part("config", _SET_UP, "codex/config.toml", "toml", "~/.codex/config.toml"),
    _program(_ASK, "codex/ask.sh"),
)
_CLAUDE_CODE = (
    _KEY,
    Part("env", _SET_UP, "claude-code/settings.sh", "shell"),
    _program(_ASK, "claude-code/ask.sh"),
)
_AIDER = (
    _KEY,
    Part("env", _SET_UP, "aider/settings.sh", "shell"),
    _program(_ASK, "aider/ask.sh"),
)

_PARTS: Mapping[tuple[str, str], tuple[Part, ...]] = MappingProxyType(
    {
        ("curl", "gpt"): (
            *_CURL_CHAT,
            _CURL_SCHEMA,
            _program(_RESPONSES, "curl/responses.sh"),
        ),
        ("curl", "gpt-image"): (
            *_CURL_PICTURES,
            _program(_("OpenAI’s Images API"), "curl/openai_images.sh"),
        ),
        # Anthropic's Chat Completions take no notice of a schema, so its models are shown none.
        ("curl", "claude"): (
            *_CURL_CHAT,
            _program(_("Anthropic’s Messages API"), "curl/messages.sh"),
        ),
        ("curl", "gemini"): (
            *_CURL_CHAT,
            _CURL_SCHEMA,
            _program(_("Google’s API"), "curl/generate.sh"),
        ),
        ("openai-python", "gpt"): (
            *_PYTHON_CHAT,
            _PYTHON_SCHEMA,
            _program(_RESPONSES, "openai-python/responses.py"),
        ),
        ("openai-python", "gpt-image"): _programs(
            "openai-python", (_DRAW, "draw.py"), (_EDIT, "edit.py"), (_AS_TASKS, "task.py")
        ),
        ("openai-python", "claude"): _PYTHON_CHAT,
        ("openai-python", "gemini"): (*_PYTHON_CHAT, _PYTHON_SCHEMA),
        ("openai-node", "gpt"): (*_NODE_CHAT, _program(_RESPONSES, "openai-node/responses.mjs")),
        ("openai-node", "gpt-image"): _programs(
            "openai-node", (_DRAW, "draw.mjs"), (_EDIT, "edit.mjs"), (_AS_TASKS, "task.mjs")
        ),
        ("openai-node", "claude"): _NODE_CHAT,
        ("openai-node", "gemini"): _NODE_CHAT,
        ("anthropic-sdk", "claude"): _programs(
            "anthropic-sdk",
            (_CHAT, "chat.py"),
            (_STREAM, "stream.py"),
            (_TOOLS, "tools.py"),
            (_CHAT, "chat.mjs"),
            (_STREAM, "stream.mjs"),
        ),
        ("hermes", "gpt"): _HERMES,
        ("hermes", "gpt-image"): (
            _key_file("~/.hermes/.env"),
            Part(
                "config",
                _("Skill"),
                "hermes/SKILL.md",
                "markdown",
                "~/.hermes/skills/tollgate-images/SKILL.md",
            ),
            _program(_("Ask for a picture"), "hermes/draw.sh"),
            *_CURL_PICTURES,
        ),
        ("hermes", "claude"): _HERMES,
        ("hermes", "gemini"): _HERMES,
        ("openclaw", "gpt"): _OPENCLAW,
        ("openclaw", "gpt-image"): (
            _key_file("~/.openclaw/.env"),
            Part("config", _SET_UP, "openclaw/images.json", "json", "~/.openclaw/openclaw.json"),
            _program(_DRAW, "openclaw/draw.sh"),
            _program(_EDIT, "openclaw/edit.sh"),
        ),
        ("openclaw", "claude"): _OPENCLAW,
        ("openclaw", "gemini"): _OPENCLAW,
        ("langchain", "gpt"): (*_LANGCHAIN, _LANGCHAIN_SCHEMA),
        ("langchain", "gpt-image"): _programs("langchain", (_DRAW, "image.py")),
        ("langchain", "claude"): _LANGCHAIN,
        ("langchain", "gemini"): (*_LANGCHAIN, _LANGCHAIN_SCHEMA),
        ("vercel-ai", "gpt"): _VERCEL_AI,
        ("vercel-ai", "gpt-image"): _programs("vercel-ai", (_DRAW, "image.mjs")),
        ("vercel-ai", "claude"): _VERCEL_AI,
        ("vercel-ai", "gemini"): _VERCEL_AI,
        ("codex", "gpt"): _CODEX,
        ("codex", "claude"): _CODEX,
        ("codex", "gemini"): _CODEX,
        ("claude-code", "claude"): _CLAUDE_CODE,
        ("aider", "gpt"): _AIDER,
        ("aider", "claude"): _AIDER,
        ("aider", "gemini"): _AIDER,
        ("google-genai", "gemini"): _programs(
            "google-genai", (_CHAT, "chat.py"), (_STREAM, "stream.py"), (_TOOLS, "tools.py")
        ),
    }
)


def parts_of(client_slug: str, family_slug: str) -> tuple[Part, ...]:
    """Raises KeyError for a pair that does not work together."""
    return _PARTS[client_slug, family_slug]
