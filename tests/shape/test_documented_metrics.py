"""The table of metrics in docs/operations.md says what /metrics shows, no more and no less."""

import re
from pathlib import Path

from gateway.metrics.counting import METRICS

ROOT = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"^\| `(tollgate_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[str, tuple[str, ...], str]]:
    text = (ROOT / "docs/operations.md").read_text()
    return {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in ROW.findall(text)
    }


def test_every_metric_is_documented() -> None:
    known = {name: (metric.kind, metric.labels, metric.meaning) for name, metric in METRICS.items()}
    assert documented() == known


def test_metrics_that_are_named_elsewhere_exist() -> None:
    text = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    assert set(re.findall(r"\btollgate_[a-z_]+(?=[ `{])", text)) - {"tollgate_token"} <= _spoken()


def _spoken() -> set[str]:
    """Names of metrics, and of channels that the database announces on."""
    return {*METRICS, "tollgate_keys", "tollgate_catalog", "tollgate_tasks", "tollgate_cache"}


def test_every_metric_is_counted_somewhere() -> None:
    """Beside the list of them."""
    sources = [
        path.read_text()
        for path in (ROOT / "gateway").rglob("*.py")
        if path.name != "metrics.py" or path.parent.name == "endpoints"
    ]
    counting = (ROOT / "gateway/metrics/counting.py").read_text().partition("class Histogram")[2]
    text = "\n".join([*sources, counting])
    assert {name for name in METRICS if f'"{name}"' not in text} == set()
