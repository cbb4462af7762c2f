"""Runs one claimed task: its sources, a provider, the pictures, the end.

Whatever happens to this process, the row says how far it came: a trial is written before its request goes out, a
provider's job before it is asked after. The next worker goes on from there.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from gateway.images.pictures import NotAPicture, PictureFacts, read_picture
from gateway.images.vendors.base import (
    Delivered,
    Driver,
    Failed,
    Refused,
    Running,
    Unauthorized,
    VendorError,
)
from gateway.models import Picture
from gateway.picture_store import delete_files, save_picture
from gateway.task_channels import Serving, find_channels, make_driver, make_order
from gateway.task_queue import (
    EXPIRED,
    Claim,
    KeptJob,
    StoredPicture,
    Trial,
    fail_task,
    finish_task,
    note_job,
    note_trials,
    postpone,
    renew_lease,
)
from gateway.task_sources import SourceFailed, Sources, Watch, load_sources

logger = logging.getLogger(__name__)

TRIALS_MAX = 5
BROKEN_RUNS_MAX = 10
POLL_FAILURES_MAX = 5
POLL_LEAST_S, POLL_MOST_S = 1.0, 5.0
WAIT_MOST_S = 60.0
LOOK_S = 0.2
# Waits for the database or the storage, which double from the first; for the database no longer than its patience.
AWAY_FIRST_S, AWAY_MOST_S = 0.5, 15.0
DATABASE_PATIENCE_S = 60.0
# Before the deadline, so that a sweep does not call the task expired meanwhile.
STORAGE_GIVEN_UP_S = 2.0
PROVIDER_FAILED = "The provider failed to answer."
DISCONNECTED = (OperationalError, InterfaceError)

Stopping = Callable[[], bool]


class _Lost(Exception):
    """The task is in other hands, or has ended: everything is dropped."""


class _Later(Exception):
    """The lease is given back for so many seconds."""

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(why)
        self.seconds = seconds
        self.why = why


class _Over(Exception):
    """The task has failed for good."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _NotStored(_Over):
    """The pictures came, and the storage was away until almost the deadline."""

    def __init__(self) -> None:
        super().__init__(
            "storage_unavailable", "The pictures were made, but could not be stored on our side."
        )


def run_task(claim: Claim, stopping: Stopping) -> None:
    """Bring the task to its end, or give it back with what was reached. Raises nothing.

    `stopping` says that this process wants to end: the task is given back at the next step.
    """
    try:
        _conclude(claim, stopping)
    except Exception:
        logger.exception("%s: the run failed; another one follows", claim.public_id)
        wait_s = min(2.0 ** min(claim.broken_runs + 1, 6), WAIT_MOST_S)
        try:
            postpone(claim, wait_s, "an error on our side", is_clean=False)
        except Exception:
            logger.exception("%s: its lease runs out by itself", claim.public_id)


def _conclude(claim: Claim, stopping: Stopping) -> None:
    try:
        with _kept(claim) as lost:
            _Run(claim, stopping, lost).work()
    except _Lost:
        logger.info("%s is in other hands", claim.public_id)
    except _Later as later:
        postpone(claim, later.seconds, later.why)
    except SourceFailed as failure:
        fail_task(claim, failure.code, failure.message)
    except _Over as over:
        fail_task(claim, over.code, over.message)


@contextmanager
def _kept(claim: Claim) -> Iterator[threading.Event]:
    """Renew the lease while the block runs, in a thread of its own: the block may wait for a provider for minutes. The
    event is set once the task is not ours any more."""
    lost, done = threading.Event(), threading.Event()

    def renew() -> None:
        while not done.wait(settings.TASK_LEASE_S / 3):
            try:
                if not renew_lease(claim):
                    lost.set()
                    return
            except Exception:
                logger.warning("%s: its lease was not renewed", claim.public_id, exc_info=True)
            finally:
                close_old_connections()

    keeper = threading.Thread(target=renew, name=f"lease of {claim.public_id}", daemon=True)
    keeper.start()
    try:
        yield lost
    finally:
        done.set()
        keeper.join()


class _Run:
    """One run. No database connection is held while it waits for anybody else."""

    def __init__(self, claim: Claim, stopping: Stopping, lost: threading.Event) -> None:
        self._claim = claim
        self._stopping = stopping
        self._lost = lost
        self._began = time.monotonic()
        self._sources: Sources | None = None
        self._retry_after_s = 0
        self._last_message = PROVIDER_FAILED

    def work(self) -> None:
        """Try until the task has ended. Raises _Lost, _Later, _Over or SourceFailed for every other way out."""
        claim = self._claim
        if claim.broken_runs >= BROKEN_RUNS_MAX:
            raise _Over("upstream_error", "The task could not be done.")
        serving = find_channels(claim.model)
        self._leave_database()
        self._mark_interrupted()
        while True:
            self._look()
            trial, delivered = self._go_on(serving) if claim.job else self._begin(serving)
            if delivered is not None and self._deliver(trial, delivered):
                return
            self._look()
            self._prepare_next(serving, trial)

    def _begin(self, serving: Serving) -> tuple[Trial, Delivered | None]:
        """A new trial, from the order to the pictures; None where it failed."""
        claim = self._claim
        channel, _ = serving.choose(claim.trials)
        if channel is None:
            raise self._no_channel()
        if self._sources is None:
            self._sources = load_sources(claim, Watch(self._pause, lambda: self._left_s))
        number = len(claim.trials) + 1
        trial = Trial(id=f"{claim.public_id}-{number}", channel=channel.label, at=self._now())
        driver = make_driver(channel, self._left_s)
        upstream_name = channel.upstream_name(serving.model)
        order = make_order(claim, self._sources, upstream_name, trial, self._left_s)
        self._look()
        claim.trials.append(trial)
        self._own(lambda: note_trials(claim))
        try:
            answer = driver.start(order)
        except VendorError as error:
            self._note_failure(trial, error)
            return trial, None
        if isinstance(answer, Delivered):
            return trial, answer
        claim.job = KeptJob(channel.label, answer.job.id, answer.job.poll_url, trial.id)
        trial.upstream_id = answer.job.id
        self._own(lambda: note_job(claim, "submitted"))
        return trial, self._poll(driver, trial)

    def _go_on(self, serving: Serving) -> tuple[Trial, Delivered | None]:
        """Ask after the job that an earlier run left, instead of ordering again."""
        claim = self._claim
        assert claim.job is not None
        trial = next(t for t in claim.trials if t.id == claim.job.trial)
        channel = serving.find(claim.job.channel)
        if channel is None:
            self._note_failure(trial, Failed(PROVIDER_FAILED, transient=False))
            return trial, None
        return trial, self._poll(make_driver(channel, self._left_s), trial)

    def _poll(self, driver: Driver, trial: Trial) -> Delivered | None:
        claim, failures, wait_s = self._claim, 0, POLL_LEAST_S
        assert claim.job is not None
        job = claim.job.known
        while True:
            self._pause(wait_s)
            try:
                answer = driver.poll(job)
            except Failed as error:
                failures += 1
                if not error.transient or failures >= POLL_FAILURES_MAX:
                    self._note_failure(trial, error)
                    return None
                wait_s = min(max(2.0**failures, error.retry_after_s or 0), WAIT_MOST_S)
                continue
            except VendorError as error:
                self._note_failure(trial, error)
                return None
            if isinstance(answer, Delivered):
                return answer
            failures, wait_s = 0, min(max(answer.poll_after_s, POLL_LEAST_S), POLL_MOST_S)
            self._tell(answer)

    def _tell(self, running: Running) -> None:
        """Show the progress at once where there is some."""
        if running.progress > self._claim.progress:
            self._claim.progress = min(running.progress, 99)
            self._own(lambda: renew_lease(self._claim))

    def _deliver(self, trial: Trial, delivered: Delivered) -> bool:
        """Check the pictures, store them and end the task. False: what came was no picture, the trial has failed."""
        claim = self._claim
        limits = settings.PICTURE_BYTES_MAX, settings.PICTURE_PIXELS_MAX
        pictures = delivered.pictures[: claim.count]
        try:
            facts = [read_picture(data, *limits) for data in pictures]
        except NotAPicture:
            return self._refuse_picture(trial)
        trial.upstream_id = delivered.upstream_id or trial.upstream_id
        trial.status, trial.used, trial.ms = 200, True, self._ms_since(trial)
        stored: list[StoredPicture] = []
        is_ours = False
        try:
            for position, (data, fact) in enumerate(zip(pictures, facts, strict=True)):
                stored.append(self._store(position, data, fact))
            is_ours = self._finish(stored)
        except NotAPicture:  # it was one, and yet no thumbnail could be made of it
            return self._refuse_picture(trial)
        except _NotStored:
            trial.used, trial.error = False, "storage_unavailable"
            self._own(lambda: note_trials(claim))
            raise
        except DISCONNECTED:
            is_ours = True  # nobody knows: files that no row names are found later
            raise
        finally:
            if not is_ours:
                self._discard(stored)
        if not is_ours:
            self._look_at_task()
            raise _Lost
        return True

    def _store(self, position: int, data: bytes, facts: PictureFacts) -> StoredPicture:
        """Store one picture. It is paid for: a storage that is away is waited for, almost until the deadline. Raises
        NotAPicture, _NotStored, and what `_look` raises."""
        self._look_at_task()
        wait_s = AWAY_FIRST_S
        while True:
            try:
                names = save_picture(self._claim.id, position, data, facts)
            except NotAPicture:
                raise
            except Exception:  # each storage has errors of its own
                logger.warning(
                    "%s: a picture was not stored; once more", self._claim.public_id, exc_info=True
                )
            else:
                kept = {**names._asdict(), **facts._asdict()}
                return StoredPicture(**kept, size_bytes=len(data))
            most_s = self._left_s - STORAGE_GIVEN_UP_S
            if most_s <= 0:
                raise _NotStored
            self._pause(min(wait_s, most_s))
            wait_s = min(wait_s * 2, AWAY_MOST_S)

    def _discard(self, stored: Sequence[StoredPicture]) -> None:
        """Delete files that no row will name; those that stay are found later."""
        try:
            delete_files([name for one in stored for name in (one.name, one.thumbnail)])
        except Exception:
            logger.warning("%s: files were left", self._claim.public_id, exc_info=True)

    def _refuse_picture(self, trial: Trial) -> bool:
        trial.used = False
        self._note_failure(trial, Failed("The provider sent no picture.", transient=True))
        return False

    def _finish(self, stored: Sequence[StoredPicture]) -> bool:
        """End the task. Where an earlier try was committed without telling, its pictures are there."""
        claim = self._claim
        mine = Picture.objects.filter(task_id=claim.id, name=stored[0].name)
        return self._insist(lambda: finish_task(claim, stored) or mine.exists())

    def _note_failure(self, trial: Trial, error: VendorError) -> None:
        """Write what became of the trial, and end the task where no other one can do better."""
        claim = self._claim
        trial.status, trial.error, trial.ms = error.status, error.code, self._ms_since(trial)
        if isinstance(error, Unauthorized):
            trial.error = "unauthorized"
            logger.error("channel %s refuses our account (%s)", trial.channel, error.status)
        trial.is_final = isinstance(error, Failed) and not error.transient
        self._last_message = error.message
        claim.job = None
        self._own(lambda: note_job(claim, "trial failed", error.message))
        if isinstance(error, Refused):
            raise _Over(error.code, error.message)
        if len(claim.trials) >= TRIALS_MAX:
            raise _Over(error.code, error.message)
        self._retry_after_s = getattr(error, "retry_after_s", None) or 0

    def _no_channel(self) -> _Over:
        """Why there is none to try: each has failed for good, or none serves the model."""
        final = [trial for trial in self._claim.trials if trial.is_final]
        if final:
            return _Over(final[-1].error or "upstream_error", self._last_message)
        return _Over("no_channel_available", "No provider serves this model at the moment.")

    def _prepare_next(self, serving: Serving, failed: Trial) -> None:
        """Wait, without keeping the task, once every channel has had another trial."""
        earlier = [trial for trial in self._claim.trials if trial is not failed]
        _, rounds_before = serving.choose(earlier)
        channel, rounds = serving.choose(self._claim.trials)
        if channel is not None and rounds > rounds_before:
            wait_s = min(max(2.0**rounds, self._retry_after_s), WAIT_MOST_S)
            raise _Later(wait_s, f"{wait_s:g} s before the next trial")

    def _mark_interrupted(self) -> None:
        """Say of trials whose worker went away that nobody knows their end."""
        claim = self._claim
        for trial in claim.trials:
            is_open = trial.status is None and trial.error is None
            if is_open and (claim.job is None or claim.job.trial != trial.id):
                trial.error = "interrupted"
        if claim.job is None and len(claim.trials) >= TRIALS_MAX:
            raise _Over("upstream_error", "The provider failed to answer.")

    def _look(self) -> None:
        """Raise where the run has to end."""
        self._look_at_task()
        if self._stopping():
            raise _Later(0, "the worker stops")

    def _look_at_task(self) -> None:
        """Raise where the task is not ours any more, or past its deadline."""
        if self._lost.is_set():
            raise _Lost
        if self._left_s <= 0:
            raise _Over("expired", EXPIRED)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._leave_database()
        while True:
            self._look()
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, LOOK_S, max(self._left_s, 0)))

    def _own(self, write: Callable[[], bool]) -> None:
        """Write. Raises _Lost where the task is not ours any more."""
        if not self._insist(write):
            raise _Lost

    def _insist(self, write: Callable[[], bool]) -> bool:
        """Write, though the database may be away for a while: what a provider has done for us is paid for."""
        until = time.monotonic() + min(DATABASE_PATIENCE_S, max(self._left_s, 0))
        wait_s = AWAY_FIRST_S
        while True:
            try:
                return write()
            except DISCONNECTED:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise
                logger.warning("%s: the database is away; once more", self._claim.public_id)
            finally:
                self._leave_database()
            time.sleep(min(wait_s, left_s))
            wait_s = min(wait_s * 2, AWAY_MOST_S)

    def _leave_database(self) -> None:
        """Give the connection back: there are fewer of them than runs."""
        close_old_connections()

    @property
    def _left_s(self) -> float:
        """Seconds to the deadline, by the database's clock when the task was claimed and by ours since."""
        return self._claim.left_s - (time.monotonic() - self._began)

    def _now(self) -> float:
        return round(self._claim.now + (time.monotonic() - self._began), 3)

    def _ms_since(self, trial: Trial) -> int:
        return int((self._now() - trial.at) * 1000)
