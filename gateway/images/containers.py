"""PNG, JPEG and WebP as files: how large a picture each tells, how many parts it has, and whether a PNG is whole.

Nothing here holds more of a picture than a block, and no walk takes more steps than a bound: a part may be a few bytes.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import dropwhile, takewhile
from typing import NamedTuple

Size = tuple[int, int]

# A PNG of 50 MB in the smallest blocks that encoders write (8 KB) has 6,400 chunks.
PNG_CHUNKS_MAX = 20_000
# Before the first scan. A profile takes 255 segments of 64 KB, a depth map some hundreds more.
JPEG_SEGMENTS_MAX = 5_000
# Pillow joins them one by one. They are one in nearly all files: a segment has room for 64 KB.
JPEG_EXIF_SEGMENTS_MAX = 100
WEBP_CHUNKS_MAX = 5_000

# Markers of frames, which tell a size (ITU-T T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Those of them that are made of blocks, which decode at an eighth of the size: not the lossless ones.
_JPEG_BLOCK_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_JPEG_ALONE = frozenset(range(0xD0, 0xD9)) | {0x00, 0x01}
_JPEG_SCAN, _JPEG_END, _JPEG_EXIF = 0xDA, 0xD9, 0xE1

# Samples of a pixel and how many bits one may have, by colour type (PNG, Third Edition, table 11.1).
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Left, top, step right and step down of each pass (PNG, 8.1).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # fmt: skip
_PNG_FILTERS = bytes(range(5))
_PACKED_BYTES, _ROWS_BYTES = 64 * 1024, 256 * 1024


class Damaged(ValueError):
    """The file is not what its beginning promises."""


class TooManyParts(ValueError):
    """No encoder cuts a picture into so many."""


class PngChunk(NamedTuple):
    """`start` is where its data begin, of `length` bytes."""

    kind: bytes
    start: int
    length: int


def walk_png(data: bytes) -> list[PngChunk]:
    """The chunks up to the end of the picture, each there in its full length. Raises Damaged or TooManyParts."""
    chunks: list[PngChunk] = []
    at = 8
    while not chunks or chunks[-1].kind != b"IEND":
        if at + 12 > len(data):
            raise Damaged
        if len(chunks) == PNG_CHUNKS_MAX:
            raise TooManyParts
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append(PngChunk(kind, at + 8, length))
        at += 12 + length
    if at > len(data) or chunks[0][0] != b"IHDR" or chunks[0].length != 13:
        raise Damaged
    return chunks


def measure_png(data: bytes) -> Size:
    """PNG, 11.2.1: the header is the first chunk. Raises Damaged."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Damaged
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def check_png(data: bytes) -> None:
    """Raise Damaged unless every checksum is right and every row is there."""
    chunks, view = walk_png(data), memoryview(data)
    for kind, start, length in chunks:
        (told,) = struct.unpack_from(">I", data, start + length)
        if zlib.crc32(view[start : start + length], zlib.crc32(kind)) != told:
            raise Damaged
    passes = _png_passes(data)
    if data[25] == 3 and all(one.kind != b"PLTE" for one in chunks):
        raise Damaged
    try:
        _check_rows(_unpack_rows(view, chunks), passes)
    except zlib.error:
        raise Damaged from None


def _png_passes(data: bytes) -> list[Size]:
    """The bytes of a row, its filter among them, and the number of rows, of each pass."""
    width, height, depth, color, _, _, is_interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if depth not in _PNG_DEPTHS.get(color, ()):
        raise Damaged
    steps = _ADAM7 if is_interlaced else ((0, 0, 1, 1),)
    sizes = [
        (-(-(width - left) // right), -(-(height - top) // down))
        for left, top, right, down in steps
        if width > left and height > top
    ]
    return [(1 + (across * _PNG_SAMPLES[color] * depth + 7) // 8, rows) for across, rows in sizes]


def _unpack_rows(view: memoryview, chunks: list[PngChunk]) -> Iterator[bytes]:
    """The rows in blocks. Only the first run of data chunks counts (PNG, 5.6: they follow each other)."""
    inflate = zlib.decompressobj()
    run = takewhile(
        lambda one: one.kind == b"IDAT", dropwhile(lambda one: one.kind != b"IDAT", chunks)
    )
    for _, start, length in run:
        for at in range(start, start + length, _PACKED_BYTES):
            packed: bytes | memoryview = view[at : min(at + _PACKED_BYTES, start + length)]
            while packed and not inflate.eof:
                yield inflate.decompress(packed, _ROWS_BYTES)
                packed = inflate.unconsumed_tail
    yield inflate.flush()


def _check_rows(blocks: Iterator[bytes], passes: list[Size]) -> None:
    """Raise Damaged unless the blocks fill all passes and each row begins with a filter that there is (PNG, 9.2)."""
    block, at = b"", 0
    for stride, rows in passes:
        done, size = 0, stride * rows
        while done < size:
            if at == len(block):
                # A block may be empty: what was read so far gave no row.
                block, at = next((one for one in blocks if one), b""), 0
                if not block:
                    raise Damaged
            taken = min(size - done, len(block) - at)
            if block[at + -done % stride : at + taken : stride].translate(None, _PNG_FILTERS):
                raise Damaged
            done += taken
            at += taken


def measure_jpeg(data: bytes) -> Size:
    """ITU-T T.81, B.1.1: the frame among the segments before the first scan. Raises Damaged or TooManyParts.

    Bytes between segments are passed over one by one, as decoders do.
    """
    at, exifs = 2, 0
    size: Size | None = None
    for _ in range(JPEG_SEGMENTS_MAX):
        if at + 9 > len(data):
            raise Damaged
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _JPEG_ALONE:
            at += 2
            continue
        if marker == _JPEG_SCAN and size is not None:
            return size
        if marker in (_JPEG_SCAN, _JPEG_END):
            raise Damaged
        if marker in _JPEG_FRAMES:
            if marker not in _JPEG_BLOCK_FRAMES:
                raise Damaged
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height) if size is None else max(size, (width, height), key=_area)
        if marker == _JPEG_EXIF and data.startswith(b"Exif\0\0", at + 4):
            exifs += 1
            if exifs > JPEG_EXIF_SEGMENTS_MAX:
                raise TooManyParts
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    raise TooManyParts


def measure_webp(data: bytes) -> Size:
    """RFC 9649: the canvas of an extended file, else the one frame. Raises Damaged or TooManyParts."""
    _walk_webp(data)
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise Damaged


def _walk_webp(data: bytes) -> None:
    if len(data) < 30:
        raise Damaged
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Damaged
    at = 12
    for _ in range(WEBP_CHUNKS_MAX):
        if at + 8 > end:
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    raise TooManyParts


def _area(size: Size) -> int:
    return size[0] * size[1]
