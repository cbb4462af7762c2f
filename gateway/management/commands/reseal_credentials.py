"""Second step of changing the key under which providers' credentials are encrypted."""

from typing import Any

from django.core.management.base import BaseCommand

from gateway.channels import reseal_credentials


class Command(BaseCommand):
    help = (
        "Encrypt under TOLLGATE_CREDENTIAL_KEY what still lies under one of TOLLGATE_CREDENTIAL_KEYS_OLD; exit 1 where "
        "a channel's credential opens under no key."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = reseal_credentials()
        for owner in done.unreadable:
            self.stderr.write(
                f"{owner}: the credential opens under no key; set it with put_channel"
            )
        self.stdout.write(
            f"{done.resealed} resealed, {done.current} already under the current key, "
            f"{len(done.unreadable)} unreadable"
        )
        if done.unreadable:
            raise SystemExit(1)
