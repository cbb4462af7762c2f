"""The docs are in step with the code: what a reader could meet stands there, and nothing that is not so any more.

What there is comes from the code itself: its route tables, its source, its schedules; no list is kept by hand.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.urls import URLPattern, URLResolver, get_resolver

from tests.shape.error_codes import ROOT, data_plane_codes, management_codes

METHODS = ("get", "post", "put", "patch", "delete")
# Read from the environment, but nobody sets them for Tollgate.
NOT_OURS = {"PATH", "PYTHONPATH", "DJANGO_SETTINGS_MODULE"}
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def read_variables(path: Path) -> set[str]:
    """The names that a module reads from the environment, in whichever of our ways."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            from_environ = owner.endswith("environ") and called in ("get", "setdefault", "pop")
            if called.startswith("env_") or called == "getenv" or from_environ:
                found |= texts_of(node.args[:1])
            elif called == "_number":
                found |= texts_of(node.args[:2])
        elif isinstance(node, ast.Subscript):
            if ast.unparse(node.value).endswith("environ"):
                found |= texts_of([node.slice])
        elif isinstance(node, ast.Compare):
            asked = [one for one in node.comparators if ast.unparse(one).endswith("environ")]
            found |= texts_of([node.left] if asked else [])
    return found - NOT_OURS


def texts_of(nodes: Iterable[ast.expr]) -> set[str]:
    constants = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {text for text in constants if isinstance(text, str) and _VARIABLE.fullmatch(text)}


def test_every_variable_of_the_environment_is_documented() -> None:
    folders = (
        "config",
        "benchmarks",
        "simulator",
        "gateway/management",
        "accounts",
        "billing",
        "gateway",
    )
    read = {
        name
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for name in read_variables(path)
    }
    read |= set(re.findall(r"^([A-Z]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"TOLLGATE_SECRET_KEY", "WORKERS", "PG_BIN", "DATABASE_URL", "ARGS"} <= read
    text = text_of("operations.md")
    spoken = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", text))
    for first, rest in re.findall(r"`(TOLLGATE_EMAIL)_BACKEND`((?:, `_[A-Z]+`)+)", text):
        spoken |= {f"{first}{suffix}" for suffix in re.findall(r"`(_[A-Z]+)`", rest)}
    assert read - spoken == set()
    ours = {name for name in spoken if name.startswith("TOLLGATE_")}
    assert {name for name in ours - read if not name.endswith("_")} == set(), "read by nobody"


def test_every_command_and_job_is_documented() -> None:
    from config.celery import app

    text = text_of("operations.md")
    commands = {path.stem for path in ROOT.glob("*/management/commands/[a-z]*.py")}
    jobs = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert "audit" in commands
    assert {name for name in commands | jobs if f"`{name}`" not in text} == set()


def test_every_endpoint_of_the_data_plane_is_documented() -> None:
    from gateway.app import NAMED_ROUTES, ROUTES
    from gateway.mcp import server as mcp_server

    text = text_of("api.md")
    served = [
        f"{method} {path}"
        for path, methods in (*ROUTES.items(), *((f"{p}{{id}}", m) for p, m in NAMED_ROUTES))
        for method in methods
    ]
    served.append(f"POST {mcp_server.PATH}")
    assert [one for one in served if f"`{one}`" not in text] == []


def management_endpoints() -> set[str]:
    """`GET /api/v1/groups/{group_id}` of every route below /api/v1 that has a name."""
    return {
        f"{method.upper()} /" + re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", route)
        for route, pattern in routes_of(get_resolver().url_patterns)
        if route.startswith("api/v1/") and pattern.name
        for method in METHODS
        if hasattr(getattr(pattern.callback, "cls", None), method)
    }


def routes_of(
    patterns: Iterable[URLPattern | URLResolver], prefix: str = ""
) -> Iterator[tuple[str, URLPattern]]:
    for one in patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from routes_of(one.url_patterns, route)
        else:
            yield route, one


def test_the_docs_name_the_endpoints_of_the_management_api_and_no_others() -> None:
    rows = re.findall(r"^\| `([A-Z, ]+) (/api/v1/\S+)` \|", text_of("api.md"), re.MULTILINE)
    told = {f"{method} {path}" for methods, path in rows for method in methods.split(", ")}
    served = management_endpoints()
    assert len(served) > 60
    assert served - told == set(), "not documented"
    assert told - served == set(), "documented, and not there"


def test_every_error_code_is_documented() -> None:
    text = text_of("api.md")
    codes = data_plane_codes()
    assert {"insufficient_credits", "source_refused", "gateway_lost", "expired"} <= codes
    management = management_codes()
    assert {"not_found", "unsupported_media_type"} <= management
    assert {code for code in codes | management if f"`{code}`" not in text} == set()


def test_every_header_of_ours_is_documented() -> None:
    text = text_of("api.md")
    paths = [*(ROOT / "gateway").glob("*.py"), *(ROOT / "gateway/endpoints").glob("*.py")]
    headers = {
        name
        for path in paths
        for name in re.findall(r'"((?:x-tollgate|x-ratelimit|webhook)-[a-z-]+)"', path.read_text())
    }
    assert {"x-tollgate-charge", "x-ratelimit-limit-"} <= headers
    assert {name for name in headers if f"`{name}" not in text and name not in text} == set()


def test_every_event_of_webhooks_is_documented() -> None:
    from gateway.models import WebhookEvent

    text = text_of("api.md")
    assert {name for name in WebhookEvent.Type.values if f"`{name}`" not in text} == set()


def test_links_between_the_docs_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_decision_is_found_from_the_architecture() -> None:
    text = text_of("architecture.md")
    decisions = [path.name for path in (ROOT / "docs/decisions").glob("*.md")]
    assert [name for name in decisions if name not in text] == []
