"""Every agent is set up as its guide says and asked its first question, against a gateway and a stand-in for the
vendors."""

import json
import re
import sys

import pytest

from gateway.snippets import render
from simulator.process import SimulatorProcess
from tests.flows.picture_works import look_at
from tests.snippets.charged_calls import Account
from tests.snippets.pairs import example_of, pairs
from tests.snippets.reader import Reader
from tests.world import GatewayProcess

QUESTION = "Say hello to the team."
SKILL_PATH = ".hermes/skills/tollgate-images/SKILL.md"
# Guides name models without their provider; the other name is tried once.
OF_TEXT = [
    (client, family, bare)
    for client, family in pairs(of_agents=True)
    for bare in ((True, False) if family == "gpt" else (True,))
    if family != "gpt-image"
]


def answers(printed: str, question: str) -> bool:
    """Whether the stand-in's answer was printed: all of them quote what they are about."""
    return f"“{question.rstrip('.')}”" in " ".join(printed.split())


@pytest.mark.parametrize(("client", "family", "bare"), OF_TEXT)
def test_an_agent_answers_its_first_question_and_every_call_of_it_is_charged(
    reader: Reader, account: Account, gateway: GatewayProcess, client: str, family: str, bare: bool
) -> None:
    if client == "aider" and sys.version_info >= (3, 13):
        pytest.skip("aider needs a Python before 3.13")
    model = example_of(family)
    name = model.partition("/")[2] if bare else model
    with account.watch() as records:
        printed = reader.copy_all(render(client, family, base_url=gateway.root, model=name))
    assert answers(printed[-1], QUESTION)
    assert len(records) <= 2, "the question, and a title for it"
    assert {record["model"] for record in records} == {model}
    assert any(record["stream"] for record in records)


def test_openclaw_draws_and_edits_by_its_own_commands(
    reader: Reader, account: Account, gateway: GatewayProcess
) -> None:
    model = example_of("gpt-image")
    with account.watch() as records:
        reader.copy_all(render("openclaw", "gpt-image", base_url=gateway.root, model=model))
    assert [record["model"] for record in records] == [model, model]
    for name in ("lighthouse.png", "lighthouse-at-night.png"):
        assert look_at((reader.desk / name).read_bytes()).format == "PNG"


def test_hermes_is_taught_the_skill_and_its_commands_draw(
    reader: Reader, account: Account, gateway: GatewayProcess, simulator: SimulatorProcess
) -> None:
    # The guide for pictures goes on where the one for chat ends.
    reader.copy_all(render("hermes", "gpt", base_url=gateway.root, model=example_of("gpt")))
    model = example_of("gpt-image")
    snippets = render("hermes", "gpt-image", base_url=gateway.root, model=model)
    agent = next(number for number, one in enumerate(snippets) if one.text.startswith("hermes "))
    printed = reader.copy_all(snippets[: agent + 1])
    assert answers(printed[-1], "Draw a lighthouse at dawn, watercolour.")
    assert f"{gateway.root}/v1/edit_image" in json.dumps(simulator.requests()[-1])

    with account.watch() as records:
        reader.copy_all(snippets[agent + 1 :])
    assert {record["model"] for record in records} == {model}
    assert look_at((reader.desk / "lighthouse-at-night.png").read_bytes()).format == "PNG"
    assert_skill_works(reader, account)


def assert_skill_works(reader: Reader, account: Account) -> None:
    """The commands of the skill, taken from its file as an agent would."""
    text = (reader.home / SKILL_PATH).read_text()
    order, poll, upload = re.findall(r"(?<=\n\n)(?: {7}.*\n)+", text)
    with account.watch():
        task_id = json.loads(reader.type(order))["task_id"]
    task = json.loads(reader.type(poll.replace("TASK_ID", task_id)))
    assert (task["status"], task["billing"]["charged"]) == ("completed", "0.06")
    assert json.loads(reader.type(upload))["id"].startswith("file_")
