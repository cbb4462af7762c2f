"""OpenAI Images through a channel: what is sent, what comes back, and what every misbehaviour becomes."""

import base64
import gzip
import json
import time
import tracemalloc
from typing import Any

import msgspec
import pytest

from gateway.images.vendors import DRIVERS
from gateway.images.vendors.base import (
    Delivered,
    Failed,
    Job,
    JobLost,
    Limits,
    Refused,
    Unauthorized,
)
from gateway.images.vendors.http import make_client, make_fetch
from gateway.images.vendors.openai import OpenAIImages
from simulator.pictures import measure
from simulator.process import SimulatorProcess
from tests.gateway.far_end import ThreadedFarEnd, head, whole
from tests.gateway.images.vendors.orders import (
    FETCHED,
    PROMPT,
    MakeAccess,
    assert_tells_nothing,
    failure,
    order,
    png,
    source,
)

ONE_PICTURE = json.dumps({"data": [{"b64_json": base64.b64encode(png()).decode()}]}).encode()


@pytest.fixture
def driver(access: MakeAccess, simulator: SimulatorProcess) -> OpenAIImages:
    return OpenAIImages(access(simulator.base_url))


@pytest.fixture
def at_far(access: MakeAccess, far: ThreadedFarEnd) -> OpenAIImages:
    limits = Limits(start_timeout_s=2.0, picture_bytes_max=1_000_000)
    return OpenAIImages(access(far.base_url, "bfl-1234-secret", limits))


def seen(simulator: SimulatorProcess, call_id: str) -> dict[str, Any]:
    (request,) = simulator.requests(call_id=call_id)
    return request


def test_the_dialects_driver_is_this_one(access: MakeAccess) -> None:
    assert isinstance(DRIVERS["openai"](access()), OpenAIImages)


def test_pictures_of_a_prompt_come_with_the_answer(
    driver: OpenAIImages, simulator: SimulatorProcess
) -> None:
    given = order(size=(1536, 1024), output_count=2, background="transparent", quality="low")
    answer = driver.start(given)
    assert isinstance(answer, Delivered)
    assert [measure(picture) for picture in answer.pictures] == [(1536, 1024)] * 2
    assert answer.upstream_id
    request = seen(simulator, given.call_id)
    assert request["path"] == "/v1/images/generations"
    assert request["body"] == {
        "model": "gpt-image-2",
        "prompt": PROMPT,
        "n": 2,
        "size": "1536x1024",
        "background": "transparent",
        "quality": "low",
        "output_format": "png",
    }
    assert request["headers"]["idempotency-key"] == "tsk_1-1"
    assert request["headers"]["user-agent"] == "tollgate"


def test_what_the_vendor_shall_choose_is_left_to_it(
    driver: OpenAIImages, simulator: SimulatorProcess
) -> None:
    given = order()
    driver.start(given)
    body = seen(simulator, given.call_id)["body"]
    assert (body["size"], "background" in body, "quality" in body) == ("auto", False, False)


def test_an_edit_is_a_form_with_every_source_and_the_mask(
    driver: OpenAIImages, simulator: SimulatorProcess
) -> None:
    sources = (source(), source(name='two"\r\nx-evil: 1.png'))
    mask = source(name="mask.png")
    given = order(action="edit_image", sources=sources, mask=mask, size=(1024, 1024), quality="low")
    answer = driver.start(given)
    assert [measure(picture) for picture in answer.pictures] == [(1024, 1024)]
    request = seen(simulator, given.call_id)
    assert request["path"] == "/v1/images/edits"
    assert request["body"].count('name="image[]"; filename=') == 2
    assert 'name="mask"; filename="mask.png"' in request["body"]
    assert "\r\nx-evil" not in request["body"]
    for field, value in {"n": "1", "size": "1024x1024", "output_format": "png"}.items():
        assert f'name="{field}"\r\n\r\n{value}\r\n' in request["body"]


@pytest.mark.parametrize("sources", [(), (source(),)], ids=["generation", "edit"])
def test_refused_content_is_final(driver: OpenAIImages, sources: Any) -> None:
    error = failure(Refused, driver, order({"job_refused": True}, sources=sources))
    assert (error.code, error.status) == ("content_refused", 400)
    assert error.message == "Your request was rejected by the safety system."


def test_a_request_that_the_vendor_does_not_take_is_final_and_says_why(
    driver: OpenAIImages,
) -> None:
    error = failure(Refused, driver, order(size=(1000, 1000)))
    assert (error.code, error.status) == ("invalid_request", 400)
    assert "multiples of 16" in error.message


@pytest.mark.parametrize("status", [400, 413, 422])
def test_other_refusals_of_the_request_are_final(driver: OpenAIImages, status: int) -> None:
    assert failure(Refused, driver, order({"status": status})).code == "invalid_request"


@pytest.mark.parametrize(
    ("status", "transient"),
    [(404, False), (405, False), (410, False), (408, True), (409, True), (429, True)]
    + [(status, True) for status in (500, 502, 503, 504, 529)],
)
def test_a_status_that_is_no_refusal_is_a_failure(
    driver: OpenAIImages, status: int, transient: bool
) -> None:
    error = failure(Failed, driver, order({"status": status, "retry_after": 7}))
    assert (error.code, error.status, error.transient) == ("upstream_error", status, transient)
    assert error.retry_after_s == 7


@pytest.mark.parametrize("status", [401, 402, 403, 407])
def test_what_speaks_of_our_account_is_for_the_operator(driver: OpenAIImages, status: int) -> None:
    words = {"message": "Organization org-SECRET99 owes you.", "code": "billing"}
    error = failure(Unauthorized, driver, order({"status": status, "error": words}))
    assert (error.code, error.status) == ("upstream_error", status)
    assert error.message == "The provider failed to answer."


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, {"code": "insufficient_quota", "message": "No credit."}),
        (400, {"code": "billing", "message": "Your credit balance is too low."}),
        (400, {"message": "API key not valid."}),
    ],
)
def test_our_account_is_known_under_a_callers_status_too(
    driver: OpenAIImages, status: int, words: Any
) -> None:
    failure(Unauthorized, driver, order({"status": status, "error": words}))


def test_a_wrong_credential_is_for_the_operator_and_told_to_nobody(
    access: MakeAccess, simulator: SimulatorProcess
) -> None:
    driver = OpenAIImages(access(simulator.base_url, "sk-very-secret"))
    error = failure(Unauthorized, driver, order())
    assert_tells_nothing(error, "sk-very-secret")
    assert "sk-very-secret" not in repr(driver._access)


@pytest.mark.parametrize(
    "script",
    [
        {"html": True},
        {"reset_before_headers": True},
        {"close_before_headers": True},
        {"reset_after_chunks": 0},
        {"truncate_after_chunks": 0},
    ],
)
def test_an_answer_that_is_none_is_a_failure(driver: OpenAIImages, script: Any) -> None:
    error = failure(Failed, driver, order(script))
    assert (error.code, error.transient) == ("upstream_error", True)


def test_an_error_with_200_is_a_failure(driver: OpenAIImages) -> None:
    error = failure(Failed, driver, order({"body_error_200": True}))
    assert error.message == "The provider answered with an error."
    assert (error.code, error.transient) == ("upstream_error", True)


def test_moderation_in_an_answer_with_200_is_a_refusal(
    at_far: OpenAIImages, far: ThreadedFarEnd
) -> None:
    far.answer_with(whole(b'{"error":{"code":"moderation_blocked","message":"Not this."}}'))
    assert failure(Refused, at_far, order()).code == "content_refused"


@pytest.mark.parametrize("script", [{"hang_before_headers": True}, {"hang_after_chunks": 0}])
def test_a_vendor_that_hangs_is_left_in_time(
    access: MakeAccess, simulator: SimulatorProcess, script: Any
) -> None:
    driver = OpenAIImages(access(simulator.base_url, limits=Limits(start_timeout_s=0.4)))
    began = time.monotonic()
    error = failure(Failed, driver, order(script))
    assert (error.code, error.transient) == ("upstream_timeout", True)
    assert 0.3 < time.monotonic() - began < 2


def test_no_request_outlasts_the_deadline_of_its_task(
    driver: OpenAIImages, simulator: SimulatorProcess
) -> None:
    began = time.monotonic()
    given = order({"hang_before_headers": True}, deadline=time.time() + 0.3)
    assert failure(Failed, driver, given).code == "upstream_timeout"
    assert time.monotonic() - began < 2
    late = order(deadline=time.time() - 1)
    assert failure(Failed, driver, late).code == "upstream_timeout"
    assert simulator.requests(call_id=late.call_id) == []


def test_a_vendor_that_drips_is_left_in_time_as_well(
    access: MakeAccess, far: ThreadedFarEnd
) -> None:
    driver = OpenAIImages(access(far.base_url, limits=Limits(start_timeout_s=0.4)))
    far.answer_with(head()[:-2], *[b"x-more: y\r\n"] * 2_000)  # a byte now and then for 4 s
    began = time.monotonic()
    assert failure(Failed, driver, order()).code == "upstream_timeout"
    assert time.monotonic() - began < 1.5


def test_the_time_of_a_kept_connection_counts_for_each_request_anew(
    access: MakeAccess, far: ThreadedFarEnd
) -> None:
    driver = OpenAIImages(access(far.base_url, limits=Limits(start_timeout_s=0.4)))
    far.answer_with(whole(ONE_PICTURE))
    for _ in range(3):
        driver.start(order())
        time.sleep(0.2)
    assert len(far.requests) == 3


def test_a_vendor_that_is_not_there_is_a_failure(access: MakeAccess, far: ThreadedFarEnd) -> None:
    driver = OpenAIImages(access(far.base_url))
    far.close()
    error = failure(Failed, driver, order())
    assert (error.code, error.transient, error.status) == ("upstream_error", True, None)
    assert_tells_nothing(error, far.base_url)


def test_an_answer_over_the_cap_is_not_read_on(at_far: OpenAIImages, far: ThreadedFarEnd) -> None:
    far.answer_with(head("200 OK", "content-length: 900000000"), *[b"x" * 500_000] * 20)
    began = time.monotonic()
    error = failure(Failed, at_far, order())
    assert (error.message, error.transient) == ("The provider's answer is too large.", False)
    assert time.monotonic() - began < 1


def test_the_cap_grows_with_the_pictures_that_were_asked_for(
    access: MakeAccess, far: ThreadedFarEnd
) -> None:
    driver = OpenAIImages(access(far.base_url, limits=Limits(picture_bytes_max=1_500_000)))
    picture = {"b64_json": base64.b64encode(b"p" * 1_500_000).decode()}
    far.answer_with(whole(json.dumps({"data": [picture] * 4}).encode()))
    assert len(driver.start(order(output_count=4)).pictures) == 4
    failure(Failed, driver, order())


def test_an_answer_with_pictures_is_held_once(access: MakeAccess, far: ThreadedFarEnd) -> None:
    driver = OpenAIImages(access(far.base_url))
    text = base64.b64encode(b"p" * 6_000_000)
    answer = b'{"data":[' + b",".join([b'{"b64_json":"' + text + b'"}'] * 4) + b"]}"
    far.answer_with(whole(answer))
    tracemalloc.start()
    try:
        assert len(driver.start(order(output_count=4)).pictures) == 4
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < len(answer) / 8
    # The text once, with an eighth of room to grow, and what was made of it: three quarters.
    assert most < len(answer) * 1.95


def test_a_long_refusal_is_cut_and_not_a_fault(at_far: OpenAIImages, far: ThreadedFarEnd) -> None:
    body = json.dumps({"error": {"message": "no" * 200_000}}).encode()
    far.answer_with(whole(body, status="400 Bad Request"))
    assert failure(Refused, at_far, order()).message.startswith("The provider refused")


def test_a_redirect_is_not_followed(at_far: OpenAIImages, far: ThreadedFarEnd) -> None:
    far.answer_with(head("307 There", f"location: {far.base_url}/there", "content-length: 0"))
    error = failure(Failed, at_far, order())
    assert (error.status, error.transient) == (307, False)
    assert len(far.requests) == 1


def test_nothing_of_the_environment_leads_elsewhere(
    far: ThreadedFarEnd, access: MakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    far.answer_with(whole(ONE_PICTURE))
    with make_client() as client:
        own = msgspec.structs.replace(access(far.base_url), client=client)
        assert OpenAIImages(own).start(order()).pictures == (png(),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":[{"url":"https://x.example/a.png"}]}',
        b'{"data":[{"b64_json":""}]}',
        b'{"data":[{"b64_json":"?not base64?"}]}',
        b'{"data":{"b64_json":"aGk="}}',
        b'{"data":[{"b64_json":"aGk="}',
        b"[" * 100_000,
        b'{"data":"\xff"}',
    ],
)
def test_garbage_is_a_failure(at_far: OpenAIImages, far: ThreadedFarEnd, body: bytes) -> None:
    far.answer_with(whole(body))
    error = failure(Failed, at_far, order())
    assert (error.code, error.transient) == ("upstream_error", True)


def test_a_packed_answer_is_not_unpacked(at_far: OpenAIImages, far: ThreadedFarEnd) -> None:
    body = gzip.compress(ONE_PICTURE)
    far.answer_with(head("200 OK", "content-encoding: gzip", f"content-length: {len(body)}") + body)
    failure(Failed, at_far, order())
    assert far.requests[0].headers["accept-encoding"] == "identity"


def test_fewer_pictures_are_delivered_as_they_are_and_never_more(
    at_far: OpenAIImages, far: ThreadedFarEnd
) -> None:
    picture = {"b64_json": base64.b64encode(png()).decode()}
    far.answer_with(whole(json.dumps({"data": [picture] * 3, "error": None}).encode()))
    assert len(at_far.start(order(output_count=10)).pictures) == 3
    assert len(at_far.start(order(output_count=2)).pictures) == 2


@pytest.mark.parametrize("kind", ["html", "json"])
def test_what_is_no_picture_is_handed_on_as_it_came(driver: OpenAIImages, kind: str) -> None:
    (data,) = driver.start(order({"not_a_picture": kind})).pictures
    assert data[:1] in (b"<", b"{")


def test_a_vendors_words_carry_no_credential_no_account_and_no_line_ends(
    at_far: OpenAIImages, far: ThreadedFarEnd
) -> None:
    words = "Bad\r\n\tfield. bfl-1234-secret of org-AbC123 with sk-proj-abcdef99 " + "x" * 3_000
    body = json.dumps({"error": {"message": words, "code": "invalid_value"}}).encode()
    far.answer_with(whole(body, status="400 Bad Request"))
    error = failure(Refused, at_far, order())
    assert error.message.startswith("Bad field. … of … with … xxx")
    assert_tells_nothing(error, "bfl-1234-secret", "org-AbC123", "sk-proj-abcdef99")


@pytest.mark.parametrize("credential", ["schlüssel", "a\r\nx-evil: 1", "a\x00b"])
def test_a_credential_that_cannot_be_sent_is_a_failure_that_does_not_quote_it(
    access: MakeAccess, far: ThreadedFarEnd, credential: str
) -> None:
    far.answer_with(whole(ONE_PICTURE))
    error = failure(Failed, OpenAIImages(access(far.base_url, credential)), order())
    assert error.transient is False
    assert_tells_nothing(error, credential, "evil", "schl")
    assert far.requests == []


@pytest.mark.parametrize("base_url", ["", "nonsense", "ftp://x.example", "http://[::1", "http://"])
def test_an_address_that_cannot_be_called_is_a_failure(access: MakeAccess, base_url: str) -> None:
    fetch = make_fetch(base_url, FETCHED)
    own = msgspec.structs.replace(access(), base_url=base_url, fetch=fetch)
    assert failure(Failed, OpenAIImages(own), order()).transient is False
    with pytest.raises(Failed):
        fetch("http://127.0.0.1:1/picture.png")


def test_there_are_no_jobs_to_ask_after(driver: OpenAIImages) -> None:
    failure(JobLost, driver, Job("any"))
