"""Guides in Markdown: what stands at a guide's address with .md behind it."""

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext as _

from billing.presentation import dollars
from guides.document import (
    Amount,
    Block,
    Bullets,
    Cell,
    Code,
    Document,
    Exact,
    Links,
    Paragraph,
    PricePair,
    Questions,
    Steps,
    Table,
)
from guides.prose import with_links_to


def write_markdown(document: Document, front: Mapping[str, str], root: str) -> str:
    """The whole text with its front matter; links of ours lead to `root`."""
    parts = [write_front_matter(front), f"# {document.title}", *document.lead]
    for section in document.sections:
        parts.append(f"## {section.title}")
        parts.extend(_write_block(block) for block in section.blocks)
    told = (part if "```" in part else with_links_to(root, part) for part in parts)
    return "\n\n".join(told) + "\n"


def write_front_matter(front: Mapping[str, str]) -> str:
    """YAML: values in double quotes, which take anything once these two characters are escaped."""
    lines = [f'{name}: "{_quoted(value)}"' for name, value in front.items()]
    return "\n".join(["---", *lines, "---"])


def _quoted(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')


def _write_block(block: Block) -> str:
    match block:
        case Paragraph():
            return block.text
        case Bullets():
            return "\n".join(f"- {item}" for item in block.items)
        case Steps():
            return "\n".join(
                f"{number}. **{step.title}** — {step.text}"
                for number, step in enumerate(block.items, start=1)
            )
        case Code():
            return _write_code(block)
        case Table():
            return _write_table(block)
        case Questions():
            return "\n\n".join(f"### {item.question}\n\n{item.answer}" for item in block.items)
        case Links():
            links = "\n".join(f"- [{link.title}]({link.path})" for link in block.items if link.path)
            return f"{block.title}\n\n{links}"


def _write_code(code: Code) -> str:
    fence = "```"
    while fence in code.text:
        fence += "`"
    note = f" (`{code.note}`)" if code.note else ""
    head = f"{code.title}{note}:\n\n" if code.title else ""
    return f"{head}{fence}{code.language}\n{code.text}\n{fence}"


def _write_table(table: Table) -> str:
    head = _row(column.title for column in table.columns)
    rule = _row("--:" if column.is_number else "---" for column in table.columns)
    rows = [_row(map(write_cell, row)) for row in table.rows]
    if table.total:
        rows.append(
            _row(f"**{text}**" if (text := write_cell(cell)) else "" for cell in table.total)
        )
    return "\n".join([head, rule, *rows])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def write_cell(cell: Cell) -> str:
    """A cell as plain text."""
    match cell:
        case Amount():
            return dollars(cell.nanos)
        case Exact():
            return f"${cell.text}"
        case PricePair():
            return _("%(price)s (list %(list)s)") % {
                "price": dollars(cell.sale_nanos),
                "list": dollars(cell.list_nanos),
            }
        case _:
            return cell
