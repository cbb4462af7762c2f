"""What is true of one family of models, whatever client calls it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from guides.texts.questions import Question


class FamilyText(NamedTuple):
    """`lead` is what the family is here, `choice` how to tell its models apart by their names; names of models are not
    said, so that a new one makes nothing wrong."""

    lead: str | Promise
    choice: str | Promise
    questions: tuple[Question, ...]


TRANSLATED = Question(
    _("Do the models that only exist in Responses work on Chat Completions?"),
    _(
        "Yes, Tollgate translates for them. Chat Completions cannot carry their reasoning from one tool call to the "
        "next, so it begins anew each time: a client that can speak Responses should."
    ),
)
"""Asked where the family has such a model and the client speaks Chat Completions."""

LONG_CONTEXT = Question(
    _("Does a long input cost more?"),
    _(
        "With some models, yes: above the number of input tokens that the table of prices names, the whole call is "
        "charged at the rates for long contexts. `POST %(api_url)s/price_quotes` tells what a request comes to."
    ),
)
"""Asked where a model of the family has such rates."""

FAMILY_TEXTS: Mapping[str, FamilyText] = MappingProxyType(
    {
        "gpt": FamilyText(
            lead=_(
                "GPT is OpenAI’s family of text models, served on Chat Completions and on Responses alike."
            ),
            choice=_(
                "A higher number is a newer generation. Names with `-mini` or `-nano` are smaller, faster and "
                "cheaper; `-codex` is made for writing code; `-pro` computes longer and costs several times as much. "
                "Begin with a small one and go up where its answers do not do."
            ),
            questions=(
                Question(
                    _("Must I write `openai/` in front of the model?"),
                    _(
                        "No. `%(model)s` and `%(full_model)s` are the same model. [Models](%(models_url)s) lists all "
                        "names, and so does `GET %(api_url)s/models`."
                    ),
                ),
            ),
        ),
        "gpt-image": FamilyText(
            lead=_(
                "GPT Image is OpenAI’s family of models that draw pictures from words and change pictures by words."
            ),
            choice=_(
                "A price for each picture goes by its resolution: ask for `1k` until the motif is right, and for more "
                "once it is. A price for a request covers the number of pictures that it names, and pictures in "
                "greater numbers are cheaper each."
            ),
            questions=(),
        ),
        "claude": FamilyText(
            lead=_(
                "Claude is Anthropic’s family of text models, served on Anthropic’s Messages, on Chat Completions and "
                "on Responses."
            ),
            choice=_(
                "Opus is the largest, Sonnet the one between, Haiku the smallest and fastest; a higher number is "
                "newer. Work with many tool calls mostly runs on Sonnet, titles and summaries on Haiku."
            ),
            questions=(
                Question(
                    _("Which of Claude’s endpoints should I use?"),
                    _(
                        "`/v1/messages` if your client can: thinking, prompt caching and answers bound to a schema "
                        "exist there in full. Chat Completions are for code that was written for OpenAI."
                    ),
                ),
            ),
        ),
        "gemini": FamilyText(
            lead=_(
                "Gemini is Google’s family of text models, served on Chat Completions, on Responses, and on Google’s "
                "own `generateContent`."
            ),
            choice=_(
                "Pro is the largest, Flash answers faster for less, Flash-Lite is the cheapest; a higher number is "
                "newer. What has `preview` in its name may change or go at short notice."
            ),
            questions=(
                Question(
                    _("Is grounding with Google Search available?"),
                    _(
                        "No. Google bills it, as well as URL context and code execution, apart from tokens, so a "
                        "request with one of them is refused with 400."
                    ),
                ),
                Question(
                    _("Why are there more output tokens than words?"),
                    _(
                        "Gemini thinks before it answers, and thinking is output. The call history shows it beside "
                        "the answer as reasoning tokens; a lower `reasoning_effort`, or `thinkingConfig` in Google’s "
                        "own API, makes it less."
                    ),
                ),
            ),
        ),
    }
)
"""By the slug of gateway/snippets."""
