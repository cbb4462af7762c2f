"""GET /metrics, for Prometheus."""

import hmac
import ipaddress
from collections.abc import Iterable
from itertools import accumulate
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from billing.money import NANOS_PER_USD
from gateway.errors import Forbidden
from gateway.metrics.counting import METRICS, Histogram, Key, Totals
from gateway.services import Services
from gateway.wire import Wire

# Whoever adds one of these stands between us and the client.
PROXY_HEADERS = (b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded", b"via")


async def get_metrics(wire: Wire, services: Services) -> None:
    """What all gateway processes of this server counted, and what the database knows."""
    _check_reader(wire, services)
    totals = await services.board.read()
    totals.gauges |= await services.gauges.read()
    encode, content_type = choose_encoder((wire.header(b"accept") or b"").decode("latin-1"))
    await wire.send_text(encode(_Families(totals)), content_type)


def _check_reader(wire: Wire, services: Services) -> None:
    """Whoever has the token may read; where none is set, whoever asks from this machine. Behind a proxy everybody would
    seem to, so there it takes the token. Raises Forbidden."""
    token = services.configuration.metrics_token
    if token:
        scheme, _, given = (wire.header(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), token.encode()):
            raise Forbidden("This needs the token for metrics.", code="metrics_not_allowed")
        return
    proxied = services.configuration.trust_proxy or any(
        wire.header(name) is not None for name in PROXY_HEADERS
    )
    if (
        proxied
        or not _names_loopback(wire)
        or not _is_loopback(wire.client_address(trust_proxy=False))
    ):
        raise Forbidden(
            "Metrics are answered to this machine alone, unless TOLLGATE_METRICS_TOKEN is set.",
            code="metrics_not_allowed",
        )


def _names_loopback(wire: Wire) -> bool:
    """Whether `Host` is this machine's own: not one that a proxy or a page passes on."""
    try:
        host = urlsplit("//" + (wire.header(b"host") or b"").decode("latin-1")).hostname
    except ValueError:
        return False
    return host == "localhost" or _is_loopback(host)


def _is_loopback(address: str | None) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


class _Families(Collector):
    """The totals in prometheus_client's terms."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterable[Family]:
        # A counter's family has no `_total` at its end.
        families = {
            name: Family(name.removesuffix("_total"), metric.meaning, metric.kind)
            for name, metric in METRICS.items()
        }
        for key, count in self._totals.counters.items():
            value = count / NANOS_PER_USD if METRICS[key[0]].nanos else count
            families[key[0]].add_sample(key[0], _labels(key), value)
        for key, gauge in self._totals.gauges.items():
            families[key[0]].add_sample(key[0], _labels(key), gauge)
        for key, histogram in self._totals.histograms.items():
            _add_histogram(families[key[0]], key, histogram)
        return families.values()


def _labels(key: Key) -> dict[str, str]:
    return dict(zip(METRICS[key[0]].labels, key[1:], strict=True))


def _add_histogram(family: Family, key: Key, histogram: Histogram) -> None:
    name, labels = key[0], _labels(key)
    bounds = [*(repr(float(bound)) for bound in METRICS[name].bounds), "+Inf"]
    for bound, number in zip(bounds, accumulate(histogram.counts), strict=True):
        family.add_sample(f"{name}_bucket", {**labels, "le": bound}, number)
    family.add_sample(f"{name}_count", labels, sum(histogram.counts))
    family.add_sample(f"{name}_sum", labels, histogram.sum)
