"""What the pages read of image tasks."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.ids import first_id_at, uuid7
from accounts.key_services import issue_key
from accounts.models import APIKey
from billing.models import Account, Price, Transfer
from gateway.models import CallRecord, Delivery, Model, Picture, Task
from gateway.pages import task_history
from gateway.pages.task_history import TaskFilter, find_tasks, read_page, state_of
from tests.gateway.task_pictures import make_task
from tests.people import People

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def add_task(key: APIKey, number: int = 0, **fields: Any) -> Task:
    """A completed task that began so many seconds after NOW, `fields` being otherwise."""
    task = make_task(key)
    Task.objects.filter(pk=task.pk).delete()
    at = NOW + timedelta(seconds=number)
    task.pk = UUID(int=first_id_at(at).int | uuid4().int & (2**62 - 1))
    for name, value in ({"created_at": at, "error_code": ""} | fields).items():
        setattr(task, name, value)
    if task.status in ("pending", "processing"):
        task.ended_at = None
    task.save(force_insert=True)
    return task


def add_picture(task: Task, position: int = 0, **fields: Any) -> Picture:
    """A picture without a file."""
    return Picture.objects.create(
        **{
            "task": task, "position": position, "name": f"{task.pk}/{position}", "thumbnail": "t", "extension": "png",
            "content_type": "image/png", "width": 1024, "height": 768, "size_bytes": 9,
            "expires_at": task.created_at + timedelta(days=7),
        }
        | fields
    )  # fmt: skip


def test_tasks_are_newest_first_and_of_one_group_only(people: People, key: APIKey) -> None:
    older, newer = add_task(key), add_task(key, 5)
    foreign = issue_key(people.foreign_group, people.charlie, "his")[0]
    theirs = add_task(foreign, 9)
    assert list(find_tasks(people.group, TaskFilter())) == [newer, older]
    assert list(find_tasks(people.foreign_group, TaskFilter())) == [theirs]


def test_filters_combine(people: People, key: APIKey) -> None:
    other = issue_key(people.group, people.bob, "laptop")[0]
    wanted = add_task(key, status="failed", model="a/b", action="edit_image")
    add_task(key, 1, status="failed", model="a/b")
    add_task(key, 2, status="failed", action="edit_image")
    add_task(key, 3, model="a/b", action="edit_image")
    add_task(other, 4, status="failed", model="a/b", action="edit_image")
    found = find_tasks(
        people.group,
        TaskFilter(state="failed", model="a/b", key_id=key.pk, action="edit_image"),
    )
    assert list(found) == [wanted]


def test_a_cancelled_task_is_not_among_the_failed_ones(people: People, key: APIKey) -> None:
    failed = add_task(key, status="failed", error_code="content_refused")
    cancelled = add_task(key, 1, status="failed", error_code="cancelled")
    for state, task in (("failed", failed), ("cancelled", cancelled)):
        assert state_of(task) == state
        assert list(find_tasks(people.group, TaskFilter(state=state))) == [task]


def test_paging_meets_every_task_once_in_both_directions(
    people: People, key: APIKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_history, "PAGE_TASKS", 4)
    everything = [add_task(key, number) for number in range(11)][::-1]
    tasks = find_tasks(people.group, TaskFilter())
    pages = [read_page(tasks)]
    while pages[-1].older:
        pages.append(read_page(tasks, before=pages[-1].older))
    assert [row for page in pages for row in page.rows] == everything
    assert [len(page.rows) for page in pages] == [4, 4, 3]
    assert pages[0].newer is None
    assert read_page(tasks, after=pages[2].newer).rows == pages[1].rows
    assert read_page(tasks, after=pages[1].newer).rows == pages[0].rows


def test_a_page_costs_the_same_queries_however_many_tasks_and_pictures(
    people: People, key: APIKey
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page = read_page(find_tasks(people.group, TaskFilter()))
            assert all([picture.width for picture in task.pictures.all()] for task in page.rows)
        return len(queries)

    add_picture(add_task(key))
    alone = count()
    for number in range(1, 8):
        task = add_task(key, number)
        for position in range(3):
            add_picture(task, position)
    assert alone == count() == 2


def test_the_page_is_read_from_the_index_of_the_group(people: People, key: APIKey) -> None:
    fields = fields_of(add_task(key))
    rows = [
        Task(
            **fields
            | {
                "id": UUID(int=first_id_at(NOW).int + number),
                "group_id": people.group.pk if number % 50 == 0 else people.foreign_group.pk,
            }
        )
        for number in range(3000)
    ]
    Task.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE gateway_task")
    plan = find_tasks(people.group, TaskFilter())[:25].explain()
    assert "gateway_task_of_group" in plan
    assert "Sort" not in plan


def fields_of(task: Task) -> dict[str, Any]:
    return {field.attname: getattr(task, field.attname) for field in Task._meta.concrete_fields}


def test_models_to_choose_from_are_those_asked_lately(people: People, key: APIKey) -> None:
    for number, model in enumerate(("b/two", "a/one", "b/two")):
        add_task(key, number, model=model)
    assert task_history.recent_models(people.group) == ["a/one", "b/two"]
    assert task_history.recent_models(people.foreign_group) == []


def test_whether_anything_is_unfinished(people: People, key: APIKey) -> None:
    done = add_task(key)
    assert not task_history.has_unfinished([done])
    assert task_history.has_unfinished([done, add_task(key, 1, status="processing")])


def test_what_is_known_of_a_task(people: People, key: APIKey) -> None:
    task, other = add_task(key), add_task(key, 1)
    assert task_history.read_records(task) == (None, [], [])
    for one in (task, other):
        CallRecord.objects.create(
            id=one.pk, organization_id=one.organization_id, group_id=one.group_id, api_key_id=one.api_key_id,
            source="task", status="completed", created_at=NOW,
        )  # fmt: skip
    sent = Delivery.objects.create(group=key.group, api_key=key, task=task, url="https://a.example")
    Delivery.objects.create(group=key.group, api_key=key, task=other, url="https://b.example")
    refund = refund_of(task, people)
    records = task_history.read_records(task)
    assert records.record is not None
    assert records.record.pk == task.pk
    assert (records.refunds, records.deliveries) == ([refund], [sent])


def refund_of(task: Task, people: People) -> Transfer:
    """A cent that went back."""
    wallet = Account.objects.wallet_of(people.group)
    revenue = Account.objects.get(organization=people.organization, group=None, kind="revenue")
    return Transfer.objects.create(
        id=uuid7(), kind="refund", debit_account=revenue, credit_account=wallet, amount_nanos=10_000_000,
        call_id=task.pk, reason="a blurred picture", created_at=NOW, actor_id=people.olga.pk,
    )  # fmt: skip


def test_a_task_is_found_by_its_call_in_its_own_group_only(people: People, key: APIKey) -> None:
    task = add_task(key)
    call = CallRecord(id=task.pk, group=people.group, source="task")
    assert task_history.task_of_call(call) == task
    call.source = "api"
    assert task_history.task_of_call(call) is None
    call.source, call.group = "task", people.foreign_group
    assert task_history.task_of_call(call) is None


def test_the_quote_is_of_the_price_that_the_task_was_made_with(
    price_book: None, people: People, key: APIKey
) -> None:
    price = Price.objects.filter(model="openai/gpt-image-2").latest("effective_from")
    task = add_task(key, price_id=price.pk, price_key="2k", count=4)
    charge = task_history.quote(task)
    assert charge is not None
    assert (charge.list_nanos, charge.amount_nanos) == (800_000_000, 400_000_000)
    task.price_key = "16k"
    assert task_history.quote(task) is None, "no such rate"
    task.price_id = 0
    assert task_history.quote(task) is None, "no such price"


def test_the_example_is_a_model_that_can_draw(price_book: None, people: People) -> None:
    assert task_history.example_model() == "gpt-image-2"
    Model.objects.filter(provider__slug="openai").update(is_enabled=False)
    assert task_history.example_model() == "flux-kontext-pro"
    Model.objects.update(is_enabled=False)
    assert task_history.example_model() == ""
