"""Second step of changing the key under which providers' credentials and the secrets of callbacks are encrypted."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.security_mfa import reseal_second_factors
from gateway.channels import reseal_credentials
from gateway.webhooks.models import CALLBACK_OWNER, WEBHOOK_OWNER


class Command(BaseCommand):
    help = (
        "Encrypt under TOLLGATE_CREDENTIAL_KEY what still lies under one of TOLLGATE_CREDENTIAL_KEYS_OLD, credentials "
        "of channels, secrets of callbacks and webhooks, second factors; exit 1 where one of them opens under no key."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = reseal_credentials()
        for owner in done.unreadable:
            remedy = "set it with put_channel"
            if owner.startswith(CALLBACK_OWNER):
                remedy = "rotate it on the page of the key"
            elif owner.startswith(WEBHOOK_OWNER):
                remedy = "rotate it on the page of the webhook"
            self.stderr.write(f"{owner}: the credential opens under no key; {remedy}")
        factors = reseal_second_factors()
        for owner in factors.unreadable:
            self.stderr.write(f"{owner}: it opens under no key; delete it in the admin pages")
        unreadable = len(done.unreadable) + len(factors.unreadable)
        self.stdout.write(
            f"{done.resealed + factors.resealed} resealed, "
            f"{done.current + factors.current} already under the current key, {unreadable} unreadable"
        )
        if unreadable:
            raise SystemExit(1)
