"""What a group has, what became of it, and what it had at any time. Also what the pool of an organization had."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from accounts.ids import CLOCK_SKEW
from accounts.models import Group
from accounts.spreadsheets import stream_csv
from accounts.views import MemberRequest, find_group, signed_in
from billing.closings import balance_at, spent_between
from billing.models import Account
from billing.pages.organizations import find_organization
from billing.presentation import (
    Page,
    exact_usd,
    fraction_digits,
    group_frame,
    month_start,
    parse_cursor,
)
from billing.promotions import read_promotions
from billing.runway import read_runway
from billing.transfer_forms import BalanceAtForm, TransferFilterForm, encode_query
from billing.transfers import (
    DayRow,
    TransferFilter,
    TransferRow,
    cursor_at,
    iterate_transfers,
    read_transfers,
)

SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
BALANCE_ID = "balance-at"
FILTERS = ("kind", "direction", "person", "period", "least", "search")
CSV_HEADER = (
    "time", "kind", "change_usd", "change_nanos", "calls", "from_or_to", "reason", "by", "call_id", "transfer_id",
)  # fmt: skip


@require_safe
@signed_in
def credits(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """What a group has, and the transfers of its wallet with filters that stand in the URL.

    `?transfer=<id>` shows the page that begins with that transfer; `?at=` the balance as of then.
    """
    group = find_group(request, group_id)
    frame = group_frame(request.user, group)
    wallet: Account = frame["wallet"]
    if request.htmx and request.htmx.target == BALANCE_ID:
        context = frame | _balance_at(request, wallet)
        return render(request, "billing/credits.html#balance", context)
    form = TransferFilterForm(request.GET, wallet)
    wanted = _wanted(form)
    context = frame | _summary(wallet) | _balance_at(request, wallet)
    context |= {"tab": "credits", "form": form, "filter_fields": [form[name] for name in FILTERS]}
    context |= _transfers(request, wallet, wanted)
    context["filtered"] = bool(wanted and wanted.is_restricting) or bool(form.errors)
    response = render(request, "billing/credits.html", context)
    if request.htmx and not request.htmx.boosted:
        query = encode_query(form.query())
        push_url(response, request.path + (f"?{query}" if query else ""))
    return response


@require_safe
@signed_in
def transfers_csv(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """The transfers that the filters let through, as CSV, newest first."""
    group = find_group(request, group_id)
    wallet = Account.objects.wallet_of(group)
    wanted = _wanted(TransferFilterForm(request.GET, wallet)) or TransferFilter()
    return _csv(group, wallet, wanted)


@require_safe
@signed_in
def pool_balance(request: MemberRequest, organization_id: UUID) -> HttpResponse:
    """The balance of the organization's pool at any time."""
    organization = find_organization(request, organization_id)
    pool = Account.objects.pool_of(organization)
    context = {
        "organization": organization,
        "organization_page": True,
        "tab": "groups",
        "pool": pool,
    } | _balance_at(request, pool)
    part = "#balance" if request.htmx and request.htmx.target == BALANCE_ID else ""
    return render(request, f"billing/pool_balance.html{part}", context)


def _wanted(form: TransferFilterForm) -> TransferFilter | None:
    """None: the filters make no sense, and nothing is listed."""
    if not form.is_valid():
        return None
    now = timezone.now()
    return form.wanted({name: now - span for name, span in SPANS.items()})


def _summary(wallet: Account) -> dict[str, Any]:
    now = timezone.now()
    promotions = read_promotions(wallet)
    return {
        "runway": read_runway(wallet, now),
        "month": spent_between(wallet, month_start(now), now + CLOCK_SKEW),
        "promotions": promotions,
        "promotions_fraction": fraction_digits(
            nanos
            for one in promotions
            for nanos in (one.amount_nanos, one.spent_nanos, one.remaining_nanos)
        ),
    }


def _balance_at(request: HttpRequest, account: Account) -> dict[str, Any]:
    """The form, and what it asks for: `then_nanos`, None before anybody asked."""
    asked = request.GET.get("at")
    form = BalanceAtForm({"at": asked} if asked is not None else None)
    then = form.cleaned_data["at"] if form.is_bound and form.is_valid() else None
    return {
        "balance_form": form,
        "then": then,
        "then_nanos": balance_at(account, then) if then else None,
        "is_future": then is not None and then > timezone.now(),
        "now_text": timezone.localtime().strftime("%Y-%m-%dT%H:%M"),
    }


def _transfers(
    request: HttpRequest, wallet: Account, wanted: TransferFilter | None
) -> dict[str, Any]:
    before, after = (parse_cursor(request.GET.get(name)) for name in ("before", "after"))
    found: UUID | None = None
    asked = request.GET.get("transfer")
    if asked is not None:
        found = parse_cursor(asked)
        before, after = cursor_at(wallet, found) if found else None, None
        found = found if before else None
        wanted = TransferFilter()
    page: Page[TransferRow | DayRow] = Page([], None, None)
    if wanted is not None:
        page = read_transfers(wallet, wanted, before=before, after=after)
    return {
        "page": page,
        "found": found,
        "is_missing": asked is not None and found is None,
        "fraction": fraction_digits(row.change_nanos for row in page.rows),
    }


def _csv(group: Group, wallet: Account, wanted: TransferFilter) -> HttpResponse:
    name = f"transfers-{group.pk.hex[:8]}-{timezone.now():%Y-%m-%d}.csv"
    return cast("HttpResponse", stream_csv(name, CSV_HEADER, _csv_rows(wallet, wanted)))


def _csv_rows(wallet: Account, wanted: TransferFilter) -> Iterator[tuple[object, ...]]:
    for row in iterate_transfers(wallet, wanted):
        change = exact_usd(row.change_nanos)
        if isinstance(row, DayRow):
            yield (row.day, "capture", change, row.change_nanos, row.calls, "", "", "", "", "")
            continue
        one = row.transfer
        calls = 1 if row.call_id and one.kind == "capture" else None
        yield (
            one.created_at, one.kind, change, row.change_nanos, calls, row.counterparty, one.reason, row.actor,
            row.call_id, one.pk,
        )  # fmt: skip
