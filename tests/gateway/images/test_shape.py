"""A task as callers see it, and the ids in it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from gateway.images.shape import (
    PictureView,
    TaskView,
    parse_file_id,
    parse_message_id,
    parse_task_id,
    public_file_id,
    public_message_id,
    public_task_id,
    task_as_object,
)

ID = UUID("0193e4b8aa007000800000000000000a")
CREATED = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
IDS = [
    ("tsk_", public_task_id, parse_task_id),
    ("file_", public_file_id, parse_file_id),
    ("msg_", public_message_id, parse_message_id),
]


def task(**changes: Any) -> TaskView:
    fields: dict[str, Any] = {
        "id": ID,
        "requested_model": "gpt-image-2",
        "action": "text_to_image",
        "status": "pending",
        "progress": 0,
        "created_at": CREATED,
        "updated_at": CREATED + timedelta(seconds=2),
        "hold_nanos": 100_000_000,
    }
    return TaskView(**{**fields, **changes})


@pytest.mark.parametrize(("status", "progress"), [("pending", 0), ("processing", 40)])
def test_a_task_that_is_not_done_shows_how_it_stands_and_no_bill(
    status: str, progress: int
) -> None:
    assert task_as_object(task(status=status, progress=progress)) == {
        "task_id": f"tsk_{ID.hex}",
        "id": f"tsk_{ID.hex}",
        "object": "task",
        "status": status,
        "model": "gpt-image-2",
        "action": "text_to_image",
        "progress": progress,
        "created_at": "2026-11-21T10:00:00+00:00",
        "updated_at": "2026-11-21T10:00:02+00:00",
    }


def test_a_completed_task_shows_its_pictures_and_its_bill() -> None:
    picture = PictureView(
        url="https://images.example/pictures/1",
        expires_at=CREATED + timedelta(days=7),
        width=1728,
        height=2304,
        content_type="image/png",
    )
    shown = task_as_object(
        task(status="completed", progress=100, amount_nanos=100_000_000, pictures=(picture,))
    )
    assert shown["images"] == [
        {
            "url": "https://images.example/pictures/1",
            "expires_at": "2026-11-28T10:00:00+00:00",
            "width": 1728,
            "height": 2304,
            "content_type": "image/png",
        }
    ]
    assert shown["billing"] == {
        "reserved": "0.10",
        "charged": "0.10",
        "refunded": "0.00",
        "currency": "USD",
    }
    assert "error" not in shown


def test_a_task_that_delivered_less_shows_what_came_back() -> None:
    shown = task_as_object(task(status="completed", hold_nanos=300_000_000, amount_nanos=123_456))
    assert shown["billing"]["reserved"] == "0.30"
    assert shown["billing"]["charged"] == "0.000123456"
    assert shown["billing"]["refunded"] == "0.299876544"


def test_a_failed_task_shows_why_and_that_nothing_was_charged() -> None:
    shown = task_as_object(
        task(status="failed", error_code="content_refused", error_message="The provider refused.")
    )
    assert shown["error"] == {"code": "content_refused", "message": "The provider refused."}
    assert shown["billing"] == {
        "reserved": "0.10",
        "charged": "0.00",
        "refunded": "0.10",
        "currency": "USD",
    }
    assert "images" not in shown


def test_times_are_shown_in_utc() -> None:
    seoul = CREATED.astimezone(timezone(timedelta(hours=9)))
    assert task_as_object(task(created_at=seoul))["created_at"] == "2026-11-21T10:00:00+00:00"


@pytest.mark.parametrize(("prefix", "public", "parse"), IDS)
def test_an_id_is_read_back(
    prefix: str, public: Callable[[UUID], str], parse: Callable[[str], UUID | None]
) -> None:
    assert public(ID) == prefix + ID.hex
    assert parse(public(ID)) == ID


@pytest.mark.parametrize(("prefix", "public", "parse"), IDS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{p}",
        "{h}",
        "{p}{p}{h}",
        "x{p}{h}",
        "{p}{h}\n",
        "{p}{h}0",
        "{p}{H}",
        "{p}{d}",
        "{P}{h}",
        "call_{h}",
    ],
)
def test_any_other_text_is_no_id(
    text: str, prefix: str, public: Callable[[UUID], str], parse: Callable[[str], UUID | None]
) -> None:
    given = text.format(p=prefix, P=prefix.upper(), h=ID.hex, H=ID.hex.upper(), d=ID)
    assert parse(given) is None


def test_an_id_of_one_kind_is_none_of_another() -> None:
    assert parse_task_id(public_file_id(ID)) is None
    assert parse_file_id(public_message_id(ID)) is None
    assert parse_message_id(public_task_id(ID)) is None
