"""The management API against its own OpenAPI document: schemathesis makes requests up, for two tenants and an operator.

Every operation is asked with addresses of things that are there and of things that are not, with queries and bodies
that the document allows and with some that it forbids. Nothing may be a 5xx, every answer is as documented, and none
that Charlie gets has a trace of Alice's organization in it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

from simulator.process import SimulatorProcess
from tests.world import ROOT, World

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
EXAMPLES = 4
# Reading first: what writes may take away what the next one would read.
ORDER = ("GET", "POST", "PATCH", "PUT", "DELETE")
# Whose key asks, with whose objects in the address. The tenants first: operators may shut people out.
ASKERS = (
    ("outsider", ("charlie", "alice")),
    ("admin", ("alice", "charlie")),
    ("operator", ("alice",)),
)


class Site(NamedTuple):
    """A running site. `places` has objects for the parameters of addresses, by whose they are."""

    root: str
    keys: Mapping[str, str]
    places: Mapping[str, Mapping[str, str]]
    secrets: tuple[str, ...]


@pytest.fixture(scope="module")
def site(server_url: str, template_database: str, simulator: SimulatorProcess) -> Iterator[Site]:
    with World(server_url, template_database, simulator) as world:
        environment = {**os.environ, "DATABASE_URL": world.database.url}
        made = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.flows.api_site"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        found = json.loads(made.stdout)
        gateway = world.start_gateway(TOLLGATE_API_REQUESTS_PER_MINUTE="1000000")
        places = {name: found[name] for name in ("alice", "charlie")}
        yield Site(gateway.root, found["keys"], places, tuple(found["secrets"]))


@pytest.fixture(scope="module")
def operations(site: Site) -> list[Any]:
    """Every operation of the document that the site serves, reading ones first."""
    schema = schemathesis.openapi.from_url(f"{site.root}/api/schema/openapi.json")
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    found = [one.ok() for one in schema.get_all_operations()]
    return sorted(found, key=lambda one: ORDER.index(one.method.upper()))


def place(case: Any, own: Mapping[str, str]) -> None:
    """Put things that are there into the address."""
    case.path_parameters = {
        name: own.get(name, value) for name, value in (case.path_parameters or {}).items()
    }


def leaks(site: Site, answer: Any) -> list[str]:
    """What Charlie could read of Alice's organization."""
    text = f"{answer.headers} {answer.content.decode(errors='replace')}"
    return [secret for secret in site.secrets if secret in text]


def told(fault: BaseException) -> str:
    """What went wrong, of several things each."""
    if isinstance(fault, BaseExceptionGroup):
        return "\n".join(told(one) for one in fault.exceptions)
    return f"{type(fault).__name__}: {str(fault)[:1500]}"


def check(site: Site, case: Any, viewer: str) -> int:
    """The status of the answer, which is as documented, and has nothing of Alice's in it for Charlie."""
    headers = {"Authorization": f"Bearer {site.keys[viewer]}"}
    answer = case.call(base_url=site.root, headers=headers)
    case.validate_response(answer, checks=CHECKS)
    if viewer == "outsider":
        assert leaks(site, answer) == [], f"{case.method} {case.formatted_path}"
    return int(answer.status_code)


def read_plainly(site: Site, operation: Any, viewer: str, whose: tuple[str, ...]) -> int:
    """Read what is there, without any choice: this is what leaks, if anything does. How many answers were good."""
    names = [one.name for one in operation.path_parameters]
    good = 0
    for place_of in whose:
        known = site.places[place_of]
        if operation.method.upper() == "GET" and known.keys() >= set(names):
            case = operation.Case(path_parameters={name: known[name] for name in names})
            good += check(site, case, viewer) < 400
    return good


def try_operation(site: Site, operation: Any, viewer: str, whose: tuple[str, ...]) -> int:
    """Read plainly, and ask EXAMPLES times for what is made up; how many answers were no refusals."""
    good = read_plainly(site, operation, viewer, whose)

    @given(
        case=operation.as_strategy(),
        own=st.sampled_from([*(site.places[name] for name in whose), {}]),
    )
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, own: Mapping[str, str]) -> None:
        nonlocal good
        place(case, own)
        good += check(site, case, viewer) < 400

    ask()
    return good


@pytest.mark.parametrize(("viewer", "whose"), ASKERS, ids=[name for name, _whose in ASKERS])
def test_every_answer_is_as_documented_and_nothing_breaks(
    site: Site, operations: list[Any], viewer: str, whose: tuple[str, ...]
) -> None:
    good = 0
    faults = {}
    for operation in operations:
        try:
            good += try_operation(site, operation, viewer, whose)
        except (AssertionError, BaseExceptionGroup) as fault:
            faults[operation.label] = told(fault)
    assert faults == {}, "\n\n".join(f"{label}: {text}" for label, text in faults.items())
    assert good > len(operations) // 4, "most requests were refused: nothing was tried"
