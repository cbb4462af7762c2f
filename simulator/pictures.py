"""The pictures that are drawn, and the sizes of those that are sent."""

import random
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from simulator.errors import ApiError
from simulator.png import SIGNATURE, PngError, encode_png, pad_png
from simulator.script import Script

PNG = "image/png"
_BANDS = 48  # colours of the gradient
_JPEG_SIZE = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of frames with a size
_WEB_PAGE = (
    b"<!doctype html><html><head><title>Busy</title></head><body>Come back later.</body></html>"
)
_ERROR = b'{"error":{"message":"The picture is not available."}}'


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class File(NamedTuple):
    """What is sent where a picture is due, with its content type."""

    data: bytes
    kind: str


class _Disc(NamedTuple):
    x: int
    y: int
    radius: int
    color: bytes


def draw(seed: str, size: Size, *, transparent: bool) -> bytes:
    """A PNG that depends on its arguments alone: a gradient and a few discs.

    Transparent, it has an alpha channel and the discs alone are opaque.
    """
    chance = random.Random(seed.encode("utf-8", "replace"))
    start, end = (chance.randbytes(3) for _ in range(2))
    reach = min(size)
    opaque = b"\xff" if transparent else b""
    discs = [
        _Disc(
            chance.randrange(size.width),
            chance.randrange(size.height),
            chance.randint(reach // 16 + 1, reach // 4 + 1),
            chance.randbytes(3) + opaque,
        )
        for _ in range(chance.randint(3, 6))
    ]

    def rows() -> Iterator[bytes]:
        for y in range(size.height):
            band = y * _BANDS // size.height
            ground = bytes(
                (first * (_BANDS - band) + last * band) // _BANDS
                for first, last in zip(start, end, strict=True)
            )
            yield _draw_row(y, size.width, b"\0\0\0\0" if transparent else ground, discs)

    return encode_png(size.width, size.height, rows(), has_alpha=transparent)


def _draw_row(y: int, width: int, ground: bytes, discs: list[_Disc]) -> bytes:
    row = bytearray(ground * width)
    for disc in discs:
        rest = disc.radius**2 - (y - disc.y) ** 2
        if rest < 0:
            continue
        half = int(rest**0.5)
        left, right = max(0, disc.x - half), min(width, disc.x + half + 1)
        step = len(disc.color)
        row[left * step : right * step] = disc.color * (right - left)
    return bytes(row)


def deliver(picture: bytes, script: Script) -> File:
    """What a script lets out in the picture's place. Raises ApiError(400) for an impossible size."""
    if script.not_a_picture is not None:
        page = script.not_a_picture == "html"
        data, kind = (_WEB_PAGE, "text/html") if page else (_ERROR, "application/json")
    else:
        data, kind = picture, PNG
        if script.picture_bytes is not None:
            try:
                data = pad_png(picture, script.picture_bytes)
            except PngError as problem:
                raise ApiError(
                    400,
                    f"Invalid 'simulate': `picture_bytes` cannot be had, {problem}.",
                    param="simulate",
                    code="invalid_script",
                ) from None
    return File(data, script.wrong_type or kind)


def measure(data: bytes) -> Size | None:
    """The size of a PNG, JPEG or WebP by its header; None for anything else."""
    size = None
    if data.startswith(SIGNATURE) and data[12:16] == b"IHDR" and len(data) >= 33:
        size = Size(*struct.unpack_from(">II", data, 16))
    elif data.startswith(b"\xff\xd8\xff"):
        size = _measure_jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        size = _measure_webp(data)
    return size if size is not None and size.pixels else None


def _measure_jpeg(data: bytes) -> Size | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _JPEG_SIZE:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Size(width, height)
        at += 2 + max(2, length)
    return None


def _measure_webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        sides = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return Size(*sides)
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Size(width & 0x3FFF, height & 0x3FFF)
    return None


def parse_size(text: str) -> Size | None:
    """`1024x1536` as a size; None for anything else."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    return None if found is None else Size(int(found[1]), int(found[2]))
