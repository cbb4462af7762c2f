"""Second step of changing the key under which providers' credentials and the secrets of callbacks are encrypted."""

from typing import Any

from django.core.management.base import BaseCommand

from gateway.callback_secrets import OWNER_PREFIX
from gateway.channels import reseal_credentials


class Command(BaseCommand):
    help = (
        "Encrypt under TOLLGATE_CREDENTIAL_KEY what still lies under one of TOLLGATE_CREDENTIAL_KEYS_OLD, credentials "
        "of channels and secrets of callbacks; exit 1 where one of them opens under no key."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = reseal_credentials()
        for owner in done.unreadable:
            is_callback = owner.startswith(OWNER_PREFIX)
            remedy = (
                "rotate it on the page of the key" if is_callback else "set it with put_channel"
            )
            self.stderr.write(f"{owner}: the credential opens under no key; {remedy}")
        self.stdout.write(
            f"{done.resealed} resealed, {done.current} already under the current key, "
            f"{len(done.unreadable)} unreadable"
        )
        if done.unreadable:
            raise SystemExit(1)
