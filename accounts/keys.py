"""API keys: mint, parse, digest. Pure.

A key reads `<prefix>-v1-<public id>-<secret>`. The public id finds the row and may stand in logs and pages; the
secret is shown once, and only an HMAC of the whole key is kept.
"""

import hashlib
import hmac
import secrets
from typing import NamedTuple

PUBLIC_ID_LENGTH = 12
SECRET_LENGTH = 43  # of 62 symbols: 256 bits
PUBLIC_ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
KEY_LENGTH_MAX = 160


class MintedKey(NamedTuple):
    """A new key: `text` is what its owner sees once."""

    text: str
    public_id: str


def mint(prefix: str) -> MintedKey:
    """A new random key under `prefix`."""
    public_id = "".join(secrets.choice(PUBLIC_ID_ALPHABET) for _ in range(PUBLIC_ID_LENGTH))
    secret = "".join(secrets.choice(KEY_ALPHABET) for _ in range(SECRET_LENGTH))
    return MintedKey(f"{prefix}-v1-{public_id}-{secret}", public_id)


def derive(prefix: str, pepper: bytes, *parts: str) -> MintedKey:
    """The key that belongs to these parts: whoever has the pepper and all of them finds the same one again.

    As hard to guess as the pepper; the symbols are drawn from 512 bits, so that the bias of the remainder is nil.
    """
    number = int.from_bytes(hmac.digest(pepper, "\n".join(parts).encode(), hashlib.sha512))
    drawn = []
    for alphabet, length in ((PUBLIC_ID_ALPHABET, PUBLIC_ID_LENGTH), (KEY_ALPHABET, SECRET_LENGTH)):
        symbols = []
        for _ in range(length):
            number, place = divmod(number, len(alphabet))
            symbols.append(alphabet[place])
        drawn.append("".join(symbols))
    public_id, secret = drawn
    return MintedKey(f"{prefix}-v1-{public_id}-{secret}", public_id)


def public_id_of(text: str) -> str | None:
    """The public id inside a well-formed key, else None."""
    if len(text) > KEY_LENGTH_MAX or not text.isascii():
        return None
    parts = text.rsplit("-", 3)
    if len(parts) != 4 or parts[1] != "v1" or not parts[0]:
        return None
    public_id, secret = parts[2], parts[3]
    if len(public_id) != PUBLIC_ID_LENGTH or len(secret) != SECRET_LENGTH:
        return None
    if not public_id.isalnum() or not secret.isalnum():
        return None
    return public_id


def digest(text: str, pepper: bytes) -> bytes:
    """HMAC-SHA-256 of the whole key, 32 bytes: what is stored and compared."""
    return hmac.digest(pepper, text.encode(), hashlib.sha256)


def matches(text: str, pepper: bytes, expected: bytes) -> bool:
    """Whether the key has this digest, in constant time."""
    return hmac.compare_digest(digest(text, pepper), expected)
