"""simulator.script: what a script may say."""

import json

import pytest

from simulator.errors import ApiError
from simulator.script import NO_SCRIPT, parse_script


def parse(**script):
    return parse_script(json.dumps(script).encode())


def test_an_empty_script_is_no_script():
    assert parse() == NO_SCRIPT


@pytest.mark.parametrize(
    "script",
    [
        {"outptu_tokens": 3},
        {"output_tokens": -1},
        {"output_tokens": "3"},
        {"chunk_tokens": 0},
        {"chunk_delay_s": -0.1},
        {"status": 200},
        {"status": 600},
        {"gate": "a/b"},
        {"error": {"massage": "x"}},
        {"line_bytes": 0},
        {"reset_after_chunks": 1, "hang_after_chunks": 2},
        {"status": 500, "html": True},
        {"reset_before_headers": True, "hang_before_headers": True},
        {"reasoning_tokens": 5, "output_tokens": 4},
        {"content": "x", "output_tokens": 0},
        {"content": "x", "output_tokens": 5, "reasoning_tokens": 5},
        {"output_tokens": 1, "answer_tokens": 1},
        {"content": "x", "line_bytes": 3},
        {"job_gate": "a/b"},
        {"job_fails": True},
        {"job_refused": "maybe"},
        {"job_fails": "x", "job_refused": True},
        {"job_hangs": True, "job_lost": True},
        {"poll_status": 200},
        {"poll_failures": 2},
        {"download_failures": 2},
        {"poll_status": 500, "poll_failures": 0},
        {"picture_bytes": 0},
        {"not_a_picture": "gif"},
        {"not_a_picture": "html", "picture_bytes": 5},
        {"wrong_type": "text"},
        {"wrong_type": "text/html\r\nx: y"},
    ],
)
def test_wrong_names_values_and_contradictions_are_refused(script):
    with pytest.raises(ApiError) as refused:
        parse(**script)
    assert (refused.value.status, refused.value.param) == (400, "simulate")


def test_a_script_must_be_an_object():
    with pytest.raises(ApiError):
        parse_script(b"[]")


def test_a_null_usage_differs_from_no_usage_given():
    assert bytes(parse(usage=None).usage) == b"null"
    assert not isinstance(parse().usage, type(parse(usage=None).usage))


@pytest.mark.parametrize("name", ["reset", "hang", "truncate", "error_event"])
def test_the_fault_within_an_answer_is_named_with_its_place(name):
    assert parse(**{f"{name}_after_chunks": 0}).cut == (name, 0)
    assert NO_SCRIPT.cut is None
