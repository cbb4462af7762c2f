"""Agents over MCP: the official client against a live gateway with workers that make pictures."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from billing.money import parse_usd
from tests.flows.mcp_clients import (
    ERAS,
    call_message,
    fail_tool,
    open_agent,
    post,
    use_tool,
    with_agent,
)
from tests.flows.picture_works import Works, look_at, open_works
from tests.world import Tenant, World, client

# The client closes a connection that it gave up a moment after its loop has ended.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TOOLS = {
    "list_models": True,
    "get_prices": True,
    "quote_price": True,
    "get_balance": True,
    "create_image_task": False,
    "get_task": True,
    "list_tasks": True,
    "cancel_task": False,
    "list_calls": True,
    "get_call": True,
}
"""Each tool, and whether it only reads."""
PICTURE = {"action": "text_to_image", "model": "gpt-image-2", "prompt": "A heron"}
PRICE = "0.06"
CHAT = {"model": "gpt-5.4-nano", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def works(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with open_works(world, tmp_path_factory.mktemp("home")) as made:
        yield made


async def wait_for_task(agent: Client, task_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        result = await agent.call_tool("get_task", {"task_id": task_id})
        assert not result.is_error, result
        task: dict[str, Any] = result.structured_content
        if task["status"] in ("completed", "failed"):
            return task
        await asyncio.sleep(0.2)
    raise AssertionError(task)


@pytest.mark.parametrize("era", ERAS)
def test_an_agent_learns_what_the_tools_are(works: Works, alice: Tenant, era: str) -> None:
    async def learn(agent: Client) -> Any:
        assert agent.server_info is not None
        assert agent.server_info.name == "tollgate"
        assert "credits" in (agent.instructions or "")
        return await agent.list_tools()

    listed = with_agent(works.gateway, alice.key, learn, era)
    assert {tool.name: tool.annotations.read_only_hint for tool in listed.tools} == TOOLS
    destroyers = [tool.name for tool in listed.tools if tool.annotations.destructive_hint]
    assert destroyers == ["cancel_task"]
    for tool in listed.tools:
        assert tool.description
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema["type"] == "object"


@pytest.mark.parametrize("era", ERAS)
def test_a_picture_is_ordered_waited_for_fetched_and_charged_once(
    works: Works, world: World, alice: Tenant, era: str
) -> None:
    before = world.wallet(alice)["balance_nanos"]
    order = {**PICTURE, "output_resolution": "1k", "idempotency_key": f"one heron {era}"}

    async def draw(agent: Client) -> dict[str, Any]:
        made = await agent.call_tool("create_image_task", order)
        again = await agent.call_tool("create_image_task", order)
        assert again.structured_content["task_replayed"] is True
        assert again.structured_content["task_id"] == made.structured_content["task_id"]
        return await wait_for_task(agent, made.structured_content["task_id"])

    task = with_agent(works.gateway, alice.key, draw, era)
    assert task["status"] == "completed", task
    assert task["billing"]["charged"] == PRICE
    (picture,) = task["images"]
    fetched = httpx.get(picture["url"], trust_env=False)
    assert look_at(fetched.content).size == (picture["width"], picture["height"])
    assert before - world.wallet(alice)["balance_nanos"] == parse_usd(PRICE)
    call = use_tool(
        works.gateway, alice.key, "get_call", call_id=f"call_{task['task_id'].removeprefix('tsk_')}"
    )
    assert (call["charge"], call["task_id"]) == (PRICE, task["task_id"])
    assert [line["amount"] for line in call["lines"]] == [PRICE]


def test_models_are_found_and_priced_as_the_api_has_it(works: Works, alice: Tenant) -> None:
    found = use_tool(works.gateway, alice.key, "list_models", search="GPT 5.4 nano", kind="text")
    names = [model["name"] for model in found["models"]]
    assert "openai/gpt-5.4-nano" in names
    assert found["matching"] == len(names)
    one = use_tool(works.gateway, alice.key, "list_models", provider="openai", limit=1)
    assert len(one["models"]) == 1
    assert one["has_more"]
    assert one["matching"] > 1
    prices = use_tool(
        works.gateway, alice.key, "get_prices", models=["gpt-5.4-nano", "gpt-image-2"]
    )
    listed = {
        model["id"]: model["pricing"]
        for model in client(works.gateway).get("/v1/models").json()["data"]
    }
    text, pictures = (
        {price["bucket"]: price for price in model["prices"]} for model in prices["models"]
    )
    pricing = listed["openai/gpt-5.4-nano"]
    assert text["prompt"]["your_price"] == pricing["prompt"]
    assert text["completion"]["list_price"] == pricing["list"]["completion"]
    assert {key: price["your_price"] for key, price in pictures.items()} == listed[
        "openai/gpt-image-2"
    ]["per_image"]


def test_a_quote_bounds_the_call(works: Works, alice: Tenant) -> None:
    chat = {**CHAT, "max_tokens": 100}
    quote = use_tool(
        works.gateway, alice.key, "quote_price", endpoint="/v1/chat/completions", body=chat
    )
    assert (quote["exact"], quote["output_tokens_max"]) == (False, 100)
    body = {name: value for name, value in PICTURE.items() if name != "action"}
    exact = use_tool(
        works.gateway, alice.key, "quote_price", endpoint="/v1/text_to_image", body=body
    )
    assert (exact["exact"], exact["price"]) == (True, PRICE)


def test_calls_of_the_key_are_listed_and_explained(works: Works, world: World) -> None:
    dora = world.add_tenant("Dora", balance="1")
    with client(works.gateway, dora) as http:
        for _ in range(3):
            assert http.post("/v1/chat/completions", json=CHAT).status_code == 200
    first = use_tool(works.gateway, dora.key, "list_calls", limit=2, source="api")
    assert (len(first["data"]), first["has_more"]) == (2, True)
    rest = use_tool(works.gateway, dora.key, "list_calls", after=first["next"])
    assert len(rest["data"]) == 1
    call = use_tool(works.gateway, dora.key, "get_call", call_id=rest["data"][0]["id"])
    assert call["charge"] == rest["data"][0]["charge"]
    assert {line["bucket"] for line in call["lines"]} == {"input", "output"}
    balance = use_tool(works.gateway, dora.key, "get_balance")
    spent = sum(parse_usd(one["charge"]) for one in [*first["data"], *rest["data"]])
    assert parse_usd("1") - parse_usd(balance["balance"]) == spent


def test_an_outsider_sees_nothing_of_anothers(
    works: Works, alice: Tenant, bob: Tenant, charlie: Tenant
) -> None:
    made = use_tool(works.gateway, alice.key, "create_image_task", **PICTURE)
    with client(works.gateway, alice) as http:
        call_id = http.post("/v1/chat/completions", json=CHAT).headers["x-request-id"]
    for stranger in (bob, charlie):
        key = stranger.key
        for tool in ("get_task", "cancel_task"):
            error = fail_tool(works.gateway, key, tool, {"task_id": made["task_id"]})
            assert (error.status, error.code) == (404, "task_not_found")
        error = fail_tool(works.gateway, key, "get_call", {"call_id": call_id})
        assert (error.status, error.code) == (404, "call_not_found")
        tasks = use_tool(works.gateway, key, "list_tasks")["data"]
        assert made["task_id"] not in [task["task_id"] for task in tasks]
        assert call_id not in [
            call["id"] for call in use_tool(works.gateway, key, "list_calls")["data"]
        ]
    assert use_tool(works.gateway, charlie.key, "get_balance")["balance"] == "10.00"
    assert use_tool(works.gateway, alice.key, "get_balance")["balance"] != "10.00"


def test_many_agents_at_once_each_get_their_own(
    works: Works, world: World, alice: Tenant, charlie: Tenant
) -> None:
    owners = {
        tenant.key: use_tool(works.gateway, tenant.key, "get_balance")
        for tenant in (alice, charlie)
    }

    async def ask(key: str) -> list[str]:
        async with open_agent(works.gateway, key) as agent:
            results = await asyncio.gather(
                *(agent.call_tool("get_balance", {}) for _ in range(5)),
                *(agent.call_tool("list_models", {"limit": 3}) for _ in range(5)),
            )
        assert not any(result.is_error for result in results)
        return [result.structured_content["balance"] for result in results[:5]]

    async def all_at_once() -> list[tuple[str, list[str]]]:
        keys = [*owners] * 8
        return list(zip(keys, await asyncio.gather(*map(ask, keys)), strict=True))

    for key, balances in asyncio.run(all_at_once()):
        assert set(balances) == {owners[key]["balance"]}


def test_too_few_credits_are_an_error_that_an_agent_understands(works: Works, world: World) -> None:
    poor = world.add_tenant("Pauline", balance="0.01")
    error = fail_tool(works.gateway, poor.key, "create_image_task", PICTURE)
    assert (error.status, error.code) == (402, "insufficient_credits")
    assert "$0.01" in error.message
    assert use_tool(works.gateway, poor.key, "list_tasks")["data"] == []


@pytest.mark.parametrize("era", ERAS)
def test_a_revoked_key_is_refused(works: Works, world: World, era: str) -> None:
    eve = world.add_tenant("Eve", balance="1")
    assert use_tool(works.gateway, eve.key, "get_balance", era)["balance"] == "1.00"
    world.database.query("UPDATE accounts_apikey SET revoked_at = now() WHERE id = %s", eve.key_id)
    time.sleep(1.5)
    answer = post(works.gateway, eve.key, call_message("get_balance", {}))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"]["code"] == "invalid_api_key"
    with pytest.raises(BaseException) as caught:
        use_tool(works.gateway, eve.key, "get_balance", era)
    assert caught.group_contains(MCPError) or isinstance(caught.value, MCPError | httpx.HTTPError)


def test_nothing_is_lost_or_charged_twice(world: World, works: Works) -> None:
    deadline = time.monotonic() + 60
    while world.database.one("SELECT count(*) FROM billing_hold WHERE state = 'open'"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    world.audit()
