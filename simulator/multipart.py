"""multipart/form-data (RFC 7578), read strictly: what is not understood is refused."""

import re
from typing import NamedTuple

from simulator.errors import ApiError

_KIND = re.compile(
    rb'multipart/form-data\s*;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))\s*', re.IGNORECASE
)
_DISPOSITION = re.compile(
    rb'form-data((?:\s*;\s*[a-z*]+=(?:"[^"\r\n]*"|[^\s";]+))+)', re.IGNORECASE
)
_PARAMETER = re.compile(rb'([a-z*]+)=(?:"([^"\r\n]*)"|([^\s";]+))', re.IGNORECASE)
_MOST_PARTS = 64
_MOST_HEAD = 4_096
_MOST_TEXT = 1_048_576
_MOST_FILE = 50 * 1024 * 1024


class Upload(NamedTuple):
    """A file of a form."""

    name: str
    data: bytes


class Form(NamedTuple):
    """A form: its texts by field, and its files in their order, each with its field."""

    texts: dict[str, str]
    files: list[tuple[str, Upload]]

    def take_files(self, *fields: str) -> list[Upload]:
        """The files of these fields."""
        return [upload for field, upload in self.files if field in fields]


def parse_form(kind: bytes, body: bytes) -> Form:
    """Read a body by its content type.

    Raises ApiError(400) for another content type, a broken form, or one over the limits: 64 parts,
    a MiB for a text, 50 MiB for a file.
    """
    found = _KIND.fullmatch(kind.strip())
    if found is None:
        raise ApiError(400, "The content type must be multipart/form-data with a boundary.")
    form = Form({}, [])
    for count, part in enumerate(_split(b"--" + (found[1] or found[2]), body), 1):
        if count > _MOST_PARTS:
            raise ApiError(400, f"The form has more than {_MOST_PARTS} parts.")
        _add(form, part)
    return form


def _split(mark: bytes, body: bytes) -> list[bytes]:
    """The parts between the marks; a mark counts at the start of a line and alone on it."""
    parts: list[bytes] = []
    body = b"\r\n" + body
    mark = b"\r\n" + mark
    start = -1
    at = body.find(mark)
    if at != 0:
        raise ApiError(400, "The form does not begin with its boundary.")
    while at >= 0:
        after = at + len(mark)
        closing = body[after : after + 2]
        if closing in (b"\r\n", b"--"):
            if start >= 0:
                parts.append(body[start:at])
            if closing == b"--":
                return parts
            start = after
        at = body.find(mark, after)
    raise ApiError(400, "The form has no end.")


def _add(form: Form, part: bytes) -> None:
    head, gap, data = part.partition(b"\r\n\r\n")
    if not gap or len(head) > _MOST_HEAD:
        raise ApiError(400, "A part of the form has no headers, or too many.")
    parameters: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            found = _DISPOSITION.fullmatch(value.strip())
            for one in _PARAMETER.finditer(found[1] if found is not None else b""):
                parameters[one[1].lower()] = one[2] if one[2] is not None else one[3]
    if not parameters.get(b"name"):
        raise ApiError(400, "A part of the form has no name.")
    field = parameters[b"name"].decode("utf-8", "replace")
    filename = parameters.get(b"filename")
    if filename is not None:
        if len(data) > _MOST_FILE:
            raise ApiError(400, f"The file is larger than {_MOST_FILE} bytes.", param=field)
        form.files.append((field, Upload(filename.decode("utf-8", "replace"), data)))
        return
    if len(data) > _MOST_TEXT or field in form.texts:
        raise ApiError(400, f"The field '{field}' is too long, or there twice.", param=field)
    try:
        form.texts[field] = data.decode()
    except UnicodeDecodeError:
        raise ApiError(400, f"The field '{field}' is not UTF-8.", param=field) from None
