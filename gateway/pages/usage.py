"""What a group used in a month."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import APIKey
from accounts.views import MemberRequest, find_group, signed_in
from billing.presentation import fraction_digits, group_frame, month_start
from gateway.pages import charts, history
from gateway.pages.forms import MonthForm


@require_safe
@signed_in
def usage(request: MemberRequest, group_id: UUID) -> HttpResponse:
    """A month of the group: what it spent on which days, models and keys."""
    found = find_group(request, group_id)
    this_month = month_start()
    first = MonthForm(request.GET).first_day() or this_month
    last = charts.month_after(first, 1)
    used = history.read_usage(found, first, last)
    names = dict(APIKey.objects.filter(group=found).values_list("pk", "name"))
    chart = charts.draw_month(used, first, last)
    context = group_frame(request.user, found) | {
        "tab": "usage",
        "total": used.total,
        "saved_nanos": used.total.list_nanos - used.total.amount_nanos,
        "chart": chart,
        "day_rows": charts.tabulate_days(chart) if chart else [],
        "models": [{"name": name, "value": name, "sums": sums} for name, sums in used.models],
        "keys": [
            {"name": names.get(key_id, ""), "value": key_id, "sums": sums}
            for key_id, sums in used.keys
        ],
        "models_fraction": fraction_digits(sums.amount_nanos for _name, sums in used.models),
        "keys_fraction": fraction_digits(sums.amount_nanos for _key, sums in used.keys),
        "month": charts.month_name(first),
        "month_before": charts.month_after(first, -1),
        "month_after": last if last <= this_month else None,
    }
    return render(request, "gateway/usage.html", context)
