"""Whether what snippets called was recorded and charged, each call once, as the vendor's log says."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from tests.flows.billing_checks import NANOS, Answer, Books, check_bill
from tests.world import Tenant, World

SETTLED_TIMEOUT_S = 60.0


class Account:
    """What one tenant's calls were recorded as."""

    def __init__(self, world: World, tenant: Tenant, books: Books) -> None:
        self._world = world
        self._tenant = tenant
        self._books = books

    @contextmanager
    def watch(self) -> Iterator[list[dict[str, Any]]]:
        """Asserts that what is called inside has one record per call that the vendor served, charged as listed; the
        records are in the list afterwards."""
        before, served = len(self._world.records(self._tenant)), self._served()
        found: list[dict[str, Any]] = []
        yield found
        found += self._wait_for_records(before, served)
        for record in found:
            assert record["status"] == "completed", record
            assert record["amount_nanos"] > 0, record
            self._check_bill(record)

    def _served(self) -> int:
        return len(self._world.simulator.entries("ended"))

    def _wait_for_records(self, before: int, served: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + SETTLED_TIMEOUT_S
        while True:
            records = self._world.records(self._tenant)[before:]
            calls = self._served() - served
            if calls and len(records) == calls:
                return records
            assert time.monotonic() < deadline, (calls, records)
            time.sleep(0.1)

    def _check_bill(self, record: dict[str, Any]) -> None:
        if record["source"] == "task":
            self._books.check_task(record)
            return
        charge = None if record["stream"] else str(Decimal(record["amount_nanos"]) / NANOS)
        answer = Answer("POST", "", 200, f"call_{record['id'].hex}", charge, record["stream"])
        check_bill(answer, record, self._books.entries(answer.call_id))
