"""What a guide consists of, before it becomes a page or its twin in Markdown. Texts are Markdown in one line."""

from typing import NamedTuple

from billing.presentation import fraction_digits


class Paragraph(NamedTuple):
    text: str
    kind: str = "paragraph"


class Bullets(NamedTuple):
    items: tuple[str, ...]
    kind: str = "bullets"


class Step(NamedTuple):
    title: str
    text: str


class Steps(NamedTuple):
    """What is done one after the other."""

    items: tuple[Step, ...]
    kind: str = "steps"


class Code(NamedTuple):
    """A text to copy. `id` is unique on the page; `note` names the file it goes into, or is empty."""

    id: str
    title: str
    text: str
    language: str = ""
    note: str = ""
    kind: str = "code"


class Amount(NamedTuple):
    """Nano-dollars in a cell."""

    nanos: int
    kind: str = "amount"


class PricePair(NamedTuple):
    """What the reader pays, with the list price beside it, in nano-dollars."""

    sale_nanos: int
    list_nanos: int
    kind: str = "price"


class Exact(NamedTuple):
    """An exact decimal of USD, finer than a nano-dollar where it has to be."""

    text: str
    kind: str = "exact"


Cell = str | Amount | PricePair | Exact


class Column(NamedTuple):
    title: str
    is_number: bool = False


class ShownCell(NamedTuple):
    """A cell with what its column says of it; `fraction` is how many decimals the column's finest amount has."""

    cell: Cell
    column: Column
    fraction: int


class Table(NamedTuple):
    """The first cell of a row is its head."""

    label: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    kind: str = "table"

    @property
    def shown_rows(self) -> list[list[ShownCell]]:
        """For the page."""
        return [self._show(row) for row in self.rows]

    @property
    def shown_total(self) -> list[ShownCell]:
        """The same of the last line; empty where there is none."""
        return self._show(self.total)

    def _show(self, row: tuple[Cell, ...]) -> list[ShownCell]:
        lines = [*self.rows, self.total] if self.total else self.rows
        return [
            ShownCell(cell, self.columns[at], max(decimals_of(line[at]) for line in lines))
            for at, cell in enumerate(row)
        ]


def decimals_of(cell: Cell) -> int:
    """How many decimals a cell of one amount shows; those of pairs stand where they stand."""
    match cell:
        case Amount():
            return fraction_digits([cell.nanos])
        case Exact():
            return len(cell.text.partition(".")[2])
        case _:
            return 0


class Answer(NamedTuple):
    question: str
    answer: str


class Questions(NamedTuple):
    items: tuple[Answer, ...]
    kind: str = "questions"


class Link(NamedTuple):
    """`path` is without the host."""

    title: str
    path: str
    is_current: bool = False


class Links(NamedTuple):
    title: str
    items: tuple[Link, ...]
    kind: str = "links"


Block = Paragraph | Bullets | Steps | Code | Table | Questions | Links


class Section(NamedTuple):
    """`id` is its anchor, the same in every language."""

    id: str
    title: str
    blocks: tuple[Block, ...]


class Document(NamedTuple):
    title: str
    description: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
