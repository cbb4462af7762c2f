"""PNG, written and read with zlib alone: what the pictures of this vendor are made of.

The format is W3C's "Portable Network Graphics (Third Edition)".
"""

import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 67_108_864  # 8,192 squared: what is read or written without holding others up long
_HEADER = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # color type -> channels
_RGBA = 6
_FRAME = 12  # the length, the type and the checksum of a chunk
_UNCHANGED = 2  # the filter "Up": a row as the difference to the one above
_PAETH = 4  # the last of the filters


class Bitmap(NamedTuple):
    """Pixels of four bytes, red, green, blue and alpha, row after row."""

    width: int
    height: int
    rows: list[bytes]


class _Opened(NamedTuple):
    width: int
    height: int
    color: int
    palette: bytes
    alphas: bytes
    data: bytes  # rows, each behind its filter's number


class PngError(ValueError):
    """The bytes are no PNG, or one of a kind that is not read here."""


def encode_png(width: int, height: int, rows: Iterable[bytes], *, has_alpha: bool) -> bytes:
    """A PNG of rows of 3 bytes per pixel, or 4 with alpha; a repeated row costs next to nothing."""
    deflate = zlib.compressobj(1)
    packed: list[bytes] = []
    above: bytes | None = None
    for row in rows:
        if row == above:
            packed.append(deflate.compress(b"%c%b" % (_UNCHANGED, bytes(len(row)))))
        else:
            packed.append(deflate.compress(b"\0" + row))
        above = row
    packed.append(deflate.flush())
    header = _HEADER.pack(width, height, 8, _RGBA if has_alpha else 2, 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", b"".join(packed)),
            _chunk(b"IEND", b""),
        )
    )


def add_comment(picture: bytes, text: str) -> bytes:
    """The PNG with a comment, which `read_comment` finds."""
    return _insert(picture, _chunk(b"tEXt", b"Comment\0" + text.encode("latin-1")))


def read_comment(picture: bytes) -> str:
    """The PNG's comments, joined; empty without any. Raises PngError."""
    found = [
        data.partition(b"\0")[2].decode("latin-1")
        for kind, data in _chunks(picture)
        if kind == b"tEXt" and data.startswith(b"Comment\0")
    ]
    return "\n".join(found)


def pad_png(picture: bytes, size: int) -> bytes:
    """The PNG with a chunk that no reader reads, so that it has `size` bytes.

    Raises PngError if it is too large for that already.
    """
    missing = size - len(picture)
    if missing == 0:
        return picture
    if missing < _FRAME:
        raise PngError(f"the picture itself has {len(picture)} bytes")
    return _insert(picture, _chunk(b"paDd", bytes(missing - _FRAME)))


def check_png(picture: bytes) -> None:
    """Raise PngError unless `decode_png` can read it; much faster, as the filters are not undone."""
    _open(picture)


def decode_png(picture: bytes) -> Bitmap:
    """The pixels of a PNG of 8 bits per channel without interlacing. Raises PngError."""
    opened = _open(picture)
    color = opened.color
    rows = _unfilter(opened.data, opened.height, color)
    rgba = [_as_rgba(row, color, opened.palette, opened.alphas) for row in rows]
    return Bitmap(opened.width, opened.height, rgba)


def enlarge(source: Bitmap, width: int, height: int) -> bytes:
    """A PNG of the source at another size, each pixel that of its nearest neighbour."""
    columns = [column * source.width // width for column in range(width)]
    pick = itemgetter(*columns) if width > 1 else None

    def stretch() -> Iterator[bytes]:
        last, stretched = -1, b""
        for row in range(height):
            wanted = row * source.height // height
            if wanted != last:
                pixels = array("I", source.rows[wanted])
                picked = (pixels[0],) if pick is None else pick(pixels)
                last, stretched = wanted, array("I", picked).tobytes()
            yield stretched

    return encode_png(width, height, stretch(), has_alpha=True)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _insert(picture: bytes, chunk: bytes) -> bytes:
    """The chunk behind the header, which must be the first."""
    at = len(SIGNATURE) + _FRAME + _HEADER.size
    return picture[:at] + chunk + picture[at:]


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not picture.startswith(SIGNATURE):
        raise PngError("not a PNG")
    at = len(SIGNATURE)
    while at < len(picture):
        if len(picture) < at + _FRAME:
            raise PngError("cut off")
        (length,) = struct.unpack_from(">I", picture, at)
        kind, end = picture[at + 4 : at + 8], at + 8 + length
        data = picture[at + 8 : end]
        checksum = zlib.crc32(data, zlib.crc32(kind))
        if picture[end : end + 4] != struct.pack(">I", checksum):
            raise PngError("a chunk is cut off or damaged")
        yield kind, data
        at = end + 4


def _open(picture: bytes) -> _Opened:
    packed = bytearray()
    palette, alphas = b"", b""
    header: tuple[int, ...] | None = None
    for kind, data in _chunks(picture):
        if kind == b"IHDR" and len(data) == _HEADER.size:
            header = _HEADER.unpack(data)
        elif kind == b"PLTE":
            palette = data
        elif kind == b"tRNS":
            alphas = data
        elif kind == b"IDAT":
            packed += data
    if header is None:
        raise PngError("no header")
    width, height, depth, color, _, _, interlaced = header
    if depth != 8 or interlaced or color not in _CHANNELS:
        raise PngError("only 8 bits per channel without interlacing are read")
    if not 0 < width * height <= MOST_PIXELS:
        raise PngError(f"more than {MOST_PIXELS} pixels, or none")
    row_bytes = width * _CHANNELS[color] + 1
    rows = _inflate(packed, row_bytes * height)
    if max(rows[::row_bytes]) > _PAETH:
        raise PngError("an unknown filter")
    return _Opened(width, height, color, palette, alphas, rows)


def _inflate(packed: bytearray, size: int) -> bytes:
    """Not more than `size` bytes, whatever was packed."""
    try:
        data = zlib.decompressobj().decompress(packed, size)
    except zlib.error as problem:
        raise PngError(f"the pixels cannot be unpacked: {problem}") from None
    if len(data) != size:
        raise PngError("pixels are missing")
    return data


def _unfilter(data: bytes, height: int, color: int) -> list[bytes]:
    step, size = _CHANNELS[color], len(data) // height
    above = bytes(size - 1)
    rows = []
    for start in range(0, len(data), size):
        above = _restore(data[start], data[start + 1 : start + size], above, step)
        rows.append(above)
    return rows


def _restore(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """One row without its filter; `step` is the bytes of one pixel."""
    if kind == 0 or (kind == _UNCHANGED and not any(row)):
        return row if kind == 0 else above
    made = bytearray(row)
    for at, value in enumerate(row):
        left = made[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        if kind == 1:
            guess = left
        elif kind == _UNCHANGED:
            guess = above[at]
        elif kind == _PAETH:
            guess = _paeth(left, above[at], corner)
        else:
            guess = (left + above[at]) // 2
        made[at] = (value + guess) & 255
    return bytes(made)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))


def _as_rgba(row: bytes, color: int, palette: bytes, alphas: bytes) -> bytes:
    if color == _RGBA:
        return row
    step = _CHANNELS[color]
    count = len(row) // step
    made = bytearray(b"\xff" * (4 * count))
    if color == 3:
        colors = palette.ljust(768, b"\0")  # what the palette lacks is black
        for channel in range(3):
            made[channel::4] = row.translate(colors[channel:768:3])
        made[3::4] = row.translate(alphas[:256].ljust(256, b"\xff"))
        return bytes(made)
    for channel in range(3):
        made[channel::4] = row[channel::step] if color == 2 else row[::step]
    if color == 4:
        made[3::4] = row[1::2]
    return bytes(made)
