"""Form bodies with files (multipart/form-data), whole and in memory. Pure."""

from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from gateway.errors import BadRequest

PARTS_MAX = 64
FIELD_BYTES_MAX = 256 * 1024
BOUNDARY_BYTES_MAX = 200


class FormFile(NamedTuple):
    """A file of a form; `filename` as the client named it."""

    field: str
    filename: str
    data: bytes


class Form(NamedTuple):
    """Texts by name, and files in their order."""

    texts: dict[str, str]
    files: tuple[FormFile, ...]


class _TooManyParts(Exception):
    pass


def parse_form(content_type: bytes | None, raw: bytes) -> Form:
    """The form in `raw`. Raises BadRequest for anything else, for a text given twice, and beyond bounds.

    A list of texts is not known here: names that end with `[]` are texts and files like any other.
    """
    kind, options = parse_options_header((content_type or b"").decode("latin-1"))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary or len(boundary) > BOUNDARY_BYTES_MAX:
        raise BadRequest(
            "The request must be a form: multipart/form-data with a boundary.",
            code="invalid_request_error",
        )
    texts: dict[str, str] = {}
    files: list[FormFile] = []
    seen: list[str] = []

    def count(name: str) -> None:
        seen.append(name)
        if len(seen) > PARTS_MAX:
            raise _TooManyParts

    def on_field(field: Field) -> None:
        name = _text(field.field_name)
        count(name)
        if name in texts:
            raise BadRequest(f"'{name[:100]}' is given twice.", param=name[:100])
        value = field.value or b""
        if len(value) > FIELD_BYTES_MAX:
            raise BadRequest(f"'{name[:100]}' is over {FIELD_BYTES_MAX} bytes.", param=name[:100])
        texts[name] = _decode(value, name)

    def on_file(file: File) -> None:
        name = _text(file.field_name)
        count(name)
        file.file_object.seek(0)
        files.append(FormFile(name, _text(file.file_name), file.file_object.read()))

    config: dict[Any, Any] = {
        "MAX_MEMORY_FILE_SIZE": len(raw) + 1,
        "MAX_FIELDS": PARTS_MAX,
        "MAX_BODY_SIZE": len(raw) + 1,
    }
    ends: list[bool] = []
    parser = FormParser(
        "multipart/form-data",
        on_field,
        on_file,
        lambda: ends.append(True),
        boundary=boundary,
        config=config,
    )
    try:
        parser.write(raw)
        parser.finalize()
    except _TooManyParts:
        raise BadRequest(f"The form has over {PARTS_MAX} parts.") from None
    except (FormParserError, ValueError) as error:
        raise BadRequest(f"The form cannot be read: {str(error)[:200]}") from None
    if not ends:
        raise BadRequest("The form cannot be read: it has no end.")
    return Form(texts, tuple(files))


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")


def _decode(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"'{name[:100]}' is not valid UTF-8.", param=name[:100]) from None
