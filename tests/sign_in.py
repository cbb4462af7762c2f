"""Signing in without the sign-in page, and letting time pass since."""

import time
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.contrib.auth.models import AbstractBaseUser
from django.test import Client

from accounts.reauthentication import SIGNED_IN_AT

_force_login = Client.force_login


def force_fresh_login(client: Client, user: AbstractBaseUser, backend: str | None = None) -> None:
    """What `Client.force_login` does, with the time of the sign-in that accounts/adapter.py notes."""
    _force_login(client, user, backend)
    session = client.session
    session[SIGNED_IN_AT] = time.time()
    session.save()


def let_proof_age(client: Client, age_s: float = 24 * 3600) -> None:
    """Whatever the client's session proved, it proved that long ago."""
    session: Any = client.session
    for record in session.get(AUTHENTICATION_METHODS_SESSION_KEY, []):
        record["at"] = time.time() - age_s
    session[SIGNED_IN_AT] = time.time() - age_s
    session.save()
