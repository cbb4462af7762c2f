"""Which channels can make the pictures of a task, what is ordered there, and the drivers that do it."""

import functools
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import httpx
from django.conf import settings

from gateway import catalog, outbound
from gateway.credentials import BadCredential, unseal
from gateway.images.offers import OFFERS
from gateway.images.sizes import nearest_ratio, parse_size, pixel_size
from gateway.images.vendors import DRIVERS
from gateway.images.vendors.base import Access, Driver, Limits, Order
from gateway.images.vendors.http import make_client, make_fetch
from gateway.models import Channel, Model
from gateway.routing import order_channels
from gateway.task_queue import Claim, Trial
from gateway.task_sources import Sources

logger = logging.getLogger(__name__)

DOWNLOAD_TIMEOUT_S = 60.0


class Serving(NamedTuple):
    """A model and the channels that serve it; those switched off are not to be tried, but may still have a job."""

    model: catalog.Model
    enabled: tuple[catalog.Channel, ...]
    disabled: tuple[catalog.Channel, ...] = ()

    def find(self, label: str) -> catalog.Channel | None:
        """The channel of that label."""
        return next((c for c in (*self.enabled, *self.disabled) if c.label == label), None)

    def choose(self, trials: Sequence[Trial]) -> tuple[catalog.Channel | None, int]:
        """The channel to try next, and how often all of them have been tried: one that has had fewer trials than others
        first, then as for any call. None: there is no channel, or each has failed for good."""
        tried = Counter(trial.channel for trial in trials)
        out = {trial.channel for trial in trials if trial.is_final}
        left = tuple(channel for channel in self.enabled if channel.label not in out)
        ordered = order_channels(left, random.SystemRandom())
        if not ordered:
            return None, 0
        chosen = min(ordered, key=lambda channel: tried[channel.label])
        return chosen, tried[chosen.label]


def find_channels(name: str) -> Serving:
    """The channels that serve a model and whose dialect draws."""
    row = Model.objects.get(name=name)
    model = catalog.Model(
        name=row.name, provider=row.provider_id, upstream_name=row.upstream_name, mode=row.mode
    )
    enabled: list[catalog.Channel] = []
    disabled: list[catalog.Channel] = []
    for channel in Channel.objects.select_related("provider").order_by("priority", "id"):
        opened = _open(channel) if channel.provider.dialect in DRIVERS else None
        if opened is not None:
            (enabled if channel.is_enabled else disabled).append(opened)
    return Serving(model, _serving(model, enabled), _serving(model, disabled))


def make_driver(channel: catalog.Channel, left_s: float) -> Driver:
    """What speaks to the channel's vendor; no download of a picture lasts longer than `left_s`."""
    timeout_s = min(DOWNLOAD_TIMEOUT_S, max(left_s, 0.0))
    limits = Limits(picture_bytes_max=settings.PICTURE_BYTES_MAX)
    access = Access(
        base_url=channel.base_url,
        credential=channel.credential,
        client=_client(),
        fetch=make_fetch(channel.base_url, outbound.Limits(limits.picture_bytes_max, timeout_s)),
        limits=limits,
    )
    return DRIVERS[channel.dialect](access)


def make_order(
    claim: Claim, sources: Sources, upstream_name: str, trial: Trial, left_s: float
) -> Order:
    """What is sent for the trial. The provider gets the trial's id: its log and ours can be compared."""
    request, offer = claim.request, OFFERS.get(claim.model)
    size = parse_size(request.size) if request.size else None
    if size is None and request.output_resolution:
        size = pixel_size(request.output_resolution, _ratio_of(claim, sources))
    return Order(
        request=request,
        model=upstream_name,
        size=size,
        quality=request.quality or (offer.quality if offer else ""),
        sources=sources.pictures,
        mask=sources.mask,
        call_id=trial.id,
        idempotency_key=trial.id,
        deadline=time.time() + left_s,
    )


def _ratio_of(claim: Claim, sources: Sources) -> str:
    """The ratio asked for. Beyond 1k no vendor chooses by itself: there `auto` is that of the first source."""
    request, offer = claim.request, OFFERS.get(claim.model)
    ratio = request.aspect_ratio or "auto"
    if ratio != "auto" or request.output_resolution == "1k" or not sources.pictures or not offer:
        return ratio
    first = sources.pictures[0]
    return nearest_ratio(first.width, first.height, offer.ratios)


def _serving(
    model: catalog.Model, channels: Sequence[catalog.Channel]
) -> tuple[catalog.Channel, ...]:
    return catalog.channels_by_model([model], channels).get(model.name, ())


def _open(row: Channel) -> catalog.Channel | None:
    owner = f"{row.provider_id}:{row.name}"
    try:
        credential = unseal(bytes(row.credential), settings.CREDENTIAL_KEYS, owner)
    except BadCredential:
        logger.error("the credential of channel %s does not open: it is left out", owner)
        return None
    return catalog.Channel(
        id=row.pk,
        provider=row.provider_id,
        dialect=row.provider.dialect,
        name=row.name,
        base_url=row.base_url,
        credential=credential,
        priority=row.priority,
        weight=row.weight,
        model_map=row.model_map,
    )


@functools.cache
def _client() -> httpx.Client:
    return make_client()
