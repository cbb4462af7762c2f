"""Pages of calls: found, paged and bounded along the indexes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.key_services import issue_key
from accounts.models import APIKey, Group
from gateway.models import CallRecord
from gateway.pages import walks
from gateway.pages.history import CallFilter
from gateway.pages.walks import Cut, read_page
from tests.gateway.pages.dated_calls import NOW, record_at, record_many
from tests.people import People

HOUR = timedelta(hours=1)


def found(group: Group, **wanted: Any) -> list[CallRecord]:
    return read_page(group, CallFilter(**wanted), Cut(50)).rows


def statements(group: Group, wanted: CallFilter, cut: Cut) -> int:
    """How many slices the page took."""
    with CaptureQueriesContext(connection) as queries:
        read_page(group, wanted, cut)
    return sum("WITH walked" in query["sql"] for query in queries)


def test_calls_are_newest_first_and_of_one_group_only(people: People, key: APIKey) -> None:
    older, newer = record_at(key, NOW - HOUR), record_at(key, NOW)
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    record_at(foreign, NOW)
    assert found(people.group) == [newer, older]


def test_a_key_of_another_group_brings_none_of_its_calls(people: People, key: APIKey) -> None:
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    record_at(foreign, NOW)
    mine = record_at(key, NOW)
    assert found(people.group, key_ids=(foreign.pk, key.pk)) == [mine]


# Each value must be told apart from the one a plain call has.
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"source": "task"}, {"source": "task"}),
    ({"model": "a/b"}, {"model": "a/b"}),
    ({"status": "lost"}, {"statuses": ("lost",)}),
    ({"status": "lost"}, {"statuses": ("lost", "timed_out")}),
    ({"endpoint": "responses"}, {"endpoint": "responses"}),
    ({"stream": True}, {"stream": True}),
    ({"status": "refused", "error_code": "x"}, {"error_code": "x"}),
    ({"amount_nanos": 500}, {"charge_min_nanos": 500}),
    ({"duration_ms": 9000}, {"duration_min_ms": 9000}),
]


@pytest.mark.parametrize(("fields", "wanted"), CASES)
def test_each_filter_lets_through_what_fits_and_nothing_else(
    people: People, key: APIKey, fields: dict[str, Any], wanted: dict[str, Any]
) -> None:
    record_at(key, NOW)
    fits = record_at(key, NOW - HOUR, **fields)
    record_at(key, NOW - 2 * HOUR)
    assert found(people.group, **wanted) == [fits]


def test_the_opposite_of_streamed_is_a_filter_too(people: People, key: APIKey) -> None:
    record_at(key, NOW, stream=True)
    plain = record_at(key, NOW)
    assert found(people.group, stream=False) == [plain]


def test_several_statuses_with_completed_among_them(people: People, key: APIKey) -> None:
    calls = [record_at(key, NOW - index * HOUR, status=status) for index, status in enumerate(
        ("completed", "lost", "refused", "completed"))]  # fmt: skip
    assert found(people.group, statuses=("completed", "lost")) == [calls[0], calls[1], calls[3]]


def test_filters_combine(people: People, key: APIKey) -> None:
    other = issue_key(people.group, people.bob, "laptop")[0]
    fields = {"source": "task", "model": "a/b", "status": "timed_out", "error_code": "slow"}
    wanted = record_at(key, NOW, **fields)
    for name, plain in (
        ("source", "api"),
        ("model", "c/d"),
        ("status", "lost"),
        ("error_code", "y"),
    ):
        record_at(key, NOW, **fields | {name: plain})
    record_at(other, NOW, **fields)
    assert found(
        people.group,
        source="task",
        key_ids=(key.pk,),
        model="a/b",
        statuses=("timed_out",),
        error_code="slow",
    ) == [wanted]


def test_several_keys_are_merged_by_time(people: People, key: APIKey) -> None:
    other = issue_key(people.group, people.bob, "laptop")[0]
    third = issue_key(people.group, people.bob, "ci 2")[0]
    calls = [record_at((key, other, third)[index % 3], NOW - index * HOUR) for index in range(6)]
    assert found(people.group, key_ids=(key.pk, other.pk)) == [
        call for index, call in enumerate(calls) if index % 3 != 2
    ]
    assert found(people.group, key_ids=()) == []


def test_a_span_of_time_begins_inclusively_and_ends_exclusively(
    people: People, key: APIKey
) -> None:
    calls = [record_at(key, NOW + index * HOUR) for index in range(4)]
    assert found(people.group, since=NOW + HOUR, until=NOW + 3 * HOUR) == [calls[2], calls[1]]


def test_a_clock_that_is_minutes_off_hides_no_call(people: People, key: APIKey) -> None:
    call = record_at(key, NOW)
    CallRecord.objects.filter(pk=call.pk).update(created_at=NOW + timedelta(minutes=8))
    later = NOW + timedelta(minutes=5)
    assert found(people.group, since=later) == [call]
    assert found(people.group, until=later) == []


def test_the_beginning_of_an_id_finds_the_calls_that_have_it(people: People, key: APIKey) -> None:
    call, other = record_at(key, NOW), record_at(key, NOW + timedelta(days=3))
    assert found(people.group, id_digits=call.pk.hex[:8]) == [call]
    assert found(people.group, id_digits=other.pk.hex[:31]) == [other]
    assert found(people.group, id_digits=call.pk.hex) == [call]
    assert found(people.group, id_digits="0" * 8) == []
    assert found(people.group, id_digits="f" * 32) == []


PAGED = [
    CallFilter(),
    CallFilter(stream=True),
    CallFilter(statuses=("lost", "refused")),
    CallFilter(model="a/1", duration_min_ms=10),
]


@pytest.mark.parametrize("wanted", PAGED)
@pytest.mark.parametrize("first_slice", [3, 400])
def test_paging_meets_every_call_once_in_both_directions(
    people: People,
    key: APIKey,
    monkeypatch: pytest.MonkeyPatch,
    wanted: CallFilter,
    first_slice: int,
) -> None:
    monkeypatch.setattr(walks, "FIRST_SLICE", first_slice)
    statuses = ("completed", "lost", "refused")
    record_many(key, 60, lambda n: {
        "stream": n % 4 == 0, "status": statuses[n % 3], "model": f"a/{n % 2}", "duration_ms": n})  # fmt: skip
    everything = read_page(people.group, wanted, Cut(100, time_s=9)).rows
    assert len(everything) > 10
    pages = [read_page(people.group, wanted, Cut(4, time_s=9))]
    while pages[-1].older:
        pages.append(read_page(people.group, wanted, Cut(4, before=pages[-1].older, time_s=9)))
    assert [row for page in pages for row in page.rows] == everything
    assert pages[0].newer is None
    back = [pages[-1]]
    while back[-1].newer:
        back.append(read_page(people.group, wanted, Cut(4, after=back[-1].newer, time_s=9)))
    assert back[-1].rows == everything[:4], "what is left above a full page is the newest page"
    for page in back[1:-1]:
        assert len(page.rows) == 4
        assert page.older is not None


def test_a_search_for_rare_calls_stops_in_time_and_goes_on_from_there(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "FIRST_SLICE", 100)
    calls = record_many(key, 1000, lambda n: {"duration_ms": 7 if n in (20, 950) else 0})
    wanted = CallFilter(duration_min_ms=7)
    first = read_page(people.group, wanted, Cut(5, time_s=0))
    assert first.rows == [calls[20]]
    assert first.older == first.looked_back_to == calls[99].pk
    assert statements(people.group, wanted, Cut(5, time_s=0)) == 1
    second = read_page(people.group, wanted, Cut(5, before=first.older, time_s=9))
    assert second.rows == [calls[950]]
    assert (second.older, second.looked_back_to) == (None, None)


def test_a_search_that_looks_newer_stops_in_time_too(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "FIRST_SLICE", 100)
    calls = record_many(key, 1000, lambda n: {"duration_ms": 7 if n > 500 else 0})
    page = read_page(
        people.group, CallFilter(duration_min_ms=7), Cut(5, after=calls[505].pk, time_s=0)
    )
    assert page.rows == calls[501:505]


def test_the_rarest_condition_is_the_one_that_is_walked(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "FIRST_SLICE", 50)
    rare = issue_key(people.group, people.bob, "rare")[0]
    record_many(key, 2000, lambda n: {"model": "a/rare" if n == 1990 else "a/b"})
    last = record_at(rare, NOW - timedelta(days=1), model="a/b")
    assert statements(people.group, CallFilter(key_ids=(rare.pk,), model="a/b"), Cut(5)) == 2
    page = read_page(people.group, CallFilter(key_ids=(rare.pk,), model="a/b"), Cut(5, time_s=0))
    assert (page.rows, page.looked_back_to) == ([last], None), "along the key, not along the model"
    page = read_page(people.group, CallFilter(key_ids=(key.pk,), model="a/rare"), Cut(5, time_s=0))
    assert (len(page.rows), page.looked_back_to) == (1, None), "along the model, not along the key"


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (CallFilter(), "gateway_callrecord_of_group"),
        (CallFilter(stream=True), "gateway_callrecord_of_group"),
        (CallFilter(model="a/b"), "gateway_callrecord_of_model"),
        (CallFilter(statuses=("lost",)), "gateway_callrecord_of_status"),
        (CallFilter(error_code="x"), "gateway_callrecord_of_error"),
        (CallFilter(source="task"), "gateway_callrecord_of_tasks"),
        (CallFilter(key_ids=(UUID(int=1),)), "gateway_callrecord_of_key"),
    ],
)
def test_each_leg_is_read_from_its_index(
    people: People, key: APIKey, wanted: CallFilter, index: str
) -> None:
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    record_many(foreign, 5000)
    record_many(key, 200, lambda n: {"status": "lost" if n % 3 else "completed", "model": "a/b",
        "error_code": "x" if n % 3 else "", "source": "task" if n % 9 == 0 else "api"})  # fmt: skip
    with CaptureQueriesContext(connection) as queries:
        read_page(people.group, wanted, Cut(50))
    [walked] = [query["sql"] for query in queries if "WITH walked" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {walked}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert f"using {index} " in plan, plan
    assert "Seq Scan" not in plan, plan


def test_an_export_meets_every_call_once_in_slices(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walks, "EXPORT_ROWS", 10)
    monkeypatch.setattr(walks, "FIRST_SLICE", 10)
    calls = record_many(key, 95, lambda n: {"stream": n % 2 == 0})
    slices = list(walks.read_slices(people.group, CallFilter()))
    assert [call for rows in slices for call in rows] == calls
    assert max(map(len, slices)) == 10
    monkeypatch.setattr(walks, "EXPORT_STEP_S", 0)
    slices = list(walks.read_slices(people.group, CallFilter(duration_min_ms=1)))
    assert [len(rows) for rows in slices][:2] == [0, 0], "it says that it is still searching"
    streamed = [
        call for rows in walks.read_slices(people.group, CallFilter(stream=True)) for call in rows
    ]
    assert streamed == calls[::2]
