"""What makes bytes a picture, and its thumbnail. Judged by content alone, for whatever a caller or a vendor sent.

Nothing is decoded before the header has told how large the picture is, and only `DECODED_MAX` pictures at a time in a
process. Pillow's own global limit is left alone, since threads of one process work with different ones.
"""

import functools
import io
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

# The three plugins register themselves: Pillow would else look for one among all that it has.
from PIL import (  # noqa: F401
    ExifTags,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from gateway.images.containers import (
    Size,
    TooManyParts,
    check_png,
    measure_jpeg,
    measure_png,
    measure_webp,
    walk_png,
)

THUMBNAIL_EDGE = 512
THUMBNAIL_QUALITY = 80
# A WebP of 67 million pixels takes 1 GB while it is decoded.
DECODED_MAX = 2
# Each scan of a progressive JPEG is a pass over all its pixels and may be a few bytes; encoders write about ten.
SCANS_MAX = 100
# The edge of what becomes of a tile: all that is held beside the whole picture is a tile.
_TILE_EDGE = 128


class NotAPicture(ValueError):
    """`reason` is for who sent it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PictureFacts(NamedTuple):
    """Edges in pixels as they are stored, whatever orientation the metadata tells; `extension` without a dot."""

    content_type: str
    width: int
    height: int
    extension: str


class _Kind(NamedTuple):
    format: str
    content_type: str
    extension: str
    measure: Callable[[bytes], Size]


def read_picture(data: bytes, bytes_max: int, pixels_max: int) -> PictureFacts:
    """The facts of a whole, undamaged PNG, JPEG or WebP with one frame. Raises NotAPicture.

    No more pixels than Pillow itself opens (89,478,485), even where `pixels_max` would allow them. May wait for other
    threads that decode.
    """
    pixels_max = min(pixels_max, Image.MAX_IMAGE_PIXELS or pixels_max)
    if len(data) > bytes_max:
        raise NotAPicture(f"The file has more than {bytes_max} bytes.")
    kind = _sniff(data)
    if kind is None:
        raise NotAPicture("The file is not a PNG, JPEG or WebP picture.")
    try:
        _check_header(data, kind, pixels_max)
        with _decoding():
            size = _check_content(data, kind, pixels_max)
    except NotAPicture:
        raise
    except TooManyParts:
        raise NotAPicture("The file has too many parts for a picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NotAPicture(f"The picture has more than {pixels_max} pixels.") from None
    except Exception as error:  # Pillow raises almost anything for broken data
        raise NotAPicture("The picture is damaged.") from error
    return PictureFacts(kind.content_type, *size, kind.extension)


def make_thumbnail(data: bytes, edge: int = THUMBNAIL_EDGE) -> bytes:
    """A WebP of at most `edge` pixels each way, upright, without metadata, of what `read_picture` has accepted.
    Raises NotAPicture. May wait for other threads that decode."""
    kind = _sniff(data)
    if kind is None:
        raise NotAPicture("The file is not a PNG, JPEG or WebP picture.")
    try:
        with _decoding():
            small = _shrink(data, kind, 2 * edge)
        small.thumbnail((edge, edge))
        ImageOps.exif_transpose(small, in_place=True)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=THUMBNAIL_QUALITY)
        return out.getvalue()
    except Exception as error:
        raise NotAPicture("The picture is damaged.") from error


@functools.cache
def _decoding() -> threading.BoundedSemaphore:
    """Held while a picture is decoded. Nothing that is done while it is held takes it again, so it is always given
    back."""
    return threading.BoundedSemaphore(DECODED_MAX)


_decoding()  # Now: two threads that are the first to ask would get one each.


def _check_header(data: bytes, kind: _Kind, pixels_max: int) -> None:
    """What can be told without unpacking anything."""
    _check_size(kind.measure(data), pixels_max)
    if kind.format == "PNG":
        walk_png(data)
    if kind.format == "JPEG" and data.count(b"\xff\xda") > SCANS_MAX:
        raise NotAPicture(f"The picture has more than {SCANS_MAX} scans.")


def _check_content(data: bytes, kind: _Kind, pixels_max: int) -> Size:
    """The size of a picture whose content is all there."""
    with _open(data, kind) as image:
        # Again: a file may tell several sizes, and this is the one that is decoded.
        size = image.size
        _check_size(size, pixels_max)
        if kind.format != "JPEG" and getattr(image, "is_animated", False):
            raise NotAPicture("The picture is animated.")
        if kind.format == "PNG":
            check_png(data)
            return size
        # An eighth of each edge: a JPEG is read to its end all the same. A WebP knows nothing of the kind.
        image.draft(image.mode, (max(1, size[0] // 8), max(1, size[1] // 8)))
        image.load()
    return size


def _shrink(data: bytes, kind: _Kind, edge: int) -> Image.Image:
    """The picture in a mode that WebP knows and that scales well: RGBA where it has transparency, else RGB. Its longer
    edge is between `edge` and twice that, or as it was if that is less. Of its metadata it has the orientation alone.
    """
    with _open(data, kind) as image:
        factor = _factor(image.size, edge)
        image.draft(image.mode, (max(1, image.width // factor), max(1, image.height // factor)))
        image.load()
        factor = _factor(image.size, edge)
        mode = "RGBA" if image.has_transparency_data else "RGB"
        small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
        step = _TILE_EDGE * factor
        for top in range(0, image.height, step):
            for left in range(0, image.width, step):
                right, bottom = min(left + step, image.width), min(top + step, image.height)
                tile = _as_color(image.crop((left, top, right, bottom)), mode).reduce(factor)
                small.paste(tile, (left // factor, top // factor))
        tag = ExifTags.Base.Orientation
        small.getexif()[tag] = image.getexif().get(tag, 1)
    return small


def _factor(size: Size, edge: int) -> int:
    return max(1, max(size) // edge)


def _as_color(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # 16 bits of grey
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image if image.mode == mode else image.convert(mode)


def _open(data: bytes, kind: _Kind) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=(kind.format,))


def _sniff(data: bytes) -> _Kind | None:
    if data[:4] == b"RIFF" and data[8:12] != b"WEBP":
        return None
    return next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)


def _check_size(size: Size, pixels_max: int) -> None:
    if 0 in size:
        raise NotAPicture("The picture is damaged.")
    if size[0] * size[1] > pixels_max:
        raise NotAPicture(f"The picture has more than {pixels_max} pixels.")


_KINDS: Mapping[bytes, _Kind] = MappingProxyType(
    {
        b"\x89PNG\r\n\x1a\n": _Kind("PNG", "image/png", "png", measure_png),
        b"\xff\xd8\xff": _Kind("JPEG", "image/jpeg", "jpg", measure_jpeg),
        b"RIFF": _Kind("WEBP", "image/webp", "webp", measure_webp),
    }
)
