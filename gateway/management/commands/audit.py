"""Proves the invariants of money, or says which is broken."""

from typing import Any

from django.core.management.base import BaseCommand

from billing.audit import count_violations
from gateway.audit import INVARIANTS


class Command(BaseCommand):
    help = "Print each invariant of the ledger with its count of violations; exit 1 where there is one."

    def handle(self, *args: Any, **options: Any) -> None:
        counts = count_violations(INVARIANTS)
        for invariant in INVARIANTS:
            violations = counts[invariant.name]
            mark = "ok  " if violations == 0 else "FAIL"
            self.stdout.write(f"{mark} {violations:>8}  {invariant.name}: {invariant.rule}")
        total = sum(counts.values())
        self.stdout.write(f"{len(INVARIANTS)} invariants, {total} violations")
        if total:
            raise SystemExit(1)
