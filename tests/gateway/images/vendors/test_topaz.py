"""The upscaler of Topaz Labs through a channel: the form, polls, the link, and what every misbehaviour becomes."""

import json
import time
from typing import Any

import msgspec
import pytest

from gateway.images.vendors import DRIVERS
from gateway.images.vendors.base import Failed, Job, JobLost, Limits, Refused, Running, Unauthorized
from gateway.images.vendors.topaz import Topaz
from simulator.pictures import measure
from simulator.process import SimulatorProcess
from tests.gateway.far_end import ThreadedFarEnd, whole
from tests.gateway.images.vendors.orders import (
    MakeAccess,
    assert_tells_nothing,
    delivered,
    failure,
    order,
    png,
    scripted,
    source,
    started,
)

SECRET = "topaz-0b1946ff-5e3e"


def topaz(script: dict[str, Any] | None = None, **changes: Any) -> Any:
    """An order to double a picture, which carries the script."""
    picture = source(png(comment=scripted(**(script or {}))))
    asked = {"action": "upscale_image", "prompt": "", "upscale_factor": 2, "sources": (picture,)}
    return order(None, **{**asked, "model": "topaz-upscale-image", **changes})


@pytest.fixture
def driver(access: MakeAccess) -> Topaz:
    return Topaz(access())


@pytest.fixture
def at_far(access: MakeAccess, far: ThreadedFarEnd) -> Topaz:
    return Topaz(access(far.base_url.removesuffix("/v1"), SECRET))


def answer_json(far: ThreadedFarEnd, **fields: Any) -> None:
    far.answer_with(whole(json.dumps(fields).encode()))


def test_the_dialects_driver_is_this_one(access: MakeAccess) -> None:
    assert isinstance(DRIVERS["topaz"](access()), Topaz)


@pytest.mark.parametrize(
    ("factor", "size"), [(1, (48, 32)), (2, (96, 64)), (4, (192, 128)), (8, (384, 256))]
)
def test_a_picture_comes_back_so_many_times_larger(
    driver: Topaz, factor: int, size: tuple[int, int]
) -> None:
    job = started(driver, topaz(upscale_factor=factor))
    answer = delivered(driver, job)
    assert [measure(picture) for picture in answer.pictures] == [size]
    assert (answer.upstream_id, job.poll_url) == (job.id, "")


@pytest.mark.parametrize(
    ("model", "sent"),
    [("topaz-upscale-image", "Standard V2"), ("High Fidelity V2", "High Fidelity V2")],
)
def test_the_form_is_the_vendors(
    driver: Topaz, simulator: SimulatorProcess, model: str, sent: str
) -> None:
    given = topaz(model=model)
    started(driver, given)
    (request,) = simulator.requests(call_id=given.call_id)
    assert request["path"] == "/image/v1/enhance/async"
    assert 'name="image"; filename="source_1.png"\r\nContent-Type: image/png' in request["body"]
    fields = {"model": sent, "output_format": "png", "output_width": "96", "output_height": "64"}
    for name, value in fields.items():
        assert f'name="{name}"\r\n\r\n{value}\r\n' in request["body"]


def test_a_job_is_json_that_another_worker_goes_on_with(driver: Topaz, access: MakeAccess) -> None:
    stored = msgspec.json.encode(started(driver, topaz()))
    job = msgspec.json.decode(stored, type=Job)
    assert measure(delivered(Topaz(access()), job).pictures[0]) == (96, 64)


def test_a_running_job_tells_how_far_it_is(driver: Topaz) -> None:
    job = started(driver, topaz({"job_delay_s": 0.6}))
    time.sleep(0.2)
    answer = driver.poll(job)
    assert isinstance(answer, Running)
    assert 0 < answer.progress < 100
    delivered(driver, job)


def test_a_job_that_hangs_is_running(driver: Topaz) -> None:
    job = started(driver, topaz({"job_hangs": True}))
    assert driver.poll(job) == driver.poll(job) == Running(job, 0, 1.0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"job_fails": "Out of paint."}, ": Out of paint."),
        ({"job_refused": True}, ": The picture was refused."),
        ({"job_cancelled": True}, "."),
    ],
)
def test_a_job_that_ended_badly_is_a_failure_for_good(
    driver: Topaz, script: Any, words: str
) -> None:
    error = failure(Failed, driver, started(driver, topaz(script)))
    assert (error.code, error.transient) == ("upstream_error", False)
    assert error.message == f"The provider could not make the pictures{words}"


def test_a_job_that_the_vendor_forgot_is_lost(driver: Topaz) -> None:
    failure(JobLost, driver, started(driver, topaz({"job_lost": True})))
    failure(JobLost, driver, Job("nobody"))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_poll_that_fails_can_be_made_again(driver: Topaz, status: int) -> None:
    job = started(driver, topaz({"poll_status": status, "poll_failures": 1, "retry_after": 3}))
    error = failure(Failed, driver, job)
    assert (error.status, error.transient, error.retry_after_s) == (status, True, 3)
    delivered(driver, job)


def test_a_form_that_the_vendor_does_not_take_is_a_refusal(driver: Topaz) -> None:
    broken = source(png()[:-30])
    error = failure(Refused, driver, topaz(sources=(broken,)))
    assert (error.code, error.status) == ("invalid_request", 400)
    assert "cannot be read" in error.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [(402, Unauthorized), (403, Unauthorized), (413, Refused), (429, Failed), (503, Failed)],
)
def test_a_submission_that_is_not_taken(driver: Topaz, status: int, kind: Any) -> None:
    error = failure(kind, driver, topaz({"status": status}))
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
def test_a_submission_without_an_answer_is_a_failure(driver: Topaz, script: Any) -> None:
    error = failure(Failed, driver, topaz(script))
    assert (error.code, error.transient) == ("upstream_error", True)


def test_a_vendor_that_hangs_is_left_in_time(access: MakeAccess) -> None:
    driver = Topaz(access(limits=Limits(start_timeout_s=0.3)))
    error = failure(Failed, driver, topaz({"hang_before_headers": True}))
    assert (error.code, error.transient) == ("upstream_timeout", True)


def test_a_wrong_credential_is_for_the_operator_and_told_to_nobody(access: MakeAccess) -> None:
    driver = Topaz(access(credential=SECRET))
    for given in (topaz(), Job("any")):
        assert_tells_nothing(failure(Unauthorized, driver, given), SECRET)


def test_a_new_poll_brings_a_new_link(driver: Topaz) -> None:
    job = started(driver, topaz({"link_lifetime_s": 0.5}))
    time.sleep(0.7)
    delivered(driver, job)


@pytest.mark.parametrize(("status", "transient"), [(500, True), (403, False)])
def test_a_picture_that_cannot_be_fetched_is_a_failure(
    driver: Topaz, status: int, transient: bool
) -> None:
    job = started(driver, topaz({"download_status": status, "download_failures": 1}))
    error = failure(Failed, driver, job)
    assert (error.status, error.transient) == (status, transient)
    delivered(driver, job)


@pytest.mark.parametrize("job_id", ["", "../account", "a b", "a" * 200, 7, None])
def test_an_id_that_cannot_be_stored_or_asked_for_is_a_failure(
    at_far: Topaz, far: ThreadedFarEnd, job_id: Any
) -> None:
    answer_json(far, process_id=job_id)
    assert failure(Failed, at_far, topaz()).transient is True


@pytest.mark.parametrize(
    "said",
    [{}, {"status": None}, {"status": "Completed"}, {"status": "Completed", "download_url": 7}],
)
def test_a_poll_that_is_answered_with_nonsense_is_a_failure(
    at_far: Topaz, far: ThreadedFarEnd, said: Any
) -> None:
    answer_json(far, **said)
    assert failure(Failed, at_far, Job("j")).transient is True


def test_a_link_to_the_inside_is_not_followed(at_far: Topaz, far: ThreadedFarEnd) -> None:
    answer_json(far, status="Completed", download_url="http://169.254.169.254/latest")
    assert failure(Failed, at_far, Job("j")).transient is False
    assert len(far.requests) == 2


def test_a_picture_is_fetched_without_our_key(at_far: Topaz, far: ThreadedFarEnd) -> None:
    answer_json(far, status="Completed", download_url=f"{far.base_url}/picture.png")
    delivered(at_far, Job("j"))
    assert [request.headers.get("x-api-key") for request in far.requests] == [SECRET, SECRET, None]


def test_a_failures_words_carry_no_credential(at_far: Topaz, far: ThreadedFarEnd) -> None:
    answer_json(far, status="Failed", message=f"{SECRET}\r\nis out of credits")
    assert_tells_nothing(failure(Failed, at_far, Job("j")), SECRET)


@pytest.mark.parametrize("status", [400, 422])
def test_a_poll_that_is_refused_says_nothing_of_the_customers_request(
    driver: Topaz, status: int
) -> None:
    error = failure(Failed, driver, started(driver, topaz({"poll_status": status})))
    assert (error.status, error.code, error.transient) == (status, "upstream_error", False)
