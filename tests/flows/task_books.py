"""Our books of image tasks against the provider's log, line by line."""

from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

from simulator.process import SimulatorProcess
from tests.image_tasks import FLUX, GPT, GPT_4O, TOPAZ, price_nanos
from tests.world import Tenant, World

# What one picture of the key measures when the ratio is 1:1; the upscaler's sources have 32 pixels.
EDGES = {
    GPT: {"1k": 1024, "2k": 2048},
    GPT_4O: {"1": 1024, "2": 1024, "4": 1024},
    FLUX: {"": 1024},
    TOPAZ: {"1": 32, "2": 64, "4": 128, "8": 256},
}


class Books(NamedTuple):
    """How the tasks ended, and how many requests the provider served for them."""

    statuses: Counter[str]
    codes: Counter[str]
    charged_nanos: int
    requests: int
    interrupted: int


def check_books(
    world: World, simulator: SimulatorProcess, tenants: list[Tenant], tasks: list[UUID]
) -> Books:
    """Assert that each task has ended once, and that what was charged is what the provider's log says was served."""
    rows = world.database.query("SELECT * FROM gateway_task WHERE id = ANY(%s)", tasks)
    assert len(rows) == len(tasks)
    assert {row["status"] for row in rows} <= {"completed", "failed"}
    world.audit()
    received, ended = _by_trial(simulator, "received"), _by_trial(simulator, "ended")
    trials = {trial["id"]: trial for row in rows for trial in row["trials"]}
    assert len(trials) == sum(len(row["trials"]) for row in rows)
    # Whatever reached the provider had been written down before.
    assert received.keys() <= trials.keys()
    for row in rows:
        _check_task(row, ended)
    charged = sum(row["amount_nanos"] for row in rows)
    for tenant in tenants:
        assert world.wallet(tenant)["held_nanos"] == 0
    interrupted = sum(trial.get("error") == "interrupted" for trial in trials.values())
    statuses = Counter(row["status"] for row in rows)
    codes = Counter(row["error_code"] for row in rows if row["error_code"])
    return Books(statuses, codes, charged, len(received), interrupted)


def _check_task(row: dict[str, Any], ended: dict[str, dict[str, Any]]) -> None:
    ends = [event["what"] for event in row["events"] if event["what"] in ("completed", "failed")]
    assert ends == [row["status"]], row
    used = [trial for trial in row["trials"] if trial.get("used")]
    if row["status"] == "failed":
        assert (used, row["amount_nanos"]) == ([], 0)
        return
    (trial,) = used
    served = ended[trial["id"]]
    edge = EDGES[row["model"]][row["price_key"]]
    assert (served["outcome"], served["status"]) == ("completed", 200), served
    assert (served["pictures"], served["resolution"]) == (row["count"], f"{edge}x{edge}")
    assert row["amount_nanos"] == price_nanos(row["model"], row["price_key"], served["pictures"])
    if served.get("job"):
        assert served["job"] == trial["upstream_id"]


def _by_trial(simulator: SimulatorProcess, event: str) -> dict[str, dict[str, Any]]:
    """The log's lines of tasks; one trial is one line."""
    found: dict[str, dict[str, Any]] = {}
    for entry in simulator.entries(event):
        name = str(entry["call_id"])
        if name.startswith("tsk_"):
            assert name not in found, entry
            found[name] = entry
    return found
