"""What is common to the surfaces."""

import subprocess
import sys

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.surfaces import SURFACES
from gateway.surfaces.base import REFUSED_FIELDS, decode, refuse_fields

OBJECT = msgspec.json.Decoder(dict[str, str])


def test_every_surface_stands_under_its_own_name_with_its_own_path() -> None:
    assert all(name == surface.name for name, surface in SURFACES.items())
    assert len({surface.path for surface in SURFACES.values()}) == len(SURFACES)
    assert len({surface.endpoint for surface in SURFACES.values()}) == len(SURFACES)


def test_the_surfaces_need_neither_the_vendors_nor_a_framework() -> None:
    # Dialects and translations are built on the surfaces: the other way round would be a circle.
    program = (
        "import sys, gateway.surfaces\n"
        "found = {'gateway.providers', 'gateway.exchange', 'django', 'psycopg'} & set(sys.modules)\n"
        "sys.exit(repr(found) if found else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("name", REFUSED_FIELDS)
def test_no_caller_names_his_own_provider_credential_or_bill(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        refuse_fields({"model": "m", name: None})
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", name)


def test_all_other_fields_are_the_callers_to_set() -> None:
    refuse_fields({"model": "m", "messages": [{"usage": 1, "api_key": "x"}], "something": 1})


def test_half_of_a_character_is_text_and_half_of_an_object_is_nothing() -> None:
    assert decode(b'{"a":"x\\ud83d"}', OBJECT) == {"a": "x\ud83d"}
    for cut in (b'{"a":"x\\ud8', b'{"a":', b"", b"\xff", b'{"a":7}', b"[" * 100_000):
        assert decode(cut, OBJECT) is None
