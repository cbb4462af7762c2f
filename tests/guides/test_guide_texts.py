"""What the guides say is so: examples are taken by the gateway, and prices are those of the API."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from billing.money import NANOS_PER_USD, format_usd
from billing.pricing import MILLION
from gateway.images.openai_request import GENERATION_FIELDS
from gateway.images.request import FIELDS
from guides.charge_examples import USAGE
from guides.texts import bodies, calls
from guides.texts.endpoints import ENDPOINT_TEXTS
from tests.guides.guide_pages import rows_of
from tests.world import ROOT, GatewayProcess, World

MODELS = {"gpt": "gpt-5.5", "claude": "claude-sonnet-4-6", "gemini": "gemini-2.5-pro"}
REQUESTS = (
    ("chat", "gpt", bodies.CHAT_STREAM),
    ("chat", "gemini", bodies.CHAT_TOOLS),
    ("chat", "gpt", bodies.CHAT_SCHEMA),
    ("chat", "claude", bodies.CHAT_FORCED_TOOL),
    ("responses", "gpt", bodies.RESPONSES_STREAM),
    ("responses", "gemini", bodies.RESPONSES_TOOLS),
    ("responses", "gpt", bodies.RESPONSES_SCHEMA),
    ("responses", "claude", bodies.RESPONSES_FORCED_TOOL),
    ("messages", "claude", bodies.MESSAGES_STREAM),
    ("messages", "claude", bodies.MESSAGES_TOOLS),
    ("messages", "claude", bodies.MESSAGES_SCHEMA),
)


@pytest.fixture(scope="module")
def gateway(world: World) -> GatewayProcess:
    world.put_other_vendors()
    return world.start_gateway()


@pytest.fixture(scope="module")
def caller(world: World, gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """Alice, with credits."""
    alice = world.add_tenant("alice", "100")
    headers = {"authorization": f"Bearer {alice.key}"}
    with httpx.Client(base_url=gateway.root, headers=headers, timeout=30) as client:
        yield client


@pytest.mark.parametrize(("endpoint", "family", "body"), REQUESTS)
def test_an_example_of_a_request_is_answered(
    caller: httpx.Client, endpoint: str, family: str, body: str
) -> None:
    asked = json.loads(body.replace("MODEL", MODELS[family]))
    answer = caller.post(ENDPOINT_TEXTS[endpoint].path, json=asked)
    assert answer.status_code == 200, answer.text


def test_every_body_is_among_them() -> None:
    texts = {name: text for name, text in vars(bodies).items() if name.isupper()}
    shown = {body for _, _, body in REQUESTS}
    assert {name for name, text in texts.items() if text not in shown} == {
        "CHAT_ANSWER",
        "RESPONSES_ANSWER",
        "MESSAGES_ANSWER",
        "GENERATE_ANSWER",
        "IMAGES_ANSWER",
        "TASK_MADE",
        "TASK_ENDED",
        "TASK_EDIT",
    }
    for text in texts.values():
        json.loads(text)


@pytest.mark.parametrize(
    ("endpoint", "body", "model"),
    [
        ("chat", {"messages": [{"role": "user", "content": "Hello"}]}, "gpt-5.5"),
        ("responses", {"input": "Hello"}, "gpt-5.5"),
        (
            "messages",
            {"max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]},
            "claude-sonnet-4-6",
        ),
        (
            "generate",
            {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
            "gemini-2.5-pro",
        ),
        ("text_to_image", {"prompt": "A lighthouse"}, "gpt-image-2"),
    ],
)
def test_an_example_of_an_answer_has_fields_that_come(
    caller: httpx.Client, endpoint: str, body: dict[str, object], model: str
) -> None:
    text = ENDPOINT_TEXTS[endpoint]
    asked = body if endpoint == "generate" else {"model": model, **body}
    answer = caller.post(text.path.replace("{model}", model), json=asked)
    assert answer.is_success, answer.text
    shown = json.loads(text.answer.replace("MODEL", model))
    assert shown.keys() <= answer.json().keys()
    if endpoint == "text_to_image":
        polled = caller.get(f"/v1/tasks/{answer.json()['task_id']}").json()
        ended = json.loads(bodies.TASK_ENDED)
        assert ended.keys() - polled.keys() <= {"images", "billing"}, "those come at the end"


def test_parameters_of_pictures_are_those_that_are_taken() -> None:
    tasks = {one.name for one in ENDPOINT_TEXTS["text_to_image"].parameters}
    assert tasks == FIELDS - {"upscale_factor"}
    assert {one.name for one in ENDPOINT_TEXTS["images"].parameters} <= GENERATION_FIELDS


def test_required_parameters_are_required(caller: httpx.Client) -> None:
    """Whatever stands as required is refused by name where it is missing."""
    whole = {
        "chat": {"messages": [{"role": "user", "content": "Hello"}]},
        "responses": {"input": "Hello"},
        "messages": {"max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]},
        "text_to_image": {"prompt": "A lighthouse"},
        "images": {"prompt": "A lighthouse"},
    }
    models = {
        "messages": "claude-sonnet-4-6",
        "text_to_image": "gpt-image-2",
        "images": "gpt-image-2",
    }
    for endpoint, fields in whole.items():
        body = {"model": models.get(endpoint, "gpt-5.5"), **fields}
        text = ENDPOINT_TEXTS[endpoint]
        assert {one.name for one in text.parameters if one.is_required} == body.keys()
        for name in body:
            if endpoint == "responses" and name == "input":
                continue  # an answer can be continued without input
            answer = caller.post(text.path, json={k: v for k, v in body.items() if k != name})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, name), endpoint


def test_the_prices_of_a_guide_are_those_of_the_api(caller: httpx.Client) -> None:
    listed = {one["id"]: one["pricing"] for one in caller.get("/v1/models").json()["data"]}
    buckets = {"Input": "prompt", "Cached input": "cache_read", "Output": "completion"}
    for family, provider in (("gpt", "openai"), ("claude", "anthropic"), ("gemini", "gemini")):
        text = caller.get(f"/guides/curl-{family}.md").text
        (head,) = re.findall(r"^\| Model \|.*$", text, re.MULTILINE)
        columns = [cell.strip() for cell in head.split("|")[1:-1]]
        seen = 0
        for row in rows_of(text, "Model"):
            found = re.search(rf"/models/({provider}/[^)]+)\)", row[0])
            if found is None:
                continue  # the rates for long contexts
            seen += 1
            for column, name in buckets.items():
                pricing = listed[found[1]]
                shown = row[columns.index(column)]
                if name not in pricing:
                    assert shown == "–", (found[1], column)
                    continue
                assert shown == f"{million(pricing[name])} (list {million(pricing['list'][name])})"
        assert seen >= 6


def million(per_token: str) -> str:
    """`$1.25`: what a million tokens cost, of USD for one."""
    return f"${format_usd(int(Decimal(per_token) * MILLION * NANOS_PER_USD))}"


def test_the_prices_of_pictures_are_those_of_the_api(caller: httpx.Client) -> None:
    pricing = caller.get("/v1/models/gpt-image-2").json()["pricing"]
    rows = rows_of(caller.get("/guides/curl-gpt-image.md").text, "Model")
    shown = [row[2:] for row in rows if "/models/openai/gpt-image-2)" in row[0]]
    assert shown == [
        [f"${pricing['per_image'][key]}", f"${pricing['list']['per_image'][key]}"]
        for key in ("1k", "2k", "4k")
    ]


def test_the_example_of_a_charge_is_what_such_a_call_costs(caller: httpx.Client) -> None:
    text = caller.get("/guides/curl-gpt.md").text
    pricing = caller.get("/v1/models/gpt-5.5").json()["pricing"]
    rows = rows_of(text, "Tokens")
    assert [row[1] for row in rows] == ["2,000", "40,000", "1,500", ""]
    whole = (
        USAGE.input_tokens * Decimal(pricing["prompt"])
        + USAGE.cached_input_tokens * Decimal(pricing["cache_read"])
        + USAGE.output_tokens * Decimal(pricing["completion"])
    )
    assert rows[-1][-1] == f"**${format_usd(int(whole * NANOS_PER_USD))}**"


def test_errors_that_a_guide_names_are_documented_with_their_status() -> None:
    rows = re.findall(
        r"^\| ([0-9, ]+) \| ([^|]+) \|", (ROOT / "docs/api.md").read_text(), re.MULTILINE
    )
    known = {(status, code) for status, codes in rows for code in re.findall("`([a-z_]+)`", codes)}
    assert len(known) > 15
    told = {(error.status, code) for error in calls.ERRORS for code in error.codes}
    assert told <= known
