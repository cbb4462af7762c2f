"""Who calls: the cache of keys, when it may be trusted, and one answer for every bad key."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from accounts import keys
from gateway import auth
from gateway.auth import Authenticator
from gateway.call import Caller, new_call_id
from gateway.envelopes import openai_envelope
from gateway.errors import Forbidden, Unauthorized
from gateway.wire import Wire

PEPPER = b"pepper of these tests"


class Directory:
    """Keys by public id, as the database would answer; counts the questions."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}
        self.asked: list[str] = []
        self.fresh = True
        self.during: Callable[[], Awaitable[None]] | None = None
        self.authenticator = Authenticator(self.find, lambda: self.fresh, PEPPER)

    async def find(self, public_id: str) -> Caller | None:
        self.asked.append(public_id)
        found = self.callers.get(public_id)
        if self.during is not None:
            await self.during()
        return found

    def issue(self, expires_at: float | None = None, scope: str = "call") -> str:
        minted = keys.mint("tollgate")
        self.callers[minted.public_id] = Caller(
            key_id=str(uuid4()),
            key_name="A key",
            public_id=minted.public_id,
            prefix="tollgate",
            digest=keys.digest(minted.text, PEPPER),
            expires_at=expires_at,
            group_id=str(uuid4()),
            group_name="A group",
            organization_id=str(uuid4()),
            organization_name="An organization",
            wallet_id=1,
            scope=scope,
        )
        return minted.text

    def revoke(self, key: str) -> None:
        """Remove the key and say so."""
        del self.callers[public_id(key)]
        self.authenticator.forget(public_id(key))

    def ask(self, key: str) -> Caller:
        return asyncio.run(self.authenticator.authenticate(wire(key)))

    def refuses(self, key: str) -> bool:
        try:
            self.ask(key)
        except Unauthorized:
            return True
        return False


@pytest.fixture
def directory() -> Directory:
    return Directory()


def public_id(key: str) -> str:
    found = keys.public_id_of(key)
    assert found is not None
    return found


def wire(key: str | None, header: bytes = b"authorization", scheme: str = "Bearer ") -> Wire:
    headers = [] if key is None else [(header, (scheme + key).encode("latin-1"))]
    return wire_of(headers)


def wire_of(headers: list[tuple[bytes, bytes]]) -> Wire:
    async def nothing(*_: Any) -> Any:
        raise AssertionError("authentication reads headers alone")

    scope = {"type": "http", "method": "GET", "path": "/v1/me", "headers": headers}
    return Wire(scope, nothing, nothing, new_call_id())


def test_a_key_is_looked_up_once(directory: Directory) -> None:
    key = directory.issue()
    assert [directory.ask(key).public_id for _ in range(5)] == [public_id(key)] * 5
    assert directory.asked == [public_id(key)]


def test_an_unknown_key_is_looked_up_once_too(directory: Directory) -> None:
    unknown = keys.mint("tollgate").text
    assert all(directory.refuses(unknown) for _ in range(5))
    assert directory.asked == [public_id(unknown)]


def test_a_key_that_was_revoked_is_looked_up_again_and_refused(directory: Directory) -> None:
    key, other = directory.issue(), directory.issue()
    directory.ask(key)
    directory.ask(other)
    directory.revoke(key)
    assert directory.refuses(key)
    directory.ask(other)
    assert directory.asked == [public_id(key), public_id(other), public_id(key)]


def test_a_key_that_was_unknown_works_once_it_is_announced(directory: Directory) -> None:
    key = directory.issue()
    caller = directory.callers.pop(public_id(key))
    assert directory.refuses(key)
    directory.callers[public_id(key)] = caller
    directory.authenticator.forget(public_id(key))
    assert directory.ask(key) == caller


def test_a_star_forgets_everything(directory: Directory) -> None:
    key, unknown = directory.issue(), keys.mint("tollgate").text
    for _ in range(2):
        directory.ask(key)
        assert directory.refuses(unknown)
        directory.authenticator.forget("*")
    assert directory.asked == [public_id(key), public_id(unknown)] * 2


def test_forgetting_a_key_nobody_knows_does_nothing(directory: Directory) -> None:
    directory.authenticator.forget("abcdefghjkmn")
    directory.ask(directory.issue())


def test_a_cache_that_may_be_old_is_not_used(directory: Directory) -> None:
    key = directory.issue()
    directory.ask(key)
    directory.fresh = False
    directory.ask(key)
    del directory.callers[public_id(key)]  # unannounced: nobody could be told
    assert directory.refuses(key)
    directory.fresh = True
    assert directory.refuses(key)
    assert len(directory.asked) == 3


@pytest.mark.parametrize("announced", ["same", "other", "*"])
def test_what_was_found_while_something_changed_is_used_and_not_kept(
    directory: Directory, announced: str
) -> None:
    key = directory.issue()
    name = {"same": public_id(key), "other": "abcdefghjkmn", "*": "*"}[announced]

    async def change() -> None:
        directory.authenticator.forget(name)

    directory.during = change
    directory.ask(key)
    directory.during = None
    directory.ask(key)
    directory.ask(key)
    assert len(directory.asked) == 2


def test_a_revocation_during_the_lookup_is_not_undone_by_its_answer(directory: Directory) -> None:
    key = directory.issue()

    async def revoke() -> None:
        directory.revoke(key)

    directory.during = revoke
    directory.ask(key)  # it was good when the question was asked
    directory.during = None
    assert directory.refuses(key)


def test_the_cache_is_bounded_and_keeps_what_was_used_last(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "CACHE_MAX", 3)
    old, middle, new = (directory.issue() for _ in range(3))
    for key in (old, middle, new, old):
        directory.ask(key)
    directory.ask(directory.issue())  # pushes out the middle one
    directory.asked.clear()
    directory.ask(old)
    directory.ask(new)
    assert directory.asked == []
    directory.ask(middle)
    assert directory.asked == [public_id(middle)]


def test_a_key_works_until_the_moment_it_expires(directory: Directory) -> None:
    assert directory.ask(directory.issue(expires_at=time.time() + 60)).expires_at is not None
    assert directory.refuses(directory.issue(expires_at=time.time() - 0.01))


def test_a_key_that_expires_while_it_is_cached_stops_working(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = directory.issue(expires_at=1000.0)
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: 999.9))
    directory.ask(key)
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: 1000.0))
    assert directory.refuses(key)
    assert len(directory.asked) == 1


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_the_scheme_is_read_in_any_case(directory: Directory, scheme: str) -> None:
    key = directory.issue()
    caller = asyncio.run(directory.authenticator.authenticate(wire(key, scheme=scheme)))
    assert caller.public_id == public_id(key)


def test_the_key_may_come_as_x_api_key(directory: Directory) -> None:
    key = directory.issue()
    caller = asyncio.run(directory.authenticator.authenticate(wire(key, b"x-api-key", "")))
    assert caller.public_id == public_id(key)


def bad_headers(key: str) -> list[list[tuple[bytes, bytes]]]:
    """Requests without a good key; `key` is a good one, to be spoilt."""
    prefix, version, public, secret = key.split("-")
    spoilt = [
        key[:-1],
        key + "x",
        key[:-1] + ("x" if key[-1] != "x" else "y"),
        key.upper(),
        f"{prefix}-v2-{public}-{secret}",
        f"-{version}-{public}-{secret}",
        f"{prefix}x-{version}-{public}-{secret}",
        f"{prefix}-{version}-{public}",
        f"{prefix}-{version}-{'a' * 12}-{secret}",
        f"{prefix}-{version}-{public}-{'A' * 43}",
        f"{prefix}-{version}-{public}'--{secret[3:]}",
        "",
        "-",
        "sk-proj-" + "x" * 60,
        "k" * 100_000,
        "\xe9" * 80,
        key + "\xff",
        f"{key} {key}",
        f"{key},{key}",
    ]
    requests = [[(b"authorization", f"Bearer {text}".encode("latin-1"))] for text in spoilt]
    requests += [[(b"x-api-key", text.encode("latin-1"))] for text in spoilt]
    requests += [
        [],
        [(b"authorization", b"")],
        [(b"authorization", key.encode())],
        [(b"authorization", b"Basic " + key.encode())],
        [(b"authorization", b"Bearer" + key.encode())],
        [(b"authorization", b"Basic x"), (b"x-api-key", key.encode())],
        [(b"cookie", key.encode())],
    ]
    return requests


def test_every_bad_key_gets_the_same_answer(directory: Directory) -> None:
    expired, revoked = directory.issue(expires_at=1.0), directory.issue()
    directory.revoke(revoked)
    wires = [wire(expired), wire(revoked), *map(wire_of, bad_headers(directory.issue()))]
    answers = set()
    for one in wires:
        with pytest.raises(Unauthorized) as caught:
            asyncio.run(directory.authenticator.authenticate(one))
        error = caught.value
        answers.add((error.status, openai_envelope(error, ""), tuple(error.headers())))
    assert len(answers) == 1
    [(status, envelope, _)] = answers
    assert status == 401
    assert b'"code":"invalid_api_key"' in envelope


def test_a_key_that_does_not_exist_costs_the_same_comparison(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []

    def matches(text: str, pepper: bytes, expected: bytes) -> bool:
        compared.append(expected)
        return bool(real(text, pepper, expected))

    real = keys.matches
    monkeypatch.setattr(keys, "matches", matches)
    known = directory.issue()
    for one in (wire(known), wire(keys.mint("tollgate").text), wire("malformed"), wire_of([])):
        with contextlib.suppress(Unauthorized):
            asyncio.run(directory.authenticator.authenticate(one))
    assert len(compared) == 4
    assert {len(expected) for expected in compared} == {32}


def test_a_key_of_another_public_id_does_not_open_this_one(directory: Directory) -> None:
    mine, yours = directory.issue(), directory.issue()
    mixed = "-".join([*mine.split("-")[:3], yours.split("-")[3]])
    assert directory.refuses(mixed)
    assert directory.ask(mine).public_id == public_id(mine)


def test_a_management_key_calls_nothing_but_says_who_it_is(directory: Directory) -> None:
    key = directory.issue(scope="manage")
    with pytest.raises(Forbidden) as refusal:
        directory.ask(key)
    assert refusal.value.code == "key_scope"
    caller = asyncio.run(directory.authenticator.authenticate(wire(key), any_scope=True))
    assert caller.scope == "manage"
