"""Secrets of alerts' webhooks at rest: bound to their group, and resealed with the others."""

import os
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from billing.notice_models import AlertSettings
from gateway.alert_deliveries import rotate_secret, signing_secrets
from gateway.credentials import BadCredential
from tests.people import People


def row_of(people: People) -> AlertSettings:
    return AlertSettings.objects.get(pk=people.group.pk)


def test_a_secret_lies_encrypted_and_opens_for_its_group_only(people: People) -> None:
    secret = rotate_secret(people.group, people.alice)
    row = row_of(people)
    assert secret.encode() not in bytes(row.sealed or b"")
    assert signing_secrets(row) == [secret]
    row.pk = people.foreign_group.pk
    with pytest.raises(BadCredential):
        signing_secrets(row)


def test_secrets_of_alerts_move_to_the_new_key(people: People, settings: Any) -> None:
    first = rotate_secret(people.group, people.alice)
    second = rotate_secret(people.group, people.alice)
    old, new = settings.CREDENTIAL_KEY, os.urandom(32)
    settings.CREDENTIAL_KEY, settings.CREDENTIAL_KEYS = new, (new, old)
    out = StringIO()
    call_command("reseal_credentials", stdout=out)
    assert "2 resealed" in out.getvalue()
    settings.CREDENTIAL_KEYS = (new,)
    assert signing_secrets(row_of(people)) == [second, first]


def test_a_secret_that_opens_under_no_key_fails_the_command(people: People, settings: Any) -> None:
    rotate_secret(people.group, people.alice)
    settings.CREDENTIAL_KEY = os.urandom(32)
    settings.CREDENTIAL_KEYS = (settings.CREDENTIAL_KEY,)
    errors = StringIO()
    with pytest.raises(SystemExit):
        call_command("reseal_credentials", stdout=StringIO(), stderr=errors)
    assert f"alerts:{people.group.pk}: " in errors.getvalue()
    assert "page of the group's alerts" in errors.getvalue()
