"""Who calls: from the key in the request to a Caller."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from accounts import keys
from gateway.call import Caller
from gateway.errors import Forbidden, Unauthorized
from gateway.limits import check_address
from gateway.wire import Wire

CACHE_MAX = 20_000
CALL = "call"
STAND_IN_DIGEST = bytes(32)


class Authenticator:
    """Finds the Caller of a key, from a bounded cache while `is_fresh()` says that the cache can be trusted.

    Unknown keys are remembered too, so that guessing costs no query per guess of one id; a notification about the id
    (the key is made later, or changes) removes either kind.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[Caller | None]],
        is_fresh: Callable[[], bool],
        pepper: bytes,
        trust_proxy: bool = False,
    ) -> None:
        self._find = find
        self._is_fresh = is_fresh
        self._pepper = pepper
        self._trust_proxy = trust_proxy
        self._cache: OrderedDict[str, Caller | None] = OrderedDict()
        self._changes = 0
        self.cached = 0
        self.looked_up = 0

    def forget(self, public_id: str) -> None:
        """Drop what is known of a key; `*` drops everything."""
        self._changes += 1
        if public_id == "*":
            self._cache.clear()
        else:
            self._cache.pop(public_id, None)

    async def authenticate(self, wire: Wire, *, any_scope: bool = False) -> Caller:
        """The Caller of the request's key. Raises Unauthorized, for every reason the same; Forbidden for a good key
        that may not be used from the client's address, or manages (unless `any_scope`) instead of calling."""
        text = _key_text(wire)
        public_id = keys.public_id_of(text)
        caller = await self._caller_of(public_id) if public_id else None
        expected = caller.digest if caller else STAND_IN_DIGEST
        # Compared even for a key that does not exist: the answer must not be faster for one.
        if not keys.matches(text, self._pepper, expected) or caller is None:
            raise Unauthorized
        if caller.expires_at is not None and caller.expires_at <= time.time():
            raise Unauthorized
        check_address(caller, wire.client_address(self._trust_proxy))
        if caller.scope != CALL and not any_scope:
            message = "This key is for the management API (/api/v1) and calls no models."
            raise Forbidden(message, code="key_scope")
        return caller

    async def _caller_of(self, public_id: str) -> Caller | None:
        if self._is_fresh() and public_id in self._cache:
            self._cache.move_to_end(public_id)
            self.cached += 1
            return self._cache[public_id]
        changes = self._changes
        self.looked_up += 1
        caller = await self._find(public_id)
        # A change that was announced while the query ran may be younger than its answer: use it, do not keep it.
        if changes == self._changes:
            self._cache[public_id] = caller
            if len(self._cache) > CACHE_MAX:
                self._cache.popitem(last=False)
        return caller


def _key_text(wire: Wire) -> str:
    authorization = wire.header(b"authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(b" ")
        raw = value.strip() if scheme.lower() == b"bearer" else b""
    else:
        raw = wire.header(b"x-api-key") or wire.header(b"x-goog-api-key") or b""
    # surrogateescape would let bytes through that no key has; latin-1 always decodes and never matches.
    return raw[: keys.KEY_LENGTH_MAX + 1].decode("latin-1")
