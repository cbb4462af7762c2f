"""Jobs: submitted, asked after, fetched. Black Forest Labs' dialect and an upscaler's."""

import base64
import json
import re
import time

import httpx
import pytest

from simulator.pictures import Size, draw, measure
from simulator.png import add_comment, decode_png
from simulator.process import SimulatorProcess

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SOURCE = draw("what is sent", Size(30, 20), transparent=True)


class Flux:
    """A caller of Black Forest Labs."""

    name = "flux"

    def __init__(self, vendor):
        self.root = vendor.root_url
        self.headers = {"x-key": vendor.api_key}

    def submit(self, script=None, call_id="flux", model="flux-kontext-pro", **body):
        if script is not None:
            body["simulate"] = script
        body.setdefault("prompt", "a red bicycle")
        headers = {**self.headers, "x-client-request-id": call_id}
        return httpx.post(f"{self.root}/v1/{model}", json=body, headers=headers, timeout=5)

    def start(self, script=None, **options):
        return self.submit(script, **options).json()["id"]

    def poll(self, job):
        return httpx.get(f"{self.root}/v1/get_result", params={"id": job}, headers=self.headers)

    def status(self, job):
        return self.poll(job).json()["status"]

    def link(self, job):
        return self.poll(job).json()["result"]["sample"]


class Topaz:
    """A caller of the upscaler."""

    name = "topaz"

    def __init__(self, vendor):
        self.root = vendor.root_url + "/image/v1"
        self.headers = {"X-API-Key": vendor.api_key}

    def submit(self, script=None, call_id="topaz", image=SOURCE, **fields):
        if script is not None:
            fields["simulate"] = json.dumps(script)
        if not {"output_scale_factor", "scale", "output_width", "output_height"} & set(fields):
            fields["output_scale_factor"] = "2"
        headers = {**self.headers, "x-client-request-id": call_id}
        files = {"image": ("cat.png", image, "image/png")}
        url = f"{self.root}/enhance/async"
        return httpx.post(url, data=fields, files=files, headers=headers, timeout=5)

    def start(self, script=None, **options):
        return self.submit(script, **options).json()["process_id"]

    def poll(self, job):
        return httpx.get(f"{self.root}/status/{job}", headers=self.headers)

    def status(self, job):
        return self.poll(job).json().get("status", "Task not found")

    def download(self, job):
        return httpx.get(f"{self.root}/download/{job}", headers=self.headers)

    def link(self, job):
        return self.download(job).json()["download_url"]


@pytest.fixture
def flux(vendor):
    return Flux(vendor)


@pytest.fixture
def topaz(vendor):
    return Topaz(vendor)


@pytest.fixture(params=[Flux, Topaz])
def maker(request, vendor):
    """Either dialect."""
    return request.param(vendor)


DONE = ("Ready", "Completed")


def shown(vendor, job):
    (found,) = [one for one in vendor.jobs() if one["id"] == job]
    return found


def test_a_submission_answers_an_id_and_where_to_poll(flux, vendor, call_id):
    answer = flux.submit(call_id=call_id, aspect_ratio="16:9", seed=7).json()
    assert set(answer) == {"id", "polling_url"}
    assert UUID.fullmatch(answer["id"])
    assert answer["polling_url"] == f"{vendor.root_url}/v1/get_result?id={answer['id']}"
    polled = httpx.get(answer["polling_url"], headers=flux.headers).json()
    assert (polled["id"], polled["status"], polled["progress"]) == (answer["id"], "Ready", 1.0)
    result = polled["result"]
    assert (result["prompt"], result["seed"]) == ("a red bicycle", 7)
    assert result["duration"] == result["end_time"] - result["start_time"] == 0
    picture = httpx.get(result["sample"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert measure(picture.content) == (1360, 768)
    assert decode_png(picture.content).width == 1360


def test_both_lines_of_the_log_name_the_job_and_its_picture(maker, vendor, call_id):
    job = maker.start(call_id=call_id)
    received, ended = [e for e in vendor.entries(None) if e["call_id"] == call_id]
    size = Size(1024, 1024) if maker.name == "flux" else Size(60, 40)
    for entry in (received, ended):
        assert entry["job"] == entry["id"] == job
        assert (entry["pictures"], entry["pixels"]) == (1, size.pixels)
        assert (entry["resolution"], entry["dialect"]) == (str(size), maker.name)
    assert (ended["outcome"], ended["usage"], ended["totals"]["output"]) == ("completed", None, 0)


def test_polls_and_downloads_are_counted_and_not_logged(maker, vendor):
    job = maker.start()
    before, lines = vendor.state(), len(vendor.entries(None))
    maker.poll(job), maker.poll(job)
    httpx.get(maker.link(job))
    after = vendor.state()
    polls = 3 if maker.name == "flux" else 2  # of the one dialect the link comes with a poll
    assert after["polls"] - before["polls"] == polls
    assert after["downloads"] - before["downloads"] == 1
    assert len(vendor.entries(None)) == lines
    found = shown(vendor, job)
    assert (found["polls"], found["downloads"], found["state"]) == (polls, 1, "done")


def test_the_same_request_has_the_same_picture_and_another_seed_another(flux):
    first = httpx.get(flux.link(flux.start(seed=1))).content
    assert first == httpx.get(flux.link(flux.start(seed=1))).content
    assert first != httpx.get(flux.link(flux.start(seed=2))).content
    sent = base64.b64encode(SOURCE).decode()
    assert first != httpx.get(flux.link(flux.start(seed=1, input_image=sent))).content


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({}, "1024x1024"),
        ({"aspect_ratio": "21:9"}, "1568x672"),
        ({"aspect_ratio": "9:21"}, "672x1568"),
        ({"input_image": base64.b64encode(SOURCE).decode()}, "1248x832"),
        ({"input_image": "data:image/png;base64," + base64.b64encode(SOURCE).decode()}, "1248x832"),
        ({"input_image": base64.b64encode(SOURCE).decode(), "aspect_ratio": "1:1"}, "1024x1024"),
        ({"model": "flux-kontext-max"}, "1024x1024"),
        ({"model": "flux-pro-1.1"}, "1024x768"),
        ({"model": "flux-pro-1.1", "width": 512, "height": 1440}, "512x1440"),
    ],
)
def test_a_picture_has_about_a_megapixel_or_the_edges_given(flux, vendor, body, size):
    job = flux.start(**body)
    assert shown(vendor, job)["resolution"] == size
    assert str(measure(httpx.get(flux.link(job)).content)) == size


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"aspect_ratio": "22:9"}, "aspect_ratio"),
        ({"aspect_ratio": "wide"}, "aspect_ratio"),
        ({"aspect_ratio": 1}, "aspect_ratio"),
        ({"seed": -1}, "seed"),
        ({"safety_tolerance": 7}, "safety_tolerance"),
        ({"output_format": "jpeg"}, "output_format"),
        ({"output_format": "bmp"}, "output_format"),
        ({"input_image": "https://example.com/cat.png"}, "input_image"),
        ({"input_image": base64.b64encode(b"no picture").decode()}, "input_image"),
        ({"model": "flux-pro-1.1", "width": 500}, "width"),
        ({"model": "flux-pro-1.1", "height": 1472}, "height"),
    ],
)
def test_a_wrong_field_is_a_422_that_names_it(flux, body, field):
    answer = flux.submit(**body)
    assert answer.status_code == 422
    (wrong,) = answer.json()["detail"]
    assert wrong["loc"] == ["body", field]
    assert wrong["msg"]


def test_an_unknown_job_is_not_found(flux, topaz):
    found = flux.poll("nobody").json()
    assert (found["status"], found["result"]) == ("Task not found", None)
    assert flux.status(topaz.start()) == "Task not found"
    assert topaz.poll("nobody").status_code == topaz.download("nobody").status_code == 404
    assert httpx.get(f"{flux.root}/v1/get_result", headers=flux.headers).status_code == 422


def test_submissions_and_polls_need_the_key_and_pictures_do_not(maker):
    job = maker.start()
    link = maker.link(job)
    for wrong in ({}, {"x-key": "no", "X-API-Key": "no"}):
        maker.headers = wrong
        assert maker.submit().status_code == 401
        assert maker.poll(job).status_code == 401
    assert httpx.get(link).status_code == 200
    assert httpx.get(link.replace("/samples/", "/samples/0")).status_code == 404


def test_an_upscaled_picture_repeats_the_pixels_that_were_sent(topaz):
    job = topaz.start(scale="3")
    picture = decode_png(httpx.get(topaz.link(job)).content)
    source = decode_png(SOURCE)
    assert (picture.width, picture.height) == (90, 60)
    for y in range(60):
        for x in range(90):
            at = 4 * (x // 3)
            assert picture.rows[y][4 * x : 4 * x + 4] == source.rows[y // 3][at : at + 4]


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"output_scale_factor": "1"}, (30, 20)),
        ({"scale": "1.5"}, (45, 30)),
        ({"output_width": "300"}, (300, 200)),
        ({"output_height": "200"}, (300, 200)),
        ({"output_width": "50", "output_height": "70"}, (50, 70)),
        ({"scale": "8", "model": "High Fidelity V2", "output_format": "png"}, (240, 160)),
    ],
)
def test_the_size_follows_from_a_scale_or_from_edges(topaz, fields, size):
    job = topaz.start(**fields)
    status = topaz.poll(job).json()
    assert (status["output_width"], status["output_height"]) == size
    assert (status["input_width"], status["input_height"]) == (30, 20)
    assert (status["status"], status["progress"]) == ("Completed", 100)
    assert status["model"] == fields.get("model", "Standard V2")
    assert measure(httpx.get(topaz.link(job)).content) == size


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": "0.5"},
        {"scale": "17"},
        {"scale": "many"},
        {"scale": "2", "output_width": "60"},
        {"output_width": "0"},
        {"output_width": "9000", "output_height": "9000"},
        {"output_format": "jpeg"},
        {"image": b"no picture"},
        {"image": SOURCE[:-30]},
        {"image": b"\xff\xd8\xff\xc0\x00\x11\x08\x01\x02\x03\x04"},
    ],
)
def test_a_wrong_form_is_a_400(topaz, fields):
    answer = topaz.submit(**fields)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_delayed_job_is_pending_until_its_time(maker):
    job = maker.start({"job_delay_s": 0.4})
    time.sleep(0.1)
    polled = maker.poll(job).json()
    assert polled["status"] in ("Pending", "Processing")
    assert 0 < polled["progress"] < (1 if maker.name == "flux" else 100)
    time.sleep(0.35)
    assert maker.status(job) in DONE


def test_a_gate_holds_a_job_until_it_opens(maker, vendor):
    gate = f"easel-{maker.name}"
    job = maker.start({"job_gate": gate})
    assert maker.status(job) == maker.status(job) == "Pending"
    assert shown(vendor, job)["state"] == "pending"
    vendor.open_gate(gate)
    assert maker.status(job) in DONE
    vendor.close_gate(gate)
    assert maker.status(job) in DONE


@pytest.mark.parametrize(
    ("script", "flux_status", "topaz_status", "words"),
    [
        ({"job_fails": "Out of paint."}, "Error", "Failed", "Out of paint."),
        ({"job_refused": True}, "Content Moderated", "Failed", ""),
        ({"job_refused": "content"}, "Content Moderated", "Failed", ""),
        ({"job_refused": "request"}, "Request Moderated", "Failed", ""),
        ({"job_cancelled": True}, "Error", "Cancelled", ""),
        ({"job_hangs": True}, "Pending", "Pending", ""),
        ({"job_lost": True}, "Task not found", "Task not found", ""),
    ],
)
def test_a_job_can_end_badly_and_has_no_picture_then(
    flux, topaz, script, flux_status, topaz_status, words
):
    polled = flux.poll(flux.start(script)).json()
    assert (polled["status"], polled["result"]) == (flux_status, None)
    assert words in json.dumps(polled)
    job = topaz.start(script)
    assert topaz.status(job) == topaz_status
    assert words in topaz.poll(job).text
    assert topaz.download(job).status_code == 404


def test_a_bad_end_comes_after_the_delay(maker):
    job = maker.start({"job_delay_s": 0.2, "job_fails": "Out of paint."})
    assert maker.status(job) in ("Pending", "Processing")
    time.sleep(0.25)
    assert maker.status(job) in ("Error", "Failed")


def test_polls_fail_as_often_as_the_script_says(maker):
    job = maker.start({"poll_status": 503, "poll_failures": 2, "retry_after": 3})
    first = maker.poll(job)
    assert (first.status_code, first.headers["retry-after"]) == (503, "3")
    assert [maker.poll(job).status_code for _ in range(2)] == [503, 200]
    assert maker.status(job) in DONE
    always = maker.start({"poll_status": 429})
    assert [maker.poll(always).status_code for _ in range(4)] == [429] * 4


def test_downloads_fail_as_often_as_the_script_says(maker):
    job = maker.start({"download_status": 500, "download_failures": 1})
    link = maker.link(job)
    assert [httpx.get(link).status_code for _ in range(2)] == [500, 200]


def test_a_link_expires(maker):
    link = maker.link(maker.start({"link_lifetime_s": 0.2}))
    assert httpx.get(link).status_code == 200
    time.sleep(0.25)
    assert httpx.get(link).status_code == 403


def test_a_link_of_a_pending_job_is_no_link(vendor, flux, topaz):
    assert topaz.download(topaz.start({"job_hangs": True})).status_code == 404
    assert flux.poll(flux.start({"job_hangs": True})).json()["result"] is None


def test_a_picture_can_be_something_else(maker):
    def fetch(**script):
        return httpx.get(maker.link(maker.start(script)))

    large = fetch(picture_bytes=200_000)
    assert (len(large.content), large.headers["content-type"]) == (200_000, "image/png")
    decode_png(large.content)
    page, error = fetch(not_a_picture="html"), fetch(not_a_picture="json")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    assert (error.status_code, "error" in error.json()) == (200, True)
    liar = fetch(wrong_type="image/jpeg")
    assert liar.headers["content-type"] == "image/jpeg"
    decode_png(liar.content)
    masked = fetch(not_a_picture="html", wrong_type="image/png")
    assert masked.headers["content-type"] == "image/png"
    assert masked.content.startswith(b"<!doctype")
    assert maker.submit({"picture_bytes": 20}).status_code == 400


def test_the_same_submission_can_answer_the_same_job(maker, call_id, ended):
    script, own = {"same_job_twice": True}, {"prompt": call_id}
    first = maker.start(script, **own)
    assert maker.start(script, call_id=call_id, **own) == first
    assert ended(call_id)["job"] == first != ended(call_id)["id"]
    assert maker.start(script, prompt="another") != first
    assert maker.start(**own) != first


def test_a_job_exists_once_its_answer_began(maker, vendor, call_id, ended):
    with pytest.raises(httpx.TransportError):
        maker.submit({"reset_before_headers": True}, call_id=call_id)
    entry = ended(call_id)
    assert (entry["outcome"], "job" in entry) == ("reset", False)
    assert entry["id"] not in {one["id"] for one in vendor.jobs()}
    with pytest.raises(httpx.TransportError):
        maker.submit({"reset_after_chunks": 0}, call_id=f"{call_id}-late")
    entry = ended(f"{call_id}-late")
    assert entry["outcome"] == "reset"
    assert shown(vendor, entry["job"])["state"] == "done"


def test_submissions_have_the_faults_of_every_call(maker, call_id, ended):
    failed = maker.submit(
        {"status": 402, "error": {"message": "No credits."}, "retry_after": 9}, call_id=call_id
    )
    assert (failed.status_code, failed.headers["retry-after"]) == (402, "9")
    assert "No credits." in failed.text
    assert (ended(call_id)["outcome"], ended(call_id)["status"]) == ("error", 402)
    assert maker.submit({"html": True}).headers["content-type"].startswith("text/html")
    odd = maker.submit({"body_error_200": True})
    assert (odd.status_code, "id" in odd.json()) == (200, False)
    assert maker.submit({"job_fails": "x", "job_hangs": True}).status_code == 400
    assert maker.submit({"poll_failures": 1}).status_code == 400


def test_a_prompt_and_a_picture_can_carry_the_script(flux, topaz):
    job = flux.start(prompt='a red bicycle [[simulate {"job_fails": "Out of paint."}]]')
    assert flux.status(job) == "Error"
    plain = flux.start(prompt='a red bicycle [[simulate {"job_delay_s": 0}]]')
    assert flux.poll(plain).json()["result"]["prompt"] == "a red bicycle"
    image = add_comment(SOURCE, '[[simulate {"job_fails": "Out of paint."}]]')
    assert topaz.status(topaz.start(image=image)) == "Failed"
    assert topaz.submit({}, image=image).status_code == 400


def test_default_scripts_reach_jobs(maker, vendor):
    vendor.set_defaults(job_hangs=True)
    try:
        job = maker.start()
    finally:
        vendor.set_defaults()
    assert maker.status(job) == "Pending"
    assert maker.status(maker.start()) in DONE


def test_the_key_is_not_shown_among_the_recent_requests(maker, vendor, call_id):
    maker.submit(call_id=call_id)
    (request,) = vendor.requests(call_id)
    assert vendor.api_key not in json.dumps(request)


def test_the_oldest_jobs_are_forgotten():
    with SimulatorProcess() as own:
        flux = Flux(own)
        with httpx.Client(headers=flux.headers) as client:
            ids = [
                client.post(own.base_url + "/flux-kontext-pro", json={"prompt": "x"}).json()["id"]
                for _ in range(1_001)
            ]
        assert flux.status(ids[0]) == "Task not found"
        assert flux.status(ids[1]) == flux.status(ids[-1]) == "Ready"
        assert own.state()["jobs"] == {"done": 1_000}
        assert len(own.jobs(5)) == 5
