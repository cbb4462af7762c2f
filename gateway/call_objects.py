"""A call as the API answers it (docs/api.md, GET /v1/calls/{id}), from its row. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from billing.money import format_usd
from billing.picture_pricing import parse_bucket
from billing.pricing import Line
from gateway.call import public_call_id
from gateway.images.shape import public_task_id

USAGE_FIELDS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "images",
)


def call_object(row: Mapping[str, Any], key_id: str, key_name: str) -> dict[str, Any]:
    """What a list of calls has of each."""
    usage: dict[str, Any] = {name: row[name] for name in USAGE_FIELDS}
    usage["basis"] = row["basis"] or None
    error = {"code": row["error_code"], "message": row["error_message"]}
    return {
        "id": public_call_id(row["id"]),
        "object": "call",
        "source": row["source"],
        "model": row["model"],
        "status": row["status"],
        "stream": row["stream"],
        "created_at": row["created_at"].astimezone(UTC).isoformat(),
        "duration_ms": row["duration_ms"],
        "first_token_ms": row["first_token_ms"],
        "usage": usage,
        "list_price": format_usd(row["list_nanos"]),
        "charge": format_usd(row["amount_nanos"]),
        "currency": "USD",
        "key": {"id": key_id, "name": key_name},
        "task_id": public_task_id(row["id"]) if row["source"] == "task" else None,
        "error": error if row["error_code"] else None,
    }


def explained_call_object(
    row: Mapping[str, Any], key_id: str, key_name: str, lines: Iterable[Line]
) -> dict[str, Any]:
    """The same with what recomputes the charge: `lines` are those of its price."""
    return call_object(row, key_id, key_name) | {
        "hold": format_usd(row["hold_nanos"]),
        "price_id": row["price_id"],
        "service_tier": row["service_tier"],
        "endpoint": row["endpoint"],
        "lines": [_line_object(line) for line in lines],
    }


def _line_object(line: Line) -> dict[str, Any]:
    pictures = parse_bucket(line.bucket)
    return {
        "bucket": line.bucket,
        "quantity": line.quantity,
        "list_rate": format_usd(line.list_nanos),
        "unit": pictures.unit if pictures else "1000000 tokens",
        "sell_bps": line.sell_bps,
        "amount": line.amount,
    }
