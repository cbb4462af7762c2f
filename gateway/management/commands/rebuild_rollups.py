"""Makes the sums of usage anew from the records of calls."""

from typing import Any

from django.core.management.base import BaseCommand

from gateway.rollups import SLICE, forget, roll_up


class Command(BaseCommand):
    help = (
        "Throw away the sums from which the pages about usage read, and make them anew. Needed only after records of"
        " calls were altered by hand. Pages are exact meanwhile, but slow; calls that end wait at its beginning, about"
        " a second for a million records."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        total = forget()
        self.stdout.write(f"{total} calls to count")
        done = 0
        while count := roll_up(SLICE):
            done += count
            self.stdout.write(f"{done} counted")
