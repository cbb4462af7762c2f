"""The codes of errors that the code itself can answer or record, found in its source."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")
# Of the functions of SQL: the code stands behind the status that a task ends with, or in the record of its call.
_IN_SQL = re.compile(r"'failed', '(\w+)'|'error_code', '(\w+)'")


# Of the gateway: what answers nobody at the data plane.
_APART = {"api", "management", "operator", "pages", "playground", "templatetags", "metrics"}


def data_plane_codes() -> set[str]:
    """What callers of /v1 can be answered, and what their calls and tasks can be recorded with."""
    folder = ROOT / "gateway"
    paths = folder.rglob("*")
    return error_codes(path for path in paths if not _APART & {*path.relative_to(folder).parts})


def management_codes() -> set[str]:
    """What callers of /api/v1 can be answered."""
    return error_codes(
        path
        for app in ("accounts", "billing", "gateway")
        for path in (ROOT / app / "api").rglob("*")
    )


def error_codes(modules: Iterable[Path]) -> set[str]:
    """Codes that these files of Python and SQL use."""
    paths = sorted(path for path in modules if path.suffix in (".py", ".sql"))
    trees = [ast.parse(path.read_text()) for path in paths if path.suffix == ".py"]
    taking = dict(found for tree in trees for found in _taking_codes(tree))
    found = {code for tree in trees for code in _codes_in(tree, taking)}
    for path in paths:
        if path.suffix == ".sql":
            found |= {code for pair in _IN_SQL.findall(path.read_text()) for code in pair}
    return {code for code in found if _CODE.fullmatch(code)}


def _taking_codes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Functions, and classes by their __init__, that take a code by position, and at which one."""
    for node in ast.walk(tree):
        is_plain = isinstance(node, ast.FunctionDef) and node.name != "__init__"
        functions = [(node, node)] if is_plain else []
        if isinstance(node, ast.ClassDef):
            inits = [one for one in node.body if getattr(one, "name", "") == "__init__"]
            functions = [(node, one) for one in inits if isinstance(one, ast.FunctionDef)]
        for named, function in functions:
            names = [one.arg for one in function.args.args if one.arg != "self"]
            if "code" in names:
                yield named.name, names.index("code")


def _codes_in(tree: ast.Module, taking: dict[str, int]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = taking.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
            given = [one.value for one in node.keywords if one.arg in ("code", "error_code")]
            given += [] if place is None else node.args[place : place + 1]
            for one in given:
                yield from _texts_in(one)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {_name_of(target) for target in targets}
            if "code" in names:
                yield from _texts_in(node.value)
            if "codes" in names and isinstance(node.value, ast.Dict):
                yield from (text for one in node.value.values for text in _texts_in(one))
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code":
                    yield from _texts_in(value)


def _name_of(node: ast.expr) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _texts_in(node: ast.expr) -> Iterator[str]:
    """Texts that the expression may be: itself, or either side of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts_in(node.body)
        yield from _texts_in(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _texts_in(value)
