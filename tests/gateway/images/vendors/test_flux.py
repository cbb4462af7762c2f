"""FLUX at Black Forest Labs through a channel: submission, polls, the link, and what every misbehaviour becomes."""

import base64
import json
import time
from typing import Any

import msgspec
import pytest

from gateway.images.vendors import DRIVERS
from gateway.images.vendors.base import (
    Failed,
    Job,
    JobLost,
    Limits,
    Refused,
    Running,
    Unauthorized,
)
from gateway.images.vendors.flux import Flux
from simulator.pictures import measure
from simulator.process import SimulatorProcess
from tests.gateway.far_end import ThreadedFarEnd, head, whole
from tests.gateway.images.vendors.orders import (
    PROMPT,
    MakeAccess,
    assert_tells_nothing,
    delivered,
    failure,
    order,
    png,
    source,
    started,
)

SECRET = "0b1946ff-5e3e-4b05-secret"


def flux(script: dict[str, Any] | None = None, **changes: Any) -> Any:
    return order(script, **{"model": "flux-kontext-pro", **changes})


@pytest.fixture
def driver(access: MakeAccess) -> Flux:
    return Flux(access())


@pytest.fixture
def at_far(access: MakeAccess, far: ThreadedFarEnd) -> Flux:
    return Flux(access(far.base_url.removesuffix("/v1"), SECRET))


def answer_json(far: ThreadedFarEnd, **fields: Any) -> None:
    far.answer_with(whole(json.dumps(fields).encode()))


def test_the_dialects_driver_is_this_one(access: MakeAccess) -> None:
    assert isinstance(DRIVERS["black-forest-labs"](access()), Flux)


@pytest.mark.parametrize("ending", ["", "/", "/v1"])
def test_a_prompt_becomes_a_job_and_the_job_a_picture(
    access: MakeAccess, simulator: SimulatorProcess, ending: str
) -> None:
    driver = Flux(access(simulator.root_url + ending))
    given = flux(aspect_ratio="16:9")
    job = started(driver, given)
    assert job.poll_url == f"{simulator.root_url}/v1/get_result?id={job.id}"
    answer = delivered(driver, job)
    assert [measure(picture) for picture in answer.pictures] == [(1360, 768)]
    assert answer.upstream_id == job.id
    (request,) = simulator.requests(call_id=given.call_id)
    assert request["path"] == "/v1/flux-kontext-pro"
    assert request["body"] == {"prompt": PROMPT, "output_format": "png", "aspect_ratio": "16:9"}


def test_an_edit_carries_its_source_and_keeps_its_shape(
    driver: Flux, simulator: SimulatorProcess
) -> None:
    given = flux(action="edit_image", aspect_ratio="auto", sources=(source(),))
    answer = delivered(driver, started(driver, given))
    assert measure(answer.pictures[0]) == (1248, 832)
    (request,) = simulator.requests(call_id=given.call_id)
    assert base64.b64decode(request["body"]["input_image"]) == png()
    assert "aspect_ratio" not in request["body"]


def test_a_job_is_json_that_another_worker_goes_on_with(driver: Flux, access: MakeAccess) -> None:
    stored = msgspec.json.encode(started(driver, flux()))
    job = msgspec.json.decode(stored, type=Job)
    assert measure(delivered(Flux(access()), job).pictures[0]) == (1024, 1024)
    assert measure(delivered(driver, Job(job.id)).pictures[0]) == (1024, 1024)


def test_a_running_job_tells_how_far_it_is(driver: Flux) -> None:
    job = started(driver, flux({"job_delay_s": 0.6}))
    time.sleep(0.2)
    answer = driver.poll(job)
    assert isinstance(answer, Running)
    assert answer.job == job
    assert 0 < answer.progress < 100
    delivered(driver, job)


def test_a_job_that_hangs_is_running(driver: Flux) -> None:
    job = started(driver, flux({"job_hangs": True}))
    assert driver.poll(job) == driver.poll(job) == Running(job, 0, 1.0)


@pytest.mark.parametrize("refused", [True, "content", "request"])
def test_moderated_content_is_a_refusal(driver: Flux, refused: Any) -> None:
    error = failure(Refused, driver, started(driver, flux({"job_refused": refused})))
    assert error.code == "content_refused"


def test_a_job_that_failed_is_a_failure_for_good_and_says_why(driver: Flux) -> None:
    job = started(driver, flux({"job_fails": "Out of paint,\nuser-SECRET99."}))
    error = failure(Failed, driver, job)
    assert (error.code, error.transient) == ("upstream_error", False)
    assert error.message == "The provider could not make the pictures: Out of paint, …."


def test_a_cancelled_job_is_a_failure_for_good(driver: Flux) -> None:
    error = failure(Failed, driver, started(driver, flux({"job_cancelled": True})))
    assert (error.code, error.transient) == ("upstream_error", False)


def test_a_job_that_the_vendor_forgot_is_lost(driver: Flux) -> None:
    failure(JobLost, driver, started(driver, flux({"job_lost": True})))
    failure(JobLost, driver, Job("nobody"))


def test_a_job_whose_address_is_gone_is_lost(driver: Flux) -> None:
    failure(JobLost, driver, started(driver, flux({"poll_status": 404})))


def test_the_same_job_can_come_of_two_submissions(driver: Flux) -> None:
    given = flux({"same_job_twice": True})
    assert started(driver, given) == started(driver, given)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_poll_that_fails_can_be_made_again(driver: Flux, status: int) -> None:
    script = {"poll_status": status, "poll_failures": 1, "retry_after": 3}
    job = started(driver, flux(script))
    error = failure(Failed, driver, job)
    assert (error.status, error.transient, error.retry_after_s) == (status, True, 3)
    delivered(driver, job)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_poll_that_is_refused_to_our_account_is_for_the_operator(
    driver: Flux, status: int
) -> None:
    failure(Unauthorized, driver, started(driver, flux({"poll_status": status})))


def test_a_wrong_field_is_a_refusal_that_names_it(driver: Flux) -> None:
    error = failure(Refused, driver, flux(aspect_ratio="30:1"))
    assert (error.code, error.status) == ("invalid_request", 422)
    assert error.message.startswith("aspect_ratio: ")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(402, Unauthorized), (403, Unauthorized), (422, Refused), (429, Failed), (500, Failed)],
)
def test_a_submission_that_is_not_taken(driver: Flux, status: int, kind: Any) -> None:
    error = failure(kind, driver, flux({"status": status}))
    assert error.status == status
    assert getattr(error, "transient", True) is True


@pytest.mark.parametrize(
    "script",
    [
        {"html": True},
        {"body_error_200": True},
        {"reset_before_headers": True},
        {"close_before_headers": True},
        {"reset_after_chunks": 0},
        {"truncate_after_chunks": 0},
    ],
)
def test_a_submission_without_an_answer_is_a_failure(driver: Flux, script: Any) -> None:
    error = failure(Failed, driver, flux(script))
    assert (error.code, error.transient) == ("upstream_error", True)


def test_a_vendor_that_hangs_is_left_in_time(access: MakeAccess, far: ThreadedFarEnd) -> None:
    limits = Limits(start_timeout_s=0.3, poll_timeout_s=0.3)
    driver = Flux(access(limits=limits))
    given = flux({"hang_before_headers": True})
    assert failure(Failed, driver, given).code == "upstream_timeout"
    hanging = Flux(access(far.base_url, limits=limits))  # it never answers
    error = failure(Failed, hanging, Job("any"))
    assert (error.code, error.transient) == ("upstream_timeout", True)


def test_a_wrong_credential_is_for_the_operator_and_told_to_nobody(access: MakeAccess) -> None:
    driver = Flux(access(credential=SECRET))
    for given in (flux(), Job("any")):
        assert_tells_nothing(failure(Unauthorized, driver, given), SECRET)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1/get_result?id=j",
        "https://evil.example/v1/get_result?id=j",
        "https://api.us1.bfl.ai/v1/get_result?id=j",
        "//evil.example/get_result",
        "file:///etc/passwd",
        "http://[::1",
        "\x00",
        "",
        7,
        None,
    ],
)
def test_our_key_goes_nowhere_but_to_the_channels_own_origin(
    at_far: Flux, far: ThreadedFarEnd, url: Any
) -> None:
    answer_json(far, id="j-1", polling_url=url)
    job = started(at_far, flux())
    assert job == Job("j-1", "")
    answer_json(far, id="j-1", status="Pending")
    at_far.poll(job)
    # Nor where it was stored so, when the channel had another address.
    at_far.poll(Job("j-1", str(url)))
    lines = [request.lines[0] for request in far.requests]
    assert lines[1:] == ["GET /v1/get_result?id=j-1 HTTP/1.1"] * 2
    assert far.requests[1].headers["x-key"] == SECRET


def test_a_polling_url_at_the_channels_origin_is_followed(
    at_far: Flux, far: ThreadedFarEnd
) -> None:
    url = f"{far.base_url}/elsewhere?id=j-1&cluster=7"
    answer_json(far, id="j-1", polling_url=url)
    job = started(at_far, flux())
    assert job.poll_url == url
    answer_json(far, id="j-1", status="Pending")
    at_far.poll(job)
    assert far.requests[-1].lines[0] == "GET /v1/elsewhere?id=j-1&cluster=7 HTTP/1.1"


@pytest.mark.parametrize(
    ("base_url", "url", "trusted"),
    [
        ("https://api.bfl.ai", "https://api.us1.bfl.ai/v1/get_result?id=j", True),
        ("https://api.bfl.ai", "https://api.bfl.ai/v1/get_result?id=j", True),
        ("https://api.bfl.ai", "https://API.BFL.AI:443/v1/get_result?id=j", True),
        ("https://api.eu.bfl.ai/v1", "https://api.eu4.bfl.ai/v1/get_result?id=j", True),
        ("https://api.bfl.ai", "http://api.us1.bfl.ai/v1/get_result?id=j", False),
        ("https://api.bfl.ai", "https://api.us1.bfl.ai:8443/v1/get_result?id=j", False),
        ("https://api.bfl.ai", "https://evilbfl.ai/v1/get_result?id=j", False),
        ("https://api.bfl.ai", "https://bfl.ai.evil.example/", False),
        ("https://api.bfl.ai", "https://evil.example\\.bfl.ai/", False),
        ("https://api.bfl.ai", "https://evil.example#.bfl.ai", False),
        ("https://api.bfl.ai", "https://evil.example?.bfl.ai", False),
        ("https://api.bfl.ai", "https://me:pw@api.bfl.ai/", False),
        ("https://api.bfl.ai", "https://api.us1.bfl.ai@evil.example/", False),
        ("https://flux.example", "https://api.us1.bfl.ai/v1/get_result?id=j", False),
        ("https://flux.example", "https://flux.example:444/", False),
        ("https://flux.example", "http://flux.example/", False),
    ],
)
def test_the_vendors_own_regions_are_trusted_from_its_own_address(
    access: MakeAccess, base_url: str, url: str, trusted: bool
) -> None:
    assert Flux(access(base_url, SECRET))._trusts(url) is trusted


@pytest.mark.parametrize("job_id", ["", "../../v1/x", "a b", "a" * 200, "\x00", "ü", 7, None])
def test_an_id_that_cannot_be_stored_or_asked_for_is_a_failure(
    at_far: Flux, far: ThreadedFarEnd, job_id: Any
) -> None:
    answer_json(far, id=job_id)
    assert failure(Failed, at_far, flux()).transient is True


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"status": 7},
        {"status": "Ready"},
        {"status": "Ready", "result": []},
        {"status": "Ready", "result": {"sample": None}},
    ],
)
def test_a_poll_that_is_answered_with_nonsense_is_a_failure(
    at_far: Flux, far: ThreadedFarEnd, said: Any
) -> None:
    answer_json(far, **said)
    assert failure(Failed, at_far, Job("j")).transient is True


@pytest.mark.parametrize(
    ("progress", "percent"),
    [(0.426, 42), (-1, 0), (7, 100), (None, 0), ("half", 0), (True, 0), (1e308, 100)],
)
def test_progress_is_a_percentage_whatever_is_said(
    at_far: Flux, far: ThreadedFarEnd, progress: Any, percent: int
) -> None:
    answer_json(far, status="Pending", progress=progress)
    assert at_far.poll(Job("j")).progress == percent  # type: ignore[union-attr]


@pytest.mark.parametrize("details", [None, [], "no", {"message": 7}, {}])
def test_an_error_without_words_has_ours(at_far: Flux, far: ThreadedFarEnd, details: Any) -> None:
    answer_json(far, status="Error", details=details)
    error = failure(Failed, at_far, Job("j"))
    assert error.message == "The provider could not make the pictures."


def test_an_errors_words_carry_no_credential(at_far: Flux, far: ThreadedFarEnd) -> None:
    answer_json(far, status="Error", details={"message": f"{SECRET} is out of credits"})
    assert_tells_nothing(failure(Failed, at_far, Job("j")), SECRET)


@pytest.mark.parametrize(("status", "transient"), [(500, True), (403, False), (404, False)])
def test_a_picture_that_cannot_be_fetched_is_a_failure(
    driver: Flux, status: int, transient: bool
) -> None:
    job = started(driver, flux({"download_status": status, "download_failures": 1}))
    error = failure(Failed, driver, job)
    assert (error.status, error.transient) == (status, transient)
    delivered(driver, job)


def test_a_link_that_expired_is_a_failure_for_good(driver: Flux) -> None:
    job = started(driver, flux({"link_lifetime_s": 0.0}))
    error = failure(Failed, driver, job)
    assert (error.status, error.transient) == (403, False)


@pytest.mark.parametrize(
    "link",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/a.png",
        "https://localhost/",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_link_to_the_inside_is_not_followed(at_far: Flux, far: ThreadedFarEnd, link: str) -> None:
    answer_json(far, status="Ready", result={"sample": link})
    error = failure(Failed, at_far, Job("j"))
    assert (error.message, error.transient) == (
        "The provider's link to the picture is not safe.",
        False,
    )
    assert len(far.requests) == 1


def test_a_picture_is_fetched_without_our_key(at_far: Flux, far: ThreadedFarEnd) -> None:
    answer_json(far, status="Ready", result={"sample": f"{far.base_url}/sample.png"})
    (data,) = delivered(at_far, Job("j")).pictures
    assert b"Ready" in data
    assert "x-key" not in far.requests[-1].headers


def test_a_picture_over_the_cap_is_a_failure(access: MakeAccess) -> None:
    own = Flux(access())
    job = started(own, flux({"picture_bytes": 11_000_000}))
    error = failure(Failed, own, job)
    assert (error.message, error.transient) == ("The provider's picture is too large.", False)


def test_a_redirected_poll_is_not_followed(at_far: Flux, far: ThreadedFarEnd) -> None:
    far.answer_with(head("302 There", f"location: {far.base_url}/there", "content-length: 0"))
    assert failure(Failed, at_far, Job("j")).status == 302
    assert len(far.requests) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_a_poll_that_is_refused_says_nothing_of_the_customers_request(
    driver: Flux, status: int
) -> None:
    error = failure(Failed, driver, started(driver, flux({"poll_status": status})))
    assert (error.status, error.code, error.transient) == (status, "upstream_error", False)
