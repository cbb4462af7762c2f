"""Runs of single tasks against the simulator, with everything that it can do wrong."""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import OperationalError

from gateway import task_queue, task_run
from gateway.picture_store import read_file
from gateway.task_queue import claim_task
from gateway.task_run import run_task
from simulator.pictures import Size, measure
from tests.gateway.task_runs import (
    bring_to_end,
    files_of,
    go_on,
    in_thread,
    submissions,
    wait_for,
)
from tests.image_tasks import (
    FLUX,
    GPT,
    GPT_4O,
    TOPAZ,
    count_pictures,
    order_task,
    price_nanos,
    read_record,
    read_task,
)
from tests.world import Tenant, World


@pytest.mark.parametrize(
    ("model", "key", "count", "size"),
    [
        (GPT, "1k", 1, Size(1024, 1024)),
        (GPT, "2k", 2, Size(2048, 2048)),
        (GPT_4O, None, 4, Size(1024, 1024)),
        (FLUX, "", 1, Size(1024, 1024)),
        (TOPAZ, "4", 1, Size(128, 128)),
    ],
)
def test_each_model_delivers_stored_pictures_at_its_price(
    world: World, alice: Tenant, model: str, key: str | None, count: int, size: Size
) -> None:
    task_id = order_task(world, alice, model, key=key, count=count)
    row = bring_to_end(world, task_id)
    assert (row["status"], row["error_message"]) == ("completed", "")
    priced = row["price_key"]
    assert row["amount_nanos"] == row["hold_nanos"] == price_nanos(model, priced, count)
    pictures = world.database.query(
        "SELECT * FROM gateway_picture WHERE task_id = %s ORDER BY position", task_id
    )
    assert [picture["position"] for picture in pictures] == list(range(count))
    for picture in pictures:
        assert measure(read_file(picture["name"])) == size == (picture["width"], picture["height"])
        assert read_file(picture["thumbnail"])
    (sent,) = submissions(world, task_id)
    assert (sent["pictures"], sent["resolution"]) == (count, str(size))
    (trial,) = row["trials"]
    assert trial["used"]
    assert trial["id"] == sent["call_id"]
    assert read_record(world, task_id)["upstream_id"] == trial["upstream_id"] != ""


@pytest.mark.parametrize(
    ("model", "script", "code"),
    [
        (GPT, {"status": 400, "error": {"message": "Bad size."}}, "invalid_request"),
        (GPT, {"job_refused": True}, "content_refused"),
        (FLUX, {"job_refused": "content"}, "content_refused"),
        (FLUX, {"job_refused": "request"}, "content_refused"),
        (FLUX, {"status": 422}, "invalid_request"),
        (TOPAZ, {"status": 400}, "invalid_request"),
    ],
)
def test_a_refusal_ends_the_task_at_once(
    world: World, alice: Tenant, model: str, script: Mapping[str, Any], code: str
) -> None:
    task_id = order_task(world, alice, model, script)
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["status"], row["error_code"], row["amount_nanos"]) == ("failed", code, 0)
    assert len(row["trials"]) == len(submissions(world, task_id)) == 1
    assert read_record(world, task_id)["status"] == "refused"


@pytest.mark.parametrize(
    ("model", "script"),
    [
        (GPT, {"status": 500}),
        (GPT, {"status": 429, "retry_after": 1}),
        (GPT, {"status": 401}),
        (GPT, {"status": 403}),
        (GPT, {"html": True}),
        (GPT, {"body_error_200": True}),
        (GPT, {"reset_before_headers": True}),
        (GPT, {"close_before_headers": True}),
        (GPT, {"reset_after_chunks": 0}),
        (GPT, {"truncate_after_chunks": 0}),
        (GPT, {"not_a_picture": "html"}),
        (FLUX, {"status": 503}),
        (FLUX, {"html": True}),
        (FLUX, {"job_lost": True}),
        (FLUX, {"poll_status": 403}),
        (FLUX, {"not_a_picture": "json"}),
        (TOPAZ, {"job_lost": True}),
        (TOPAZ, {"not_a_picture": "html"}),
    ],
)
def test_what_fails_every_time_ends_after_five_trials_and_costs_nothing(
    world: World, alice: Tenant, model: str, script: Mapping[str, Any]
) -> None:
    task_id = order_task(world, alice, model, script)
    row = bring_to_end(world, task_id)
    assert (row["status"], row["error_code"]) == ("failed", "upstream_error"), row
    assert len(row["trials"]) == len(submissions(world, task_id)) == task_run.TRIALS_MAX
    assert not any(trial.get("used") for trial in row["trials"])
    assert count_pictures(world, task_id) == 0
    assert "simulator" not in row["error_message"]
    world.audit()


@pytest.mark.parametrize(
    ("model", "script"),
    [
        (GPT, {"status": 404}),
        (FLUX, {"job_fails": "out of memory"}),
        (FLUX, {"job_cancelled": True}),
        (FLUX, {"poll_status": 400}),
        (FLUX, {"download_status": 404}),
        (FLUX, {"link_lifetime_s": 0}),
        (TOPAZ, {"job_fails": "no faces"}),
        (TOPAZ, {"job_cancelled": True}),
    ],
)
def test_what_would_fail_again_is_not_ordered_again(
    world: World, alice: Tenant, model: str, script: Mapping[str, Any]
) -> None:
    task_id = order_task(world, alice, model, script)
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["status"], row["error_code"]) == ("failed", "upstream_error"), row
    assert row["error_message"].startswith("The provider")
    assert len(row["trials"]) == len(submissions(world, task_id)) == 1
    assert (row["amount_nanos"], count_pictures(world, task_id)) == (0, 0)
    assert read_record(world, task_id)["status"] == "upstream_failed"


def test_what_would_fail_again_at_one_channel_is_tried_at_each_other_once(
    world: World, alice: Tenant
) -> None:
    world.put_channel(
        "black-forest-labs", world.simulator.root_url, world.simulator.api_key, name="second"
    )
    task_id = order_task(world, alice, FLUX, {"job_fails": "out of memory"})
    try:
        row = bring_to_end(world, task_id, claims_max=1)
    finally:
        world.database.query("DELETE FROM gateway_channel WHERE name = 'second'")
    assert row["error_code"] == "upstream_error"
    assert "out of memory" in row["error_message"]
    channels = sorted(trial["channel"].partition(":")[2] for trial in row["trials"])
    assert channels == ["second", "simulator"]


def test_the_next_worker_knows_which_channel_would_fail_again(world: World, alice: Tenant) -> None:
    task_id = order_task(world, alice, FLUX)
    lost = [
        {
            "id": f"tsk_{task_id.hex}-1",
            "channel": "black-forest-labs:simulator",
            "at": 1,
            "error": "upstream_error",
            "is_final": True,
        }
    ]
    world.database.query(
        "UPDATE gateway_task SET trials = %s::jsonb WHERE id = %s", json.dumps(lost), task_id
    )
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["error_code"], submissions(world, task_id)) == ("upstream_error", [])


@pytest.mark.parametrize(
    ("model", "script"),
    [
        (FLUX, {"poll_status": 503, "poll_failures": 2}),
        (FLUX, {"download_status": 500, "download_failures": 1}),
        (FLUX, {"job_delay_s": 0.5}),
        (FLUX, {"same_job_twice": True}),
        (FLUX, {"wrong_type": "text/html"}),
        (TOPAZ, {"poll_status": 429, "poll_failures": 1}),
        (TOPAZ, {"job_delay_s": 0.5}),
        (GPT, {"total_delay_s": 0.5}),
    ],
)
def test_what_comes_right_in_the_end_is_one_trial_and_one_charge(
    world: World, alice: Tenant, model: str, script: Mapping[str, Any]
) -> None:
    task_id = order_task(world, alice, model, script)
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["status"], row["amount_nanos"]) == ("completed", row["hold_nanos"])
    assert len(row["trials"]) == len(submissions(world, task_id)) == 1


@pytest.mark.parametrize(
    ("model", "script"),
    [
        (GPT, {"hang_before_headers": True}),
        (GPT, {"hang_after_chunks": 0}),
        (GPT, {"total_delay_s": 4}),
        (FLUX, {"job_hangs": True}),
        (FLUX, {"job_delay_s": 5}),
        (TOPAZ, {"job_hangs": True}),
    ],
)
def test_what_is_not_done_by_the_deadline_expires_and_is_released(
    world: World, alice: Tenant, model: str, script: Mapping[str, Any]
) -> None:
    task_id = order_task(world, alice, model, script, timeout_s=1.5)
    began = time.monotonic()
    run_task(claim_task() or pytest.fail("nothing to claim"), go_on)
    assert time.monotonic() - began < 3
    task_queue.expire_tasks()
    row = read_task(world, task_id)
    assert (row["status"], row["error_code"], row["amount_nanos"]) == ("failed", "expired", 0)
    assert read_record(world, task_id)["status"] == "timed_out"


def test_a_dead_channel_is_passed_over_for_the_next(world: World, alice: Tenant) -> None:
    world.put_channel("black-forest-labs", "http://127.0.0.1:1", "k", name="dead", priority=-1)
    task_id = order_task(world, alice, FLUX)
    try:
        row = bring_to_end(world, task_id, claims_max=1)
    finally:
        world.database.query("DELETE FROM gateway_channel WHERE name = 'dead'")
    assert row["status"] == "completed"
    channels = [trial["channel"].partition(":")[2] for trial in row["trials"]]
    assert channels == ["dead", "simulator"]
    assert [trial.get("used", False) for trial in row["trials"]] == [False, True]


def test_a_refused_credential_is_an_alarm_and_no_message_for_customers(
    world: World, alice: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = order_task(world, alice, FLUX, {"status": 401})
    row = bring_to_end(world, task_id)
    assert row["error_message"] == "The provider failed to answer."
    alarms = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "black-forest-labs:simulator refuses our account" in alarms[0].getMessage()
    assert world.simulator.api_key not in caplog.text


def test_without_a_channel_the_task_fails(world: World, alice: Tenant) -> None:
    world.database.query(
        "UPDATE gateway_channel SET is_enabled = false WHERE provider_id = 'topaz'"
    )
    task_id = order_task(world, alice, TOPAZ)
    try:
        row = bring_to_end(world, task_id, claims_max=1)
    finally:
        world.database.query("UPDATE gateway_channel SET is_enabled = true")
    assert (row["error_code"], row["amount_nanos"]) == ("no_channel_available", 0)


def test_a_job_goes_on_at_its_channel_even_if_that_was_switched_off(
    world: World, alice: Tenant
) -> None:
    world.simulator.close_gate("switched")
    task_id = order_task(world, alice, FLUX, {"job_gate": "switched"})
    claim = claim_task()
    assert claim is not None
    thread = in_thread(claim, stopping=lambda: read_task(world, task_id)["job"] is not None)
    thread.join()
    world.database.query("UPDATE gateway_channel SET is_enabled = false")
    world.simulator.open_gate("switched")
    try:
        row = bring_to_end(world, task_id, claims_max=1)
    finally:
        world.database.query("UPDATE gateway_channel SET is_enabled = true")
    assert row["status"] == "completed"
    assert len(submissions(world, task_id)) == 1


def test_a_stopping_worker_gives_its_task_back_and_another_polls_the_same_job(
    world: World, alice: Tenant
) -> None:
    world.simulator.close_gate("handed")
    stop = threading.Event()
    task_id = order_task(world, alice, FLUX, {"job_gate": "handed"})
    claim = claim_task()
    assert claim is not None
    thread = in_thread(claim, stop.is_set)
    wait_for(lambda: read_task(world, task_id)["job"])
    stop.set()
    thread.join(2)
    assert not thread.is_alive()
    row = read_task(world, task_id)
    assert (row["status"], row["lease_until"]) == ("processing", None)
    world.simulator.open_gate("handed")
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["status"], row["attempts"], len(row["trials"])) == ("completed", 2, 1)
    assert len(submissions(world, task_id)) == 1


def test_a_lease_is_kept_while_the_provider_is_slow(
    world: World, alice: Tenant, settings: Any
) -> None:
    settings.TASK_LEASE_S = 0.6
    task_id = order_task(world, alice, GPT, {"total_delay_s": 2})
    claim = claim_task()
    assert claim is not None
    thread = in_thread(claim)
    while thread.is_alive():
        assert claim_task() is None
        time.sleep(0.05)
    row = read_task(world, task_id)
    assert (row["status"], row["attempts"]) == ("completed", 1)


def test_two_workers_on_one_row_charge_once_and_keep_one_set_of_files(
    world: World, alice: Tenant
) -> None:
    """The first one's lease is lost while it waits; both get pictures, one of them ends the task."""
    world.simulator.close_gate("twice")
    task_id = order_task(world, alice, GPT, {"gate": "twice"})
    threads = []
    for number in (1, 2):
        claim = claim_task()
        assert claim is not None
        threads.append(in_thread(claim))
        wait_for(lambda number=number: len(submissions(world, task_id)) == number)
        world.database.query(
            "UPDATE gateway_task SET lease_until = now() - interval '1 s' WHERE id = %s", task_id
        )
    world.simulator.open_gate("twice")
    for thread in threads:
        thread.join()
    row = read_task(world, task_id)
    assert (row["status"], row["attempts"], count_pictures(world, task_id)) == ("completed", 2, 1)
    assert [trial.get("used", False) for trial in row["trials"]] == [False, True]
    assert row["trials"][0]["error"] == "interrupted"
    assert len(files_of(task_id)) == 2
    world.audit()


def test_a_result_that_comes_after_the_end_leaves_no_file_and_no_charge(
    world: World, alice: Tenant
) -> None:
    world.simulator.close_gate("late")
    task_id = order_task(world, alice, GPT, {"gate": "late"})
    claim = claim_task()
    assert claim is not None
    thread = in_thread(claim)
    wait_for(lambda: submissions(world, task_id))
    world.database.query("UPDATE gateway_task SET deadline_at = now() WHERE id = %s", task_id)
    assert task_queue.expire_tasks() == 1
    world.simulator.open_gate("late")
    thread.join()
    assert read_task(world, task_id)["error_code"] == "expired"
    assert files_of(task_id) == []
    world.audit()


def test_a_bug_gives_the_task_back_and_in_the_end_ends_it(
    world: World, alice: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(task_run, "find_channels", broken)
    task_id = order_task(world, alice)
    row = bring_to_end(world, task_id)
    assert (row["error_code"], row["amount_nanos"]) == ("upstream_error", 0)
    assert row["attempts"] == task_run.BROKEN_RUNS_MAX + 1
    assert "ZeroDivisionError" in caplog.text


def test_an_interrupted_trial_is_not_known_to_have_ended_and_counts(
    world: World, alice: Tenant
) -> None:
    task_id = order_task(world, alice)
    lost = [
        {"id": f"tsk_{task_id.hex}-{n}", "channel": "openai:simulator", "at": 1}
        for n in range(1, 6)
    ]
    world.database.query(
        "UPDATE gateway_task SET trials = %s::jsonb WHERE id = %s", json.dumps(lost), task_id
    )
    row = bring_to_end(world, task_id, claims_max=1)
    assert (row["error_code"], len(row["trials"])) == ("upstream_error", 5)
    assert submissions(world, task_id) == []


def test_a_database_that_is_away_at_the_end_is_waited_for(
    world: World, alice: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once before anything is written, and once after the commit, whose answer is lost."""
    answers: list[bool] = []
    real = task_queue.finish_task

    def shaky(*arguments: Any) -> bool:
        answers.append(len(answers) > 0 and real(*arguments))
        if len(answers) < 3:
            raise OperationalError("gone")
        return answers[-1]

    monkeypatch.setattr(task_run, "finish_task", shaky)
    monkeypatch.setattr(task_run, "AWAY_FIRST_S", 0.01)
    task_id = order_task(world, alice)
    row = bring_to_end(world, task_id, claims_max=1)
    assert answers == [False, True, False]
    assert row["status"] == "completed"
    assert len(files_of(task_id)) == 2
    assert len(submissions(world, task_id)) == 1


def test_a_database_that_stays_away_is_waited_for_no_longer_than_the_deadline(
    world: World, alice: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def away(*_: Any) -> bool:
        tries.append(time.monotonic())
        raise OperationalError("gone")

    monkeypatch.setattr(task_run, "finish_task", away)
    order_task(world, alice, timeout_s=4)
    claim = claim_task()
    assert claim is not None
    run_task(claim, go_on)
    assert len(tries) > 2
    assert 2 < tries[-1] - tries[0] < 5
