"""The walk of the newcomer: a plain and a streamed call by the official SDK, billed and seen in the history."""

from openai import OpenAI

from tests.world import GatewayProcess, Tenant, World

SEED = [
    {"role": "system", "content": "You are a concise coding assistant."},
    {
        "role": "user",
        "content": "Write a Python function that merges two sorted lists in O(n) time.",
    },
]


def test_the_seed_call_costs_half_of_list(
    world: World, gateway: GatewayProcess, alice: Tenant
) -> None:
    sdk = OpenAI(base_url=gateway.base_url, api_key=alice.key, max_retries=0)
    raw = sdk.chat.completions.with_raw_response.create(
        model="gpt-5.5", messages=SEED, max_tokens=1024
    )
    completion = raw.parse()
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (38, 95)
    assert raw.headers["x-tollgate-charge"] == "0.00152"
    call = world.records(alice)[-1]
    assert raw.headers["x-request-id"] == f"call_{call['id'].hex}"
    assert (call["list_nanos"], call["amount_nanos"]) == (3_040_000, 1_520_000)
    world.audit()


def test_a_streamed_call_is_billed_the_same(
    world: World, gateway: GatewayProcess, alice: Tenant
) -> None:
    sdk = OpenAI(base_url=gateway.base_url, api_key=alice.key, max_retries=0)
    text = ""
    for chunk in sdk.chat.completions.create(model="gpt-5.5", messages=SEED, stream=True):
        text += chunk.choices[0].delta.content or ""
    assert text.startswith("def merge")
    call = world.records(alice)[-1]
    assert (call["stream"], call["status"], call["basis"]) == (True, "completed", "reported")
    assert (call["input_tokens"], call["output_tokens"], call["amount_nanos"]) == (
        38,
        95,
        1_520_000,
    )
