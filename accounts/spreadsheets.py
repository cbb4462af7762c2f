"""Tables for spreadsheet programs, as CSV (RFC 4180) in UTF-8."""

import csv
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

# What spreadsheet programs take for the beginning of a formula (OWASP, "CSV Injection"), and the wide forms of these
# signs, which East Asian settings of such programs read alike.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Rows that go out in one piece: a piece per row would cost a trip through the server for each.
ROWS_PER_PIECE = 200


def safe_cell(value: object) -> str | int:
    """The value as a cell that no spreadsheet program takes for a formula.

    Numbers stay numbers, also negative ones; times are ISO 8601; None is an empty cell. A text that begins like a
    formula gets an apostrophe in front, which those programs read as "this is text". So a number that must stay one is
    handed over as `int` or `Decimal`, never as text.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text


class Download(StreamingHttpResponse):
    """A file that is made while it goes out, from an iterator of bytes that may ask the database.

    Django's own class would gather all of a synchronous iterator in memory before the first byte goes out by ASGI.
    """

    def __init__(self, pieces: Iterator[bytes], filename: str, content_type: str) -> None:
        disposition = content_disposition_header(as_attachment=True, filename=filename)
        super().__init__(
            pieces,
            content_type=content_type,
            headers={
                "Content-Disposition": disposition or "attachment",
                "Cache-Control": "no-store",
            },
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self)
        take = sync_to_async(lambda: next(pieces, None))
        while (piece := await take()) is not None:
            yield piece


class _Line:
    """What `csv.writer` writes to: it keeps the line just written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text = text
        return len(text)


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The table's lines, each with its line end."""
    line = _Line()
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow([safe_cell(name) for name in header])
    yield line.text
    for row in rows:
        writer.writerow([safe_cell(value) for value in row])
        yield line.text


def stream_csv(
    filename: str, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> StreamingHttpResponse:
    """A download of the table; `rows` are taken one after another while it goes out."""
    return Download(_in_pieces(csv_lines(header, rows)), filename, "text/csv; charset=utf-8")


def _in_pieces(lines: Iterator[str]) -> Iterator[bytes]:
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == ROWS_PER_PIECE:
            yield "".join(piece).encode()
            piece.clear()
    if piece:
        yield "".join(piece).encode()
