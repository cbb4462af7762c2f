"""Which clients and families there are, and that what is said of them holds."""

import json

import pytest

from gateway.snippets import (
    CLIENTS,
    FAMILIES,
    LEFT_OUT,
    clients_of,
    families_of,
    family_of,
    find_client,
    find_family,
    render,
)
from tests.snippets.installed import CLIENTS as INSTALLED
from tests.snippets.pairs import example_of, models_of
from tests.world import ROOT

PAIRS = [(client.slug, family.slug) for client in CLIENTS for family in FAMILIES]
LOCKS_OF_PIP = (
    "requirements-dev",
    "tests/snippets/requirements-aider",
    "tests/snippets/requirements-hermes",
)


@pytest.mark.parametrize(("client", "family"), PAIRS)
def test_a_pair_has_snippets_or_a_reason_why_not(client: str, family: str) -> None:
    works = find_client(client) in clients_of(family)
    assert works == (find_family(family) in families_of(client))
    if (client, family) in LEFT_OUT:
        assert not works
        assert str(LEFT_OUT[client, family]).endswith(".")
        with pytest.raises(KeyError):
            render(client, family, base_url="http://x", model="m")
    else:
        assert works
        assert any(
            snippet.runs for snippet in render(client, family, base_url="http://x", model="m")
        )


def test_every_family_has_models_and_no_model_two_families() -> None:
    found = [name for family in FAMILIES for name in models_of(family.slug)]
    assert len(found) == len(set(found))
    for family in FAMILIES:
        assert example_of(family.slug) == family.preferred[0]
        assert family.preferred[0] in models_of(family.slug)


@pytest.mark.parametrize(
    ("model", "mode", "slug"),
    [
        ("openai/gpt-9", "chat", "gpt"),
        ("openai/gpt-9-pro", "responses", "gpt"),
        ("openai/gpt-image-2", "image_generation", "gpt-image"),
        ("anthropic/claude-next", "chat", "claude"),
        ("gemini/gemini-9", "chat", "gemini"),
        ("openai/gpt-image-1", "image_generation", None),
        ("openai/text-embedding-3-small", "embedding", None),
        ("deepseek/deepseek-chat", "chat", None),
        ("openai-resold/gpt-9", "chat", None),
    ],
)
def test_a_new_model_joins_its_family_by_itself(model: str, mode: str, slug: str | None) -> None:
    family = family_of(model, mode)
    assert (family.slug if family else None) == slug


def test_the_example_of_a_family_is_the_one_wished_for_else_the_latest() -> None:
    gpt = find_family("gpt")
    assert gpt.example(["openai/gpt-5.4", "openai/gpt-5.5", "openai/gpt-9"]) == "openai/gpt-5.5"
    assert gpt.example(["openai/gpt-4", "openai/gpt-9"]) == "openai/gpt-9"
    assert gpt.example([]) == ""


@pytest.mark.parametrize("install", [client.install for client in CLIENTS if client.install])
def test_what_an_install_command_names_is_what_the_tests_run(install: str) -> None:
    tool, _, names = install.replace(" -g ", " ").partition(" install ")
    for name in names.split():
        assert name in _locked(tool), (install, name)


def _locked(tool: str) -> set[str]:
    """Names of the packages in the locks of pip or npm."""
    if tool == "npm":
        lock = json.loads((ROOT / "tests/snippets/node/package-lock.json").read_text())
        return {path.removeprefix("node_modules/") for path in lock["packages"]}
    return {
        line.partition("==")[0]
        for path in LOCKS_OF_PIP
        for line in (ROOT / f"{path}.txt").read_text().splitlines()
        if "==" in line
    }


def test_no_lock_names_a_registry() -> None:
    for path in (ROOT / "tests/snippets").rglob("*"):
        if path.suffix in (".txt", ".in", ".json"):
            assert "://" not in path.read_text(), path


def test_the_lock_of_npm_is_what_is_installed() -> None:
    lock = ROOT / "tests/snippets/node/package-lock.json"
    assert (INSTALLED / "node/package-lock.json").read_bytes() == lock.read_bytes()
