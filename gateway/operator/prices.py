"""Models and the price book: the list, a model with its history, and a new dated price with its effect shown first."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Group
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest
from billing.models import Price
from billing.price_book import BUCKETS, PriceEntry
from billing.pricing import Price as FrozenPrice
from gateway.models import Model, Provider
from gateway.operator import price_forms as forms
from gateway.operator import price_services as services
from gateway.operator.access import operator_only
from gateway.operator.costs import costs_at
from gateway.operator.fields import percent_text
from gateway.operator.price_effects import list_examples, read_effect
from gateway.operator.price_reading import (
    ModelRow,
    channels_of,
    list_models,
    main_rates,
    margin_of,
    read_history,
    shown_tables,
)

FRAME = {"operator_page": True, "tab": "prices"}
BLANK_ROWS, MORE_ROWS = 2, 6
GROUPS_LISTED = 300
JUMP = 10  # a price that is so many times the last one, or its share, is pointed out


@require_safe
@operator_only
def prices(request: MemberRequest) -> HttpResponse:
    """Every model with what it sells for."""
    providers = Provider.objects.filter(models__isnull=False).distinct().order_by("name")
    form = forms.BookFilterForm(request.GET, providers.values_list("slug", "name"))
    wanted = form.cleaned_data if form.is_valid() else {}
    everything = list_models()
    rows = _sorted(
        [row for row in everything if _matches(row, wanted)], wanted.get("sort") or "name"
    )
    context = FRAME | {
        "form": form,
        "rows": rows,
        "total": len(everything),
        "filtered": any(wanted.get(name) for name in ("q", "provider", "state")),
        "columns": _columns(request.GET, wanted.get("sort") or "name"),
    }
    return render(request, "operator/prices.html", context)


def _matches(row: ModelRow, wanted: dict[str, str]) -> bool:
    model, text = row.model, wanted.get("q", "").lower()
    if text and not any(text in name.lower() for name in (model.name, *model.aliases)):
        return False
    if wanted.get("provider") and model.provider_id != wanted["provider"]:
        return False
    states = {
        "callable": bool(model.is_enabled and row.price and row.channels),
        "unpriced": row.price is None,
        "unserved": not row.channels,
        "disabled": not model.is_enabled,
        "loss": bool(row.margin and row.margin.is_negative),
        "upcoming": row.upcoming is not None,
    }
    return states.get(wanted.get("state", ""), True)


def _sorted(rows: list[ModelRow], sort: str) -> list[ModelRow]:
    """By the column; rows without a value of it come last, whichever way."""
    keys: dict[str, Callable[[ModelRow], Any]] = {
        "name": lambda row: row.model.name,
        "list": lambda row: row.main_rates[0].list_nanos if row.main_rates else None,
        "price": lambda row: row.main_rates[0].sale_nanos if row.main_rates else None,
        "margin": lambda row: row.margin.low if row.margin else None,
        "since": lambda row: row.price.effective_from if row.price else None,
    }
    key = keys[sort.removeprefix("-")]
    known = [row for row in rows if key(row) is not None]
    known.sort(key=key, reverse=sort.startswith("-"))
    return known + [row for row in rows if key(row) is None]


def _columns(query: QueryDict, sort: str) -> dict[str, dict[str, str]]:
    """For the head of each column where it leads and how it is sorted now."""
    found = {}
    for name in forms.SORTS:
        asked = query.copy()
        asked["sort"] = f"-{name}" if sort == name else name
        state = {name: "ascending", f"-{name}": "descending"}.get(sort, "")
        found[name] = {"url": f"?{asked.urlencode()}", "state": state}
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@operator_only
@recently_authenticated
def model(request: MemberRequest, provider: str, name: str) -> HttpResponse:
    """A model with the history of its price. POST changes its facts."""
    found = _find(provider, name)
    form = forms.FactsForm(request.POST or None, instance=_find(provider, name))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_model(request.user, found.name, form.facts)
        except ValidationError as error:
            _refuse(form, error, {"aliases": "alias_text"})
        else:
            messages.success(request, _("Saved. Gateways follow within a second."))
            return redirect("operator_model", provider, name)
    now = timezone.now()
    history = read_history(found)
    current = next(
        (one.price for one in history if one.state == "current" and one.price.group_id is None),
        None,
    )
    serving = channels_of([found]).get(found.name, ())
    context = FRAME | {
        "model": found,
        "path": (provider, name),
        "form": form,
        "history": history,
        "current": current,
        "current_tables": shown_tables(current.frozen().tables) if current else [],
        "main_rates": main_rates(current),
        "margin": margin_of(current, serving, costs_at(now)),
        "serving": serving,
        "now": now,
    }
    return render(request, "operator/model.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_only
@recently_authenticated(on_get=True)
def new_price(request: MemberRequest, provider: str, name: str) -> HttpResponse:
    """A dated price, starting from the one in force: rates, then its effect, then it is booked.

    What is booked is what was shown: a price that was changed after its effect was shown is shown once more.
    """
    found = _find(provider, name)
    if request.method != "POST":
        return _ask(request, found, *_start(request, found))
    form = forms.PriceForm(request.POST)
    if request.POST.get("step") == "more":
        return _ask(request, found, form, _more_rows(request))
    rows = forms.rate_rows(request.POST, None, 0)
    if not (form.is_valid() and rows.is_valid()):
        return _ask(request, found, form, rows, is_refused=True)
    entry, group = forms.read_entry(form, rows), form.cleaned_data["group"]
    try:
        services.check_price(found, entry.tables)
        if entry.effective_from <= timezone.now():
            raise ValidationError({"effective_from": _("This has begun already.")})
        shown = _digest(entry, group)
        if request.POST.get("step") == "save" and form.cleaned_data["previewed"] == shown:
            services.add_price(request.user, found, group, entry)
            messages.success(request, _("The price is booked. It begins when it says."))
            return redirect("operator_model", provider, name)
    except ValidationError as error:
        _refuse(form, error, {})
        return _ask(request, found, form, rows, is_refused=True)
    effect = _effect(found, group, entry) | {"previewed": shown}
    return _ask(request, found, form, rows, **effect)


def _start(request: MemberRequest, model: Model) -> tuple[forms.PriceForm, forms.RateFormSet]:
    """The forms as they stand at first: the price in force, of the group that the address names, from tomorrow on."""
    group = _named_group(request)
    now = timezone.localtime()
    current = services.price_in_force(model, group, now)
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    start = {
        "effective_from": tomorrow,
        "sell_bps": percent_text(current.sell_bps if current else 5000),
        "source": current.source if current else "",
        "list_is_estimated": current.list_is_estimated if current else False,
        "group": f"{group.organization.name} / {group.name}" if group else "",
    }
    return forms.PriceForm(initial=start), forms.rate_rows(None, current, BLANK_ROWS)


def _named_group(request: MemberRequest) -> Group | None:
    try:
        named = UUID(request.GET.get("group", ""))
    except ValueError:
        return None
    return Group.objects.select_related("organization").filter(pk=named).first()


def _more_rows(request: MemberRequest) -> forms.RateFormSet:
    data = request.POST.copy()
    total = data.get("rate-TOTAL_FORMS", "")
    count = min(int(total) if total.isdigit() and len(total) < 6 else 0, forms.ROWS_MAX - MORE_ROWS)
    data["rate-TOTAL_FORMS"] = str(count + MORE_ROWS)
    for number in range(count, count + MORE_ROWS):
        data.setdefault(f"rate-{number}-tier", "standard")
    return forms.rate_rows(data, None, 0)


def _digest(entry: PriceEntry, group: Group | None) -> str:
    told = repr((entry, group.pk if group else None))
    return hashlib.sha256(told.encode()).hexdigest()


def _effect(model: Model, group: Group | None, entry: PriceEntry) -> dict[str, Any]:
    """What the page shows of the price before it is booked."""
    current = services.price_in_force(model, group, timezone.now())
    frozen: FrozenPrice = services.frozen_entry(entry, model, group)
    before = current.frozen() if current else None
    return {
        "effect": read_effect(model, group, frozen),
        "examples": list_examples(model, before, frozen),
        "new_tables": shown_tables(frozen.tables),
        "jumps": _jumps(current, entry),
        "entry": entry,
        "for_group": group,
    }


def _jumps(current: Price | None, entry: PriceEntry) -> list[str]:
    """Rates that are ten times what they were, or a tenth: a slipped decimal point looks like that."""
    if current is None:
        return []
    before = {(r.tier, r.above_input_tokens, r.bucket): r.list_nanos for r in current.rates.all()}
    found = []
    for table in entry.tables:
        for bucket, rate in table.rates.items():
            old = before.get((table.tier, table.above_input_tokens, bucket))
            if old and (rate.list_nanos >= old * JUMP or rate.list_nanos * JUMP <= old):
                found.append(bucket)
    return sorted(set(found))


def _ask(
    request: MemberRequest,
    model: Model,
    form: forms.PriceForm,
    rows: forms.RateFormSet,
    *,
    is_refused: bool = False,
    **effect: Any,
) -> HttpResponse:
    groups = Group.objects.select_related("organization").order_by("organization__name", "name")
    context = (
        FRAME
        | {
            "model": model,
            "path": tuple(model.name.split("/", 1)),
            "form": form,
            "rows": rows,
            "buckets": [bucket.name for bucket in BUCKETS],
            "groups": groups[:GROUPS_LISTED],
        }
        | effect
    )
    return render(request, "operator/price_new.html", context, status=422 if is_refused else 200)


def _find(provider: str, name: str) -> Model:
    models = Model.objects.select_related("provider")
    return get_object_or_404(models, pk=f"{provider}/{name}")


def _refuse(form: Any, error: ValidationError, renamed: dict[str, str]) -> None:
    """Put the error where it belongs: into its field, if the form has it."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for name, found in error.error_dict.items():
        field = renamed.get(name, name)
        form.add_error(field if field in form.fields else None, found)
