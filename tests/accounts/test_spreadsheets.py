"""Exports that no spreadsheet program can be tricked with."""

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from accounts.spreadsheets import csv_lines, safe_cell, stream_csv


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\nx", "  =1", "＝1+1", '=HYPERLINK("http://x")'],
)
def test_a_text_that_begins_like_a_formula_is_marked_as_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["gpt-5.2", "a=b", "", "R&D - 2026", "<b>", "'quoted'", "日本"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


def test_numbers_stay_numbers_also_below_zero() -> None:
    assert safe_cell(-5) == -5
    assert safe_cell(Decimal("-0.000000001")) == "-0.000000001"
    assert safe_cell(Decimal("1E+3")) == "1000"


def test_nothing_flags_and_times_are_plain() -> None:
    assert safe_cell(None) == ""
    assert safe_cell(True) == "true"
    assert safe_cell(datetime(2026, 11, 21, 9, tzinfo=UTC)) == "2026-11-21T09:00:00+00:00"


def test_whatever_is_in_a_cell_it_stays_one_cell() -> None:
    cells = ['a"b', "c,d", "e\r\nf", "\u202eg", "\u200b=h", "i\x00j"]
    text = "".join(csv_lines(["=1", "b", "c", "d", "e", "f"], [cells]))
    assert text.startswith("'=1,b,c,d,e,f\r\n")
    read = list(csv.reader(io.StringIO(text, newline="")))[1]
    assert read == ['a"b', "c,d", "e\r\nf", "\u202eg", "\u200b=h", "ij"]


def test_the_download_names_its_file_and_is_kept_by_no_cache() -> None:
    response = stream_csv('us"age.csv', ["a"], [])
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="us\\"age.csv"'
    assert response["Cache-Control"] == "no-store"
    assert response.getvalue() == b"a\r\n", "no byte order mark"


def counted(taken: list[int]) -> Iterator[tuple[int]]:
    for number in range(10_000):
        taken.append(number)
        yield (number,)


def test_rows_are_taken_while_the_download_goes_out() -> None:
    taken: list[int] = []
    pieces = iter(stream_csv("a.csv", ["n"], counted(taken)))
    next(pieces)
    assert 0 < len(taken) < 1000


def test_rows_are_taken_while_the_download_goes_out_by_asgi() -> None:
    taken: list[int] = []
    response = stream_csv("a.csv", ["n"], counted(taken))

    async def read() -> int:
        size = 0
        async for piece in response:
            if not size:
                assert 0 < len(taken) < 1000
            size += len(piece)
        return size

    assert asyncio.run(read()) == len("n\r\n") + sum(len(f"{n}\r\n") for n in range(10_000))
