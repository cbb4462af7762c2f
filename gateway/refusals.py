"""Providers' refusals in our words: what may be told to a caller, and what speaks of our own account. Pure."""

import re
from typing import Any

import msgspec

from gateway.errors import GatewayError, UpstreamFailed, UpstreamRefused

# Keys and the ids of organizations, projects and people, in the forms that vendors give them. An id has a capital, a
# digit or a star in it: names of fields (`user_id`) have none.
_OUR_SECRETS = re.compile(
    r"\b(?:sk|gsk|xai)[-_][A-Za-z0-9*_.-]*[A-Za-z0-9*]"
    r"|\b(?:org|proj|key|acct|user)[-_](?=[a-z_.-]*[A-Z0-9*])[A-Za-z0-9*_.-]*[A-Za-z0-9*]"
    r"|\bAIza[\w-]+|\bAQ\.[\w-]{10,}|\bprojects?[/_ ](?:number[: ])?\d{6,}"
)
# Google and xAI answer 400 for a bad key, Anthropic 400 for an empty purse, OpenAI 429 (their references, "Errors").
_OUR_ACCOUNT = re.compile(
    r"\bapi[ _-]?key\b|credit balance|current quota, please check your plan|insufficient_quota",
    re.IGNORECASE,
)
ERROR_BYTES_MAX = 64 * 1024
ERROR_CHARS_MAX = 4000
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504, 529})
OUR_ACCOUNT_STATUSES = frozenset({401, 402, 403, 407})


def refusal_error(status: int, body: bytes, retry_after_s: int | None) -> GatewayError:
    """The caller's error for a provider's answer other than 200.

    A 4xx about the caller's own request keeps its status and words; what speaks of our account there is not the
    caller's business.
    """
    if status in OUR_ACCOUNT_STATUSES or not 400 <= status < 500:
        return UpstreamFailed("The provider failed to answer.", retry_after_s=retry_after_s)
    try:
        fields = error_fields(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = {}
    if _OUR_ACCOUNT.search(f"{fields.get('code')} {fields.get('message')}"):
        return UpstreamFailed("The provider failed to answer.", retry_after_s=retry_after_s)
    message = fields.get("message") or f"The provider refused the request with status {status}."
    error = UpstreamRefused(
        status,
        message,
        code=fields.get("code"),
        type_=fields.get("type"),
        param=fields.get("param"),
    )
    error.retry_after_s = retry_after_s
    return error


def may_try_elsewhere(status: int) -> bool:
    """Whether that status proves that the provider served nothing, so that another channel may be asked."""
    return status in RETRIED_STATUSES or status in OUR_ACCOUNT_STATUSES


def error_fields(answer: Any) -> dict[str, str]:
    """The texts of an error in a provider's answer, without what speaks of our keys and accounts there."""
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    elif error is None and isinstance(answer, dict):
        error = answer  # Mistral's stands alone
    if not isinstance(error, dict):
        return {}
    texts = {name: str(value) for name, value in error.items() if type(value) in (str, int)}
    if type(error.get("message")) is not str:
        texts.pop("message", None)
    # Cut before: a caller whose text is quoted at length could have it searched for seconds.
    return {
        name: _OUR_SECRETS.sub("…", value[:ERROR_CHARS_MAX])[:2000] for name, value in texts.items()
    }
