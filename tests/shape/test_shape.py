"""What keeps the house easy to live in: room sizes, import rules that no linter sees, nothing that nobody uses."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "accounts",
    "billing",
    "gateway",
    "guides",
    "config",
    "simulator",
    "benchmarks",
    "tests",
)
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def modules_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_module_is_longer_than_500_lines() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in modules()
        if (n := p.read_text().count("\n")) > MODULE_LINES_MAX
    }
    # Lists of cases, one after the other, are no rooms.
    assert {name for name in long if not name.startswith("tests/")} == set()


def test_no_function_is_longer_than_70_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in modules()
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_the_data_plane_starts_without_django_and_celery() -> None:
    program = (
        "import sys, gateway.app;"
        "assert not {'django', 'celery', 'rest_framework'} & {name.split('.')[0] for name in sys.modules}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_float_stands_near_money() -> None:
    for name in ("money", "pricing", "ledger", "price_book"):
        tree = ast.parse((ROOT / "billing" / f"{name}.py").read_text())
        constants = [
            n.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, float)
        ]
        casts = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "float"
        ]
        assert (name, constants, casts) == (name, [], [])


def test_every_template_and_icon_is_used() -> None:
    """Beside those that allauth and Django look for by their own names."""
    theirs = ("account/", "mfa/", "usersessions/", "allauth/")
    folder = ROOT / "templates"
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    packages = ("accounts", "billing", "gateway", "guides", "config")
    sources = [p for name in packages for p in modules_of(name)]
    text = "\n".join(p.read_text() for p in [*sources, *folder.rglob("*.html")])
    # "gateway/playground_{mode}.html" in Python, "icons/"|add:name in templates
    begun = tuple(piece for piece in re.findall(r'f"([\w/]+)\{', text) if "/" in piece)
    unused = [
        name
        for name in names
        # A page's twin in Markdown is found by the name of the page (guides.localization.render_page).
        if name.replace(".md", ".html") not in text
        and "/" in name
        and not name.startswith((*theirs, *begun))
    ]
    assert unused == []
