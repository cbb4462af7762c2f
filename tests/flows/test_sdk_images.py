"""OpenAI's clients on Images, with workers that make the pictures; each charge worked out from the vendor's log."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from simulator.pictures import Size, draw
from tests.flows.billing_checks import Books, open_books
from tests.flows.picture_works import Works, look_at, open_works
from tests.flows.sdk_clients import Speaker, Speakers, speak_openai
from tests.world import Tenant, World

GENERATE, EDIT = "images.generate", "images.edit"
PROMPT = "A product photo of a glass perfume bottle on a marble surface"
GPT, GPT_4O = "gpt-image-2", "gpt-4o-image"
SQUARE = draw("what is sent", Size(512, 512), transparent=False)
WIDE = draw("what is sent", Size(768, 512), transparent=True)


@pytest.fixture(scope="module")
def works(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with open_works(world, tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture(scope="module")
def books(world: World) -> Iterator[Books]:
    with open_books(world) as made:
        yield made


@pytest.fixture(scope="module")
def speakers(works: Works, alice: Tenant, books: Books) -> Iterator[Speakers]:
    with speak_openai(works.gateway, alice.key, books) as made:
        yield made


@pytest.fixture(autouse=True)
def _each_call_is_recorded_once_and_charged_as_listed(books: Books) -> Iterator[None]:
    with books.watch():
        yield


@pytest.fixture(params=["sync", "async"])
def speaker(speakers: Speakers, request: pytest.FixtureRequest) -> Speaker:
    return speakers[request.param]


def scripted(**script: Any) -> str:
    """The prompt with a script for the vendor."""
    return f"{PROMPT} [[simulate {json.dumps(script)}]]"


def bytes_of(answer: Any) -> list[bytes]:
    return [base64.b64decode(one.b64_json) for one in answer.data]


@pytest.mark.parametrize(
    ("fields", "size", "nanos"),
    [
        ({"model": GPT}, (1024, 1024), 60_000_000),
        ({"model": "openai/gpt-image-2", "size": "1024x1536"}, (1024, 1536), 60_000_000),
        ({"model": GPT, "size": "2048x2048", "quality": "low"}, (2048, 2048), 100_000_000),
        ({"model": GPT, "size": "3840x2160"}, (3840, 2160), 160_000_000),
        ({"model": GPT_4O, "size": "1536x1024"}, (1536, 1024), 60_000_000),
        ({"model": "flux-kontext-pro"}, (1024, 1024), 20_000_000),
        ({"model": "black-forest-labs/flux-kontext-max"}, (1024, 1024), 40_000_000),
    ],
)
def test_a_picture_comes_with_the_answer(
    speaker: Speaker, books: Books, fields: dict[str, Any], size: tuple[int, int], nanos: int
) -> None:
    answer = speaker.call(GENERATE, prompt=PROMPT, **fields)
    (data,) = bytes_of(answer)
    assert look_at(data)[:2] == ("PNG", size)
    assert books.record()["amount_nanos"] == nanos


@pytest.mark.parametrize(
    ("fields", "nanos"),
    [
        ({"model": GPT, "n": 2}, 120_000_000),
        ({"model": GPT_4O, "n": 2}, 70_000_000),
        ({"model": GPT_4O, "n": 4}, 80_000_000),
    ],
)
def test_several_pictures_come_at_once(
    speaker: Speaker, books: Books, fields: dict[str, Any], nanos: int
) -> None:
    pictures = bytes_of(speaker.call(GENERATE, prompt=PROMPT, **fields))
    assert [look_at(data).size for data in pictures] == [(1024, 1024)] * fields["n"]
    assert books.record()["amount_nanos"] == nanos


def test_links_come_instead_of_pictures_if_they_are_asked_for(speaker: Speaker) -> None:
    answer = speaker.call(
        GENERATE, model=GPT, prompt=PROMPT, n=2, size="2048x2048", response_format="url"
    )
    links = [one.url for one in answer.data]
    assert len(set(links)) == 2
    for link in links:
        picture = httpx.get(link, trust_env=False)
        assert picture.headers["content-type"] == "image/png"
        assert look_at(picture.content).size == (2048, 2048)


def test_a_transparent_background_is_transparent(speaker: Speaker) -> None:
    alphas = {
        background: look_at(
            bytes_of(speaker.call(GENERATE, model=GPT, prompt=PROMPT, background=background))[0]
        ).least_alpha
        for background in ("transparent", "opaque")
    }
    assert alphas == {"transparent": 0, "opaque": 255}


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"model": GPT, "image": SQUARE}, (1024, 1024)),
        ({"model": GPT, "image": [WIDE, SQUARE]}, (1536, 1024)),
        ({"model": GPT, "image": WIDE, "mask": WIDE, "size": "2048x1152"}, (2048, 1152)),
        ({"model": GPT_4O, "image": [SQUARE, WIDE], "n": 2, "size": "1024x1536"}, (1024, 1536)),
        ({"model": "flux-kontext-pro", "image": ("a.png", SQUARE)}, (1024, 1024)),
        ({"model": "flux-kontext-max", "image": SQUARE, "size": "1024x1024"}, (1024, 1024)),
    ],
)
def test_pictures_are_edited(
    speaker: Speaker, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    answer = speaker.call(EDIT, prompt="Put a hat on it", **fields)
    pictures = bytes_of(answer)
    assert [look_at(data)[:2] for data in pictures] == [("PNG", size)] * fields.get("n", 1)


def test_what_an_edit_is_sent_with_reaches_the_vendor(
    speaker: Speaker, books: Books, world: World
) -> None:
    speaker.call(EDIT, model=GPT, prompt="A hat", image=[SQUARE, WIDE], mask=SQUARE)
    trial = f"tsk_{books.record()['id'].hex}-1"
    (sent,) = world.simulator.requests(call_id=trial)
    assert sent["path"].endswith("/images/edits")
    pictures = len(SQUARE) * 2 + len(WIDE)
    assert int(sent["headers"]["content-length"]) > pictures


def test_the_answer_names_its_charge_and_its_task(speaker: Speaker, books: Books) -> None:
    raw = speaker.call("images.with_raw_response.generate", model=GPT_4O, prompt=PROMPT, n=4)
    assert Decimal(raw.headers["x-tollgate-charge"]) == Decimal("0.08")
    task_id = raw.headers["x-tollgate-task"]
    assert task_id == f"tsk_{books.record()['id'].hex}"
    assert raw.headers["x-request-id"] == f"call_{task_id.removeprefix('tsk_')}"
    assert len(raw.parse().data) == 4
    task = speaker.call("get", path=f"/tasks/{task_id}", cast_to=httpx.Response).json()
    assert (task["status"], task["billing"]["charged"]) == ("completed", "0.08")


@pytest.mark.parametrize("model", [GPT, GPT_4O, "flux-kontext-pro"])
def test_refused_content_is_unprocessable_and_free(
    speaker: Speaker, books: Books, model: str
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        speaker.call(GENERATE, model=model, prompt=scripted(job_refused=True))
    assert refused.value.code == "content_refused"
    assert "safety" in refused.value.message
    record = books.record()
    assert (record["status"], record["amount_nanos"]) == ("refused", 0)


def test_what_the_vendor_calls_wrong_is_a_bad_request_and_free(
    speaker: Speaker, books: Books
) -> None:
    prompt = scripted(status=400, error={"message": "Draw something else.", "code": "odd"})
    with pytest.raises(openai.BadRequestError) as refused:
        speaker.call(GENERATE, model=GPT, prompt=prompt)
    assert refused.value.code == "invalid_request"
    assert "Draw something else." in refused.value.message
    assert books.record()["status"] == "refused"


def test_what_is_not_offered_is_a_bad_request(speaker: Speaker) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        speaker.call(GENERATE, model=GPT, prompt=PROMPT, quality="high")
    assert (refused.value.param, refused.value.code) == ("quality", "unsupported_parameter")
    with pytest.raises(openai.BadRequestError) as refused:
        speaker.call(EDIT, model=GPT, prompt=PROMPT, image=b"<html>")
    assert refused.value.param == "image"
    with pytest.raises(openai.NotFoundError):
        speaker.call(GENERATE, model="gpt-image-9", prompt=PROMPT)


def test_a_key_that_may_not_use_the_model_is_denied(
    works: Works, world: World, books: Books
) -> None:
    tenant = world.add_tenant("Bob", balance="1")
    world.database.query(
        "UPDATE accounts_apikey SET allowed_models = %s::jsonb WHERE id = %s",
        '["openai/gpt-5.5"]',
        tenant.key_id,
    )
    with speak_openai(works.gateway, tenant.key, books) as own:
        for kind in ("sync", "async"):
            with pytest.raises(openai.PermissionDeniedError) as denied:
                own[kind].call(GENERATE, model=GPT, prompt=PROMPT)
            assert denied.value.code == "model_not_allowed"


def test_an_empty_wallet_is_a_402(works: Works, world: World, books: Books) -> None:
    poor = world.add_tenant("Charlie", balance="0.07")
    with speak_openai(works.gateway, poor.key, books) as own:
        for kind in ("sync", "async"):
            with pytest.raises(openai.APIStatusError) as refused:
                own[kind].call(GENERATE, model=GPT, prompt=PROMPT, n=2)
            assert (refused.value.status_code, refused.value.code) == (402, "insufficient_credits")
        assert own["sync"].call(GENERATE, model=GPT_4O, prompt=PROMPT, n=2).data


def test_a_picture_that_comes_at_the_second_try_is_charged_once(
    speaker: Speaker, books: Books
) -> None:
    name = "black-forest-labs/flux-kontext-pro"
    prompt = scripted(download_status=503, download_failures=1)
    assert speaker.call(GENERATE, model=name, prompt=prompt).data
    assert books.record()["amount_nanos"] == 20_000_000


def test_the_same_key_of_idempotency_makes_one_picture(speaker: Speaker, world: World) -> None:
    headers = {"Idempotency-Key": f"bottle {speaker.is_async}"}
    first = speaker.call(GENERATE, model=GPT, prompt=PROMPT, extra_headers=headers)
    count = world.database.one("SELECT count(*) FROM gateway_task")
    again = speaker.call(GENERATE, model=GPT, prompt=PROMPT, extra_headers=headers)
    assert bytes_of(again) == bytes_of(first)
    assert world.database.one("SELECT count(*) FROM gateway_task") == count


def test_many_calls_wait_at_once_and_each_gets_its_own_picture(speakers: Speakers) -> None:
    def generate(number: int) -> bytes:
        answer = speakers["sync"].call(GENERATE, model=GPT, prompt=f"Bottle {number}")
        return bytes_of(answer)[0]

    with ThreadPoolExecutor(24) as pool:
        pictures = list(pool.map(generate, range(24)))
    assert len(set(pictures)) == 24
    again = speakers["sync"].call(GENERATE, model=GPT, prompt="Bottle 7")
    assert bytes_of(again)[0] == pictures[7]
