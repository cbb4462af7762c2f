"""Whether calls were recorded once and cost what they must, worked out from the price book's file and the vendor's log.

Nothing here is of the product's own pricing: amounts are integers from the file's decimal texts, rounded once.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import httpx

from tests.world import World

PRICE_BOOK = Path(__file__).resolve().parents[2] / "billing/data/price_book.json"
NANOS, MILLION, BPS = 10**9, 10**6, 10**4
FREE = ("/count_tokens", ":countTokens", "/v1/files", "/v1/price_quotes")
TRIALS_MAX = 5
VENDORS_NAMES: Mapping[str, str] = MappingProxyType(
    {"gpt-4o-image": "gpt-image-2", "topaz-upscale-image": "Standard V2"}
)
TIERS_PIXELS = (("1k", 1536 * 1024), ("2k", 2048 * 2048), ("4k", 3840 * 2160))


class Answer(NamedTuple):
    """One answer that a client got. `charge`: the header, USD; `task_id`: of the task that was waited for."""

    method: str
    path: str
    status: int
    call_id: str
    charge: str | None
    is_stream: bool
    task_id: str = ""

    @property
    def record_id(self) -> str:
        """The call that was recorded: a request that is repeated is answered with the task that the first one made."""
        return f"call_{self.task_id.removeprefix('tsk_')}" if self.task_id else self.call_id

    @property
    def is_call(self) -> bool:
        """Whether it is of a call that a provider bills."""
        return self.method == "POST" and not self.path.endswith(FREE)


class Served(NamedTuple):
    """Tokens of one call. `input` holds what was read from and written to caches, `output` holds the reasoning."""

    input: int
    cached: int
    written: int
    written_1h: int
    output: int
    reasoning: int


def read_book() -> dict[str, dict[str, Any]]:
    """The models of the price book by name and by alias."""
    models = json.loads(PRICE_BOOK.read_text())["models"]
    return {name: model for model in models for name in (model["name"], *model["aliases"])}


BOOK = read_book()


def cost_nanos(model: dict[str, Any], tier: str, served: Served) -> int:
    """List price times the share that is charged, rounded once, half to even."""
    (price,) = model["prices"]
    tables = [
        table
        for table in price["tables"]
        if table["tier"] == tier and table["above_input_tokens"] <= max(served.input - 1, 0)
    ]
    table = max(tables, key=lambda one: int(one["above_input_tokens"]))
    rates = {
        name: int(Decimal(text) * NANOS) for name, text in table.get("per_million", {}).items()
    }
    fresh = served.input - served.cached - served.written - served.written_1h
    written = rates.get("cache_write", rates["input"])
    parts = (
        (fresh, rates["input"]),
        (served.cached, rates.get("cached_input", rates["input"])),
        (served.written, written),
        (served.written_1h, rates.get("cache_write_1h", written)),
        (served.output - served.reasoning, rates["output"]),
        (served.reasoning, rates.get("reasoning_output", rates["output"])),
    )
    exact = sum(tokens * rate for tokens, rate in parts) * int(price["sell_bps"])
    whole, rest = divmod(exact, MILLION * BPS)
    half = MILLION * BPS // 2
    return whole + int(rest > half or (rest == half and whole % 2 == 1))


def picture_nanos(name: str, key: str, pictures: int) -> int:
    """The same of pictures, at today's price: each costs `image` or `image[key]`, or all of them `request[key]`."""
    today = datetime.now(UTC).date().isoformat()
    prices = [price for price in BOOK[name]["prices"] if price["effective_from"] <= today]
    price = max(prices, key=lambda one: str(one["effective_from"]))
    (table,) = price["tables"]
    rates = {bucket: int(Decimal(text) * NANOS) for bucket, text in table["per_unit"].items()}
    whole = rates.get(f"request[{key}]")
    cost = rates[f"image[{key}]" if key else "image"] * pictures if whole is None else whole
    exact, rest = divmod(cost * int(price["sell_bps"]), BPS)
    assert rest == 0
    return exact


def picture_key(name: str, entry: dict[str, Any], source_edge: int | None) -> str:
    """The key of the price that the pictures which the vendor's log tells of have."""
    width, height = map(int, str(entry["resolution"]).split("x"))
    if name == "openai/gpt-image-2":
        return next(key for key, pixels in TIERS_PIXELS if width * height <= pixels)
    if name == "openai/gpt-4o-image":
        return str(entry["pictures"])
    if source_edge is not None:
        factor, rest = divmod(width, source_edge)
        assert rest == 0
        return str(factor)
    return ""


def read_report(dialect: str, usage: dict[str, Any], totals: dict[str, int]) -> Served:
    """What a vendor reported, in the words of the API that it was called on. `totals`: what it says it served."""
    if dialect == "messages":
        read, written = (usage[f"cache_{name}_input_tokens"] for name in ("read", "creation"))
        # The last report of a stream leaves out for how long, which the first one said.
        made = usage.get("cache_creation")
        long = made["ephemeral_1h_input_tokens"] if made else totals["cache_write_1h"]
        whole = usage["input_tokens"] + read + written
        return Served(whole, read, written - long, long, usage["output_tokens"], 0)
    if dialect == "generate":
        prompt = usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0)
        cached, thoughts = (
            usage.get(name, 0) for name in ("cachedContentTokenCount", "thoughtsTokenCount")
        )
        return Served(prompt, cached, 0, 0, usage["totalTokenCount"] - prompt, thoughts)
    before, after = ("input", "output") if dialect == "responses" else ("prompt", "completion")
    prompt = usage[f"{before}_tokens"]
    # Gemini names its thoughts in the total alone.
    output = usage["total_tokens"] - prompt
    unnamed = output - usage.get(f"{after}_tokens", 0)
    inside = usage.get(f"{before}_tokens_details", {})
    outside = usage.get(f"{after}_tokens_details", {})
    return Served(
        prompt,
        inside.get("cached_tokens", 0),
        inside.get("cache_write_tokens", 0),
        0,
        output,
        outside.get("reasoning_tokens", unnamed),
    )


class Books:
    """All the money of one world, before and after. Clients tell it of their answers by the hooks."""

    def __init__(self, world: World, vendor: httpx.Client) -> None:
        self._world = world
        self._vendor = vendor
        self.answers: list[Answer] = []

    def note(self, response: Any) -> None:
        """A hook for the responses of a client's HTTP library."""
        request, headers = response.request, response.headers
        self.answers.append(
            Answer(
                request.method,
                request.url.path,
                response.status_code,
                headers.get("x-request-id", ""),
                headers.get("x-tollgate-charge"),
                headers.get("content-type", "").startswith("text/event-stream"),
                headers.get("x-tollgate-task", ""),
            )
        )

    async def note_async(self, response: Any) -> None:
        """The same for async clients."""
        self.note(response)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Asserts that every call made inside has one record and was charged right, and that nothing else was."""
        latest, credits = self._latest_record(), self._credits()
        self.answers.clear()
        yield
        records = self._records_after(latest)
        calls = [answer for answer in self.answers if answer.is_call]
        served = {answer.record_id: answer for answer in calls if answer.status == 200}
        owed = sum(self._check(answer, records.pop(name)) for name, answer in served.items())
        for answer in calls:
            if answer.status != 200:
                refused = records.pop(answer.call_id, None)
                assert refused is None or refused["amount_nanos"] == 0, (answer, refused)
        assert not records, records
        after = self._credits()
        assert after["charged"] == credits["charged"] + owed
        assert after["held"] == 0

    def _check(self, answer: Answer, record: dict[str, Any]) -> int:
        if record["source"] != "task":
            return check_bill(answer, record, self.entries(answer.call_id))
        charged = self.check_task(record)
        assert answer.charge is not None
        assert Decimal(answer.charge) * NANOS == charged
        return charged

    def check_task(self, record: dict[str, Any]) -> int:
        """Assert that the record of a task that has ended is charged as the vendor's log says; answers its charge."""
        trials = [f"tsk_{record['id'].hex}-{number + 1}" for number in range(TRIALS_MAX)]
        entries = [entry for trial in trials for entry in self.entries(trial)]
        if record["status"] != "completed":
            assert (record["amount_nanos"], record["images"]) == (0, 0)
            return 0
        entry = entries[-1]
        assert (entry["outcome"], entry["status"]) == ("completed", 200)
        name, pictures = record["model"], entry["pictures"]
        bare = name.partition("/")[2]
        assert entry["model"] == VENDORS_NAMES.get(bare, bare)
        key = picture_key(name, entry, self._source_edge(record["id"]))
        assert (record["price_key"], record["images"]) == (key, pictures)
        assert record["amount_nanos"] == picture_nanos(name, key, pictures)
        assert record["basis"] == "reported"
        return int(record["amount_nanos"])

    def _source_edge(self, task_id: UUID) -> int | None:
        """How wide the picture was that the task enlarged; None for other tasks."""
        # An upload by its id, or a picture by its link.
        rows = self._world.database.query(
            "SELECT s.width FROM gateway_task t, ("
            " SELECT 'file_' || replace(id::text, '-', '') AS name, width FROM gateway_upload"
            " UNION ALL SELECT replace(task_id::text, '-', '') || '/' || position, width FROM gateway_picture) s"
            " WHERE t.id = %s AND t.action = 'upscale_image' AND strpos(t.request->'sources'->>0, s.name) > 0",
            task_id,
        )
        return int(rows[0]["width"]) if rows else None

    def record(self) -> dict[str, Any]:
        """The record of the latest call."""
        sql = "SELECT * FROM gateway_callrecord WHERE id = %s"
        (row,) = self._world.database.query(sql, self._latest_call().removeprefix("call_"))
        return row

    def entry(self) -> dict[str, Any]:
        """What the vendor's log says of the latest call."""
        (entry,) = self.entries(self._latest_call())
        return entry

    def entries(self, call_id: str) -> list[dict[str, Any]]:
        """What the vendor's log says of how that call ended, by as many entries as it was served."""
        parameters: dict[str, str] = {"call_id": call_id, "limit": "100"}
        answer = self._vendor.get("/__simulator/log", params=parameters)
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return [entry for entry in entries if entry["event"] == "ended"]

    def _latest_call(self) -> str:
        return [answer for answer in self.answers if answer.is_call][-1].call_id

    def _latest_record(self) -> UUID:
        sql = "SELECT id FROM gateway_callrecord ORDER BY id DESC LIMIT 1"
        rows = self._world.database.query(sql)
        return rows[0]["id"] if rows else UUID(int=0)

    def _records_after(self, latest: UUID) -> dict[str, dict[str, Any]]:
        # Ids begin with the time.
        sql = "SELECT * FROM gateway_callrecord WHERE id > %s"
        return {f"call_{row['id'].hex}": row for row in self._world.database.query(sql, latest)}

    def _credits(self) -> dict[str, int]:
        """What all wallets ever paid, which is what they were granted and no longer have, and what is held."""
        (row,) = self._world.database.query(
            "SELECT (SELECT coalesce(sum(amount_nanos), 0) FROM billing_transfer WHERE kind = 'grant')::bigint"
            " - coalesce(sum(balance_nanos), 0)::bigint AS charged, coalesce(sum(held_nanos), 0)::bigint AS held"
            " FROM billing_account WHERE kind = 'wallet'"
        )
        return row


@contextmanager
def open_books(world: World) -> Iterator[Books]:
    """The world's books, audited at the end."""
    root = world.simulator.base_url.removesuffix("/v1")
    with httpx.Client(base_url=root, trust_env=False) as vendor:
        yield Books(world, vendor)
    world.audit()


def check_bill(answer: Answer, record: dict[str, Any], entries: list[dict[str, Any]]) -> int:
    """Assert that a call that was served is recorded and charged as the vendor's log says.

    Answers its charge: nothing if the vendor failed in mid-stream.
    """
    (entry,) = entries
    if entry["outcome"] != "completed":
        assert (record["status"], record["amount_nanos"]) == ("upstream_failed", 0)
        return 0
    totals = entry["totals"]
    served = read_report(entry["dialect"], entry["usage"], totals)
    assert served[:5] == tuple(
        totals[name] for name in ("input", "cached", "cache_write", "cache_write_1h", "output")
    )
    model = BOOK[entry["model"]]
    assert (record["model"], record["status"], record["basis"]) == (
        model["name"],
        "completed",
        "reported",
    )
    names = ("cached_input", "cache_write", "cache_write_1h", "output", "reasoning")
    assert tuple(record[f"{name}_tokens"] for name in names) == served[1:]
    assert record["input_tokens"] == served.input - sum(served[1:4])
    cost = cost_nanos(model, record["service_tier"], served)
    assert record["amount_nanos"] == cost
    assert record["written_off_nanos"] == 0
    assert record["stream"] == answer.is_stream == entry["stream"]
    if answer.is_stream:
        assert answer.charge is None
    else:
        assert answer.charge is not None
        assert Decimal(answer.charge) * NANOS == cost
    return cost
