"""What makes bytes a picture, and its thumbnail. Judged by content alone, for whatever a caller or a vendor sent.

Nothing is decoded before the header has told how large the picture is; Pillow's own global limit is left alone, since
threads of one process work with different ones.
"""

import io
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

# The three plugins register themselves: Pillow would else look for one among all that it has.
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

THUMBNAIL_EDGE = 512
THUMBNAIL_QUALITY = 80
# Each scan of a progressive JPEG is a pass over all its pixels and may be a few bytes; encoders write about ten.
SCANS_MAX = 100
_PNG_HEADER_BYTES, _WEBP_HEADER_BYTES = 33, 30
# Markers of frames, which tell a size (ITU-T T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9

Size = tuple[int, int]


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
    measure: Callable[[bytes], Size | None]


def read_picture(data: bytes, bytes_max: int, pixels_max: int) -> PictureFacts:
    """The facts of a whole, undamaged PNG, JPEG or WebP with one frame. Raises NotAPicture.

    No more pixels than Pillow itself opens (89,478,485), even where `pixels_max` would allow them.
    """
    pixels_max = min(pixels_max, Image.MAX_IMAGE_PIXELS or pixels_max)
    if len(data) > bytes_max:
        raise NotAPicture(f"The file has more than {bytes_max} bytes.")
    kind = _sniff(data)
    if kind is None:
        raise NotAPicture("The file is not a PNG, JPEG or WebP picture.")
    _check_size(kind.measure(data), pixels_max)
    if kind.format == "JPEG" and data.count(b"\xff\xda") > SCANS_MAX:
        raise NotAPicture(f"The picture has more than {SCANS_MAX} scans.")
    try:
        with _open(data, kind) as image:
            # Again: a file may tell several sizes, and this is the one that is decoded.
            size = image.size
            _check_size(size, pixels_max)
            if kind.format != "JPEG" and getattr(image, "is_animated", False):
                raise NotAPicture("The picture is animated.")
            image.verify()
        with _open(data, kind) as image:
            image.load()
    except NotAPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NotAPicture(f"The picture has more than {pixels_max} pixels.") from None
    except Exception as error:  # Pillow raises almost anything for broken data
        raise NotAPicture("The picture is damaged.") from error
    return PictureFacts(kind.content_type, *size, kind.extension)


def make_thumbnail(data: bytes, edge: int = THUMBNAIL_EDGE) -> bytes:
    """A WebP of at most `edge` pixels each way, upright, without metadata, of what `read_picture` has accepted.
    Raises NotAPicture."""
    kind = _sniff(data)
    if kind is None:
        raise NotAPicture("The file is not a PNG, JPEG or WebP picture.")
    try:
        with _open(data, kind) as image:
            small = _as_color(image)
            small.thumbnail((edge, edge))
            ImageOps.exif_transpose(small, in_place=True)
            out = io.BytesIO()
            small.save(out, "WEBP", quality=THUMBNAIL_QUALITY)
            return out.getvalue()
    except Exception as error:
        raise NotAPicture("The picture is damaged.") from error


def _as_color(image: Image.Image) -> Image.Image:
    """The picture in a mode that WebP knows and that scales well: RGBA where it has transparency, else RGB."""
    if image.mode.startswith(("I", "F")):  # 16 bits of grey
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _open(data: bytes, kind: _Kind) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=(kind.format,))


def _sniff(data: bytes) -> _Kind | None:
    if data[:4] == b"RIFF" and data[8:12] != b"WEBP":
        return None
    return next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)


def _check_size(size: Size | None, pixels_max: int) -> None:
    if size is None or 0 in size:
        raise NotAPicture("The picture is damaged.")
    if size[0] * size[1] > pixels_max:
        raise NotAPicture(f"The picture has more than {pixels_max} pixels.")


def _measure_png(data: bytes) -> Size | None:
    """PNG (Third Edition), 11.2.1: the header is the first chunk."""
    if len(data) < _PNG_HEADER_BYTES or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _measure_jpeg(data: bytes) -> Size | None:
    """ITU-T T.81, B.1.1: segments up to the first frame."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _JPEG_ALONE:
            at += 2
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in (_JPEG_SCAN, _JPEG_END):
            return None
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _measure_webp(data: bytes) -> Size | None:
    """RFC 9649: the canvas of an extended file, else the one frame."""
    if len(data) < _WEBP_HEADER_BYTES:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


_KINDS: Mapping[bytes, _Kind] = MappingProxyType(
    {
        b"\x89PNG\r\n\x1a\n": _Kind("PNG", "image/png", "png", _measure_png),
        b"\xff\xd8\xff": _Kind("JPEG", "image/jpeg", "jpg", _measure_jpeg),
        b"RIFF": _Kind("WEBP", "image/webp", "webp", _measure_webp),
    }
)
