"""The behaviour script: what a caller puts into `simulate` to choose how one call goes."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from simulator.errors import ApiError, ErrorBody

MAX_OUTPUT_TOKENS = 2_000_000

Vendor = Literal["openai", "anthropic", "gemini", "upstage", "deepseek", "xai", "mistral"]
"""Whose usage object a Chat Completions answer carries."""

_Count = Annotated[int, Meta(ge=0)]
_OutputCount = Annotated[int, Meta(ge=0, le=MAX_OUTPUT_TOKENS)]
_Positive = Annotated[int, Meta(ge=1)]
_Seconds = Annotated[float, Meta(ge=0, le=86_400)]
_Status = Annotated[int, Meta(ge=400, le=599)]
_Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,128}\Z")]
_ContentType = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+(; ?[a-z]+=[A-Za-z0-9-]+)?\Z")
]


class Script(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One call's behaviour. Every field is optional; README.md says what each does."""

    # what is reported, and how much is generated
    input_tokens: _Count | None = None
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    cache_write_1h_tokens: _Count | None = None
    tool_use_prompt_tokens: _Count | None = None
    reasoning_tokens: _OutputCount | None = None
    output_tokens: _OutputCount | None = None
    answer_tokens: _OutputCount | None = None
    usage: msgspec.Raw | UnsetType = UNSET
    no_usage: bool = False
    dialect: Vendor | None = None

    # what is said
    content: str | None = None
    line_bytes: Annotated[int, Meta(ge=1, le=64_000_000)] | None = None

    # when
    first_byte_delay_s: _Seconds = 0.0
    chunk_delay_s: _Seconds = 0.0
    total_delay_s: _Seconds = 0.0
    gate: _Name | None = None

    # failures before the answer
    status: _Status | None = None
    error: ErrorBody | None = None
    retry_after: int | float | str | None = None
    reset_before_headers: bool = False
    close_before_headers: bool = False
    hang_before_headers: bool = False
    html: bool = False
    body_error_200: bool = False
    response_failed: bool = False

    # failures within it
    reset_after_chunks: _Count | None = None
    hang_after_chunks: _Count | None = None
    truncate_after_chunks: _Count | None = None
    error_event_after_chunks: _Count | None = None

    # shapes of a stream
    chunk_tokens: _Positive = 1
    no_done: bool = False
    crlf: bool = False
    comments: bool = False
    usage_on_last_chunk: bool = False
    split_surrogates: bool = False

    # jobs: how they go on after they were accepted
    job_delay_s: _Seconds = 0.0
    job_gate: _Name | None = None
    job_fails: str | None = None
    job_refused: Literal["request", "content"] | bool = False
    job_cancelled: bool = False
    job_hangs: bool = False
    job_lost: bool = False
    same_job_twice: bool = False
    poll_status: _Status | None = None
    poll_failures: _Positive | None = None
    download_status: _Status | None = None
    download_failures: _Positive | None = None
    link_lifetime_s: _Seconds = 600.0

    # pictures
    picture_bytes: Annotated[int, Meta(ge=1, le=64_000_000)] | None = None
    not_a_picture: Literal["html", "json"] | None = None
    wrong_type: _ContentType | None = None

    @property
    def cut(self) -> tuple[str, int] | None:
        """The fault within the answer, as its name and the chunks sent before it."""
        for name, after in (
            ("reset", self.reset_after_chunks),
            ("hang", self.hang_after_chunks),
            ("truncate", self.truncate_after_chunks),
            ("error_event", self.error_event_after_chunks),
        ):
            if after is not None:
                return name, after
        return None

    def report(self, usage: bytes) -> bytes | None:
        """What is reported in place of a dialect's own usage: it itself, other JSON, or nothing."""
        if self.no_usage:
            return None
        if isinstance(self.usage, msgspec.Raw):
            return msgspec.json.format(bytes(self.usage), indent=-1)
        return usage


NO_SCRIPT = Script()
_DECODER = msgspec.json.Decoder(Script)


def parse_script(raw: bytes | msgspec.Raw, param: str | None = "simulate") -> Script:
    """Read a script from JSON.

    Raises ApiError(400) for an unknown name, a wrong type, or fields that contradict each other.
    """
    try:
        script = _DECODER.decode(raw)
    except msgspec.MsgspecError as problem:
        raise ApiError(
            400, f"Invalid 'simulate': {problem}", param=param, code="invalid_script"
        ) from None
    problem_found = _contradiction(script) or _job_contradiction(script)
    if problem_found:
        raise ApiError(
            400, f"Invalid 'simulate': {problem_found}.", param=param, code="invalid_script"
        )
    return script


def _contradiction(script: Script) -> str | None:
    faults = (
        script.reset_after_chunks,
        script.hang_after_chunks,
        script.truncate_after_chunks,
        script.error_event_after_chunks,
    )
    if sum(fault is not None for fault in faults) > 1:
        return "only one of the `*_after_chunks` faults can happen"
    refusals = (
        script.status is not None,
        script.reset_before_headers,
        script.close_before_headers,
        script.hang_before_headers,
        script.html,
        script.body_error_200,
    )
    if sum(refusals) > 1:
        return "only one way to fail before the answer can happen"
    if script.output_tokens is not None:
        visible = script.output_tokens - (script.reasoning_tokens or 0)
        if visible < 0:
            return "`reasoning_tokens` are part of `output_tokens`, so cannot exceed them"
        if (script.content or script.line_bytes) and not visible:
            return "content cannot be said in no visible output tokens"
        if script.answer_tokens is not None:
            return "`output_tokens` and `answer_tokens` are two ways to say one thing"
    if script.line_bytes is not None and script.content is not None:
        return "`line_bytes` and `content` both say what is answered"
    return None


def _job_contradiction(script: Script) -> str | None:
    ends = (
        script.job_fails is not None,
        bool(script.job_refused),
        script.job_cancelled,
        script.job_hangs,
        script.job_lost,
    )
    if sum(ends) > 1:
        return "a job can end in one way only"
    if script.poll_failures is not None and script.poll_status is None:
        return "`poll_failures` counts failures with `poll_status`, which is missing"
    if script.download_failures is not None and script.download_status is None:
        return "`download_failures` counts failures with `download_status`, which is missing"
    if script.not_a_picture is not None and script.picture_bytes is not None:
        return "`not_a_picture` and `picture_bytes` both say what the picture is"
    return None
