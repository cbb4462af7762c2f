"""What is said of clients that draw in another way than they chat."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class PictureText(NamedTuple):
    """As `lead` and `configure` of a ClientText."""

    lead: str | Promise
    configure: str | Promise


PICTURE_TEXTS: Mapping[str, PictureText] = MappingProxyType(
    {
        "hermes": PictureText(
            lead=_(
                "Hermes Agent runs commands, so a skill is all that it needs: a page of words that tells it the "
                "requests."
            ),
            configure=_(
                "Put the key into `~/.hermes/.env` and the skill where the block below says. Hermes Agent reads it "
                "when a picture is wanted."
            ),
        ),
        "openclaw": PictureText(
            lead=_(
                "OpenClaw draws with a tool of its own, which calls OpenAI’s Images at Tollgate."
            ),
            configure=_(
                "Put the key into `~/.openclaw/.env` and the block below into `~/.openclaw/openclaw.json`. The "
                "provider has the name `litellm` there, since that is the one whose base URL OpenClaw heeds for "
                "pictures."
            ),
        ),
        "langchain": PictureText(
            lead=_(
                "In LangChain a picture is the work of a tool: the one below calls OpenAI’s Images at Tollgate."
            ),
            configure=_(
                "Install the package and give `base_url` and `api_key` to the client that the tool uses."
            ),
        ),
    }
)
"""By the slug of gateway/snippets."""
