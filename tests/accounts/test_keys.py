"""API keys: what is minted can be found and checked, and nothing else can."""

import hmac
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.keys import KEY_ALPHABET, PUBLIC_ID_ALPHABET, digest, matches, mint, public_id_of

PEPPER = b"pepper"
PUBLIC_ID = "abcdefghjkmn"
SECRET = "S" * 43
OPENSSL = "23e49db7721548ac8aa1dfcce7a931f57b045fb1b72bf44c1eefa9f60a7bc3f8"
KEY = f"tollgate-v1-{PUBLIC_ID}-{SECRET}"
PREFIXES = st.text(PUBLIC_ID_ALPHABET + "-", min_size=1, max_size=40)


@given(prefix=PREFIXES)
@example(prefix="tollgate")
@example(prefix="my-gate-v1")
@example(prefix="-")
def test_the_public_id_of_a_minted_key_is_found_whatever_its_prefix(prefix: str) -> None:
    minted = mint(prefix)
    assert minted.text.startswith(f"{prefix}-v1-{minted.public_id}-")
    assert public_id_of(minted.text) == minted.public_id


def test_a_key_reads_prefix_version_public_id_secret() -> None:
    minted = mint("tollgate")
    prefix, version, public_id, secret = minted.text.split("-")
    assert (prefix, version, public_id) == ("tollgate", "v1", minted.public_id)
    assert (len(public_id), len(secret)) == (12, 43)
    assert set(public_id) <= set(PUBLIC_ID_ALPHABET)
    assert set(secret) <= set(KEY_ALPHABET)


def test_a_secret_has_256_bits() -> None:
    assert len(set(KEY_ALPHABET)) == 62
    assert 62**43 > 2**256


def test_a_public_id_has_no_letters_that_are_read_as_others() -> None:
    assert not set("l1o0ABCDEFGHIJKLMNOPQRSTUVWXYZ") & set(PUBLIC_ID_ALPHABET)


def test_no_two_keys_are_the_same() -> None:
    minted = [mint("tollgate") for _ in range(300)]
    assert len({one.public_id for one in minted}) == 300
    assert len({one.text.rsplit("-", 1)[1] for one in minted}) == 300
    # Every symbol turns up, at either end of the secret too.
    assert {symbol for one in minted for symbol in one.text[-43:]} == set(KEY_ALPHABET)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "sk-proj-1234",
        SECRET,
        KEY[:-1],
        KEY + "S",
        KEY[1:].removeprefix("ollgate"),
        KEY.replace("v1", "v2"),
        KEY.replace("-v1-", "-"),
        KEY.replace(PUBLIC_ID, PUBLIC_ID[1:]),
        KEY.replace(PUBLIC_ID, PUBLIC_ID + "a"),
        KEY.replace(PUBLIC_ID, "abcdefghjkm."),
        KEY.replace(SECRET, SECRET[1:] + "_"),
        KEY.replace(SECRET, SECRET[1:] + " "),
        KEY.replace(SECRET, SECRET[1:] + "é"),
        KEY.replace(SECRET, SECRET[1:] + "٣"),
        KEY.replace(PUBLIC_ID, PUBLIC_ID[1:] + "ﬁ"),
        "é" + KEY,
        KEY + "\n",
        "p" * 102 + KEY.removeprefix("tollgate"),
    ],
)
def test_what_is_not_a_key_has_no_public_id(text: str) -> None:
    assert public_id_of(KEY) == PUBLIC_ID
    assert public_id_of(text) is None


def test_a_prefix_is_not_judged_since_the_digest_is_of_the_whole_key() -> None:
    assert public_id_of(" " + KEY) == PUBLIC_ID
    assert not matches(" " + KEY, PEPPER, digest(KEY, PEPPER))


def test_a_key_may_have_160_characters() -> None:
    longest = "p" * (160 - len(KEY.removeprefix("tollgate"))) + KEY.removeprefix("tollgate")
    assert public_id_of(longest) == PUBLIC_ID
    assert public_id_of("p" + longest) is None


@given(text=st.text())
def test_any_text_has_a_public_id_or_none_and_never_fails(text: str) -> None:
    found = public_id_of(text)
    assert found is None or f"-v1-{found}-" in text


def test_a_digest_is_the_hmac_sha_256_of_the_whole_key() -> None:
    assert digest(KEY, PEPPER) == hmac.new(PEPPER, KEY.encode(), sha256).digest()
    # From `printf key | openssl dgst -sha256 -hmac pepper`.
    assert digest("key", PEPPER).hex() == OPENSSL


@given(position=st.integers(0, len(KEY) - 1))
def test_a_key_with_one_other_character_does_not_match(position: int) -> None:
    changed = KEY[:position] + ("x" if KEY[position] != "x" else "y") + KEY[position + 1 :]
    assert matches(KEY, PEPPER, digest(KEY, PEPPER))
    assert not matches(changed, PEPPER, digest(KEY, PEPPER))


def test_another_pepper_or_a_cut_digest_does_not_match() -> None:
    assert not matches(KEY, b"salt", digest(KEY, PEPPER))
    assert not matches(KEY, PEPPER, digest(KEY, PEPPER)[:31])
    assert not matches(KEY, PEPPER, b"")


def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert matches(KEY, PEPPER, digest(KEY, PEPPER))
    assert compared == [(digest(KEY, PEPPER),) * 2]
