"""Which tools of a Responses body go on to the provider: what costs tokens and nothing else."""

from typing import Any

import pytest

from tests.gateway.surfaces.streaming import read, refused


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-5.5", "input": "Hi", **fields}


@pytest.mark.parametrize(
    "kind", ["function", "custom", "namespace", "tool_search", "local_shell", "apply_patch"]
)
def test_a_tool_that_the_client_runs_goes_on(kind: str) -> None:
    body = asking(tools=[{"type": kind}])
    assert read("responses", body).dropped == ()
    assert body["tools"] == [{"type": kind}]


@pytest.mark.parametrize("kind", ["web_search", "x_search", "code_execution", "made_up_tomorrow"])
def test_a_tool_that_nobody_here_can_meter_is_left_out_and_named(kind: str) -> None:
    body = asking(tools=[{"type": kind}, {"type": "function", "name": "f"}])
    assert read("responses", body).dropped == (f"tools[0] ({kind})",)
    assert body["tools"] == [{"type": "function", "name": "f"}]


def test_a_tool_that_was_left_out_cannot_be_chosen() -> None:
    body = asking(tools=[{"type": "x_search"}], tool_choice={"type": "x_search"})
    assert refused("responses", body)[1] == "tool_choice"


@pytest.mark.parametrize(
    "tool", [{"type": "x_search"}, {"type": "shell", "environment": {"type": "container_auto"}}]
)
def test_no_tool_comes_in_past_the_list_by_an_item(tool: dict[str, Any]) -> None:
    body = asking(input=[{"type": "additional_tools", "tools": [tool]}])
    assert refused("responses", body)[1] == "input[0].tools[0]"
