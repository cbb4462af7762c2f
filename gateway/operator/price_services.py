"""What operators do with models and prices; each is one change, with its lines in the audit trail."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import trail
from accounts.models import Group, User
from billing import models as money
from billing.picture_pricing import parse_bucket
from billing.price_book import PriceEntry
from billing.pricing import MissingRate, Price, RateTable, bound_nanos
from gateway.models import Model
from gateway.provisioning import book_price, describe_model

_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?")
_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9._/-]{1,120}")
# What a call of the mode needs a rate for: input and output tokens.
NEEDS = {"chat": (1000, 1000), "responses": (1000, 1000), "embedding": (1000, 0)}


class ModelFacts(NamedTuple):
    """What an operator may change of a model."""

    is_enabled: bool
    upstream_name: str
    aliases: Sequence[str]
    context_length: int | None
    max_completion_tokens: int | None
    retires_on: date | None


@transaction.atomic
def change_model(actor: User, name: str, facts: ModelFacts) -> Model:
    """Other facts of a model. Raises ValidationError."""
    model = Model.objects.select_for_update().get(pk=name)
    before = describe_model(model)
    _check_facts(name, facts)
    for field, value in facts._asdict().items():
        setattr(model, field, list(value) if field == "aliases" else value)
    model.full_clean(exclude=["aliases"])
    model.save()
    old, new = trail.differences(before, describe_model(model))
    if new:
        trail.record(actor, "model.changed", model, before=old, after=new)
    return model


def _check_facts(name: str, facts: ModelFacts) -> None:
    if not _UPSTREAM_NAME.fullmatch(facts.upstream_name):
        raise ValidationError({"upstream_name": _("This is not a model’s name.")})
    for alias in facts.aliases:
        if not _NAME.fullmatch(alias) or len(alias) > 120:
            raise ValidationError(
                {"aliases": _("“%(name)s” is not a model’s name.") % {"name": alias}}
            )
    if len(set(facts.aliases)) != len(facts.aliases):
        raise ValidationError({"aliases": _("A name stands here twice.")})
    # Names and aliases share one space, since a caller may use either. The lock is on one row only: two operators who
    # give two models the same alias in the same second are not worth a table lock.
    for other in Model.objects.exclude(pk=name):
        taken = {other.name, *other.aliases} & set(facts.aliases)
        if taken:
            raise ValidationError(
                {
                    "aliases": _("“%(name)s” is a name of %(model)s.")
                    % {"name": min(taken), "model": other.name}
                }
            )


@transaction.atomic
def add_price(actor: User, model: Model, group: Group | None, entry: PriceEntry) -> money.Price:
    """A new dated price of the model, of one group alone if one is given. Raises ValidationError.

    Prices are never edited: what was charged can be recomputed for ever.
    """
    if entry.effective_from <= timezone.now():
        raise ValidationError(
            {
                "effective_from": _(
                    "A price begins in the future: what has begun is charged already."
                )
            }
        )
    check_price(model, entry.tables)
    if len(entry.source) > 300:
        raise ValidationError({"source": _("At most 300 characters.")})
    booked, created = book_price(model.name, group, entry, actor)
    if not created:
        raise ValidationError(
            {
                "effective_from": _(
                    "There is a price from that moment already. Prices are never edited."
                )
            }
        )
    return booked


def check_price(model: Model, tables: Sequence[RateTable]) -> None:
    """Raise ValidationError for tables that the price book's loader would refuse, or that leave the model's calls
    without a price."""
    for table in tables:
        units = {keyed.unit for name in table.rates if (keyed := parse_bucket(name))}
        if len(units) > 1:
            raise ValidationError(_("Rates per image and per request do not go together."))
    try:
        price = Price(0, model.name, None, timezone.now(), tuple(tables))
    except ValueError as error:
        raise ValidationError(
            _("Each tier, and standard in any case, needs rates for calls of any length (above 0).")
        ) from error
    needs = NEEDS.get(model.mode)
    if needs is None:
        if not any(table.rates for table in tables):
            raise ValidationError(_("A price needs at least one rate."))
        return
    try:
        for tier in dict.fromkeys(table.tier for table in tables):
            bound_nanos(price, *needs, tier)
    except MissingRate as error:
        raise ValidationError(
            _("A model of this kind cannot be called without a rate for %(bucket)s.")
            % {"bucket": error.bucket}
        ) from error


def frozen_entry(entry: PriceEntry, model: Model, group: Group | None) -> Price:
    """The entry as the pricing functions take it, before it is booked."""
    group_id = str(group.pk) if group else None
    return Price(0, model.name, group_id, entry.effective_from, tuple(entry.tables))


def price_in_force(model: Model, group: Group | None, moment: datetime) -> money.Price | None:
    """The group's own price at the moment, else everybody's; None where there is none."""
    prices = money.Price.objects.filter(model=model.name).in_force(moment).prefetch_related("rates")
    by_group: dict[Any, money.Price] = {price.group_id: price for price in prices}
    own = by_group.get(group.pk) if group else None
    return own or by_group.get(None)
