"""A call in flight, its one ending, and what is written of it."""

import re
import time
from uuid import UUID

import msgspec

from accounts.ids import uuid7
from billing.pricing import Charge, Price, Usage, charge_usage
from gateway.catalog import Model
from gateway.errors import GatewayError

CHARGED = ("completed", "client_gone")
_CALL_ID = re.compile("call_[0-9a-f]{32}")


def public_call_id(call_id: UUID) -> str:
    """The id as callers see it."""
    return f"call_{call_id.hex}"


def parse_call_id(text: str) -> UUID | None:
    """The UUID inside `call_<32 hex digits>`, None for anything else."""
    return UUID(hex=text[5:]) if _CALL_ID.fullmatch(text) else None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The authenticated key with its group and organization. Ids are UUID texts, `wallet_id` an account's id.

    `expires_at` is the earlier of the key's and the group's. `scope` is `call`, or `manage` for a key that calls no
    models. `allowed_models` and `allowed_networks` have one list for each of the two that restricts them: every list
    must allow a call. `*_limit_id` is None without any limit.
    """

    key_id: str
    key_name: str
    public_id: str
    prefix: str
    digest: bytes
    expires_at: float | None
    group_id: str
    group_name: str
    organization_id: str
    organization_name: str
    wallet_id: int
    scope: str = "call"
    key_limit_id: int | None = None
    group_limit_id: int | None = None
    allowed_models: tuple[tuple[str, ...], ...] = ()
    allowed_networks: tuple[tuple[str, ...], ...] = ()


class Attempt(msgspec.Struct):
    """One try on one channel, for operators."""

    channel: str
    status: int | None = None
    error: str | None = None
    ms: int = 0


class Record(msgspec.Struct, kw_only=True):
    """The CallRecord as the database takes it (`gateway_apply` names the columns)."""

    id: UUID
    organization_id: str
    group_id: str
    api_key_id: str
    source: str = "api"
    endpoint: str
    model: str = ""
    status: str
    stream: bool = False
    service_tier: str = "standard"
    created_at: float
    duration_ms: int = 0
    first_token_ms: int | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    images: int = 0
    price_key: str = ""
    basis: str = ""
    price_id: int | None = None
    hold_nanos: int = 0
    list_nanos: int = 0
    error_code: str = ""
    error_message: str = ""
    upstream_id: str = ""
    attempts: list[Attempt] = []


class Memo(msgspec.Struct, frozen=True, kw_only=True):
    """What stays with the hold, so that a call whose process died can still be recorded."""

    organization_id: str
    group_id: str
    api_key_id: str
    endpoint: str
    model: str
    stream: bool
    service_tier: str
    price_id: int

    def lost_record(self, call_id: UUID, hold_nanos: int, created_at: float, now: float) -> Record:
        """The record of a call that its process took with it."""
        return Record(
            id=call_id,
            organization_id=self.organization_id,
            group_id=self.group_id,
            api_key_id=self.api_key_id,
            endpoint=self.endpoint,
            model=self.model,
            status="lost",
            stream=self.stream,
            service_tier=self.service_tier,
            created_at=created_at,
            duration_ms=int((now - created_at) * 1000),
            price_id=self.price_id,
            hold_nanos=hold_nanos,
            error_code="gateway_lost",
            error_message="The gateway process ended before this call did. Nothing was charged.",
        )


class Outcome(msgspec.Struct, kw_only=True):
    """How a call ended. `closing` is what the client still gets once the settlement is written: the whole body of a
    plain answer, or the last bytes of a stream. `usage` None means that nothing was generated or that it is unknown.
    `upstream_id` is the provider's id of an answer that a later call may continue.
    """

    status: str
    usage: Usage | None = None
    service_tier: str | None = None
    error: GatewayError | None = None
    closing: bytes = b""
    upstream_id: str = ""


class Call:
    """One request in flight. Made when its key is known; `endpoint` is the path's last words, such as
    `chat/completions`; `source` is `task` where the request makes one."""

    def __init__(self, call_id: UUID, caller: Caller, endpoint: str, source: str = "api") -> None:
        self.id = call_id
        self.caller = caller
        self.endpoint = endpoint
        self.source = source
        self.created_at = time.time()
        self.started = time.perf_counter()
        self.requested_model = ""
        self.model: Model | None = None
        self.price: Price | None = None
        self.tier = "standard"
        self.stream = False
        self.include_usage = False
        self.hold_nanos = 0
        self.input_tokens_max = 0
        self.output_tokens_max = 0
        self.first_token_at: float | None = None
        self.attempts: list[Attempt] = []

    @property
    def age_s(self) -> float:
        """Seconds since the call began."""
        return time.perf_counter() - self.started

    def memo(self) -> str:
        """The hold's memo."""
        assert self.price is not None
        memo = Memo(
            organization_id=self.caller.organization_id,
            group_id=self.caller.group_id,
            api_key_id=self.caller.key_id,
            endpoint=self.endpoint,
            model=self.price.model,
            stream=self.stream,
            service_tier=self.tier,
            price_id=self.price.id,
        )
        return msgspec.json.encode(memo).decode()

    def charge(self, outcome: Outcome) -> Charge | None:
        """What the outcome costs, None where it costs nothing.

        A priority call that the provider says it served as a standard one costs a standard one; a caller never pays
        for a dearer tier than he asked for.
        """
        usage = outcome.usage
        if outcome.status not in CHARGED or usage is None or usage.is_empty or self.price is None:
            return None
        downgraded = self.tier == "priority" and outcome.service_tier in ("default", "standard")
        tier = "standard" if downgraded else self.tier
        return charge_usage(self.price, usage, tier)

    def record(self, outcome: Outcome, charge: Charge | None) -> Record:
        """The row of the ended call."""
        now = time.perf_counter()
        first = self.first_token_at
        error = outcome.error
        usage = outcome.usage or Usage()
        return Record(
            id=self.id,
            organization_id=self.caller.organization_id,
            group_id=self.caller.group_id,
            api_key_id=self.caller.key_id,
            source=self.source,
            endpoint=self.endpoint,
            model=self.price.model if self.price else clean(self.requested_model[:120]),
            status=outcome.status,
            stream=self.stream,
            service_tier=charge.tier if charge else self.tier,
            created_at=self.created_at,
            duration_ms=int((now - self.started) * 1000),
            first_token_ms=None if first is None else int((first - self.started) * 1000),
            input_tokens=usage.input_tokens,
            cached_input_tokens=usage.cached_input_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            output_tokens=usage.output_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            audio_input_tokens=usage.audio_input_tokens,
            audio_output_tokens=usage.audio_output_tokens,
            images=usage.images,
            basis=usage.basis if outcome.usage else "",
            price_id=self.price.id if self.price else None,
            hold_nanos=self.hold_nanos,
            list_nanos=charge.list_nanos if charge else 0,
            error_code=clean(error.code or error.type)[:64] if error else "",
            error_message=clean(error.message)[:500] if error else "",
            upstream_id=clean(outcome.upstream_id)[:128],
            attempts=self.attempts,
        )


def clean(text: str) -> str:
    """Text that PostgreSQL can store: NUL and lone surrogates are replaced."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()


def new_call_id() -> UUID:
    """An id for one request."""
    return uuid7()


def encode_records(records: list[Record]) -> bytes:
    """The JSON array that `gateway_apply` takes."""
    return msgspec.json.encode(records)
