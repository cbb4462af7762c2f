"""Image tasks made by hand, as the data plane makes them, and what the simulator's log says of them."""

import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from accounts.ids import uuid7
from gateway.images.pictures import read_picture
from gateway.picture_store import save_upload
from simulator.pictures import Size, draw
from simulator.png import add_comment
from simulator.process import SimulatorProcess
from tests.world import Tenant, World

GPT, GPT_4O = "openai/gpt-image-2", "openai/gpt-4o-image"
FLUX, TOPAZ = "black-forest-labs/flux-kontext-pro", "topaz/topaz-upscale-image"
USD = 10**9
PRICES_USD: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        GPT: {"1k": "0.06", "2k": "0.10", "4k": "0.16"},
        GPT_4O: {"1": "0.06", "2": "0.07", "4": "0.08"},
        FLUX: {"": "0.02"},
        TOPAZ: {"1": "0.10", "2": "0.10", "4": "0.20", "8": "0.40"},
    }
)
"""What one picture of the key costs; of GPT_4O, what the whole request costs."""


def put_image_channels(world: World, simulator: SimulatorProcess | None = None) -> None:
    """Channels to a simulator at the vendors that make nothing but pictures."""
    vendor = simulator or world.simulator
    for provider in ("black-forest-labs", "topaz"):
        world.put_channel(provider, vendor.root_url, vendor.api_key)


def price_nanos(model: str, key: str, count: int = 1) -> int:
    """What so many pictures cost."""
    each = Decimal(PRICES_USD[model][key]) * USD
    return int(each if model == GPT_4O else each * count)


def add_upload(world: World, tenant: Tenant, data: bytes, *, ends_in_s: float = 3600) -> str:
    """A stored upload of the tenant's group; its public id."""
    facts = read_picture(data, 10**8, 10**8)
    upload_id = uuid7()
    world.database.query(
        "INSERT INTO gateway_upload (id, group_id, api_key_id, name, filename, purpose, content_type, width, height,"
        " size_bytes, expires_at) VALUES (%s, %s, %s, %s, 'a.png', 'vision', %s, %s, %s, %s,"
        " clock_timestamp() + make_interval(secs => %s))",
        upload_id,
        tenant.group_id,
        tenant.key_id,
        save_upload(tenant.group_id, data, facts),
        facts.content_type,
        facts.width,
        facts.height,
        len(data),
        ends_in_s,
    )
    return f"file_{upload_id.hex}"


def scripted_png(script: Mapping[str, Any], edge: int = 32) -> bytes:
    """A picture that tells the simulator what to do with it."""
    picture = draw("source", Size(edge, edge), transparent=False)
    return add_comment(picture, f"[[simulate {json.dumps(dict(script))}]]")


def order_task(
    world: World,
    tenant: Tenant,
    model: str = GPT,
    script: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    count: int = 1,
    timeout_s: float = 60,
    request: Mapping[str, Any] | None = None,
    callback_url: str = "",
) -> UUID:
    """A pending task and its hold. `key` is that of its price, the model's first by default; `request` replaces fields
    of the ImageRequest."""
    key = (
        str(count) if model == GPT_4O else key if key is not None else next(iter(PRICES_USD[model]))
    )
    asked = (
        _request(world, tenant, model, script, key) | {"output_count": count} | dict(request or {})
    )
    price_id = world.database.one(
        "SELECT id FROM billing_price WHERE model = %s AND group_id IS NULL ORDER BY effective_from DESC",
        model,
    )
    task_id = uuid7()
    row = {
        "id": str(task_id),
        "organization_id": str(tenant.organization_id),
        "group_id": str(tenant.group_id),
        "api_key_id": str(tenant.key_id),
        "account_id": tenant.wallet_id,
        "action": asked["action"],
        "endpoint": asked["action"],
        "requested_model": model.partition("/")[2],
        "model": model,
        "request": {name: value for name, value in asked.items() if value not in ("", None)},
        "count": count,
        "price_id": price_id,
        "price_key": key,
        "hold_nanos": price_nanos(model, key, count),
        "base_url": "http://127.0.0.1:1",
        "callback_url": callback_url,
        "idempotency_key": "",
        "request_digest": task_id.hex,
        "timeout_s": timeout_s,
    }
    made = world.database.one(
        "SELECT outcome FROM gateway_create_task(%s::jsonb, NULL, NULL)", json.dumps(row)
    )
    assert made == "created", made
    return task_id


def _request(
    world: World, tenant: Tenant, model: str, script: Mapping[str, Any] | None, key: str
) -> dict[str, Any]:
    if model == TOPAZ:
        source = add_upload(world, tenant, scripted_png(script or {}))
        return {"action": "upscale_image", "upscale_factor": int(key), "sources": [source]}
    mark = f" [[simulate {json.dumps(dict(script))}]]" if script else ""
    asked = {"action": "text_to_image", "prompt": f"A lighthouse at dusk{mark}"}
    if model == GPT:
        return asked | {"output_resolution": key, "aspect_ratio": "1:1", "background": "auto"}
    if model == GPT_4O:
        return asked | {"output_resolution": "1k", "aspect_ratio": "1:1", "background": "auto"}
    return asked | {"output_resolution": "1k", "aspect_ratio": "auto"}


def read_task(world: World, task_id: UUID) -> dict[str, Any]:
    """The row."""
    return world.database.query("SELECT * FROM gateway_task WHERE id = %s", task_id)[0]


def read_record(world: World, task_id: UUID) -> dict[str, Any]:
    """The record of the task's call."""
    return world.database.query("SELECT * FROM gateway_callrecord WHERE id = %s", task_id)[0]


def count_pictures(world: World, task_id: UUID) -> int:
    return int(
        world.database.one("SELECT count(*) FROM gateway_picture WHERE task_id = %s", task_id)
    )
