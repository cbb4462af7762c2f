"""Walks over the parts of picture files, and whether a PNG is whole. Pillow is the judge of what is right."""

import io
import itertools
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from gateway.images.containers import (
    PNG_CHUNKS_MAX,
    Damaged,
    TooManyParts,
    check_png,
    measure_jpeg,
    measure_png,
    measure_webp,
    walk_png,
)

PNG_START = b"\x89PNG\r\n\x1a\n"
ADAM7 = [
    [1, 6, 4, 6, 2, 6, 4, 6],
    [7, 7, 7, 7, 7, 7, 7, 7],
    [5, 6, 5, 6, 5, 6, 5, 6],
    [7, 7, 7, 7, 7, 7, 7, 7],
    [3, 6, 4, 6, 3, 6, 4, 6],
    [7, 7, 7, 7, 7, 7, 7, 7],
    [5, 6, 5, 6, 5, 6, 5, 6],
    [7, 7, 7, 7, 7, 7, 7, 7],
]
"""The pass of each pixel, as PNG draws it (8.1)."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(header: tuple[int, ...], rows: bytes, more: bytes = b"", packed_bytes: int = 0) -> bytes:
    """A PNG of these rows; `packed_bytes` is the size of its data chunks, 0 for all in one."""
    packed = zlib.compress(rows)
    size = packed_bytes or len(packed)
    parts = [packed[at : at + size] for at in range(0, len(packed), size)]
    body = b"".join(chunk(b"IDAT", part) for part in parts)
    palette = chunk(b"PLTE", b"\1\2\3" * 2) if header[3] == 3 else b""
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    return PNG_START + start + palette + more + body + chunk(b"IEND", b"")


def interlaced_rows(width: int, height: int, pixel_bytes: int) -> bytes:
    rows = b""
    for number in range(1, 8):
        for y in range(height):
            count = sum(ADAM7[y % 8][x % 8] == number for x in range(width))
            rows += b"\1" + b"\x55" * count * pixel_bytes if count else b""
    return rows


def encoded(kind: str, size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind, **options)
    return out.getvalue()


def is_whole(data: bytes) -> bool:
    try:
        check_png(data)
    except Damaged:
        return False
    return True


def pillow_reads(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()
    except Exception:
        return False
    return True


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (5, 3), (9, 7), (8, 8), (1, 17), (33, 2)])
@pytest.mark.parametrize(("color", "pixel_bytes"), [(0, 1), (2, 3), (6, 8)])
def test_each_byte_of_an_interlaced_png_is_counted(
    size: tuple[int, int], color: int, pixel_bytes: int
) -> None:
    header = (*size, 16 if pixel_bytes == 8 else 8, color, 0, 0, 1)
    rows = interlaced_rows(*size, pixel_bytes)
    assert is_whole(png(header, rows))
    assert pillow_reads(png(header, rows))
    assert not is_whole(png(header, rows[:-1]))


@pytest.mark.parametrize(
    ("color", "depth", "row_bytes"),
    [
        *[(0, 1, 2), (0, 2, 4), (0, 4, 7), (0, 8, 13), (0, 16, 26), (2, 8, 39), (2, 16, 78)],
        *[(3, 1, 2), (3, 2, 4), (3, 4, 7), (3, 8, 13)],
        *[(4, 8, 26), (4, 16, 52), (6, 8, 52), (6, 16, 104)],
    ],
)
def test_each_byte_of_every_kind_of_png_is_counted(color: int, depth: int, row_bytes: int) -> None:
    header = (13, 3, depth, color, 0, 0, 0)
    rows = (b"\0" + b"\0" * row_bytes) * 3
    assert is_whole(png(header, rows))
    assert pillow_reads(png(header, rows))
    assert not is_whole(png(header, rows[:-1]))
    assert is_whole(png(header, rows, packed_bytes=3))


@pytest.mark.parametrize("color_and_depth", [(1, 8), (2, 4), (3, 16), (5, 8), (6, 1), (0, 3)])
def test_a_png_of_a_kind_that_there_is_not_is_damaged(color_and_depth: tuple[int, int]) -> None:
    color, depth = color_and_depth
    assert not is_whole(png((1, 1, depth, color, 0, 0, 0), b"\0" * 100))


def test_a_row_with_an_unknown_filter_is_damaged_wherever_it_is() -> None:
    header, row = (300, 2_000, 8, 0, 0, 0, 0), b"\4" + b"\xff" * 300
    assert is_whole(png(header, row * 2_000))
    for number in (0, 1, 999, 1_999):
        broken = row * number + b"\5" + row[1:] + row * (1_999 - number)
        assert not is_whole(png(header, broken))
        assert not pillow_reads(png(header, broken))


def test_every_damage_to_a_png_is_found() -> None:
    data = png((40, 30, 8, 2, 0, 0, 0), (b"\0" + bytes(range(120))) * 30, packed_bytes=40)
    assert is_whole(data)
    for at in range(8, len(data)):
        broken = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        assert not is_whole(broken), at
        assert not is_whole(data[:at]), at


def test_what_follows_the_end_of_a_png_is_left_alone() -> None:
    data = png((1, 1, 8, 0, 0, 0, 0), b"\0\0")
    assert is_whole(data + b"<html>")


def test_a_palette_that_is_missing_is_damage() -> None:
    data = png((1, 1, 8, 3, 0, 0, 0), b"\0\0")
    assert not is_whole(data.replace(chunk(b"PLTE", b"\1\2\3" * 2), b""))


def test_data_after_another_chunk_do_not_count() -> None:
    packed = zlib.compress(b"\0" * 500, 0)
    halves = chunk(b"IDAT", packed[:200]), chunk(b"IDAT", packed[200:])
    start = PNG_START + chunk(b"IHDR", struct.pack(">IIBBBBB", 499, 1, 8, 0, 0, 0, 0))
    end = chunk(b"IEND", b"")
    assert is_whole(start + halves[0] + halves[1] + end)
    assert not is_whole(start + halves[0] + chunk(b"tEXt", b"a\0b") + halves[1] + end)


def test_rows_are_unpacked_no_further_than_the_picture_goes() -> None:
    data = png((1, 1, 8, 0, 0, 0, 0), b"\0" * 400_000_000)
    began = time.monotonic()
    assert is_whole(data)
    assert time.monotonic() - began < 0.1


def test_a_large_png_in_small_chunks_is_walked() -> None:
    rows = zlib.compress(b"\0" * 4_001 * 1_000, 0)
    data = png((4_000, 1_000, 8, 0, 0, 0, 0), b"\0" * 4_001 * 1_000)
    assert len(walk_png(data)) == 3
    parts = [chunk(b"IDAT", rows[at : at + 512]) for at in range(0, len(rows), 512)]
    assert len(parts) > 7_000
    assert is_whole(data[:33] + b"".join(parts) + data[-12:])


def many_chunks_png() -> bytes:
    return png((1, 1, 8, 0, 0, 0, 0), b"\0\0", chunk(b"tEXt", b"a\0b") * 1_300_000)


def many_segments_jpeg() -> bytes:
    data = encoded("JPEG")
    return data[:2] + b"\xff\xfe\0\2" * 5_000_000 + data[2:]


def many_fill_bytes_jpeg() -> bytes:
    data = encoded("JPEG")
    return data[:2] + b"\xff" * 20_000_000 + data[2:]


def much_between_frame_and_scan_jpeg(filler: bytes = b"\0") -> bytes:
    data = encoded("JPEG")
    at = data.index(b"\xff\xda")
    return data[:at] + filler * 20_000_000 + data[at:]


def many_exif_jpeg() -> bytes:
    data = encoded("JPEG")
    exif = b"\xff\xe1" + struct.pack(">H", 9_008) + b"Exif\0\0" + b"x" * 9_000
    return data[:2] + exif * 2_000 + data[2:]


def many_chunks_webp() -> bytes:
    body = b"WEBP" + encoded("WEBP")[12:] + b"JUNK\0\0\0\0" * 3_000_000
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("make", "walk"),
    [
        (many_chunks_png, walk_png),
        (many_segments_jpeg, measure_jpeg),
        (many_fill_bytes_jpeg, measure_jpeg),
        (much_between_frame_and_scan_jpeg, measure_jpeg),
        (lambda: much_between_frame_and_scan_jpeg(b"\xff\0"), measure_jpeg),
        (many_exif_jpeg, measure_jpeg),
        (many_chunks_webp, measure_webp),
    ],
)
def test_a_file_of_countless_parts_is_refused_at_once(
    make: Callable[[], bytes], walk: Callable[[bytes], object]
) -> None:
    data, spent_s = make(), []
    for _ in range(3):  # a collection of garbage may fall into one of them
        began = time.thread_time()
        with pytest.raises(TooManyParts):
            walk(data)
        spent_s.append(time.thread_time() - began)
    assert min(spent_s) < 0.1


def test_as_many_parts_as_allowed_are_walked() -> None:
    for count, error in ((PNG_CHUNKS_MAX - 3, None), (PNG_CHUNKS_MAX - 2, TooManyParts)):
        data = png((1, 1, 8, 0, 0, 0, 0), b"\0\0", chunk(b"tEXt", b"a\0b") * count)
        if error is None:
            assert len(walk_png(data)) == PNG_CHUNKS_MAX
        else:
            with pytest.raises(error):
                walk_png(data)


def test_a_jpeg_with_a_large_profile_and_much_metadata_is_measured() -> None:
    profile = encoded("JPEG", icc_profile=b"i" * 65_519 * 255)
    assert measure_jpeg(profile) == (60, 40)
    app = b"\xff\xe1\xff\xff" + b"m" * 65_533
    assert measure_jpeg(profile[:2] + app * 500 + profile[2:]) == (60, 40)


def test_the_larger_of_two_frames_of_a_jpeg_counts() -> None:
    data = encoded("JPEG")
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    large = frame[:5] + struct.pack(">HH", 900, 700) + frame[9:]
    for two in itertools.permutations((frame, large)):
        assert measure_jpeg(data[:at] + b"".join(two) + data[at + len(frame) :]) == (700, 900)


def test_a_jpeg_that_is_not_made_of_blocks_is_refused() -> None:
    data = encoded("JPEG")
    for marker in (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCF):
        with pytest.raises(Damaged):
            measure_jpeg(data.replace(b"\xff\xc0", bytes([0xFF, marker])))


@pytest.mark.parametrize("left", [0, 8, 20, 29])
def test_what_is_too_short_for_a_header_is_damaged(left: int) -> None:
    for kind, measure in (("PNG", measure_png), ("JPEG", measure_jpeg), ("WEBP", measure_webp)):
        with pytest.raises(Damaged):
            measure(encoded(kind)[:left])


def test_a_webp_that_is_shorter_than_it_tells_is_damaged() -> None:
    data = encoded("WEBP")
    assert measure_webp(data) == (60, 40)
    with pytest.raises(Damaged):
        measure_webp(data[:-1])
