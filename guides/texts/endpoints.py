"""What is true of one endpoint: its parameters, and how it streams, calls functions and keeps to a schema."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from guides.texts import bodies


class Parameter(NamedTuple):
    """A field of the request. `not_for`: families whose vendor does not look at it on this endpoint."""

    name: str
    type: str
    text: str | Promise
    is_required: bool = False
    not_for: tuple[str, ...] = ()


class Feature(NamedTuple):
    """Something that the endpoint can do; `body` are the fields that ask for it, as JSON."""

    text: str | Promise
    body: str = ""


class EndpointText(NamedTuple):
    """`streaming`, `functions` and `schema` are None for endpoints of pictures. `answer`: an example."""

    path: str
    parameters: tuple[Parameter, ...]
    answer: str
    streaming: Feature | None = None
    functions: Feature | None = None
    schema: Feature | None = None


_MODEL = Parameter(
    "model", "string", _("One of the names in the table above, with or without its provider."), True
)
_STREAM = Parameter(
    "stream",
    "boolean",
    _("`true` sends the answer in events while it is written. Default: `false`."),
)
_TEMPERATURE = Parameter(
    "temperature",
    "number",
    _("How freely words are chosen; lower is steadier. Some models that reason refuse it."),
)
_TOOLS = Parameter(
    "tools",
    "array",
    _("Functions that the model may ask you to call, each with a JSON Schema of its arguments."),
)
_TOOL_CHOICE = Parameter(
    "tool_choice",
    "string, object",
    _("Whether a function must, may or must not be called, or which one."),
)
_LIMIT = _(
    "The most output tokens, reasoning included. What is held for the call is computed from it; without it, from the "
    "model’s own maximum."
)
_REQUIRED_LIMIT = _(
    "The most output tokens, reasoning included. What is held for the call is computed from it."
)

_CHAT = EndpointText(
    path="/v1/chat/completions",
    parameters=(
        _MODEL,
        Parameter(
            "messages",
            "array",
            _("The conversation: objects with a `role` and its `content`."),
            True,
        ),
        Parameter("max_completion_tokens", "integer", _LIMIT),
        _STREAM,
        Parameter(
            "stream_options",
            "object",
            _('`{"include_usage": true}` adds a last event with the token counts.'),
        ),
        _TEMPERATURE,
        _TOOLS,
        _TOOL_CHOICE,
        Parameter(
            "response_format",
            "object",
            _("`json_schema` binds the answer to a schema, `json_object` asks for any JSON."),
            not_for=("claude",),
        ),
        Parameter(
            "reasoning_effort",
            "string",
            _(
                "How long a model that reasons may think, such as `low`, `medium` or `high`. Thinking is charged as "
                "output."
            ),
            not_for=("claude",),
        ),
    ),
    answer=bodies.CHAT_ANSWER,
    streaming=Feature(
        _(
            "The answer comes as server-sent events, each with a piece in `choices[0].delta`, and ends with `data: "
            "[DONE]`. Token counts come in one more event before the end, whose `choices` is empty, if you ask for "
            "them."
        ),
        bodies.CHAT_STREAM,
    ),
    functions=Feature(
        _(
            "Describe your functions in `tools`. If the model wants one, the answer has `tool_calls` instead of text: "
            "run it, add the answer and a message with the role `tool` to the conversation, and call again."
        ),
        bodies.CHAT_TOOLS,
    ),
    schema=Feature(
        _("With a schema in `response_format` the answer’s text is JSON that fits it."),
        bodies.CHAT_SCHEMA,
    ),
)

CLAUDE_CHAT_SCHEMA = Feature(
    _(
        "Anthropic’s Chat Completions pass over `response_format`. For an answer that fits a schema, offer one "
        "function with that schema and name it in `tool_choice`, or call the same model on `/v1/messages`, which can "
        "keep to a schema."
    ),
    bodies.CHAT_FORCED_TOOL,
)
"""Instead of `schema` where Claude is called on Chat Completions (Anthropic, "OpenAI SDK compatibility")."""

_RESPONSES = EndpointText(
    path="/v1/responses",
    parameters=(
        _MODEL,
        Parameter(
            "input",
            "string, array",
            _("The question, or the items of the conversation until now."),
            True,
        ),
        Parameter("instructions", "string", _("What the model is told before everything else.")),
        Parameter("max_output_tokens", "integer", _LIMIT),
        _STREAM,
        _TOOLS,
        _TOOL_CHOICE,
        Parameter(
            "text",
            "object",
            _("`format` binds the answer to a schema, `verbosity` makes it longer or shorter."),
        ),
        Parameter(
            "reasoning",
            "object",
            _("`effort` says how long the model may think. Thinking is charged as output."),
            not_for=("claude",),
        ),
        Parameter(
            "previous_response_id",
            "string",
            _(
                "Goes on from an earlier answer of your own group. Only where the vendor has Responses itself."
            ),
            not_for=("claude", "gemini"),
        ),
    ),
    answer=bodies.RESPONSES_ANSWER,
    streaming=Feature(
        _(
            "The answer comes as server-sent events with a `type`, such as `response.output_text.delta`. The last "
            "one, `response.completed`, has the whole answer with its token counts."
        ),
        bodies.RESPONSES_STREAM,
    ),
    functions=Feature(
        _(
            "Describe your functions in `tools`. What the model wants to call comes as an item `function_call`: run "
            "it, add the item and a `function_call_output` with the same `call_id` to `input`, and call again."
        ),
        bodies.RESPONSES_TOOLS,
    ),
    schema=Feature(
        _("With a schema in `text.format` the answer’s text is JSON that fits it."),
        bodies.RESPONSES_SCHEMA,
    ),
)

CLAUDE_RESPONSES_SCHEMA = Feature(
    _(
        "Claude is reached through Anthropic’s Chat Completions here, which pass over a schema in `text.format`. "
        "Offer one function with that schema and name it in `tool_choice`."
    ),
    bodies.RESPONSES_FORCED_TOOL,
)
"""Instead of `schema` where Claude is called on Responses."""

_MESSAGES = EndpointText(
    path="/v1/messages",
    parameters=(
        _MODEL,
        Parameter(
            "messages",
            "array",
            _("The conversation: objects with a `role` and its `content`."),
            True,
        ),
        Parameter("max_tokens", "integer", _REQUIRED_LIMIT, True),
        Parameter("system", "string, array", _("What the model is told before everything else.")),
        _STREAM,
        _TEMPERATURE,
        _TOOLS,
        _TOOL_CHOICE,
        Parameter(
            "thinking",
            "object",
            _("Lets the model think before it answers. Thinking is charged as output."),
        ),
        Parameter(
            "output_config",
            "object",
            _("`format` binds the answer to a schema, `effort` says how much work goes into it."),
        ),
    ),
    answer=bodies.MESSAGES_ANSWER,
    streaming=Feature(
        _(
            "The answer comes as server-sent events: `message_start`, pieces in `content_block_delta`, the token "
            "counts in `message_delta`, and `message_stop` at the end."
        ),
        bodies.MESSAGES_STREAM,
    ),
    functions=Feature(
        _(
            "Describe your functions in `tools`. If the model wants one, the answer has a block `tool_use`: run it, "
            "add the answer and a message with a block `tool_result` to the conversation, and call again."
        ),
        bodies.MESSAGES_TOOLS,
    ),
    schema=Feature(
        _("With a schema in `output_config.format` the answer’s text is JSON that fits it."),
        bodies.MESSAGES_SCHEMA,
    ),
)

_PROMPT = Parameter(
    "prompt", "string", _("What the picture shows, in at most 32,000 characters."), True
)
_BACKGROUND = Parameter(
    "background", "string", _("`transparent`, `opaque`, or `auto`, which is the default.")
)

_TASKS = EndpointText(
    path="/v1/text_to_image",
    parameters=(
        _MODEL,
        _PROMPT,
        Parameter(
            "output_resolution",
            "string",
            _("%(resolutions)s. Default: `1k`. It decides the price where the price goes by it."),
        ),
        Parameter(
            "aspect_ratio", "string", _("Width to height, one of %(ratios)s. Default: `auto`.")
        ),
        Parameter("output_count", "integer", _("How many pictures. Default: 1.")),
        _BACKGROUND,
        Parameter(
            "source_image_urls",
            "array",
            _(
                "On `/v1/edit_image` alone, and required there: https addresses of pictures, or ids of `/v1/files`."
            ),
        ),
        Parameter(
            "callback_url", "string", _("An https address that the finished task is posted to.")
        ),
    ),
    answer=bodies.TASK_MADE,
)

_IMAGES = EndpointText(
    path="/v1/images/generations",
    parameters=(
        _MODEL,
        _PROMPT,
        Parameter("n", "integer", _("How many pictures. Default: 1.")),
        Parameter(
            "size",
            "string",
            _(
                "Such as `1024x1024` or `1536x1024`, or `auto`. The resolution it falls into decides the price."
            ),
        ),
        _BACKGROUND,
        Parameter(
            "quality",
            "string",
            _("`auto` or `low`, and `medium` where the model has it. `high` is not sold."),
        ),
        Parameter(
            "response_format",
            "string",
            _("`b64_json`, which is the default, or `url`, which holds for seven days."),
        ),
    ),
    answer=bodies.IMAGES_ANSWER,
)

_GENERATE = EndpointText(
    path="/v1beta/models/{model}:generateContent",
    parameters=(
        Parameter(
            "model",
            "string",
            _("Stands in the address. One of the names in the table above."),
            True,
        ),
        Parameter(
            "contents", "array", _("The conversation: objects with a `role` and its `parts`."), True
        ),
        Parameter(
            "systemInstruction", "object", _("What the model is told before everything else.")
        ),
        Parameter(
            "generationConfig",
            "object",
            _(
                "`maxOutputTokens` bounds the answer, `temperature` says how freely words are chosen, "
                "`responseSchema` binds the answer to a schema, `thinkingConfig` says how long the model may think."
            ),
        ),
        Parameter(
            "tools",
            "array",
            _("`functionDeclarations`: functions that the model may ask you to call."),
        ),
    ),
    answer=bodies.GENERATE_ANSWER,
    streaming=Feature(
        _(
            "At `:streamGenerateContent?alt=sse` the answer comes as server-sent events; each is an answer like the "
            "plain one, with a piece of the text. The last has all token counts."
        ),
    ),
    functions=Feature(
        _(
            "What the model wants to call comes as a part `functionCall`: run it, add the answer and a part "
            "`functionResponse` to `contents`, and call again."
        ),
    ),
    schema=Feature(
        _(
            "With `responseMimeType` set to `application/json` and a `responseSchema` the answer’s text is JSON that "
            "fits it."
        ),
    ),
)

ENDPOINT_TEXTS: Mapping[str, EndpointText] = MappingProxyType(
    {
        "chat": _CHAT,
        "responses": _RESPONSES,
        "messages": _MESSAGES,
        "text_to_image": _TASKS,
        "images": _IMAGES,
        "generate": _GENERATE,
    }
)
