"""What stands in a snippet: the reader's address, model and key, and nothing that is left to fill in but the key."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from gateway import snippets as package
from gateway.snippets import CLIENTS, FAMILIES, KEY_PLACEHOLDER, LEFT_OUT, Snippet, render
from gateway.snippets.parts import parts_of

ROOT_URL, MODEL, KEY = "https://gate.example", "vendor/model-9", "tollgate-v1-abc-secret"
TEXTS = Path(package.__file__).parent / "texts"
PAIRS = [
    (client.slug, family.slug)
    for client in CLIENTS
    for family in FAMILIES
    if (client.slug, family.slug) not in LEFT_OUT
]
every_pair = pytest.mark.parametrize(("client", "family"), PAIRS)


def shown(client: str, family: str, **others: str) -> tuple[Snippet, ...]:
    return render(client, family, base_url=ROOT_URL, model=MODEL, **others)


def whole(snippets: tuple[Snippet, ...]) -> str:
    return "\n".join(snippet.text for snippet in snippets)


@every_pair
def test_every_marker_is_filled_and_the_key_stays_in_its_variable(client: str, family: str) -> None:
    snippets = shown(client, family)
    text = whole(snippets)
    assert "{{" not in text
    assert ROOT_URL in text
    assert MODEL in text
    assert {one.kind for one in snippets if KEY_PLACEHOLDER in one.text} == {"env"}
    assert all(not snippet.text.endswith("\n") for snippet in snippets)
    assert not any(line.endswith(" ") for line in text.splitlines())


@every_pair
def test_a_key_that_is_given_leaves_nothing_to_fill_in(client: str, family: str) -> None:
    text = whole(shown(client, family, key=KEY))
    assert KEY in text
    assert KEY_PLACEHOLDER not in text


@every_pair
def test_a_note_stands_once_beside_the_variable(client: str, family: str) -> None:
    note = "the key “laptop”\nrm -rf"
    named = [one for one in shown(client, family, key_note=note) if "laptop" in one.text]
    plain = {one.text for one in shown(client, family)}
    assert named
    for snippet in named:
        assert snippet.kind == "env"
        line, _, rest = snippet.text.partition("\n")
        assert line == "# the key “laptop” rm -rf"
        assert rest in plain


def test_an_address_with_a_slash_at_its_end_gives_the_same_text() -> None:
    assert render("curl", "gpt", base_url=f"{ROOT_URL}/", model=MODEL) == shown("curl", "gpt")


@every_pair
def test_each_snippet_is_what_its_language_calls_a_text(client: str, family: str) -> None:
    for snippet in (*shown(client, family), *shown(client, family, key=KEY)):
        check_syntax(snippet)


def check_syntax(snippet: Snippet) -> None:
    """Raises where the text does not parse."""
    text, language = snippet.text, snippet.language
    if language == "python":
        compile(text, snippet.filename, "exec")
        assert text.count("import os") == text.count("os.environ")
    elif language == "json":
        json.loads(text)
    elif language == "toml":
        tomllib.loads(text)
    elif language == "yaml":
        yaml.safe_load(text)
    elif language in ("shell", "dotenv"):
        bash = shutil.which("bash")
        assert bash
        done = subprocess.run([bash, "-n"], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    elif language == "markdown":
        _, head, body = text.split("---\n", 2)
        assert {"name", "description"} == yaml.safe_load(head).keys()
        assert body
    else:
        assert language == "javascript", "tests/snippets/test_programs.py runs it"


def test_hermes_and_openclaw_are_set_up_as_their_users_know_it() -> None:
    _, hermes, _ = shown("hermes", "gpt")
    settings = yaml.safe_load(hermes.text)
    assert settings["model"]["provider"] == "custom:tollgate"
    assert settings["model"]["default"] == MODEL
    (provider,) = settings["custom_providers"]
    assert provider == {
        "name": "tollgate",
        "base_url": f"{ROOT_URL}/v1",
        "key_env": "TOLLGATE_API_KEY",
        "api_mode": "chat_completions",
    }
    _, openclaw, _ = shown("openclaw", "gpt")
    provider = json.loads(openclaw.text)["models"]["providers"]["tollgate"]
    assert (provider["baseUrl"], provider["api"]) == (f"{ROOT_URL}/v1", "openai-completions")


def test_every_text_belongs_to_a_snippet() -> None:
    used = {part.text for pair in PAIRS for part in parts_of(*pair)}
    there = {str(path.relative_to(TEXTS)).removesuffix(".txt") for path in TEXTS.rglob("*.txt")}
    assert used == there


def test_no_text_names_a_model() -> None:
    for path in TEXTS.rglob("*.txt"):
        text = path.read_text()
        for name in ("gpt-5", "gpt-image", "claude-", "gemini-"):
            assert name not in text.replace("claude-code", ""), path
