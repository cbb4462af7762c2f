"""Provider credentials at rest: AES-256-GCM, bound to their row. Pure.

Stored form: 1 byte version (1), 12 bytes nonce, ciphertext with tag. The associated data names the channel, so that
a ciphertext copied to another row does not open there.

Of several keys the first seals; the others only open what was sealed before the key was changed.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
SEALED_BYTES_MIN = 1 + 12 + 16


class BadCredential(Exception):
    """Not encrypted under any of these keys for this channel."""


def seal(text: str, key: bytes, owner: str) -> bytes:
    """The credential, encrypted for `owner` (`provider:channel name`)."""
    nonce = os.urandom(12)
    return VERSION + nonce + AESGCM(key).encrypt(nonce, text.encode(), owner.encode())


def unseal(sealed: bytes, keys: Sequence[bytes], owner: str) -> str:
    """The credential in the clear. Raises BadCredential."""
    if sealed[:1] != VERSION or len(sealed) < SEALED_BYTES_MIN:
        raise BadCredential(owner)
    for key in keys:
        try:
            return AESGCM(key).decrypt(sealed[1:13], sealed[13:], owner.encode()).decode()
        except InvalidTag:
            continue
    raise BadCredential(owner)
