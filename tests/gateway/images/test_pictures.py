"""What is taken for a picture and what is not, and thumbnails."""

import contextlib
import io
import random
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from gateway.images.pictures import (
    DECODED_MAX,
    NotAPicture,
    PictureFacts,
    make_thumbnail,
    read_picture,
)
from simulator.pictures import Size, draw
from simulator.png import add_comment, pad_png

BYTES_MAX = 5_000_000
PIXELS_MAX = 4_000_000
PNG_START = b"\x89PNG\r\n\x1a\n"


def read(data: bytes, bytes_max: int = BYTES_MAX, pixels_max: int = PIXELS_MAX) -> PictureFacts:
    return read_picture(data, bytes_max, pixels_max)


def refused(data: bytes, **limits: int) -> str:
    with pytest.raises(NotAPicture) as caught:
        read(data, **limits)
    return caught.value.reason


def painted(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """A picture whose upper left quarter is red."""
    picture = Image.new("RGB", size, "white")
    picture.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    return picture.convert(mode)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_chunks(width: int, height: int, *more: bytes, rows: bytes = b"") -> bytes:
    """A PNG of these chunks between its header and its end."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) if rows else b""
    return PNG_START + header + b"".join(more) + body + chunk(b"IEND", b"")


def shown(thumbnail: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(thumbnail), formats=("WEBP",))
    picture.load()
    return picture


def pixel(picture: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    found = picture.getpixel(at)
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("PNG", PictureFacts("image/png", 60, 40, "png")),
        ("JPEG", PictureFacts("image/jpeg", 60, 40, "jpg")),
        ("WEBP", PictureFacts("image/webp", 60, 40, "webp")),
    ],
)
@pytest.mark.parametrize("is_odd", [False, True])
def test_three_kinds_of_pictures_are_read(kind: str, facts: PictureFacts, is_odd: bool) -> None:
    odd: dict[str, dict[str, Any]] = {
        "PNG": {"compress_level": 0},
        "JPEG": {"progressive": True, "exif": Image.Exif(), "comment": b"c" * 60_000},
        "WEBP": {"lossless": True},
    }
    assert read(encoded(painted(), kind, **(odd[kind] if is_odd else {}))) == facts


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "CMYK"])
def test_every_usual_mode_is_a_picture_and_has_a_thumbnail(mode: str) -> None:
    kind = {"CMYK": "JPEG", "PA": "WEBP"}.get(mode, "PNG")
    data = encoded(painted("RGB" if mode == "PA" else "L" if mode == "I;16" else mode), kind)
    if mode == "I;16":
        data = encoded(Image.new("I;16", (60, 40), 0x80FF), "PNG")
    assert (read(data).width, read(data).height) == (60, 40)
    assert shown(make_thumbnail(data)).size == (60, 40)


def test_an_extended_webp_is_read() -> None:
    data = encoded(painted("RGBA"), "WEBP", exif=Image.Exif(), icc_profile=b"i" * 50)
    assert data[12:16] == b"VP8X"
    assert read(data) == PictureFacts("image/webp", 60, 40, "webp")


def test_a_vendors_pictures_are_read() -> None:
    drawn = draw("seed", Size(1024, 1536), transparent=True)
    assert read(drawn) == PictureFacts("image/png", 1024, 1536, "png")
    assert read(add_comment(drawn, "[[simulate {}]]")).width == 1024
    assert read(pad_png(drawn, 3_000_000)).height == 1536


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG",
        b"<!doctype html><html></html>",
        b'{"error":{}}',
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"RIFF\x00\x00\x00\x00WAVEfmt " + b"\0" * 40,
        encoded(painted(), "GIF"),
        encoded(painted(), "BMP"),
        encoded(painted(), "TIFF"),
        encoded(painted(), "ICO"),
        encoded(painted(), "AVIF"),
    ],
)
def test_other_content_is_no_picture(data: bytes) -> None:
    assert "PNG, JPEG or WebP" in refused(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_cut_short_is_none(kind: str) -> None:
    data = encoded(painted(size=(200, 200)), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert read(data)
    for left in (len(data) - 20, len(data) // 2, 40, 12):
        assert refused(data[:left])


def test_a_damaged_png_is_no_picture() -> None:
    data = bytearray(draw("seed", Size(100, 100), transparent=False))
    data[len(data) // 2] ^= 0xFF
    assert refused(bytes(data)) == "The picture is damaged."


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_noise_after_a_right_beginning_is_refused_and_never_an_accident(kind: str) -> None:
    data = encoded(painted(size=(50, 50)), kind)
    chance = random.Random(7)
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            broken[chance.randrange(8, len(broken))] = chance.randrange(256)
        for look in (read, make_thumbnail):
            with contextlib.suppress(NotAPicture):
                look(bytes(broken))


def test_a_file_over_the_limit_is_refused_unread() -> None:
    data = encoded(painted(), "PNG")
    assert read(data, bytes_max=len(data))
    assert (
        refused(data, bytes_max=len(data) - 1) == f"The file has more than {len(data) - 1} bytes."
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_over_the_pixels_is_refused(kind: str) -> None:
    data = encoded(painted(), kind)
    assert read(data, pixels_max=2_400)
    assert refused(data, pixels_max=2_399) == "The picture has more than 2399 pixels."


def png_bomb() -> bytes:
    rows = zlib.compress(b"\0" * 30_000_000, 9)
    return png_chunks(30_000, 30_000, chunk(b"IDAT", rows))


def jpeg_bomb() -> bytes:
    data = bytearray(encoded(painted(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(data)


def jpeg_of_two_sizes(edge: int = 60_000) -> bytes:
    """A small frame first, then the one that is decoded."""
    data = encoded(painted(), "JPEG")
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    large = frame[:5] + struct.pack(">HH", edge, edge) + frame[9:]
    return data[:at] + frame + large + data[at + len(frame) :]


def webp_bomb() -> bytes:
    data = bytearray(encoded(painted("RGBA"), "WEBP", icc_profile=b"i" * 50))
    data[24:30] = (16_382).to_bytes(3, "little") * 2
    return bytes(data)


@pytest.mark.parametrize("bomb", [png_bomb, jpeg_bomb, jpeg_of_two_sizes, webp_bomb])
def test_a_bomb_is_refused_by_its_header(bomb: Any) -> None:
    data = bomb()
    tracemalloc.start()
    began = time.monotonic()
    try:
        assert "more than" in refused(data)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 1


def test_a_file_that_tells_two_sizes_is_judged_by_the_one_that_is_decoded() -> None:
    assert refused(jpeg_of_two_sizes(3_000)) == f"The picture has more than {PIXELS_MAX} pixels."


@pytest.mark.parametrize("bomb", [png_bomb, jpeg_bomb, webp_bomb])
def test_nothing_is_opened_before_its_size_is_known(
    bomb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_nothing(*args: object, **options: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(Image, "open", open_nothing)
    assert "more than" in refused(bomb())


@pytest.mark.parametrize("edge", [9_500, 13_500, 60_000])
def test_pillows_own_limit_holds_where_ours_is_wider(edge: int) -> None:
    assert "more than 89478485 pixels" in refused(png_chunks(edge, edge), pixels_max=10**10)
    assert "more than 89478485 pixels" in refused(jpeg_of_two_sizes(edge), pixels_max=10**10)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_packed_chunks_are_unpacked_no_further_than_a_limit(kind: bytes) -> None:
    bomb = zlib.compress(b"a" * 200_000_000, 9)
    start = b"name\0\x01\0\0\0" if kind == b"iTXt" else b"name\0\0"
    rows = b"\0\xff\0\0"
    tracemalloc.start()
    try:
        refused(png_chunks(1, 1, chunk(kind, start + bomb), rows=rows))
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert read(png_chunks(1, 1, rows=rows)).width == 1


def test_animations_are_refused() -> None:
    frames = [painted(), Image.new("RGB", (60, 40), "blue")]
    for kind in ("PNG", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
        assert refused(data) == "The picture is animated."


def test_a_png_that_claims_countless_frames_costs_nothing() -> None:
    control = chunk(b"acTL", struct.pack(">II", 0x7FFFFFFF, 0))
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 10, 0, 0))
    began = time.monotonic()
    refused(png_chunks(1, 1, control, frame, rows=b"\0\xff\0\0"))
    assert time.monotonic() - began < 1


def test_a_jpeg_of_countless_scans_is_refused() -> None:
    data = encoded(painted(size=(1_000, 1_000)), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    assert read(data)
    assert "scans" in refused(data[:-2] + data[scan:-2] * 200 + data[-2:])


@pytest.mark.parametrize(("width", "height"), [(0, 40), (60, 0), (0, 0)])
def test_a_picture_without_pixels_is_none(width: int, height: int) -> None:
    assert refused(png_chunks(width, height, rows=b"\0")) == "The picture is damaged."
    data = bytearray(encoded(painted(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    assert refused(bytes(data)) == "The picture is damaged."


def test_pillows_global_limit_and_the_warnings_filters_stay_as_they_are() -> None:
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    refused(png_bomb())
    make_thumbnail(encoded(painted(), "PNG"))
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_threads_read_with_limits_of_their_own() -> None:
    data = encoded(painted(size=(300, 300)), "JPEG")
    found: list[str] = []

    def work(limit: int) -> None:
        for _ in range(40):
            try:
                read(data, pixels_max=limit)
                found.append(f"read {limit}")
            except NotAPicture:
                found.append(f"refused {limit}")

    threads = [threading.Thread(target=work, args=(limit,)) for limit in (89_999, 90_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(found)) == ["read 90000", "refused 89999"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_thumbnail_is_a_small_webp_of_the_same_shape(kind: str) -> None:
    data = encoded(painted(size=(1_600, 800)), kind)
    thumbnail = make_thumbnail(data)
    picture = shown(thumbnail)
    assert (picture.size, picture.mode) == ((512, 256), "RGB")
    assert shown(make_thumbnail(data, 100)).size == (100, 50)
    red, white = pixel(picture, (20, 20)), pixel(picture, (500, 200))
    assert red[0] > 230 > 60 > red[1]
    assert min(white) > 230
    assert read(thumbnail).extension == "webp"


def test_sixteen_bits_of_grey_stay_grey() -> None:
    thumbnail = make_thumbnail(encoded(Image.new("I;16", (60, 40), 0x80FF), "PNG"))
    assert all(120 < value < 136 for value in pixel(shown(thumbnail), (30, 20)))


def test_a_small_picture_is_not_enlarged() -> None:
    assert shown(make_thumbnail(encoded(painted(), "PNG"))).size == (60, 40)


def transparent_pictures() -> Iterator[bytes]:
    clear = Image.new("RGBA", (600, 600), (0, 0, 255, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 300, 300))
    yield encoded(clear, "PNG")
    yield encoded(clear, "WEBP")
    yield encoded(clear.convert("LA"), "PNG")
    palette = Image.new("P", (600, 600), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(0, (0, 0, 300, 300))
    yield encoded(palette, "PNG", transparency=0)


@pytest.mark.parametrize("number", range(4))
def test_transparency_is_kept(number: int) -> None:
    picture = shown(make_thumbnail(list(transparent_pictures())[number]))
    assert picture.mode == "RGBA"
    assert pixel(picture, (50, 50))[3] < 10
    assert pixel(picture, (450, 450))[3] > 245


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_lies_on_its_side_is_put_upright_and_its_metadata_is_gone(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of what is seen is the right side
    exif[0x010E] = "Alice's garden"
    options: dict[str, Any] = {"exif": exif, "icc_profile": b"profile of Alice"}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "Alice was here")
        options["pnginfo"] = info
    data = encoded(painted(size=(1_200, 600)), kind, **options)
    assert (read(data).width, read(data).height) == (1_200, 600)
    thumbnail = make_thumbnail(data)
    picture = shown(thumbnail)
    assert picture.size == (256, 512)
    upper_right, upper_left = pixel(picture, (230, 30)), pixel(picture, (30, 30))
    assert upper_right[1] < 60
    assert upper_left[1] > 200
    assert b"Alice" not in thumbnail
    assert not dict(picture.getexif())


def test_a_thumbnail_of_no_picture_is_refused() -> None:
    for data in (b"", b"<html>", encoded(painted(), "PNG")[:60], encoded(painted(), "GIF")):
        with pytest.raises(NotAPicture):
            make_thumbnail(data)


def opened_together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures were open at the same time, each time that one was opened."""
    seen: list[int] = []
    held: list[None] = []
    really_open = Image.open

    def open_slowly(*args: Any, **options: Any) -> Image.Image:
        held.append(None)
        seen.append(len(held))
        try:
            time.sleep(0.03)
            return really_open(*args, **options)
        finally:
            held.pop()

    monkeypatch.setattr(Image, "open", open_slowly)
    return seen


def test_no_more_than_two_pictures_are_decoded_at_a_time_and_all_come_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = opened_together(monkeypatch)
    good = [encoded(painted(), kind) for kind in ("PNG", "JPEG", "WEBP")]
    broken = png_chunks(60, 40, rows=b"\0")
    done: list[bool] = []

    def work(data: bytes) -> None:
        for look in (read, make_thumbnail):
            try:
                look(data)
                done.append(True)
            except NotAPicture:
                done.append(False)

    threads = [
        threading.Thread(target=work, args=(data,), daemon=True) for data in [*good, broken] * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (done.count(True), done.count(False)) == (18, 6)
    assert max(seen) == DECODED_MAX == 2


def peak_mib(work: str, data: bytes) -> int:
    """MiB that a process needs for `work` beyond what it had before."""
    program = f"""
import sys
from gateway.images.pictures import make_thumbnail, read_picture
def peak(name):
    (line,) = [line for line in open("/proc/self/status") if line.startswith(name)]
    return int(line.split()[1]) // 1024
data = sys.stdin.buffer.read()
before = peak("VmHWM")
{work}
print(peak("VmHWM") - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=True, timeout=60
    )
    return int(done.stdout)


READ, SHRINK = "read_picture(data, 10**8, 10**8)", "make_thumbnail(data)"


@pytest.mark.parametrize(
    ("kind", "mode", "work", "most_mib"),
    [
        ("PNG", "RGBA", READ, 10),  # not decoded at all
        ("PNG", "RGBA", SHRINK, 64 + 30),  # decoded once, never copied whole
        ("PNG", "P", SHRINK, 16 + 30),
        ("JPEG", "RGB", READ, 20),
        ("JPEG", "RGB", SHRINK, 30),
        ("WEBP", "RGB", READ, 4 * 64 + 30),
        ("WEBP", "RGBA", SHRINK, 4 * 64 + 30),
    ],
)
def test_a_picture_of_16_million_pixels_takes_little_memory(
    kind: str, mode: str, work: str, most_mib: int
) -> None:
    data = encoded(Image.new(mode, (4096, 4096)), kind)
    assert peak_mib(work, data) < most_mib


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (3_001, 1_999), (1_025, 1_023)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1"])
def test_a_thumbnail_is_made_of_tiles_that_leave_no_seams(size: Size, mode: str) -> None:
    slope = Image.linear_gradient("L").resize(size)
    picture = Image.merge("RGB", [slope] * 3).convert(mode)
    found = shown(make_thumbnail(encoded(picture, "PNG"))).convert("L")
    expected = picture.convert("L")
    expected.thumbnail((512, 512))
    assert found.size == expected.size
    pairs = zip(found.tobytes(), expected.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) < 40


def test_a_file_of_countless_parts_is_refused_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = opened_together(monkeypatch)
    data = png_chunks(1, 1, chunk(b"tEXt", b"a\0b") * 100_000, rows=b"\0\0\0\0")
    assert refused(data) == "The file has too many parts for a picture."
    assert seen == []
