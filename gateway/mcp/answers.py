"""The shapes of what tools answer over MCP, as agents are told them in output schemas.

Nothing is built from these: the answers are the API's own. A field that is not here may still be there.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Usd = Annotated[str, Meta(description="USD, as a decimal string.")]
Moment = Annotated[str, Meta(description="ISO 8601, UTC.")]


class Model(Struct):
    name: str
    aliases: list[str]
    provider: str
    kind: Literal["text", "embedding", "image", "upscale"]
    context_length: int | None
    max_output_tokens: int | None


class Models(Struct):
    models: list[Model]
    matching: Annotated[int, Meta(description="How many fit, also beyond `limit`.")]
    has_more: bool


class BucketPrice(Struct):
    bucket: Annotated[
        str, Meta(description="Of tokens, or a picture's resolution, count or factor.")
    ]
    unit: Annotated[str, Meta(description="What one of it is.")]
    list_price: Annotated[str, Meta(description="USD per unit, at list.")]
    your_price: Annotated[str, Meta(description="USD per unit, as you pay it.")]


class ModelPrices(Struct):
    model: str
    currency: Literal["USD"]
    prices: list[BucketPrice]


class Prices(Struct):
    models: list[ModelPrices]


class Quote(Struct):
    endpoint: str
    model: str
    exact: Annotated[bool, Meta(description="Whether it costs just that, or that at most.")]
    upper_bound: Usd
    currency: Literal["USD"]
    price_id: int
    price: Usd | UnsetType = UNSET
    input_tokens_max: int | UnsetType = UNSET
    output_tokens_max: int | UnsetType = UNSET
    images: int | UnsetType = UNSET


class Balance(Struct):
    balance: Usd
    held: Usd
    available: Usd
    spent_today: Usd
    spent_this_month: Usd
    currency: Literal["USD"]


class NewTask(Struct):
    task_id: str
    status: Literal["pending", "processing", "completed", "failed"]
    model: str
    task_replayed: (
        Annotated[bool, Meta(description="True: the idempotency_key had made it before.")]
        | UnsetType
    ) = UNSET


class PictureLink(Struct):
    url: str
    expires_at: Moment
    width: int
    height: int
    content_type: str


class Billing(Struct):
    reserved: Usd
    charged: Usd
    refunded: Usd
    currency: Literal["USD"]


class Failure(Struct):
    code: str
    message: str


class Task(Struct):
    task_id: str
    status: Literal["pending", "processing", "completed", "failed"]
    model: str
    action: str
    progress: Annotated[int, Meta(ge=0, le=100)]
    created_at: Moment
    updated_at: Moment
    images: list[PictureLink] | UnsetType = UNSET
    billing: Billing | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class Tasks(Struct):
    data: list[Task]
    has_more: bool
    next: Annotated[str | None, Meta(description="Pass it as `after` for the next page.")]


class Call(Struct):
    id: str
    source: Literal["api", "task"]
    model: str
    status: str
    stream: bool
    created_at: Moment
    duration_ms: int
    first_token_ms: int | None
    usage: Annotated[dict[str, Any], Meta(description="Quantities in disjoint buckets.")]
    list_price: Usd
    charge: Usd
    currency: Literal["USD"]
    task_id: str | None
    error: Failure | None


class Calls(Struct):
    data: list[Call]
    has_more: bool
    next: Annotated[str | None, Meta(description="Pass it as `after` for the next page.")]


class ChargeLine(Struct):
    bucket: str
    quantity: int
    list_rate: Usd
    unit: str
    sell_bps: Annotated[int, Meta(description="Your share of list, in ten-thousandths.")]
    amount: Usd


class ExplainedCall(Call):
    hold: Usd
    price_id: int | None
    lines: list[ChargeLine]
