"""Image tasks as the pages read them: the gallery of a group, and what one task points to.

Ids of tasks are version 7 UUIDs, as those of calls are: lists are ordered and cut by id, along the index of the group.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from accounts.models import Group
from billing.models import Price, Transfer
from billing.picture_pricing import charge_pictures
from billing.presentation import Page, page_by_id
from billing.pricing import Charge, PricingError
from gateway.images.offers import OFFERS
from gateway.models import CallRecord, Delivery, Model, Task
from gateway.task_models import TaskQuerySet

PAGE_TASKS = 24
# The choice of models comes from so many of the newest tasks.
RECENT_TASKS = 1000
DELIVERIES_MAX = 50
CANCELLED = "cancelled"


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks to list; an empty value does not restrict. `state`: as of `state_of`."""

    state: str = ""
    model: str = ""
    key_id: UUID | None = None
    action: str = ""


def state_of(task: Task) -> str:
    """The task's status, or `cancelled`: that a caller changed his mind is no failure."""
    return CANCELLED if task.error_code == CANCELLED else task.status


def find_tasks(group: Group, wanted: TaskFilter) -> TaskQuerySet:
    """The group's tasks that the filter lets through, newest first."""
    tasks = Task.objects.of_group(group)
    if wanted.state == CANCELLED:
        tasks = tasks.filter(status=Task.Status.FAILED, error_code=CANCELLED)
    elif wanted.state:
        tasks = tasks.filter(status=wanted.state).exclude(error_code=CANCELLED)
    if wanted.model:
        tasks = tasks.filter(model=wanted.model)
    if wanted.key_id:
        tasks = tasks.filter(api_key=wanted.key_id)
    if wanted.action:
        tasks = tasks.filter(action=wanted.action)
    return tasks


def read_page(
    tasks: TaskQuerySet, *, before: UUID | None = None, after: UUID | None = None
) -> Page[Task]:
    """A page of tasks with their pictures, as of `page_by_id`."""
    light = tasks.defer("trials", "events", "job").prefetch_related("pictures")
    return page_by_id(light, PAGE_TASKS, before=before, after=after)


def recent_models(group: Group) -> list[str]:
    """Models of the group's newest tasks, by name."""
    newest = Task.objects.of_group(group).values_list("model", flat=True)
    return sorted(set(newest[:RECENT_TASKS]))


def has_unfinished(tasks: Iterable[Task]) -> bool:
    """Whether any of them still changes by itself."""
    return not all(task.is_ended for task in tasks)


def example_model() -> str:
    """A model for the snippets that draws from a prompt: the shortest name of one that may be called; empty where there
    is none."""
    drawing = [name for name, offer in OFFERS.items() if "text_to_image" in offer.actions]
    models = list(Model.objects.filter(is_enabled=True, name__in=drawing))
    if not models:
        return ""
    model = min(models, key=lambda each: drawing.index(each.name))
    aliases: list[str] = model.aliases
    return min([model.name, *aliases], key=len)


class TaskRecords(NamedTuple):
    """What the ledger and the history know of a task. `record` is its call, None until the task has ended."""

    record: CallRecord | None
    refunds: list[Transfer]
    deliveries: list[Delivery]


def read_records(task: Task) -> TaskRecords:
    """The task's call and refunds, and the newest deliveries of its callback."""
    return TaskRecords(
        CallRecord.objects.filter(pk=task.pk, group=task.group_id).first(),
        list(Transfer.objects.filter(call_id=task.pk, kind=Transfer.Kind.REFUND)),
        list(
            Delivery.objects.filter(task=task.pk)
            .select_related("api_key")
            .order_by("-id")[:DELIVERIES_MAX]
        ),
    )


def quote(task: Task) -> Charge | None:
    """What the task costs if every picture comes, by the price it was made with; None where that price has gone."""
    price = Price.objects.prefetch_related("rates").filter(pk=task.price_id).first()
    if price is None:
        return None
    try:
        return charge_pictures(price.frozen(), task.count, task.price_key)
    except (PricingError, ValueError):
        return None


def task_of_call(call: CallRecord) -> Task | None:
    """The task that the call is of. None for calls of the API, and for requests that were refused before a task was."""
    if call.source != CallRecord.Source.TASK:
        return None
    return Task.objects.filter(pk=call.pk, group=call.group_id).first()
