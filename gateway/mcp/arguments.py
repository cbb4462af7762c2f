"""What the tools over MCP take. The schemas that agents are told are made of these, and what agents send is checked by
them; whether a value makes sense, the API decides."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

MODELS_MAX = 200
PRICES_MAX = 20
SOURCES_MAX = 16
Id = Annotated[str, Meta(min_length=1, max_length=200)]
PageLength = Annotated[int, Meta(ge=1, le=100, description="How many at most; 20 unless given.")]


class Arguments(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a tool takes. A name that is not there is refused, so that a misspelt one is noticed."""


class NoArguments(Arguments, frozen=True):
    """Nothing."""


class ListModels(Arguments, frozen=True):
    search: (
        Annotated[
            str,
            Meta(
                max_length=200, description="Words that the name must contain, such as 'gpt mini'."
            ),
        ]
        | UnsetType
    ) = UNSET
    provider: (
        Annotated[str, Meta(max_length=60, description="Only this provider's, such as 'openai'.")]
        | UnsetType
    ) = UNSET
    kind: (
        Annotated[
            Literal["text", "embedding", "image", "upscale"],
            Meta(description="What the model makes."),
        ]
        | UnsetType
    ) = UNSET
    limit: (
        Annotated[int, Meta(ge=1, le=MODELS_MAX, description="How many at most; 50 unless given.")]
        | UnsetType
    ) = UNSET


class GetPrices(Arguments, frozen=True):
    models: Annotated[
        list[Id],
        Meta(
            min_length=1,
            max_length=PRICES_MAX,
            description="Names or aliases, such as 'openai/gpt-5.5' or 'gpt-image-2'.",
        ),
    ]


class QuotePrice(Arguments, frozen=True):
    endpoint: Annotated[
        str,
        Meta(
            max_length=300,
            description="The path that the call would go to, such as '/v1/chat/completions', '/v1/messages' or"
            " '/v1/text_to_image'.",
        ),
    ]
    body: Annotated[
        dict[str, Any], Meta(description="The call's own JSON body, as it would be sent.")
    ]


class CreateImageTask(Arguments, frozen=True):
    action: Annotated[
        Literal["text_to_image", "edit_image", "upscale_image"],
        Meta(description="What to do: draw from a prompt, change given pictures, or enlarge one."),
    ]
    model: Annotated[
        str,
        Meta(
            max_length=200,
            description="Such as 'gpt-image-2'; for upscale_image 'topaz-upscale-image'.",
        ),
    ]
    prompt: (
        Annotated[str, Meta(description="What the picture shows. Not for upscale_image.")]
        | UnsetType
    ) = UNSET
    output_resolution: (
        Annotated[
            Literal["1k", "2k", "4k"],
            Meta(description="1k unless given; it decides the price. Not for upscale_image."),
        ]
        | UnsetType
    ) = UNSET
    aspect_ratio: (
        Annotated[
            str,
            Meta(
                max_length=10,
                description="'auto' unless given, or width:height such as '1:1', '3:2', '16:9', '9:16'."
                " Not for upscale_image.",
            ),
        ]
        | UnsetType
    ) = UNSET
    output_count: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=100,
                description="How many pictures; 1 unless given. Not for upscale_image.",
            ),
        ]
        | UnsetType
    ) = UNSET
    background: (
        Annotated[
            Literal["auto", "transparent", "opaque"], Meta(description="Not for upscale_image.")
        ]
        | UnsetType
    ) = UNSET
    source_image_urls: (
        Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=2048)]],
            Meta(
                min_length=1,
                max_length=SOURCES_MAX,
                description="For edit_image and upscale_image: https addresses of pictures (also those that get_task"
                " answered), or ids of files that were uploaded to /v1/files.",
            ),
        ]
        | UnsetType
    ) = UNSET
    upscale_factor: (
        Annotated[Literal[1, 2, 4, 8], Meta(description="For upscale_image; 2 unless given.")]
        | UnsetType
    ) = UNSET
    callback_url: (
        Annotated[
            str,
            Meta(
                max_length=2048,
                description="An https address that is told when the task has ended.",
            ),
        ]
        | UnsetType
    ) = UNSET
    idempotency_key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=512,
                description="Any text of your own for this one order. With it, asking again answers the same task"
                " instead of making (and charging) another one.",
            ),
        ]
        | UnsetType
    ) = UNSET


class NamedTask(Arguments, frozen=True):
    task_id: Annotated[Id, Meta(description="The id that create_image_task answered: 'tsk_...'.")]


class ListTasks(Arguments, frozen=True):
    status: Literal["pending", "processing", "completed", "failed"] | UnsetType = UNSET
    limit: PageLength | UnsetType = UNSET
    after: (
        Annotated[Id, Meta(description="The `next` of the page before: answers what is older.")]
        | UnsetType
    ) = UNSET


class ListCalls(Arguments, frozen=True):
    source: (
        Annotated[
            Literal["api", "task"],
            Meta(description="Calls of the API, or image tasks; both unless given."),
        ]
        | UnsetType
    ) = UNSET
    model: (
        Annotated[str, Meta(max_length=200, description="The full name: 'openai/gpt-5.5'.")]
        | UnsetType
    ) = UNSET
    status: (
        Literal["completed", "upstream_failed", "client_gone", "timed_out", "lost", "refused"]
        | UnsetType
    ) = UNSET
    since: (
        Annotated[str, Meta(max_length=40, description="A time such as 2026-11-21T09:00:00Z.")]
        | UnsetType
    ) = UNSET
    until: Annotated[str, Meta(max_length=40, description="The same.")] | UnsetType = UNSET
    limit: PageLength | UnsetType = UNSET
    after: (
        Annotated[Id, Meta(description="The `next` of the page before: answers what is older.")]
        | UnsetType
    ) = UNSET


class NamedCall(Arguments, frozen=True):
    call_id: Annotated[
        Id, Meta(description="'call_...', from list_calls or from an answer's x-request-id.")
    ]
