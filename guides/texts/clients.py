"""What is true of one client, whatever family it calls."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from guides.texts.questions import Question
from guides.texts.retries import (
    AGENT_PAUSES,
    AGENT_TEN_TIMES,
    CURL_ONCE,
    Retries,
    requests_made,
    requests_within,
    shown_at_once,
)


class ClientText(NamedTuple):
    """`lead` is how the client reaches us, `configure` where its settings go, `model` where the model is named, `use`
    what it does with streams and tools. `questions` are about the client with a family of text models."""

    lead: str | Promise
    configure: str | Promise
    model: str | Promise
    use: str | Promise
    retries: Retries
    questions: tuple[Question, ...]


_SDK_RETRIES = Retries(
    payment=shown_at_once(), limit=requests_made(3), outage=requests_made(3), cut=shown_at_once()
)
_MAX_TOKENS = Question(
    _("%(client)s asks for more output tokens than it needs. Must my credits cover them all?"),
    _(
        "No. Where the credits cover less than was asked for, Tollgate lowers the limit that it sends to %(vendor)s "
        "and names it in the header `x-tollgate-max-tokens`. Only where they cover less than 256 tokens is the call "
        "refused with 402. You pay for the tokens that came, not for the limit."
    ),
)

_HERMES = ClientText(
    lead=_(
        "Hermes Agent knows Tollgate as a custom provider: one entry in its configuration names the base URL, the "
        "variable that holds the key, and the protocol."
    ),
    configure=_(
        "Put the key into `~/.hermes/.env` and the provider into `~/.hermes/config.yaml`. If `custom_providers` is "
        "there already, add the entry to it."
    ),
    model=_(
        "`default` under `model` names the model. Change that line for another one; the provider stays as it is."
    ),
    use=_(
        "Hermes Agent streams every answer and sends its tools with each request. It asks for the token counts of a "
        "stream, so its own figures are those that are charged."
    ),
    retries=Retries(
        payment=shown_at_once(),
        limit=requests_made(3),
        outage=requests_made(3),
        cut=_("It sends the request again and asks the model to go on where the answer broke off."),
    ),
    questions=(
        Question(
            _("How does Hermes Agent know the context length of a model?"),
            _(
                "It reads `/v1/models/%(model)s`, where Tollgate tells the context length, the most output tokens and "
                "the prices of each model. Nothing has to be entered by hand."
            ),
        ),
        _MAX_TOKENS,
    ),
)

_OPENCLAW = ClientText(
    lead=_(
        "OpenClaw takes Tollgate as one more provider that speaks OpenAI’s protocol, beside those that you have "
        "already."
    ),
    configure=_(
        "Put the key into `~/.openclaw/.env` and the provider into `~/.openclaw/openclaw.json`. With `mode` set to "
        "`merge` the other providers stay."
    ),
    model=_(
        "List each model that you want under `models` of the provider, and name the one to start with under "
        "`primary`, with `tollgate/` in front."
    ),
    use=_(
        "OpenClaw streams every answer, sends its tools along and prints the token counts that the stream ends with."
    ),
    retries=Retries(
        payment=_("One request. OpenClaw says that it is about billing, and stops."),
        limit=_("Eight requests within 68 seconds, and more after that."),
        outage=None,
        cut=requests_within(7, 74),
    ),
    questions=(
        Question(
            _("Can OpenClaw use several models of Tollgate at once?"),
            _(
                "Yes. Add an entry for each to `models` of the provider; one key and one base URL serve them all. "
                "Agents and tasks may then name different ones, such as `tollgate/%(model)s`."
            ),
        ),
        _MAX_TOKENS,
    ),
)

_OPENAI_PYTHON = ClientText(
    lead=_(
        "The openai package for Python needs two arguments: `base_url` and `api_key`. The rest of your code stays as "
        "it is."
    ),
    configure=_(
        "Install the package and give `base_url` and `api_key` to the client. The environment variables "
        "`OPENAI_BASE_URL` and `OPENAI_API_KEY` do the same without a change of code."
    ),
    model=_("`model` is an argument of each call, so one client can use all models."),
    use=_(
        "`stream=True` makes the call an iterator of chunks; `tools` and `response_format` are arguments as they are "
        "everywhere else."
    ),
    retries=_SDK_RETRIES,
    questions=(
        Question(
            _("How do I read the charge of a call in Python?"),
            _(
                "Call `client.chat.completions.with_raw_response.create(...)`: its `headers` have `x-tollgate-charge` "
                "in USD and `x-request-id`, and `.parse()` gives the usual object."
            ),
        ),
        Question(
            _("Does the asynchronous client work too?"),
            _("Yes. `AsyncOpenAI` takes the same two arguments."),
        ),
    ),
)

_OPENAI_NODE = ClientText(
    lead=_(
        "The openai package for Node.js needs two options: `baseURL` and `apiKey`. The rest of your code stays as it "
        "is."
    ),
    configure=_(
        "Install the package and give `baseURL` and `apiKey` to the client. The environment variables "
        "`OPENAI_BASE_URL` and `OPENAI_API_KEY` do the same without a change of code."
    ),
    model=_("`model` is a field of each call, so one client can use all models."),
    use=_(
        "With `stream: true` the call gives chunks for `for await`; `tools` and `response_format` are fields beside "
        "it."
    ),
    retries=_SDK_RETRIES,
    questions=(
        Question(
            _("How do I read the charge of a call in Node.js?"),
            _(
                "Put `.withResponse()` behind the call: `const { data, response } = await ...`. Then "
                '`response.headers.get("x-tollgate-charge")` is the charge in USD.'
            ),
        ),
        Question(
            _("May I call Tollgate from a web page?"),
            _(
                "Better not: whoever opens the page could read the key. Call it from your server, and give that key a "
                "spending limit of its own."
            ),
        ),
    ),
)

_ANTHROPIC_SDK = ClientText(
    lead=_(
        "Anthropic’s SDK calls Tollgate’s `/v1/messages`, which forwards Anthropic’s Messages as they are, thinking "
        "and caching included."
    ),
    configure=_(
        "Install the package and give `base_url` and `api_key` to the client. The base URL is "
        "`%(root_url)s` without `/v1`: the SDK adds that itself."
    ),
    model=_("`model` is an argument of each call, so one client can use all models."),
    use=_(
        "`client.messages.stream(...)` gives the text as it comes; `tools` and `thinking` are arguments beside it."
    ),
    retries=_SDK_RETRIES,
    questions=(
        Question(
            _("Why do I get 404 for `/v1/v1/messages`?"),
            _(
                "The base URL ends in `/v1`. Take that away: Anthropic’s SDK adds the whole path by itself."
            ),
        ),
        Question(
            _("Does prompt caching work?"),
            _(
                "Yes. Blocks with `cache_control` pass unchanged. What is written to the cache and what is read from "
                "it are counted apart and charged at their own rates, as the table of prices shows."
            ),
        ),
    ),
)

_CURL = ClientText(
    lead=_(
        "curl shows the plain HTTP request: everything that an SDK does can be tried this way first."
    ),
    configure=_(
        "Keep the key in an environment variable, so that it does not end up in the history of your shell."
    ),
    model=_(
        "`model` is a field of the body. `curl %(api_url)s/models` lists what there is; it needs no key."
    ),
    use=_(
        "`-N` turns off curl’s own buffer, so that events appear as they come; `-i` shows the headers with the "
        "charge."
    ),
    retries=CURL_ONCE,
    questions=(
        Question(
            _("How do I learn what a request would cost before I send it?"),
            _(
                'Post it to `%(api_url)s/price_quotes` as `{"endpoint": "%(path)s", "body": {...}}`. The answer '
                "is the most that it can cost; nothing is called, held or charged."
            ),
        ),
        Question(
            _("How do I see my balance?"),
            _(
                '`curl -H "Authorization: Bearer $TOLLGATE_API_KEY" %(api_url)s/balance` tells what is there, what '
                "is held for calls under way, and what was spent today and this month."
            ),
        ),
    ),
)

_LANGCHAIN = ClientText(
    lead=_(
        "LangChain’s `ChatOpenAI` speaks to Tollgate once it knows the base URL; chains and agents do not change."
    ),
    configure=_("Install the package and give `base_url` and `api_key` to `ChatOpenAI`."),
    model=_("`model` is an argument of `ChatOpenAI`: make one object for each model that you use."),
    use=_(
        "`.stream()` gives chunks, `.bind_tools()` hands over functions, `.with_structured_output()` takes a schema. "
        "All three become ordinary fields of the request."
    ),
    retries=_SDK_RETRIES,
    questions=(
        Question(
            _("How do I get token counts from a LangChain stream?"),
            _(
                "Set `stream_usage=True` on `ChatOpenAI`: with a base URL of your own LangChain does not ask by "
                "itself. The last chunk then has `usage_metadata`."
            ),
        ),
        Question(
            _("Does `init_chat_model` work as well?"),
            _(
                'Yes, with `init_chat_model("%(model)s", model_provider="openai", base_url="%(api_url)s", '
                "api_key=...)`."
            ),
        ),
    ),
)

_VERCEL_AI = ClientText(
    lead=_(
        "The AI SDK of Vercel takes Tollgate as a provider: base URL and key go in, models come out by name."
    ),
    configure=_(
        "Install the packages and make the provider once, in a module that your routes import."
    ),
    model=_(
        "The provider is a function: call it with the name of a model wherever the AI SDK asks for one."
    ),
    use=_(
        "`streamText` streams, `tools` hands over functions, and a schema as output binds the answer to it. Each "
        "becomes an ordinary field of the request."
    ),
    retries=Retries(
        payment=shown_at_once(),
        limit=requests_made(3),
        outage=requests_made(3),
        cut=_(
            "The stream ends with an error part, which `onError` sees; there is no second request."
        ),
    ),
    questions=(
        Question(
            _("Where do errors of a stream show?"),
            _(
                "`streamText` does not throw once it has begun. Give it an `onError`, or read `fullStream`, where an "
                "error is a part like any other."
            ),
        ),
        Question(
            _("Does it run on the edge?"),
            _(
                "Yes. Tollgate is called with `fetch` alone. Keep the key in an environment variable of the server."
            ),
        ),
    ),
)

_CODEX = ClientText(
    lead=_(
        "Codex CLI speaks OpenAI’s Responses. Tollgate serves that for every text model, and translates where the "
        "vendor has Chat Completions alone."
    ),
    configure=_(
        "Add the provider to `~/.codex/config.toml`. `env_key` names the variable that holds the key; no ChatGPT "
        "account is needed."
    ),
    model=_("`model` in the same file names the model; `codex -m NAME` uses another one once."),
    use=_(
        "Codex streams every turn and brings its own tools, among them `apply_patch`. All of them work but "
        "`web_search`, which is left out and named in the header `x-tollgate-dropped`."
    ),
    retries=Retries(
        payment=requests_within(6, 6),
        limit=requests_within(6, 5),
        outage=requests_within(30, 25),
        cut=requests_within(6, 7),
    ),
    questions=(
        Question(
            _("Codex repeats a request although the credits are used up. Does that cost anything?"),
            _(
                "No. A call that is refused with 402 was not sent to %(vendor)s and is not charged, however often it "
                "is repeated."
            ),
        ),
        Question(
            _("Does the web search of Codex work?"),
            _(
                "No. OpenAI bills it apart from tokens, so Tollgate takes the tool out of the request. Searching by a "
                "command or by an MCP server on your machine works."
            ),
        ),
    ),
)

_CLAUDE_CODE = ClientText(
    lead=_(
        "Claude Code sends Anthropic’s Messages to the address in `ANTHROPIC_BASE_URL`. With Tollgate there, each of "
        "its requests is metered and charged to your group."
    ),
    configure=_(
        "Set the variables in your shell, or under `env` in `~/.claude/settings.json`. The base URL is `%(root_url)s` "
        "without `/v1`."
    ),
    model=_(
        "`ANTHROPIC_MODEL` names the model, and `/model` changes it for a session. `ANTHROPIC_DEFAULT_HAIKU_MODEL` "
        "names the small one for background work."
    ),
    use=_(
        "Claude Code streams every turn, caches its long prompts and runs its tools on your machine. All of that "
        "passes unchanged."
    ),
    retries=Retries(
        payment=shown_at_once(), limit=AGENT_TEN_TIMES, outage=AGENT_TEN_TIMES, cut=None
    ),
    questions=(
        Question(
            _("Why do my calls show a model that I did not choose?"),
            _(
                "Claude Code gives titles, summaries and other small work to a Haiku. If the key is restricted to "
                "certain models, allow that one too."
            ),
        ),
        Question(
            _("Does web search work in Claude Code?"),
            _(
                "Its WebSearch is run by Anthropic and billed apart from tokens, so Tollgate refuses it. WebFetch "
                "runs on your machine and works."
            ),
        ),
        Question(
            _("Can Claude Code run GPT or Gemini here?"),
            _(
                "No. It speaks Anthropic’s Messages, which Tollgate forwards to Claude and does not translate. For "
                "the other families take Codex CLI, aider or another client of the [list](%(guides_url)s)."
            ),
        ),
    ),
)

_AIDER = ClientText(
    lead=_(
        "aider takes any service that speaks OpenAI’s protocol: one variable for the base URL, one for the key."
    ),
    configure=_(
        "Set `OPENAI_API_BASE` and `OPENAI_API_KEY`, or write them into a `.env` file beside your code, which aider "
        "reads."
    ),
    model=_(
        "Name the model with `--model openai/%(model)s`. The `openai/` in front tells aider the protocol and is taken "
        "off before the request is sent."
    ),
    use=_(
        "aider streams its answers and edits files by what the text says; it needs no function calling."
    ),
    retries=Retries(payment=AGENT_PAUSES, limit=AGENT_PAUSES, outage=AGENT_PAUSES, cut=None),
    questions=(
        Question(
            _("aider warns that it does not know the model. Is that a problem?"),
            _(
                "No. It has no entry for it in its own table of context lengths and prices. "
                "`--no-show-model-warnings` turns the warning off."
            ),
        ),
        Question(
            _("Why does aider show another cost than Tollgate?"),
            _(
                "aider computes with its own table of list prices. What was charged stands in the call history, call "
                "by call."
            ),
        ),
    ),
)

_GOOGLE_GENAI = ClientText(
    lead=_(
        "Google’s own SDK calls `generateContent` at Tollgate’s `/v1beta`, in Google’s own form, once it knows the "
        "base URL."
    ),
    configure=_(
        "Install the package and give the base URL in `http_options`. It is `%(root_url)s` without a version: "
        "the SDK adds that itself."
    ),
    model=_("`model` is an argument of each call, so one client can use all models."),
    use=_(
        "`generate_content_stream` gives chunks; `tools` in the configuration takes plain Python functions, which the "
        "SDK calls by itself."
    ),
    retries=Retries(payment=shown_at_once(), limit=None, outage=None, cut=shown_at_once()),
    questions=(
        Question(
            _("Can the SDK cache a context at Google?"),
            _(
                "No. `cachedContent` is an object in the account at Google that all groups share, so it is refused. "
                "What Gemini caches by itself is charged at the lower rate."
            ),
        ),
    ),
)

CLIENT_TEXTS: Mapping[str, ClientText] = MappingProxyType(
    {
        "hermes": _HERMES,
        "openclaw": _OPENCLAW,
        "openai-python": _OPENAI_PYTHON,
        "openai-node": _OPENAI_NODE,
        "anthropic-sdk": _ANTHROPIC_SDK,
        "curl": _CURL,
        "langchain": _LANGCHAIN,
        "vercel-ai": _VERCEL_AI,
        "codex": _CODEX,
        "claude-code": _CLAUDE_CODE,
        "aider": _AIDER,
        "google-genai": _GOOGLE_GENAI,
    }
)
"""By the slug of gateway/snippets."""
