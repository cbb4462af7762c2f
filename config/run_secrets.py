"""The secrets of one installation: made once, kept in its home, passed on by environment."""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

FILE_NAME = "secrets.json"
OLD_KEYS = "TOLLGATE_CREDENTIAL_KEYS_OLD"


class SecretsError(Exception):
    """The file of secrets cannot be used; the message says why, in words for the operator."""


def _text() -> str:
    return secrets.token_urlsafe(48)


def _key_of_32_bytes() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


MAKERS: Mapping[str, Callable[[], str]] = {
    "TOLLGATE_SECRET_KEY": _text,
    "TOLLGATE_KEY_PEPPER": _text,
    "TOLLGATE_CREDENTIAL_KEY": _key_of_32_bytes,
    "TOLLGATE_SIMULATOR_KEY": lambda: "sim-" + secrets.token_urlsafe(24),
}


def load_secrets(home: Path) -> dict[str, str]:
    """The secrets of `home` by the name of their variable; missing ones are made and saved.

    Old keys of credentials are there only where an operator wrote them, to change the key. A file that cannot be read
    is never replaced: without its keys, stored credentials and API keys are lost.
    """
    path = home / FILE_NAME
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Two commands that start at once on a new home must end up with the same secrets.
        fcntl.flock(folder, fcntl.LOCK_EX)
        known = _read(path)
        missing = {name: make() for name, make in MAKERS.items() if not known.get(name)}
        if missing:
            known |= missing
            _write(path, known)
    finally:
        os.close(folder)
    return {name: known[name] for name in (*MAKERS, OLD_KEYS) if name in known}


def add_secrets(environ: dict[str, str], home: Path) -> None:
    """Put the secrets of `home` into `environ`; a variable that has a value keeps it."""
    for name, value in load_secrets(home).items():
        if not environ.get(name):
            environ[name] = value


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
        path.chmod(0o600)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SecretsError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(each, str) for each in content.values()):
        raise SecretsError(f"{path} must hold one JSON object of texts")
    return content


def _write(path: Path, content: Mapping[str, str]) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
