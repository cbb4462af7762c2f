"""Jobs: accepted at once, made later, asked after by polls, and fetched by a link that expires.

A job goes on by the clock and by its gate; nothing runs in between, so it is looked at when somebody
asks. What became of a job is no line of the log: it is counted, and told by the control paths.
"""

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec

from simulator.chat_request import ChatBody
from simulator.connection import Request
from simulator.dialect import Answer, Dialect, Order
from simulator.errors import ApiError
from simulator.gates import Gates
from simulator.log import PictureTotals, Totals, Work
from simulator.pictures import File, Size, deliver
from simulator.replies import Composer, Reply
from simulator.script import Script

SAMPLES = b"/samples/"
_MOST_JOBS = 1_000
_MOST_BYTES = 256 * 1024 * 1024  # of the pictures that jobs were given
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")

State = Literal["pending", "done", "failed", "refused", "cancelled"]


class Plain(NamedTuple):
    """An answer that is no call's. `headers`: further lines, each with its end."""

    body: bytes
    status: int = 200
    kind: bytes = b"application/json"
    headers: bytes = b""


class JobAsk(ChatBody):
    """A submission as a chat body: the size of the picture, and the picture that was sent."""

    size: Size = Size(1, 1)
    source: bytes = b""


class Job(msgspec.Struct):
    """One job. Times in epoch seconds; `details` are the dialect's own."""

    id: str
    dialect: str
    model: str
    script: Script
    size: Size
    created: float
    source: bytes
    make: Callable[[], bytes]
    details: dict[str, Any]
    token: str = ""
    state: State = "pending"
    ended: float | None = None
    link_until: float = 0.0
    polls: int = 0
    failed_polls: int = 0
    downloads: int = 0
    failed_downloads: int = 0

    def progress(self, now: float) -> float:
        """From 0 to 1, by the delay; a job at a gate, and one that hangs, has none."""
        if self.state != "pending":
            return 1.0
        if not self.script.job_delay_s:
            return 0.0
        return min(0.99, max(0.0, (now - self.created) / self.script.job_delay_s))


class Jobs:
    """The latest jobs of all dialects; the oldest are forgotten."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self._kept: OrderedDict[str, Job] = OrderedDict()
        self._tokens: dict[str, Job] = {}
        self._digests: dict[bytes, str] = {}
        self._bytes = 0
        self._polls = 0
        self._downloads = 0

    def submit(self, job: Job, digest: bytes) -> Job:
        """Keep a job; the earlier one in its place if the script says so of the same submission."""
        if job.script.same_job_twice:
            earlier = self._kept.get(self._digests.setdefault(digest, job.id))
            if earlier is not None:
                return earlier
            self._digests[digest] = job.id
        job.token = secrets.token_hex(16)
        self._kept[job.id] = job
        self._tokens[job.token] = job
        self._bytes += len(job.source)
        while len(self._kept) > _MOST_JOBS or (self._bytes > _MOST_BYTES and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            del self._tokens[oldest.token]
            self._bytes -= len(oldest.source)
        if len(self._digests) > _MOST_JOBS:
            self._digests = {key: one for key, one in self._digests.items() if one in self._kept}
        return job

    def poll(self, job_id: str, dialect: Dialect) -> Job | Plain | None:
        """Count a poll. The job as it stands, a scripted failure, or None for an unknown job."""
        self._polls += 1
        job = self.find(job_id, dialect)
        if job is None:
            return None
        job.polls += 1
        script = job.script
        most = script.poll_failures
        if script.poll_status is not None and (most is None or job.failed_polls < most):
            job.failed_polls += 1
            return _fail(dialect, job, script.poll_status)
        return None if script.job_lost else job

    def find(self, job_id: str, dialect: Dialect) -> Job | None:
        """A job of this dialect as it stands now."""
        job = self._kept.get(job_id)
        if job is None or job.dialect != dialect.name:
            return None
        self._settle(job)
        return job

    def fetch(self, request: Request) -> Plain:
        """The picture behind a link. Raises ApiError: 404 for an unknown one, 403 for an old one."""
        self._downloads += 1
        token = request.target[len(SAMPLES) :].decode("latin-1").partition(".")[0]
        job = self._tokens.get(token)
        if job is None or job.ended is None:
            raise ApiError(404, "No such picture.")
        job.downloads += 1
        script = job.script
        most = script.download_failures
        if script.download_status is not None and (most is None or job.failed_downloads < most):
            job.failed_downloads += 1
            raise ApiError(script.download_status, "The picture cannot be had.")
        if time.time() > job.link_until:
            raise ApiError(403, "The link has expired.")
        file: File = deliver(job.make(), script)
        return Plain(file.data, 200, file.kind.encode())

    def state(self) -> dict[str, Any]:
        """Counts since the start, and how many of the jobs kept stand how."""
        states: dict[str, int] = {}
        for job in self._kept.values():
            self._settle(job)
            states[job.state] = states.get(job.state, 0) + 1
        return {"polls": self._polls, "downloads": self._downloads, "jobs": states}

    def shown(self, limit: int) -> list[dict[str, Any]]:
        """The latest jobs, oldest first."""
        for job in self._kept.values():
            self._settle(job)
        names = ("id", "dialect", "model", "state", "polls", "downloads", "created", "ended")
        latest = list(self._kept.values())[-limit:]
        return [
            {**{name: getattr(job, name) for name in names}, "resolution": str(job.size)}
            for job in latest
        ]

    def _settle(self, job: Job) -> None:
        """End a job whose time has come and whose gate is open."""
        script, now = job.script, time.time()
        due = job.created + script.job_delay_s
        gate = script.job_gate
        if job.state != "pending" or script.job_hangs or now < due:
            return
        if gate is not None and not self._gates.is_open(gate):
            return
        job.ended = due if gate is None else now
        job.link_until = job.ended + script.link_lifetime_s
        if script.job_fails is not None:
            job.state = "failed"
        elif script.job_refused:
            job.state = "refused"
        else:
            job.state = "cancelled" if script.job_cancelled else "done"


class JobAnswer(Answer):
    """The answer to a submission. The job exists from the moment that its answer begins."""

    def __init__(self, order: Order, jobs: Jobs, job: Job, digest: bytes) -> None:
        self._jobs, self._job, self._digest, self._base = jobs, job, digest, order.body.base
        self.work = Work(1, job.size.pixels, str(job.size), job.id)
        if job.script.picture_bytes is not None:
            deliver(job.make(), job.script)  # refuses what cannot be had while it still can

    def plain(self) -> bytes:
        self._job = self._jobs.submit(self._job, self._digest)
        self.work = Work(1, self._job.size.pixels, str(self._job.size), self._job.id)
        return self.accepted(self._job, self._base)

    def accepted(self, job: Job, base: str) -> bytes:
        """The body that names the job; `base` is where this vendor was reached."""
        raise NotImplementedError


class JobDialect(Dialect):
    """What the dialects of jobs share: ids like UUIDs, the key in a header, no tokens."""

    key_header = b""

    def make_id(self, serial: str) -> str:
        digits = f"{serial[:12]}4{serial[12:15]}a{serial[15:]}".ljust(32, "0")
        parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
        return "-".join(parts)

    def key(self, request: Request) -> bytes | None:
        return request.headers.get(self.key_header) or None

    def unauthorized(self, key: bytes | None) -> ApiError:
        return ApiError(401, "Not authenticated" if key is None else "Invalid API key")

    def plan(self, body: Any, call: str) -> Work | None:
        try:
            size = self.read_size(body)
        except ApiError:
            return None
        return Work(1, size.pixels, str(size), call)

    def read_size(self, body: Any) -> Size:
        """The size of the picture that a body asks for. Raises ApiError for a wrong body."""
        raise NotImplementedError

    def compose(self, composer: Composer, ask: ChatBody, script: Script) -> Reply:
        return Reply([], 0)

    def totals(self, script: Script, reply: Reply) -> Totals:
        return PictureTotals(0)

    def header_lines(self, serial: str, elapsed_ms: int) -> bytes:
        return b""


def base_of(request: Request) -> str:
    """Where the caller reached this vendor, as the beginning of a URL."""
    host = request.header(b"host") or ""
    return f"http://{host if _HOST.fullmatch(host) else '127.0.0.1'}"


def link_of(job: Job, base: str) -> str:
    """The URL of a job's picture."""
    return f"{base}{SAMPLES.decode()}{job.token}.png"


def _fail(dialect: Dialect, job: Job, status: int) -> Plain:
    retry = job.script.retry_after
    headers = b"" if retry is None else b"retry-after: %b\r\n" % str(retry).encode()
    return Plain(dialect.failure(status, job.script.error, job.id), status, headers=headers)
