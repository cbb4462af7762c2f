"""Who asks the management API: a key with scope `manage`, or a browser's session."""

import ipaddress
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import keys
from accounts.api.errors import Problem
from accounts.models import APIKey, User
from accounts.security_operators import second_factor_is_missing

# Compared for a key that does not exist: the answer must not be faster for one.
STAND_IN_DIGEST = bytes(32)
REALM = 'Bearer realm="tollgate"'
INVALID_KEY = "Invalid API key. Pass a valid key as 'Authorization: Bearer <key>'."


class ManagementKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>` or `x-api-key`. The request acts for the maker of the key, see `ManagementView`.

    Missing, malformed, unknown, revoked and expired keys get the same words, as on the data plane.
    """

    def authenticate(self, request: Request) -> tuple[User, APIKey] | None:
        """`(maker, key)`; None where the request names no key, so that its session is looked at. Raises
        AuthenticationFailed, and Problem 403 for a good key that may not be used here."""
        text = key_text(request)
        if text is None:
            return None
        key = find_key(text)
        if key is None:
            raise AuthenticationFailed(INVALID_KEY)
        if not allows_address(key, request.META.get("REMOTE_ADDR", ""), forwarded_for(request)):
            message = "This key may not be used from your address."
            raise Problem(403, "ip_not_allowed", message)
        if key.purpose != APIKey.Purpose.MANAGE:
            message = "This key calls models. The management API takes keys with scope 'manage'."
            raise Problem(403, "key_scope", message)
        if settings.OPERATORS_NEED_MFA and second_factor_is_missing(key.created_by):
            message = (
                "Operators of this installation need a second factor. Set one up in the browser."
            )
            raise Problem(403, "second_factor_required", message)
        return key.created_by, key

    def authenticate_header(self, request: Request) -> str:
        return REALM


class BrowserAuthentication(SessionAuthentication):
    """The session of a browser, with the CSRF token on everything that writes."""


def key_text(request: Request) -> str | None:
    """The key that the request names, None without one. Another scheme than Bearer names an empty key."""
    authorization = request.META.get("HTTP_AUTHORIZATION")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        return value.strip() if scheme.lower() == "bearer" else ""
    text: str | None = request.META.get("HTTP_X_API_KEY")
    return text


def find_key(text: str) -> APIKey | None:
    """The key with this text, where it works at this moment and its maker may sign in. Raises nothing."""
    public_id = keys.public_id_of(text)
    now = timezone.now()
    found = None
    if public_id is not None:
        found = (
            APIKey.objects.usable()
            .filter(Q(public_id=public_id) | Q(previous_public_id=public_id))
            .filter(group__archived_at=None, created_by__is_active=True)
            .exclude(group__expires_at__lte=now)
            .select_related("created_by", "group__organization")
            .first()
        )
    expected = STAND_IN_DIGEST
    if found is not None and found.public_id == public_id:
        expected = bytes(found.digest)
    elif found is not None and found.previous_until and found.previous_until > now:
        expected = bytes(found.previous_digest or STAND_IN_DIGEST)
    return found if keys.matches(text, settings.KEY_PEPPER, expected) else None


def forwarded_for(request: HttpRequest | Request) -> str:
    """What the proxy in front says of the client, empty without a proxy that is trusted."""
    if not settings.TRUST_PROXY:
        return ""
    return str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()


def allows_address(key: APIKey, peer: str, forwarded: str) -> bool:
    """Whether key and group may be used from there. An address that is unknown is refused where networks are named."""
    lists: list[list[str]] = [key.allowed_networks, key.group.allowed_networks]
    if not any(lists):
        return True
    try:
        address: Any = ipaddress.ip_address(forwarded or peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return all(
        not networks or any(address in ipaddress.ip_network(network) for network in networks)
        for networks in lists
    )
