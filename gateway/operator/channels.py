"""Providers and channels: how they do, and everything that an operator changes about them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import BaseForm, Form
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.reauthentication import recently_authenticated
from accounts.views import MemberRequest
from gateway.channels import Change
from gateway.models import Channel, ChannelCost, Model, Provider
from gateway.operator import channel_forms as forms
from gateway.operator import channel_services as services
from gateway.operator.access import operator_only
from gateway.operator.channel_tests import Tested, testable_models, try_channel
from gateway.operator.costs import costs_at
from gateway.operator.fields import percent_text
from gateway.operator.health import Health, Healths, read_healths
from gateway.provisioning import channel_label, fingerprint

FRAME = {"operator_page": True, "tab": "channels"}
BLANK_ROWS = 2
MORE_ROWS = 5


class ChannelRow(NamedTuple):
    """A channel in the list; `cost_bps` is what it costs now."""

    channel: Channel
    health: Health
    cost_bps: int


@require_safe
@operator_only
def channels(request: MemberRequest) -> HttpResponse:
    """Every provider with its channels and their health."""
    healths = read_healths()
    costs = costs_at(timezone.now())
    rows: dict[str, list[ChannelRow]] = {}
    for channel in Channel.objects.order_by("-is_enabled", "priority", "name"):
        row = ChannelRow(channel, healths.of(channel_label(channel)), costs.of(channel.pk))
        rows.setdefault(channel.provider_id, []).append(row)
    providers = [(one, rows.get(one.pk, [])) for one in Provider.objects.order_by("name")]
    context = FRAME | {
        "providers": [pair for pair in providers if pair[1]],
        "unused": [provider for provider, of_it in providers if not of_it],
        "healths": healths,
    }
    return render(request, "operator/channels.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_only
@recently_authenticated(on_get=True)
def new_provider(request: MemberRequest) -> HttpResponse:
    """A vendor that is not among the known ones."""
    form = forms.ProviderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        provider = services.add_provider(request.user, form.save(commit=False))
        messages.success(request, _("“%(name)s” is added.") % {"name": provider.name})
        return redirect(f"{reverse('operator_channel_new')}?provider={provider.pk}")
    context = FRAME | {"form": form}
    return render(
        request, "operator/provider_new.html", context, status=422 if form.errors else 200
    )


@sensitive_post_parameters("credential")
@require_http_methods(["GET", "HEAD", "POST"])
@operator_only
@recently_authenticated(on_get=True)
def new_channel(request: MemberRequest) -> HttpResponse:
    """A channel for one of the providers."""
    provider = Provider.objects.filter(pk=request.GET.get("provider", "")).first()
    start = {"provider": provider, "base_url": provider.base_url if provider else ""}
    form = forms.NewChannelForm(request.POST or None, initial=start)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            made = services.add_channel(
                request.user, form.save(commit=False), values["credential"], values["cost_bps"]
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(
                request, _("The channel “%(name)s” is there. Test it.") % {"name": made.name}
            )
            return redirect("operator_channel", made.pk)
    context = FRAME | {"form": form, "provider": provider}
    return render(request, "operator/channel_new.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_only
@recently_authenticated
def channel(request: MemberRequest, channel_id: int) -> HttpResponse:
    """One channel. POST changes its address and its place."""
    found = _find(channel_id)
    if request.method != "POST":
        return _show(request, found)
    form = forms.PlaceForm(request.POST, instance=_find(channel_id))
    if form.is_valid():
        values = form.cleaned_data
        change = Change(values["base_url"], values["priority"], values["weight"])
        services.change_channel(request.user, found.pk, change)
        return _done(request, found, _("Saved. Gateways follow within a second."))
    return _show(request, found, place=form)


@sensitive_post_parameters("credential")
@sensitive_variables("form")
@require_POST
@operator_only
@recently_authenticated
def rotate_credential(request: MemberRequest, channel_id: int) -> HttpResponse:
    """Another credential for the channel."""
    found = _find(channel_id)
    form = forms.CredentialForm(request.POST)
    if form.is_valid() and _tried(
        form,
        lambda: services.rotate_credential(request.user, found.pk, form.cleaned_data["credential"]),
        "credential",
    ):
        return _done(request, found, _("The new credential is in use within a second."))
    return _show(request, found, secret=form)


@require_POST
@operator_only
@recently_authenticated
def switch_channel(request: MemberRequest, channel_id: int) -> HttpResponse:
    """Take the channel out of routing, or put it back: `is_enabled` is 1 or 0."""
    found = _find(channel_id)
    is_enabled = request.POST.get("is_enabled") == "1"
    services.switch_channel(request.user, found.pk, is_enabled=is_enabled)
    said = _("Calls go through “%(name)s” again.") if is_enabled else _("“%(name)s” is disabled.")
    return _done(request, found, said % {"name": found.name})


@require_POST
@operator_only
@recently_authenticated
def delete_channel(request: MemberRequest, channel_id: int) -> HttpResponse:
    """Remove a channel that never took a call."""
    found = _find(channel_id)
    try:
        services.delete_channel(request.user, found.pk)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("operator_channel", found.pk)
    messages.success(request, _("“%(name)s” is deleted.") % {"name": found.name})
    return redirect("operator_channels")


@require_POST
@operator_only
@recently_authenticated
def map_models(request: MemberRequest, channel_id: int) -> HttpResponse:
    """Which models the channel serves and what they are called there. `step=more` answers with more rows."""
    found = _find(channel_id)
    if request.POST.get("step") == "more":
        return _show(request, found, rows=_more_rows(request, found))
    rows = forms.map_rows(request.POST, found, 0)
    if rows.is_valid():
        services.change_channel(request.user, found.pk, Change(model_map=rows.model_map))
        return _done(request, found, _("Saved. Gateways follow within a second."))
    return _show(request, found, rows=rows)


def _more_rows(request: MemberRequest, channel: Channel) -> forms.MapFormSet:
    data = request.POST.copy()
    total = data.get("map-TOTAL_FORMS", "")
    data["map-TOTAL_FORMS"] = str(min(int(total) if total.isdigit() else 0, 990) + MORE_ROWS)
    return forms.map_rows(data, channel, 0)


@require_POST
@operator_only
@recently_authenticated
def set_cost(request: MemberRequest, channel_id: int) -> HttpResponse:
    """From when on the channel costs which share of list price."""
    found = _find(channel_id)
    form = forms.CostForm(request.POST)
    if form.is_valid():
        values = form.cleaned_data
        if _tried(
            form,
            lambda: services.set_cost(
                request.user, found.pk, values["cost_bps"], values["effective_from"]
            ),
        ):
            return _done(request, found, _("The cost is set."))
    return _show(request, found, cost=form)


@require_POST
@operator_only
@recently_authenticated
def test_channel(request: MemberRequest, channel_id: int) -> HttpResponse:
    """A real request through the channel, and what came of it."""
    found = _find(channel_id)
    models = testable_models(found)
    form = forms.TestForm(request.POST, models)
    if not form.is_valid():
        return _show(request, found, test=form)
    model = next((one for one in models if one.name == form.cleaned_data["model"]), None)
    try:
        services.count_test(request.user, found, model.name if model else "")
    except services.TooManyTests:
        form.add_error(None, _("That was a lot of tests for one minute. Please wait a little."))
        return _show(request, found, test=form)
    tested = try_channel(found, model)
    if request.htmx:
        return render(request, "operator/channel.html#result", {"tested": tested, "channel": found})
    return _show(request, found, tested=tested, test=form)


def _find(channel_id: int) -> Channel:
    found: QuerySet[Channel] = Channel.objects.select_related("provider")
    return get_object_or_404(found, pk=channel_id)


def _tried(form: Form, write: Callable[[], object], field: str | None = None) -> bool:
    """Whether the service took it; what it refused stands in the form, at the field if it names none itself."""
    try:
        write()
    except ValidationError as error:
        form.add_error(None if hasattr(error, "error_dict") else field, error)
        return False
    return True


def _done(request: MemberRequest, channel: Channel, said: str) -> HttpResponse:
    messages.success(request, said)
    return redirect("operator_channel", channel.pk)


def _show(
    request: MemberRequest,
    channel: Channel,
    *,
    tested: Tested | None = None,
    rows: forms.MapFormSet | None = None,
    **bound: BaseForm,
) -> HttpResponse:
    """The channel's page; what was refused stands in its form."""
    healths: Healths = read_healths()
    label = channel_label(channel)
    models = testable_models(channel)
    bps = costs_at(timezone.now()).of(channel.pk)
    context: dict[str, Any] = FRAME | {
        "channel": channel,
        "label": label,
        "fingerprint": fingerprint(channel),
        "healths": healths,
        "health": healths.of(label),
        "cost_bps": bps,
        "costs": list(ChannelCost.objects.filter(channel=channel)),
        "is_used": not channel.is_enabled and services.was_used(channel),
        "place_form": bound.get("place") or forms.PlaceForm(instance=channel),
        "secret_form": bound.get("secret") or forms.CredentialForm(),
        "cost_form": bound.get("cost") or forms.CostForm(initial={"cost_bps": percent_text(bps)}),
        "map_rows": rows or forms.map_rows(None, channel, BLANK_ROWS),
        "test_form": bound.get("test")
        or forms.TestForm(None, models, models[0].name if models else ""),
        "served": models,
        "all_models": Model.objects.values_list("name", flat=True),
        "tested": tested,
        "now": timezone.now(),
    }
    refused = any(form.errors for form in bound.values()) or (rows is not None and rows.is_bound)
    return render(request, "operator/channel.html", context, status=422 if refused else 200)
