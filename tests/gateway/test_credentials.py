"""Provider credentials at rest."""

import os

import pytest

from gateway.credentials import BadCredential, seal, unseal

KEY = os.urandom(32)
KEYS = (KEY,)
OWNER = "openai:main"


@pytest.mark.parametrize("text", ["sk-proj-abc", "", "ключ 鍵", "x" * 5000])
def test_what_was_sealed_opens_again(text: str) -> None:
    assert unseal(seal(text, KEY, OWNER), KEYS, OWNER) == text


def test_a_sealed_credential_shows_nothing_and_never_looks_the_same() -> None:
    sealed = {seal("sk-proj-abc", KEY, OWNER) for _ in range(50)}
    assert len(sealed) == 50
    assert not any(b"sk-proj" in one for one in sealed)


def test_it_opens_for_its_own_channel_alone() -> None:
    sealed = seal("sk-proj-abc", KEY, OWNER)
    for owner in ("openai:other", "deepseek:main", "", "openai:main "):
        with pytest.raises(BadCredential):
            unseal(sealed, KEYS, owner)


def test_it_opens_under_its_own_key_alone() -> None:
    with pytest.raises(BadCredential):
        unseal(seal("sk-proj-abc", KEY, OWNER), (os.urandom(32),), OWNER)


def test_one_changed_bit_anywhere_is_noticed() -> None:
    sealed = seal("sk-proj-abc", KEY, OWNER)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(BadCredential):
            unseal(bytes(changed), KEYS, OWNER)


@pytest.mark.parametrize("length", [0, 1, 2, 8, 9, 12, 13, 14, 28, 39])
def test_one_that_was_cut_short_is_bad_and_nothing_worse(length: int) -> None:
    sealed = seal("sk-proj-abc", KEY, OWNER)
    with pytest.raises(BadCredential):
        unseal(sealed[:length], KEYS, OWNER)


def test_the_reason_names_the_channel_and_not_the_credential() -> None:
    with pytest.raises(BadCredential, match="deepseek:main") as caught:
        unseal(seal("sk-proj-abc", KEY, OWNER), KEYS, "deepseek:main")
    assert "sk-proj" not in str(caught.value)


def test_it_opens_under_any_of_several_keys() -> None:
    old, older = os.urandom(32), os.urandom(32)
    for key in (KEY, old, older):
        assert unseal(seal("sk-proj-abc", key, OWNER), (KEY, old, older), OWNER) == "sk-proj-abc"


@pytest.mark.parametrize("keys", [(), (os.urandom(32), os.urandom(32))])
def test_it_opens_under_none_of_the_wrong_keys(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(BadCredential):
        unseal(seal("sk-proj-abc", KEY, OWNER), keys, OWNER)
