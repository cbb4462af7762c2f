"""simulator.png and simulator.pictures: what is drawn can be read, and what is read is right."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.pictures import Size, draw, measure, parse_size
from simulator.png import (
    SIGNATURE,
    PngError,
    add_comment,
    check_png,
    decode_png,
    encode_png,
    enlarge,
    pad_png,
    read_comment,
)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(width, height, color, rows, *extra, depth=8, interlaced=0):
    """A PNG of rows that have their filter's number in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(b"".join(rows)))]
    return SIGNATURE + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("size", [Size(1, 1), Size(33, 7), Size(16, 512)])
def test_a_drawing_has_its_size_and_an_alpha_channel_only_if_transparent(size, transparent):
    picture = draw("a red bicycle", size, transparent=transparent)
    bitmap = decode_png(picture)
    assert measure(picture) == (bitmap.width, bitmap.height) == size
    assert picture[25] == (6 if transparent else 2)
    alphas = {alpha for row in bitmap.rows for alpha in row[3::4]}
    assert alphas <= ({0, 255} if transparent else {255})


def test_a_transparent_drawing_has_clear_and_opaque_pixels():
    bitmap = decode_png(draw("a red bicycle", Size(256, 256), transparent=True))
    assert {alpha for row in bitmap.rows for alpha in row[3::4]} == {0, 255}


def test_a_drawing_depends_on_its_seed_alone_and_is_small():
    size = Size(1024, 1024)
    first = draw("a", size, transparent=False)
    assert first == draw("a", size, transparent=False)
    assert first != draw("b", size, transparent=False)
    assert len(first) < 100_000


@given(
    st.integers(1, 9).flatmap(
        lambda width: st.lists(st.binary(min_size=4 * width, max_size=4 * width), min_size=1)
    )
)
def test_what_is_written_is_read_back(rows):
    picture = encode_png(len(rows[0]) // 4, len(rows), rows, has_alpha=True)
    assert decode_png(picture).rows == rows


def test_every_filter_is_undone():
    # Grey: each row follows from the one above by its own filter (PNG specification, 9.2).
    rows = [
        b"\x00\x0a\x14\x1e",
        b"\x01\x0a\x0a\x0a",
        b"\x02\x01\x01\x01",
        b"\x03\x0a\x00\x05",
        b"\x04\x01\x02\x03",
    ]
    bitmap = decode_png(make_png(3, 5, 0, rows))
    assert [list(row[::4]) for row in bitmap.rows] == [
        [10, 20, 30],
        [10, 20, 30],
        [11, 21, 31],
        [15, 18, 29],
        [16, 20, 32],
    ]


def test_every_kind_of_color_is_read_as_rgba():
    grey_alpha = decode_png(make_png(1, 1, 4, [b"\0\x05\x80"]))
    assert grey_alpha.rows == [b"\x05\x05\x05\x80"]
    palette = chunk(b"PLTE", b"\x01\x02\x03\x04\x05\x06"), chunk(b"tRNS", b"\x07")
    indexed = decode_png(make_png(3, 1, 3, [b"\0\x00\x01\x09"], *palette))
    assert indexed.rows == [b"\x01\x02\x03\x07\x04\x05\x06\xff\x00\x00\x00\xff"]
    assert decode_png(make_png(1, 1, 2, [b"\0\x01\x02\x03"])).rows == [b"\x01\x02\x03\xff"]


@pytest.mark.parametrize(("width", "height"), [(6, 8), (3, 4), (7, 5), (1, 1)])
def test_each_pixel_of_an_enlarged_picture_is_its_nearest_neighbours(width, height):
    source = decode_png(draw("a", Size(3, 4), transparent=True))
    large = decode_png(enlarge(source, width, height))
    assert (large.width, large.height) == (width, height)
    for y in range(height):
        for x in range(width):
            at = 4 * (x * 3 // width)
            assert large.rows[y][4 * x : 4 * x + 4] == source.rows[y * 4 // height][at : at + 4]


def test_a_padded_picture_has_that_many_bytes_and_the_same_pixels():
    picture = draw("a", Size(20, 20), transparent=False)
    padded = pad_png(picture, len(picture) + 12)
    assert len(padded) == len(picture) + 12
    assert len(pad_png(picture, 70_000)) == 70_000
    assert decode_png(padded) == decode_png(picture)
    assert pad_png(picture, len(picture)) == picture
    with pytest.raises(PngError):
        pad_png(picture, len(picture) + 11)


def test_a_comment_is_read_from_the_picture():
    picture = draw("a", Size(20, 20), transparent=False)
    assert read_comment(picture) == ""
    assert read_comment(add_comment(add_comment(picture, "two"), "one")) == "one\ntwo"
    assert decode_png(add_comment(picture, "x")) == decode_png(picture)


def damaged():
    good = draw("a", Size(5, 5), transparent=False)
    rows = [b"\0" + bytes(15)] * 5
    yield "empty", b""
    yield "no picture", b"GIF89a"
    yield "cut off", good[:-20]
    yield "flipped", good[:-25] + bytes([good[-25] ^ 1]) + good[-24:]
    yield "no chunks", SIGNATURE
    yield "interlaced", make_png(5, 5, 2, rows, interlaced=1)
    yield "sixteen bits", make_png(5, 5, 2, rows, depth=16)
    yield "unknown color", make_png(5, 5, 5, rows)
    yield "rows missing", make_png(5, 6, 2, rows)
    yield "unknown filter", make_png(5, 5, 2, [*rows[1:], b"\x05" + bytes(15)])
    yield "no pixels", make_png(0, 5, 2, rows)
    yield "a bomb", make_png(60_000, 60_000, 2, rows)


@pytest.mark.parametrize("picture", [one for _, one in damaged()], ids=[n for n, _ in damaged()])
def test_a_damaged_picture_is_refused_before_its_pixels_are_wanted(picture):
    with pytest.raises(PngError):
        check_png(picture)


@given(st.binary(max_size=60))
def test_any_bytes_after_the_signature_are_refused(tail):
    with pytest.raises(PngError):
        decode_png(SIGNATURE + tail)
    measure(tail)
    measure(b"\xff\xd8\xff" + tail)
    measure(b"RIFF\0\0\0\0WEBP" + tail)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08\x01\x02\x03\x04", (0x304, 0x102)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc4\x00\x11\x08\x01\x02\x03\x04", None),
        (b"RIFF____WEBPVP8X" + bytes(8) + b"\x0f\x00\x00\x1f\x00\x00", (16, 32)),
        (b"RIFF____WEBPVP8L\0\0\0\0\x2f\x0f\xc0\x07\x00" + bytes(8), (16, 32)),
        (b"RIFF____WEBPVP8 " + bytes(10) + b"\x10\x00\x20\x00", (16, 32)),
        (b"GIF89a" + bytes(40), None),
    ],
)
def test_the_sizes_of_other_formats_are_read_from_their_headers(header, size):
    assert measure(header) == size


@pytest.mark.parametrize("text", ["", "1024", "0x5", "-1x5", "5x", "1024X1024", "100000x1", " 1x1"])
def test_a_size_is_two_numbers_around_an_x(text):
    assert parse_size(text) is None
    assert parse_size("1536x864") == (1536, 864)
