"""What works now, and what did over the last hours and months; also as JSON."""

from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.anonymous import knows_nobody
from guides.catalogue import read_catalogue
from guides.gateway_state import Component, read_components, without_database
from guides.health import (
    Incident,
    Range,
    Service,
    State,
    list_incidents,
    read_services,
    worst,
)
from guides.localization import public_page, render_page
from guides.words import KINDS, OVERALL, RANGES, STATES

STEPS: dict[Range, timedelta] = {"24h": timedelta(hours=1), "90d": timedelta(days=1)}
INCIDENTS_SHOWN = 20
JSON_AGE_S = 30


@public_page
def status(request: HttpRequest) -> HttpResponse:
    """The page is there while the database is not: it says so."""
    stretch: Range = "90d" if request.GET.get("range") == "90d" else "24h"
    components, services, incidents = _read(stretch)
    context = {
        "components": components,
        "services": services,
        "incidents": incidents[:INCIDENTS_SHOWN],
        "overall": overall(components, services),
        "overall_words": OVERALL,
        "states": STATES,
        "kinds": KINDS,
        "stretch": stretch,
        "ranges": RANGES,
        "read_at": timezone.now(),
    }
    return render_page(request, "public/status.html", context, status=_status_code(components))


@require_safe
@knows_nobody
def status_json(request: HttpRequest) -> HttpResponse:
    """The same for machines, over the last 24 hours; times are ISO 8601 in UTC, shares in permille."""
    components, services, incidents = _read("24h")
    body = {
        "status": overall(components, services),
        "components": [{"id": one.slug, "status": one.state} for one in components],
        "services": [_describe_service(one) for one in services],
        "incidents": [_describe_incident(one) for one in incidents[:INCIDENTS_SHOWN]],
    }
    response = JsonResponse(body, status=_status_code(components))
    response["Cache-Control"] = f"public, max-age={JSON_AGE_S}"
    response["Access-Control-Allow-Origin"] = "*"
    return response


def overall(components: list[Component], services: list[Service]) -> State:
    """`down` where Tollgate itself is, `degraded` where anything is not as it should be. Models that nobody called or
    that this installation does not serve change nothing."""
    own = worst(one.state for one in components)
    if own != "operational":
        return own
    troubled = any(one.state in ("degraded", "down") for one in services)
    return "degraded" if troubled else "operational"


def _read(stretch: Range) -> tuple[list[Component], list[Service], list[Incident]]:
    try:
        components = read_components()
        services = read_services(read_catalogue(), stretch)
    except DatabaseError:
        return without_database(), [], []
    return components, services, list_incidents(services, STEPS[stretch])


def _status_code(components: list[Component]) -> int:
    is_away = any(one.slug == "database" and one.state == "down" for one in components)
    return 503 if is_away else 200


def _describe_service(service: Service) -> dict[str, Any]:
    return {
        "provider": service.provider,
        "kind": service.kind,
        "status": service.state,
        "served_permille": service.permille,
        "hours": [
            {"since": bar.since.isoformat(), "status": bar.state, "served_permille": bar.permille}
            for bar in service.bars
        ],
    }


def _describe_incident(incident: Incident) -> dict[str, Any]:
    return {
        "provider": incident.service.provider,
        "kind": incident.service.kind,
        "status": incident.state,
        "since": incident.since.isoformat(),
        "until": incident.until.isoformat() if incident.until else None,
        "served_permille": incident.permille,
    }
