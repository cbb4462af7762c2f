"""A group's image tasks: the gallery, and one task."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseLocation, push_url

from accounts.models import APIKey, Group
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import Page, group_frame, parse_cursor
from gateway import task_services
from gateway.images.shape import parse_task_id
from gateway.models import Delivery, Task
from gateway.pages import task_history, task_presentation
from gateway.pages.forms import encode_query
from gateway.pages.snippets import picture_tabs
from gateway.pages.task_forms import TaskFilterForm
from gateway.templatetags.deliveries import is_being_sent

GALLERY_ID = "gallery"
TASK_ID = "task"
# Between two looks for news, while something is unfinished and while nothing is.
BUSY_S, IDLE_S = 2, 5


def _find_task(group: Group, task_id: str) -> Task:
    parsed = parse_task_id(task_id)
    if parsed is None:
        raise Http404
    return get_object_or_404(Task.objects.of_group(group), pk=parsed)


@require_safe
@signed_in
def tasks(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The group's tasks as a gallery, newest first, with filters that stand in the URL.

    htmx asks here too: for the whole gallery when a filter changes, and every few seconds for the first page, answered
    with 204 while nothing that it shows has changed.
    """
    found = find_group(request, group_id)
    form = TaskFilterForm(request.GET, found)
    before, after = (parse_cursor(request.GET.get(name)) for name in ("before", "after"))
    page: Page[Task] = Page([], None, None)
    if form.is_valid():
        wanted = task_history.find_tasks(found, form.wanted())
        page = task_history.read_page(wanted, before=before, after=after)
    now = timezone.now()
    cards = [task_presentation.draw_card(task, now) for task in page.rows]
    seen = task_presentation.fingerprint(card.version for card in cards)
    polls = request.htmx and request.GET.get("seen") is not None
    if polls and request.GET["seen"] == seen:
        return HttpResponse(status=204)
    query = form.query()
    is_first = page.newer is None and before is None
    context = group_frame(request.user, found) | {
        "tab": "tasks",
        "form": form,
        "filter_fields": [form[name] for name in ("status", "action", "model", "key")],
        "query": query,
        "page": page,
        "cards": cards,
        "is_live": is_first and form.is_valid(),
        "is_first": is_first,
        "every_s": BUSY_S if task_history.has_unfinished(page.rows) else IDLE_S,
        "poll_query": encode_query(query | {"seen": seen}),
    }
    if not page.rows and not query and (model := task_history.example_model()):
        context["snippet_tabs"] = picture_tabs(request, model)
    if polls and request.htmx.target == GALLERY_ID:
        return render(request, "gateway/tasks.html#poll", context)
    response = render(request, "gateway/tasks.html", context)
    if request.htmx and not request.htmx.boosted and not polls:
        push_url(response, request.path + (f"?{encode_query(query)}" if query else ""))
    return response


@require_safe
@signed_in
def task(request: MemberRequest, group_id: UUID, task_id: str) -> HttpResponse:
    """One task. While it is unfinished, or its callback is, htmx asks here every few seconds for what has changed."""
    found = find_group(request, group_id)
    one = _find_task(found, task_id)
    now = timezone.now()
    records = task_history.read_records(one)
    pictures = task_presentation.show_pictures(one, one.pictures.all(), now)
    changing = (
        [(each.state, len(each.log), is_being_sent(each)) for each in records.deliveries],
        [each.is_gone for each in pictures],
        len(records.refunds),
        0 if one.is_ended else task_presentation.elapsed_s(one, now),
    )
    seen = task_presentation.task_version(one, changing)
    polls = request.htmx and request.htmx.target == TASK_ID
    if polls and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    delivers = any(each.state == Delivery.State.WAITING for each in records.deliveries)
    asked = task_presentation.request_of(one)
    context = group_frame(request.user, found) | {
        "tab": "tasks",
        "task": one,
        "asked": asked,
        "look": task_presentation.look_of(one),
        "reason": task_presentation.reason_of(one),
        "facts": task_presentation.list_facts(one, asked),
        "pictures": pictures,
        "steps": task_presentation.trace(one, for_operator=request.user.is_staff),
        "waited_ms": task_presentation.waited_ms(one),
        "ran_ms": task_presentation.ran_ms(one),
        "elapsed_s": task_presentation.elapsed_s(one, now),
        "quote": task_history.quote(one),
        "record": records.record,
        "refunds": records.refunds,
        "released_nanos": one.hold_nanos - one.amount_nanos if one.is_ended else 0,
        "deliveries": records.deliveries,
        "key": APIKey.objects.filter(pk=one.api_key_id).first(),
        "may_cancel": _may_cancel(request, found, one),
        "trials": one.trials if request.user.is_staff else [],
        "is_live": delivers or not one.is_ended,
        "every_s": IDLE_S if one.is_ended else BUSY_S,
        "poll_query": encode_query({"seen": seen}),
    }
    return render(request, "gateway/task.html#poll" if polls else "gateway/task.html", context)


def _may_cancel(request: MemberRequest, group: Group, task: Task) -> bool:
    """A manager may cancel every task of the group, a member those of his own keys; while it is pending."""
    if task.status != Task.Status.PENDING:
        return False
    return APIKey.objects.manageable_by(request.user, group).filter(pk=task.api_key_id).exists()


@require_POST
@signed_in
def cancel_task(request: MemberRequest, group_id: UUID, task_id: str) -> HttpResponse:
    """Give up a task that has not begun; what was reserved for it is released."""
    found = find_group(request, group_id)
    one = _find_task(found, task_id)
    get_object_or_404(APIKey.objects.manageable_by(request.user, found), pk=one.api_key_id)
    if task_services.cancel_task(one):
        messages.success(request, _("The task is cancelled: nothing is charged."))
    else:
        one.refresh_from_db(fields=["status"])
        messages.warning(
            request,
            _("The task had already ended.")
            if one.is_ended
            else _("The task had already begun, so it goes on."),
        )
    url = reverse("task", args=[found.pk, one.public_id])
    if request.htmx:
        return HttpResponseLocation(url, target="#main", select="#main", swap="outerHTML")
    return redirect(url)
