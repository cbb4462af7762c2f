"""What the data plane is told at start. Frozen; made by config/asgi.py from Django's settings."""

from pathlib import Path

import msgspec

from gateway.addresses import Policy


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Limits carry their unit in their name; docs/operations.md says what each is for."""

    database_url: str
    key_pepper: bytes
    credential_keys: tuple[bytes, ...]
    trust_proxy: bool = False
    body_bytes_max: int = 20 * 1024 * 1024
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 600.0
    between_bytes_timeout_s: float = 300.0
    call_timeout_s: float = 3600.0
    drain_timeout_s: float = 5.0
    drains_max: int = 64
    money_timeout_s: float = 3.0
    calls_max: int = 2048
    task_timeout_s: float = 900.0
    picture_bytes_max: int = 50 * 1024 * 1024
    source_pixels_max: int = 32 * 1024 * 1024
    link_key: bytes = b""
    public_url: str = ""
    address_policy: Policy = Policy()
    metrics_token: str = ""
    metrics_folder: Path | None = None
