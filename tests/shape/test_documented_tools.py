"""The table of tools in docs/api.md says what agents are offered at /mcp."""

import re
from pathlib import Path

from gateway.mcp.tools import TOOLS

ROOT = Path(__file__).resolve().parent.parent.parent


def section() -> str:
    text = (ROOT / "docs/api.md").read_text()
    return text.partition("\n## MCP\n")[2].partition("\n## ")[0]


def test_every_tool_and_argument_is_documented() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section(), re.MULTILINE))
    assert set(rows) == {tool.name for tool in TOOLS}
    for tool in TOOLS:
        if tool.name != "create_image_task":  # its fields have a table of their own
            spoken = set(re.findall(r"`(\w+)`", rows[tool.name]))
            assert spoken >= set(tool.takes.__struct_fields__) - {"limit"}, tool.name


def test_only_one_module_knows_the_protocols_package() -> None:
    knowing = [
        str(path.relative_to(ROOT))
        for folder in ("accounts", "billing", "gateway", "config")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if re.search(r"^\s*(?:from|import) mcp(?:_types)?\b", path.read_text(), re.MULTILINE)
    ]
    assert knowing == ["gateway/mcp/server.py"]
