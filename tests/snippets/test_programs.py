"""Every program that a guide shows is run as it is shown, against a gateway and a stand-in for the vendors."""

from pathlib import Path

import pytest

from gateway.snippets import FAMILIES, Snippet, render
from gateway.snippets.parts import parts_of
from tests.flows.picture_works import look_at
from tests.snippets.charged_calls import Account
from tests.snippets.pairs import example_of, models_of, pairs
from tests.snippets.reader import Reader
from tests.world import GatewayProcess, Tenant

# What a text model that is stood in for says of each program's question.
SAID = {
    "chat": "“Hello”",
    "stream": "Why is the sky blue",
    "tools": "Paris",
    "structured": "length_m",
    "responses": "“Hello”",
    "messages": "“Hello”",
    "generate": "“Hello”",
    "order": "task_id",
    "draw": "",
    "edit": "",
    "openai_images": "",
    "image": "lighthouse.png",
    "task": "completed 0.06 USD",
}
STREAMS = ("stream",)
PICTURES = ("lighthouse.png", "lighthouse-at-night.png")


def run_all(
    reader: Reader, account: Account, snippets: list[tuple[str, Snippet]], model: str
) -> None:
    """Copy one after another; each that runs says what it should and is charged to the model."""
    for name, snippet in snippets:
        if not snippet.runs:
            reader.copy(snippet)
            continue
        with account.watch() as records:
            printed = reader.copy(snippet)
        if snippet.kind == "shell" and name in STREAMS:
            assert printed.rstrip().endswith("data: [DONE]")
        else:
            assert SAID[name] in printed
        assert {record["model"] for record in records} == {model}
        if name in STREAMS:
            assert [record["stream"] for record in records] == [True]


def named(
    client: str, family: str, gateway: GatewayProcess, model: str
) -> list[tuple[str, Snippet]]:
    """The snippets of a pair with the names of their texts, such as `chat`."""
    snippets = render(client, family, base_url=gateway.root, model=model)
    texts = [Path(part.text).name.partition(".")[0] for part in parts_of(client, family)]
    return list(zip(texts, snippets, strict=True))


@pytest.mark.parametrize(("client", "family"), pairs(of_agents=False))
def test_every_program_runs_as_it_stands_and_is_charged(
    reader: Reader, account: Account, gateway: GatewayProcess, client: str, family: str
) -> None:
    model = example_of(family)
    snippets = named(client, family, gateway, model)
    assert sum(snippet.runs for _, snippet in snippets) == len(snippets) - 1
    run_all(reader, account, snippets, model)
    if family == "gpt-image":
        assert_pictures(reader, edited=any(name == "edit" for name, _ in snippets))


def assert_pictures(reader: Reader, *, edited: bool) -> None:
    for name in PICTURES if edited else PICTURES[:1]:
        picture = look_at((reader.desk / name).read_bytes())
        assert picture.format == "PNG"
        assert min(picture.size) > 256


@pytest.mark.parametrize(
    ("family", "model"),
    [(family.slug, model) for family in FAMILIES for model in models_of(family.slug)],
)
def test_the_first_program_of_a_family_works_with_each_of_its_models(
    reader: Reader, account: Account, gateway: GatewayProcess, family: str, model: str
) -> None:
    snippets = named("curl", family, gateway, model)
    bare = [snippet for snippet in snippets if snippet[0] in ("key", "chat", "order")]
    run_all(reader, account, bare, model)


@pytest.mark.parametrize(
    ("client", "family"),
    [
        ("curl", "gpt"),
        ("openai-python", "gpt"),
        ("openai-node", "gpt"),
        ("anthropic-sdk", "claude"),
    ],
)
def test_a_program_with_the_key_in_it_needs_no_variable(
    reader: Reader, gateway: GatewayProcess, alice: Tenant, client: str, family: str
) -> None:
    model = example_of(family).partition("/")[2]
    snippets = render(client, family, base_url=f"{gateway.root}/", model=model, key=alice.key)
    assert all(snippet.runs for snippet in snippets)
    assert all(snippet.text.count(alice.key) == 1 for snippet in snippets)
    assert "TOLLGATE_API_KEY" not in "".join(snippet.text for snippet in snippets)
    assert SAID["chat"] in reader.copy(snippets[0])
