"""The tools that agents have over MCP: what each takes, and which requests of the API it makes. Knows nothing of the
protocol (mcp_server.py speaks it)."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Struct

from gateway.mcp import answers, arguments
from gateway.mcp.inner_requests import InnerRequest

KINDS = MappingProxyType(
    {
        "text->text": "text",
        "text->embedding": "embedding",
        "text+image->image": "image",
        "image->image": "upscale",
    }
)
"""What /v1/models calls a modality, and what agents ask for."""

Ask = Callable[[InnerRequest], Awaitable[Any]]
"""Makes a request with the caller's key. Answers the JSON of a 2xx; raises for everything else."""


async def list_models(asked: arguments.ListModels, ask: Ask) -> Mapping[str, Any]:
    """The models that fit, without their prices."""
    listed = await ask(InnerRequest(method="GET", path="/v1/models"))
    words = asked.search.casefold().split() if asked.search else []
    fit = [
        _describe_model(model)
        for model in listed["data"]
        if all(word in " ".join([model["id"], *model["aliases"]]).casefold() for word in words)
    ]
    fit = [
        model
        for model in fit
        if asked.provider in (UNSET, model["provider"]) and asked.kind in (UNSET, model["kind"])
    ]
    limit = asked.limit or 50
    return {"models": fit[:limit], "matching": len(fit), "has_more": len(fit) > limit}


def _describe_model(model: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": model["id"],
        "aliases": model["aliases"],
        "provider": model["owned_by"],
        "kind": KINDS.get(model["modality"], "text"),
        "context_length": model["context_length"],
        "max_output_tokens": model["max_completion_tokens"],
    }


async def get_prices(asked: arguments.GetPrices, ask: Ask) -> Mapping[str, Any]:
    """The prices of each."""
    found = []
    for name in asked.models:
        path = f"/v1/models/{quote(name, safe='')}"
        model = await ask(InnerRequest(method="GET", path=path))
        found.append({"model": model["id"], "currency": "USD", "prices": _prices(model["pricing"])})
    return {"models": found}


def _prices(pricing: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = pricing["list"]
    tokens = [
        {"bucket": bucket, "unit": "token", "list_price": price, "your_price": pricing[bucket]}
        for bucket, price in listed.items()
        if isinstance(price, str) and not bucket.endswith("_unit")
    ]
    yours = pricing.get("per_image", {})
    pictures = [
        {
            "bucket": variant,
            "unit": listed["per_image_unit"],
            "list_price": price,
            "your_price": yours[variant],
        }
        for variant, price in listed.get("per_image", {}).items()
    ]
    return [*tokens, *pictures]


async def quote_price(asked: arguments.QuotePrice, ask: Ask) -> Any:
    """The bound of one call."""
    body = msgspec.json.encode({"endpoint": asked.endpoint, "body": asked.body})
    return await ask(InnerRequest(method="POST", path="/v1/price_quotes", body=body))


async def get_balance(asked: arguments.NoArguments, ask: Ask) -> Any:
    """The wallet."""
    return await ask(InnerRequest(method="GET", path="/v1/balance"))


async def create_image_task(asked: arguments.CreateImageTask, ask: Ask) -> Any:
    """A new task, or the one that the idempotency key made before."""
    fields = msgspec.to_builtins(asked)
    action, key = fields.pop("action"), fields.pop("idempotency_key", None)
    headers = [] if key is None else [(b"idempotency-key", key.encode())]
    body = msgspec.json.encode(fields)
    return await ask(InnerRequest(method="POST", path=f"/v1/{action}", body=body, headers=headers))


async def get_task(asked: arguments.NamedTask, ask: Ask) -> Any:
    """One task."""
    return await ask(InnerRequest(method="GET", path=_task_path(asked)))


async def cancel_task(asked: arguments.NamedTask, ask: Ask) -> Any:
    """The task, ended."""
    return await ask(InnerRequest(method="POST", path=f"{_task_path(asked)}/cancel", body=b"{}"))


def _task_path(asked: arguments.NamedTask) -> str:
    return f"/v1/tasks/{quote(asked.task_id, safe='')}"


async def list_tasks(asked: arguments.ListTasks, ask: Ask) -> Any:
    """A page of tasks."""
    return await ask(InnerRequest(method="GET", path="/v1/tasks", query=_query(asked)))


async def list_calls(asked: arguments.ListCalls, ask: Ask) -> Any:
    """A page of calls."""
    return await ask(InnerRequest(method="GET", path="/v1/calls", query=_query(asked)))


async def get_call(asked: arguments.NamedCall, ask: Ask) -> Any:
    """One call."""
    return await ask(InnerRequest(method="GET", path=f"/v1/calls/{quote(asked.call_id, safe='')}"))


def _query(asked: arguments.Arguments) -> dict[str, str]:
    return {name: str(value) for name, value in msgspec.to_builtins(asked).items()}


class Tool(NamedTuple):
    """One tool. The hints are MCP's: `reads` changes nothing; `destroys` takes something away; `repeats` can be done
    again without further effect; `reaches_out` has others than us do something."""

    name: str
    title: str
    description: str
    takes: type[arguments.Arguments]
    answer: type[Struct]
    run: Callable[[Any, Ask], Awaitable[Any]]
    reads: bool = True
    destroys: bool = False
    repeats: bool = True
    reaches_out: bool = False


TOOLS: tuple[Tool, ...] = (
    Tool(
        "list_models",
        "List models",
        "Finds models that can be called here, by words of their name, provider and kind. Answers names, aliases and"
        " limits; get_prices has the prices.",
        arguments.ListModels,
        answers.Models,
        list_models,
    ),
    Tool(
        "get_prices",
        "Get prices",
        "Answers for each named model the list price and the price that you pay, in USD: per token and bucket"
        " (prompt, completion, cache_read, cache_write), or per picture and its resolution, count or factor.",
        arguments.GetPrices,
        answers.Prices,
        get_prices,
    ),
    Tool(
        "quote_price",
        "Quote a call's price",
        "Answers what one call can cost at most, from its endpoint and body, without making it: nothing is called,"
        " held or charged. For image tasks the price is exact.",
        arguments.QuotePrice,
        answers.Quote,
        quote_price,
    ),
    Tool(
        "get_balance",
        "Get the balance",
        "Answers the credits of your group in USD: balance, what is held for calls that run, what is available, and"
        " what was spent today and this month (UTC).",
        arguments.NoArguments,
        answers.Balance,
        get_balance,
    ),
    Tool(
        "create_image_task",
        "Create an image task",
        "Orders pictures: text_to_image draws from a prompt, edit_image changes given pictures, upscale_image enlarges"
        " one. It spends credits: the price (see quote_price) is held now and charged when the pictures are there; a"
        " task that fails costs nothing. Answers at once with a task_id: ask get_task every few seconds until its"
        " status is 'completed' or 'failed'. Give an idempotency_key if you may ask again.",
        arguments.CreateImageTask,
        answers.NewTask,
        create_image_task,
        reads=False,
        repeats=False,
        reaches_out=True,
    ),
    Tool(
        "get_task",
        "Get a task",
        "Answers how far a task of your group is: 'pending', 'processing' (with progress in percent), 'completed' with"
        " links to its pictures (they need no key and hold for 7 days) and what was charged, or 'failed' with the"
        " reason.",
        arguments.NamedTask,
        answers.Task,
        get_task,
    ),
    Tool(
        "list_tasks",
        "List tasks",
        "Answers the image tasks of your group, newest first, a page at a time.",
        arguments.ListTasks,
        answers.Tasks,
        list_tasks,
    ),
    Tool(
        "cancel_task",
        "Cancel a task",
        "Ends a task that is still pending and releases what was held for it. One that is being worked on cannot be"
        " cancelled.",
        arguments.NamedTask,
        answers.Task,
        cancel_task,
        reads=False,
        destroys=True,
    ),
    Tool(
        "list_calls",
        "List calls",
        "Answers the calls that this key made, newest first, a page at a time: model, how each ended, its usage and its"
        " charge in USD.",
        arguments.ListCalls,
        answers.Calls,
        list_calls,
    ),
    Tool(
        "get_call",
        "Explain a call's charge",
        "Answers one call of this key with the lines of its charge (quantity, list rate, your share, amount), from"
        " which the charge can be computed again.",
        arguments.NamedCall,
        answers.ExplainedCall,
        get_call,
    ),
)
