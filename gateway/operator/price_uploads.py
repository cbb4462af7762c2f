"""A price book that an operator brings in: what it would change, and then the change."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import messages
from django.db import DataError, IntegrityError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts import trail
from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest
from billing.models import Price
from billing.price_book import ModelEntry, PriceBookError, PriceEntry, parse_price_book
from billing.wording import say_fault
from gateway.models import Model
from gateway.operator.access import operator_only
from gateway.operator.price_forms import BookForm
from gateway.operator.price_reading import ShownTable, shown_tables
from gateway.provisioning import describe_model, facts_of, load_price_book

FRAME = {"operator_page": True, "tab": "prices"}
# Too long, too large, or NUL: what is read as a book need not fit into the tables.
UNFIT = (DataError, IntegrityError, ValueError)


class PlannedPrice(NamedTuple):
    """A price of the book that is not booked yet. `is_late`: it has begun already, of a model that has prices."""

    price: PriceEntry
    tables: list[ShownTable]
    is_late: bool


class Planned(NamedTuple):
    """What the book would do to a model: nothing where it is neither new nor changed nor priced anew."""

    name: str
    is_new: bool
    before: dict[str, Any]
    after: dict[str, Any]
    prices: list[PlannedPrice]

    @property
    def does_something(self) -> bool:
        return bool(self.is_new or self.after or self.prices)

    @property
    def is_refused(self) -> bool:
        return any(one.is_late for one in self.prices)


class Plan(NamedTuple):
    """What the whole book would do."""

    models: list[Planned]
    unchanged: int

    @property
    def is_refused(self) -> bool:
        return any(model.is_refused for model in self.models)

    @property
    def digest(self) -> str:
        """Differs as soon as the plan does."""
        told = [
            (m.name, m.is_new, m.after, [(p.price, p.is_late) for p in m.prices])
            for m in self.models
        ]
        return hashlib.sha256(repr(told).encode()).hexdigest()


def parse_book(text: str) -> tuple[ModelEntry, ...]:
    """The entries of a book that came as text. Raises PriceBookError."""
    return parse_price_book(text.encode(), _("Price book"))


def plan_book(entries: Sequence[ModelEntry], now: datetime) -> Plan:
    """What `load_price_book` would do with the entries now."""
    names = [entry.name for entry in entries]
    known = Model.objects.in_bulk(names)
    booked: dict[str, set[datetime]] = {}
    rows = Price.objects.filter(model__in=names, group=None)
    for name, moment in rows.values_list("model", "effective_from"):
        booked.setdefault(name, set()).add(moment)
    planned = [
        _plan_model(entry, known.get(entry.name), booked.get(entry.name, set()), now)
        for entry in entries
    ]
    doing = [one for one in planned if one.does_something]
    return Plan(doing, len(planned) - len(doing))


def _plan_model(
    entry: ModelEntry, model: Model | None, booked: set[datetime], now: datetime
) -> Planned:
    prices = [
        PlannedPrice(
            price, shown_tables(price.tables), bool(booked) and price.effective_from <= now
        )
        for price in sorted(entry.prices, key=lambda price: price.effective_from)
        if price.effective_from not in booked
    ]
    if model is None:
        return Planned(entry.name, True, {}, {}, prices)
    facts = facts_of(entry)
    facts["retires_on"] = entry.retires_on.isoformat() if entry.retires_on else None
    before, after = trail.differences(describe_model(model), facts)
    return Planned(entry.name, False, before, after, prices)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_only
@recently_authenticated(on_get=True)
def import_book(request: MemberRequest) -> HttpResponse:
    """Upload, look at what it would do, bring it in. What is done is what was shown: else it is shown once more."""
    form = BookForm(request.POST, request.FILES) if request.method == "POST" else BookForm()
    plan = None
    if request.method == "POST" and form.is_valid():
        text = form.cleaned_data["text"]
        try:
            entries = parse_book(text)
            plan = plan_book(entries, timezone.now())
        except PriceBookError as error:
            form.add_error("file", say_fault(error))
        else:
            if form.cleaned_data["plan"] == plan.digest and not plan.is_refused:
                try:
                    return _bring_in(request, entries)
                except UNFIT:
                    form.add_error(
                        "file",
                        _("The book has a value that cannot be kept: too long or too large."),
                    )
    context = FRAME | {
        "form": form,
        "plan": plan,
        "text": form.cleaned_data.get("text", "") if plan else "",
    }
    refused = form.is_bound and bool(form.errors)
    return render(request, "operator/price_import.html", context, status=422 if refused else 200)


def _bring_in(request: MemberRequest, entries: Sequence[ModelEntry]) -> HttpResponse:
    loaded = load_price_book(entries, request.user)
    said = ngettext("%(count)d price is added.", "%(count)d prices are added.", loaded.prices) % {
        "count": loaded.prices
    }
    arrived = _("The price book is in.")
    messages.success(request, f"{arrived} {said}")
    return redirect("operator_prices")
