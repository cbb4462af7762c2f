"""GET /v1/calls: the history of the key that asks, and nobody else's."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from accounts import keys
from accounts.ids import uuid7
from tests.world import GatewayProcess, Tenant, World, client

NANO = Decimal("0.000000001")
MESSAGES = [{"role": "user", "content": "Say hello."}]


def call(http: httpx.Client, model: str = "gpt-5.4-nano", **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": MESSAGES, "max_tokens": 400, **fields}
    return http.post("/v1/chat/completions", json=body)


def history(http: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = http.get("/v1/calls", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


@pytest.fixture(scope="module")
def seeded(gateway: GatewayProcess, alice: Tenant) -> list[str]:
    """The ids of Alice's calls, oldest first: plain, streamed, dear, failed, refused."""
    with client(gateway, alice) as http:
        answers = [
            call(http),
            call(http, stream=True),
            call(
                http,
                "gpt-5.5",
                simulate={"input_tokens": 900, "cached_tokens": 300, "output_tokens": 77},
            ),
            call(http, simulate={"status": 500}),
            call(http, n=0),
            *(call(http, simulate={"output_tokens": number}) for number in range(1, 6)),
        ]
    return [answer.headers["x-request-id"] for answer in answers]


@pytest.fixture(scope="module")
def http(gateway: GatewayProcess, alice: Tenant, seeded: list[str]) -> Iterator[httpx.Client]:
    with client(gateway, alice) as opened:
        yield opened


def test_the_list_is_newest_first(http: httpx.Client, seeded: list[str]) -> None:
    answer = http.get("/v1/calls").json()
    assert (answer["object"], answer["has_more"], answer["next"]) == ("list", False, None)
    assert [one["id"] for one in answer["data"]] == seeded[::-1]


def test_an_entry_tells_the_call(http: httpx.Client, seeded: list[str], alice: Tenant) -> None:
    one = next(one for one in history(http) if one["id"] == seeded[2])
    assert (one["object"], one["source"], one["model"]) == ("call", "api", "openai/gpt-5.5")
    assert (one["status"], one["stream"], one["error"], one["task_id"]) == (
        "completed",
        False,
        None,
        None,
    )
    assert one["usage"]["input_tokens"] == 600
    assert one["usage"]["cached_input_tokens"] == 300
    assert (one["usage"]["output_tokens"], one["usage"]["basis"]) == (77, "reported")
    # 600 at 5, 300 at 0.50 and 77 at 30 USD per million; half of it
    assert (one["list_price"], one["charge"], one["currency"]) == ("0.00546", "0.00273", "USD")
    assert one["key"] == {"id": str(alice.key_id), "name": "Alice's key"}
    began = datetime.fromisoformat(one["created_at"])
    assert timedelta(0) <= datetime.now(UTC) - began < timedelta(minutes=2)
    assert one["duration_ms"] >= (one["first_token_ms"] or 0) >= 0


def test_failed_and_refused_calls_are_told_with_their_error_and_cost_nothing(
    http: httpx.Client, seeded: list[str]
) -> None:
    by_id = {one["id"]: one for one in history(http)}
    failed, refused = by_id[seeded[3]], by_id[seeded[4]]
    assert (failed["status"], failed["charge"], failed["error"]["code"]) == (
        "upstream_failed",
        "0.00",
        "upstream_error",
    )
    assert (refused["status"], refused["charge"]) == ("refused", "0.00")
    assert refused["error"]["code"] == "invalid_request_error"
    assert "'n'" in refused["error"]["message"]
    assert (failed["usage"]["basis"], refused["usage"]["basis"]) == (None, None)


def test_one_call_adds_the_lines_that_explain_its_charge(
    http: httpx.Client, seeded: list[str]
) -> None:
    for call_id in seeded:
        one = http.get(f"/v1/calls/{call_id}").json()
        assert one["id"] == call_id
        assert {"hold", "price_id", "lines", "service_tier", "endpoint"} <= set(one)
        total = sum((Decimal(line["amount"]) for line in one["lines"]), Decimal(0))
        assert total.quantize(NANO, ROUND_HALF_EVEN) == Decimal(one["charge"])
        assert Decimal(one["hold"]) >= Decimal(one["charge"])
        listed = Decimal(0)
        for line in one["lines"]:
            unit = Decimal(line["unit"].split()[0])
            at_list = Decimal(line["quantity"]) * Decimal(line["list_rate"]) / unit
            assert at_list * line["sell_bps"] / 10_000 == Decimal(line["amount"])
            listed += at_list
        assert listed.quantize(NANO, ROUND_HALF_EVEN) == Decimal(one["list_price"])


def test_the_lines_name_each_bucket_once(http: httpx.Client, seeded: list[str]) -> None:
    lines = http.get(f"/v1/calls/{seeded[2]}").json()["lines"]
    assert [(line["bucket"], line["quantity"]) for line in lines] == [
        ("input", 600),
        ("cached_input", 300),
        ("output", 77),
    ]
    assert http.get(f"/v1/calls/{seeded[3]}").json()["lines"] == []


def test_a_charge_is_still_explained_after_its_price_has_changed(
    world: World, http: httpx.Client, seeded: list[str]
) -> None:
    before = http.get(f"/v1/calls/{seeded[2]}").json()
    import psycopg

    with psycopg.connect(world.database.url) as connection:
        row = connection.execute(
            "INSERT INTO billing_price (model, effective_from, sell_bps, list_is_estimated, source, created_at)"
            " VALUES ('openai/gpt-5.5', now(), 9000, false, '', now()) RETURNING id"
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO billing_pricerate (price_id, tier, above_input_tokens, bucket, list_nanos, per)"
            " VALUES (%s, 'standard', 0, 'input', 1, 1000000), (%s, 'standard', 0, 'output', 1, 1000000)",
            (row[0], row[0]),
        )
    time.sleep(0.8)
    assert http.get("/v1/models/gpt-5.5").json()["pricing"]["prompt"] != "0.0000025"
    assert http.get(f"/v1/calls/{seeded[2]}").json() == before


# Whose history it is.


def test_a_colleague_of_another_group_and_an_outsider_see_nothing_of_it(
    gateway: GatewayProcess, seeded: list[str], bob: Tenant, charlie: Tenant
) -> None:
    for tenant in (bob, charlie):
        with client(gateway, tenant) as http:
            assert history(http) == []
            for call_id in seeded:
                answer = http.get(f"/v1/calls/{call_id}")
                assert answer.status_code == 404
                assert answer.json()["error"]["code"] == "call_not_found"
            assert history(http, after=seeded[-1]) == []


def test_a_call_of_others_is_refused_like_one_that_never_was(
    gateway: GatewayProcess, seeded: list[str], charlie: Tenant
) -> None:
    never = f"call_{uuid7().hex}"
    with client(gateway, charlie) as http:
        theirs = http.get(f"/v1/calls/{seeded[0]}").text.replace(seeded[0], "ID")
        assert http.get(f"/v1/calls/{never}").text.replace(never, "ID") == theirs


def test_another_key_of_the_same_group_has_a_history_of_its_own(
    world: World, gateway: GatewayProcess, seeded: list[str], alice: Tenant
) -> None:
    from django.conf import settings

    minted = keys.mint("tollgate")
    world.database.query(
        "INSERT INTO accounts_apikey (id, group_id, created_by_id, name, public_id, prefix, digest, created_at)"
        " SELECT gen_random_uuid(), group_id, created_by_id, 'Second', %s, prefix, %s, now()"
        " FROM accounts_apikey WHERE id = %s",
        minted.public_id,
        keys.digest(minted.text, settings.KEY_PEPPER),
        alice.key_id,
    )
    with client(gateway, alice._replace(key=minted.text)) as http:
        assert history(http) == []
        assert http.get(f"/v1/calls/{seeded[0]}").status_code == 404
        own = call(http).headers["x-request-id"]
        assert [one["id"] for one in history(http)] == [own]
        assert history(http)[0]["key"]["name"] == "Second"


# Filters.


def test_the_list_is_filtered_by_status_model_and_source(
    http: httpx.Client, seeded: list[str]
) -> None:
    assert [one["id"] for one in history(http, status="upstream_failed")] == [seeded[3]]
    assert [one["id"] for one in history(http, status="refused")] == [seeded[4]]
    assert [one["id"] for one in history(http, model="openai/gpt-5.5")] == [seeded[2]]
    assert len(history(http, source="api")) == len(seeded)
    assert history(http, source="task") == []
    assert history(http, status="lost") == []
    assert history(http, model="openai/gpt-5.5", status="refused") == []
    assert history(http, model="no such model") == []


def test_the_list_is_cut_by_time(http: httpx.Client, seeded: list[str]) -> None:
    everything = history(http)
    # An id carries milliseconds: a cut at a call's own millisecond keeps it.
    cut = datetime.fromtimestamp((int(seeded[5][5:17], 16)) / 1000, UTC)
    for text in (
        cut.isoformat(),
        cut.isoformat().replace("+00:00", "Z"),
        cut.replace(tzinfo=None).isoformat(),
    ):
        newer, older = history(http, since=text), history(http, until=text)
        assert newer + older == everything
        assert seeded[5] in [one["id"] for one in newer]
    hour = timedelta(hours=1)
    assert history(http, since=(cut + hour).isoformat()) == []
    assert history(http, until=(cut - hour).isoformat()) == []
    assert history(http, since=str(int(cut.timestamp()) - 3600)) == everything
    offset = (cut - hour).astimezone(tz=None).isoformat()
    assert history(http, since=offset) == everything


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 100])
def test_pages_have_neither_gaps_nor_repeats(
    http: httpx.Client, seeded: list[str], size: int
) -> None:
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = http.get("/v1/calls", params={"limit": size, **after}).json()
        assert len(page["data"]) <= size
        found += [one["id"] for one in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            break
        assert page["next"] == page["data"][-1]["id"]
        after = {"after": page["next"]}
    assert found == seeded[::-1]


def test_pages_stay_in_place_while_new_calls_come_in(gateway: GatewayProcess, world: World) -> None:
    tenant = world.add_tenant("Busy", balance="1")
    with client(gateway, tenant) as http:
        ids = [call(http).headers["x-request-id"] for _ in range(6)]
        first = http.get("/v1/calls", params={"limit": 3}).json()
        call(http)
        second = history(http, limit=3, after=first["next"])
        assert [one["id"] for one in (*first["data"], *second)] == ids[::-1]


def test_a_filter_and_a_page_work_together(http: httpx.Client, seeded: list[str]) -> None:
    completed = [one["id"] for one in history(http, status="completed")]
    assert len(completed) == len(seeded) - 2
    first = http.get("/v1/calls", params={"limit": 3, "status": "completed"}).json()
    rest = history(http, status="completed", after=first["next"])
    assert [one["id"] for one in (*first["data"], *rest)] == completed
    until = history(
        http, after=first["next"], until=datetime.now(UTC).isoformat(), status="completed"
    )
    assert until == rest


def test_without_a_limit_twenty_are_told(world: World, gateway: GatewayProcess) -> None:
    tenant = world.add_tenant("Many", balance="1")
    with client(gateway, tenant) as http:
        for _ in range(21):
            call(http, simulate={"output_tokens": 1})
        page = http.get("/v1/calls").json()
        assert (len(page["data"]), page["has_more"]) == (20, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "-1", "101", "ten", "", "1.5", "1e1", "9" * 30, "9" * 5000)),
        *(("source", value) for value in ("", "API", "web", "api ")),
        *(("status", value) for value in ("", "ok", "COMPLETED", "completed,lost")),
        *(("after", value) for value in ("", "call_", "call_xyz", "tsk_1", "00000000000000000000000000000000")),
        *(("since", value) for value in ("", "yesterday", "2026-13-01", "-5", "9" * 30, "9" * 5000, "0001-01-01")),
        *(("since", value) for value in ("1970-01-01T00:00:00+10:00", "1969-12-31", "9999-12-31", "NaN")),
        *(("until", value) for value in ("", "tomorrow", "2026-02-30", "1970-01-01T00:00:00+00:01")),
        ("model", "a\x00b"),
        ("page", "2"),
        ("key", "x"),
        ("", "x"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused_by_name(
    http: httpx.Client, name: str, value: str
) -> None:
    answer = http.get("/v1/calls", params={name: value})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == name


def test_a_filter_given_twice_is_refused(http: httpx.Client) -> None:
    answer = http.get("/v1/calls?status=refused&status=completed")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "status")


@pytest.mark.parametrize(
    "name",
    ["call_", "call_0", "nope", "call_" + "z" * 32, "call_" + "0" * 33, "../calls", "call_%00", "%ff", "x" * 4000,
     "call_' OR 1=1 --"],
)  # fmt: skip
def test_what_is_no_id_is_a_call_that_does_not_exist(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/v1/calls/{quote(name, safe='%')}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "call_not_found"
    assert len(answer.content) < 400


# Tasks.


class Painted(NamedTuple):
    """A finished task as its transaction recorded it: what was charged, and of which key."""

    model: str
    price_key: str
    images: int
    list_nanos: int
    amount_nanos: int
    status: str = "completed"


PAINTED = (
    Painted("openai/gpt-image-2", "2k", 1, 200_000_000, 100_000_000),
    Painted("openai/gpt-4o-image", "4", 4, 160_000_000, 80_000_000),
    Painted("topaz/topaz-upscale-image", "8", 1, 800_000_000, 400_000_000),
    Painted("black-forest-labs/flux-kontext-pro", "", 1, 40_000_000, 20_000_000),
    Painted("openai/gpt-image-2", "", 0, 0, 0, "refused"),
)


@pytest.fixture(scope="module")
def painter(world: World) -> Tenant:
    """Somebody whose key has made pictures only, one task of each of PAINTED."""
    tenant = world.add_tenant("Painter", balance="10")
    for one in PAINTED:
        world.database.query(
            "INSERT INTO gateway_callrecord (id, organization_id, group_id, api_key_id, source, endpoint, model,"
            " status, stream, service_tier, created_at, duration_ms, input_tokens, cached_input_tokens,"
            " cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, audio_input_tokens,"
            " audio_output_tokens, images, price_key, basis, price_id, hold_nanos, list_nanos, amount_nanos,"
            " written_off_nanos, error_code, error_message, attempts)"
            " SELECT %s, %s, %s, %s, 'task', 'text_to_image', %s, %s, false, 'standard', now(), 5, 0, 0, 0, 0, 0, 0, 0,"
            " 0, %s, %s, '', max(id), %s, %s, %s, 0, '', '', '[]' FROM billing_price WHERE model = %s",
            uuid7(), tenant.organization_id, tenant.group_id, tenant.key_id, one.model, one.status, one.images,
            one.price_key, one.amount_nanos or 7, one.list_nanos, one.amount_nanos, one.model,
        )  # fmt: skip
    return tenant


@pytest.mark.parametrize(
    ("place", "bucket", "quantity", "list_rate", "unit", "amount"),
    [
        (0, "image[2k]", 1, "0.20", "image", "0.10"),
        (1, "request[4]", 1, "0.16", "request", "0.08"),
        (2, "image[8]", 1, "0.80", "image", "0.40"),
        (3, "image", 1, "0.04", "image", "0.02"),
    ],
)
def test_a_task_is_told_with_the_line_that_explains_its_charge(
    gateway: GatewayProcess,
    painter: Tenant,
    place: int,
    bucket: str,
    quantity: int,
    list_rate: str,
    unit: str,
    amount: str,
) -> None:
    with client(gateway, painter) as http:
        one = history(http)[::-1][place]
        told = http.get(f"/v1/calls/{one['id']}").json()
    assert one.items() <= told.items()
    assert told["lines"] == [
        {
            "bucket": bucket,
            "quantity": quantity,
            "list_rate": list_rate,
            "unit": unit,
            "sell_bps": 5000,
            "amount": amount,
        }
    ]
    assert (told["charge"], told["list_price"]) == (amount, list_rate)
    assert told["usage"]["images"] == PAINTED[place].images


def test_a_call_and_its_task_have_the_same_digits(
    gateway: GatewayProcess, painter: Tenant, http: httpx.Client
) -> None:
    with client(gateway, painter) as painting:
        tasks = history(painting, source="task")
        assert history(painting, source="api") == []
    assert len(tasks) == len(PAINTED)
    assert [one["task_id"] for one in tasks] == [
        one["id"].replace("call_", "tsk_") for one in tasks
    ]
    assert {one["task_id"] for one in history(http)} == {None}


def test_a_task_that_was_refused_has_no_lines(gateway: GatewayProcess, painter: Tenant) -> None:
    with client(gateway, painter) as http:
        refused = history(http, status="refused")[0]
        told = http.get(f"/v1/calls/{refused['id']}").json()
    assert (told["lines"], told["charge"], told["usage"]["images"]) == ([], "0.00", 0)
