"""What a worker tells an image vendor and what it hears from it, whatever the vendor.

A driver speaks one vendor's dialect through one channel. `start` sends an order and `poll` asks after the job that came
of it; both answer what was delivered, or that it is still running, or raise:

VendorError
├── Refused        the vendor will not make these pictures, here or elsewhere: final
├── Failed         this try failed; `transient` says whether the same call may succeed when it is repeated
├── Unauthorized   it is our credential or our account there that is refused: only an operator can mend that
└── JobLost        the vendor does not know the job (any more)

Every message is fit for the customer: the vendor's own words without keys, account ids and the channel's credential.
"""

from collections.abc import Callable
from typing import Protocol

import httpx
import msgspec

from gateway.images.request import ImageRequest

MIB = 1024 * 1024
MESSAGE_CHARS_MAX = 500

Fetch = Callable[[str], bytes]
"""The bytes behind a result link, fetched without our credential. Raises Failed."""


class SourcePicture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture to work on, as it is sent. `name` is the file name that the vendor sees; edges in pixels."""

    data: bytes
    content_type: str
    width: int
    height: int
    name: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One request for pictures.

    `model` is the model's name at the vendor; `size` in pixels, None where the vendor chooses; `quality` as the vendor
    names it, empty where it knows none. `call_id` is told to the vendor for its own log; `idempotency_key` is the task
    and the trial, so that one trial is never served twice. `deadline` in epoch seconds: no request runs longer.
    """

    request: ImageRequest
    model: str
    size: tuple[int, int] | None
    quality: str
    sources: tuple[SourcePicture, ...]
    mask: SourcePicture | None
    call_id: str
    idempotency_key: str
    deadline: float


class Job(msgspec.Struct, frozen=True):
    """A vendor's job, to be stored as JSON. `poll_url` is empty where it follows from the id."""

    id: str
    poll_url: str = ""


class Delivered(msgspec.Struct, frozen=True):
    """Pictures as they came, unchecked; at least one, at most as many as were asked for. `upstream_id` is the vendor's
    name of the request or job, empty where it gave none."""

    pictures: tuple[bytes, ...]
    upstream_id: str


class Running(msgspec.Struct, frozen=True):
    """A job that is not done. `progress` in percent."""

    job: Job
    progress: int
    poll_after_s: float


class VendorError(Exception):
    """`message` is for customers, `code` that of a failed task, `status` the vendor's HTTP status if there was one."""

    code = "upstream_error"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class Refused(VendorError):
    """`code`: content_refused or invalid_request."""

    def __init__(self, message: str, *, code: str, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.code = code


class Failed(VendorError):
    """`code`: upstream_error or upstream_timeout. Not `transient`: the same call (a poll of this job, a submission to
    this channel) will fail again. `retry_after_s` as the vendor said."""

    def __init__(
        self,
        message: str,
        *,
        transient: bool,
        timed_out: bool = False,
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message, status=status)
        self.transient = transient
        self.retry_after_s = retry_after_s
        if timed_out:
            self.code = "upstream_timeout"


class Unauthorized(VendorError):
    """The customer hears no more than that the provider failed."""

    def __init__(self, status: int) -> None:
        super().__init__("The provider failed to answer.", status=status)


class JobLost(VendorError):
    def __init__(self, status: int | None = None) -> None:
        super().__init__("The provider does not know the job any more.", status=status)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one request: seconds from its first byte to the last of its answer, bytes of one picture in it."""

    start_timeout_s: float = 300.0
    poll_timeout_s: float = 30.0
    picture_bytes_max: int = 64 * MIB


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The channel that a driver speaks through. `client` is http.make_client's, shared by all threads; `credential` is
    in the clear and must never be printed."""

    base_url: str
    credential: str
    client: httpx.Client
    fetch: Fetch
    limits: Limits = Limits()

    def __repr__(self) -> str:
        return f"Access({self.base_url})"


class Driver(Protocol):
    """One vendor through one channel; safe for several threads."""

    def start(self, order: Order) -> Delivered | Running:
        """Send the order. Raises Refused, Failed or Unauthorized."""
        ...

    def poll(self, job: Job) -> Delivered | Running:
        """Ask after a job. Raises Refused, Failed, Unauthorized or JobLost."""
        ...


def percent(share: object, whole: int) -> int:
    """A vendor's progress, `share` of `whole`, from 0 to 100; 0 for what is no number."""
    if not isinstance(share, int | float) or isinstance(share, bool):
        return 0
    return int(max(0, min(100, share * 100 / whole)))
